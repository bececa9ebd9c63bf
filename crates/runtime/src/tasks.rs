//! Spawning with a stated end.

use std::future::Future;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Asks everything that holds a clone to come to its end.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn begin(&self) {
        self.0.cancel();
    }

    pub fn has_begun(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Returns once shutdown has begun.
    pub async fn begun(&self) {
        self.0.cancelled().await;
    }
}

/// What the end of a task means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaskKind {
    /// The node cannot go on without it: a panic begins the shutdown of the node.
    Critical,
    /// Serves one request, peer or subscriber: a panic is logged and harms nobody else.
    Contained,
}

/// The tasks of one node.
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    shutdown: Shutdown,
}

impl Tasks {
    pub fn new(shutdown: Shutdown) -> Self {
        Self {
            tracker: TaskTracker::new(),
            shutdown,
        }
    }

    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Spawns a task that ends by itself or upon shutdown (it watches [`Shutdown`] itself where waiting matters).
    pub fn spawn(&self, name: &'static str, kind: TaskKind, task: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        let watched = self.tracker.track_future(async move {
            #[allow(clippy::disallowed_methods, reason = "this is where tasks are spawned")]
            let joined = tokio::spawn(task).await;
            match joined {
                Ok(()) => {}
                Err(error) if error.is_cancelled() => {}
                Err(error) => {
                    tracing::error!(task = name, %error, ?kind, "task panicked");
                    if kind == TaskKind::Critical {
                        shutdown.begin();
                    }
                }
            }
        });
        #[allow(clippy::disallowed_methods, reason = "this is where tasks are spawned")]
        drop(tokio::spawn(watched));
    }

    /// Waits for all tasks to end, at most for `deadline`; says whether all did.
    pub async fn ended_within(&self, deadline: Duration) -> bool {
        self.tracker.close();
        tokio::time::timeout(deadline, self.tracker.wait()).await.is_ok()
    }
}

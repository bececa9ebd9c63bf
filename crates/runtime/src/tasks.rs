//! Spawning with a stated end.

use std::future::Future;
use std::time::Duration;
use tokio::runtime::Handle;
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
    /// Where they run; without it where they are spawned.
    runtime: Option<Handle>,
}

impl Tasks {
    pub fn new(shutdown: Shutdown) -> Self {
        Self {
            tracker: TaskTracker::new(),
            shutdown,
            runtime: None,
        }
    }

    /// The same tasks, of which those spawned through the returned value run in `runtime`, whoever spawns them.
    pub fn on(&self, runtime: Handle) -> Self {
        Self {
            runtime: Some(runtime),
            ..self.clone()
        }
    }

    /// Does `work` where these tasks run, so that what it opens and spawns without naming a runtime belongs there.
    pub async fn within<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let Some(runtime) = &self.runtime else {
            return work.await;
        };
        match runtime.spawn(work).await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime has ended, and the node with it.
            Err(_) => std::future::pending().await,
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
        drop(match &self.runtime {
            Some(runtime) => runtime.spawn(watched),
            #[allow(clippy::disallowed_methods, reason = "this is where tasks are spawned")]
            None => tokio::spawn(watched),
        });
    }

    /// Waits for all tasks to end, at most for `deadline`; says whether all did.
    pub async fn ended_within(&self, deadline: Duration) -> bool {
        self.tracker.close();
        tokio::time::timeout(deadline, self.tracker.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Threads;
    use std::thread;
    use tokio::sync::oneshot;

    fn thread_name() -> String {
        thread::current().name().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn tasks_run_on_the_threads_that_they_were_given() {
        let threads = Threads::start("apart", 1).unwrap();
        let tasks = Tasks::new(Shutdown::new());
        let apart = tasks.on(threads.runtime());
        let (tell, told) = oneshot::channel();
        apart.spawn("named", TaskKind::Contained, async move {
            let _ = tell.send(thread_name());
        });
        assert_eq!(told.await.unwrap(), "apart");
        assert_eq!(apart.within(async { thread_name() }).await, "apart");
        assert_ne!(tasks.within(async { thread_name() }).await, "apart");
    }

    #[tokio::test]
    async fn the_end_is_waited_for_wherever_tasks_run() {
        let threads = Threads::start("apart", 1).unwrap();
        let tasks = Tasks::new(Shutdown::new());
        let shutdown = tasks.shutdown().clone();
        tasks
            .on(threads.runtime())
            .spawn("waiting", TaskKind::Critical, async move { shutdown.begun().await });
        assert!(!tasks.ended_within(Duration::from_millis(50)).await);
        tasks.shutdown().begin();
        assert!(tasks.ended_within(Duration::from_secs(30)).await);
    }

    #[tokio::test]
    async fn a_panic_on_other_threads_ends_the_node_as_well() {
        let threads = Threads::start("apart", 1).unwrap();
        let tasks = Tasks::new(Shutdown::new());
        tasks
            .on(threads.runtime())
            .spawn("broken", TaskKind::Critical, async { panic!("on purpose") });
        tasks.shutdown().begun().await;
    }
}

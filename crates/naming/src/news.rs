//! The names of services as they begin and cease to be listed, for those who watch them.

use muster_model::ServiceKey;
use muster_runtime::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Notify, broadcast};

/// Events kept for the slowest watcher: a rollout of a few thousand services at once. Who is further behind looks at the
/// whole list again.
const EVENTS_KEPT: usize = 4_096;

/// A service is listed from now on, or is no longer listed. It counts as [`Naming::services`](crate::Naming::services)
/// counts: while it has an instance of either kind, or was created by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceEvent {
    pub service: ServiceKey,
    pub exists: bool,
}

/// Events were dropped: the listing is to be read again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("events were dropped")]
pub struct Lagged;

/// The teller, in the read model. While nobody watches it costs a load per marked service.
pub(crate) struct News {
    watchers: AtomicUsize,
    events: broadcast::Sender<ServiceEvent>,
    wanted: Notify,
}

impl Default for News {
    fn default() -> Self {
        Self {
            watchers: AtomicUsize::new(0),
            events: broadcast::Sender::new(EVENTS_KEPT),
            wanted: Notify::new(),
        }
    }
}

impl News {
    /// A service was marked: if somebody watches, it is to be folded soon.
    pub(crate) fn wake(&self) {
        if self.watchers.load(Ordering::Acquire) > 0 {
            self.wanted.notify_one();
        }
    }

    /// Ends when something was marked while somebody watches.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    pub(crate) fn tell(&self, service: &ServiceKey, exists: bool) {
        if self.watchers.load(Ordering::Acquire) > 0 {
            // Without receivers it goes nowhere, as it should.
            let _ = self.events.send(ServiceEvent {
                service: service.clone(),
                exists,
            });
        }
    }

    pub(crate) fn watch(self: &Arc<Self>, shutdown: Shutdown) -> ServiceNews {
        let events = self.events.subscribe();
        self.watchers.fetch_add(1, Ordering::AcqRel);
        // What was marked before is not news, but its folding would be.
        self.wanted.notify_one();
        ServiceNews {
            events,
            shutdown,
            news: self.clone(),
        }
    }
}

/// What a watcher of names hears. It holds a bounded number of events; who is too slow is told so and looks at the whole
/// list again.
pub struct ServiceNews {
    events: broadcast::Receiver<ServiceEvent>,
    shutdown: Shutdown,
    news: Arc<News>,
}

impl ServiceNews {
    /// The next event; `None` once the node ends. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// [`Lagged`]; the next call goes on with what is kept.
    pub async fn next(&mut self) -> Option<Result<ServiceEvent, Lagged>> {
        tokio::select! {
            biased;
            () = self.shutdown.begun() => None,
            event = self.events.recv() => match event {
                Ok(event) => Some(Ok(event)),
                Err(broadcast::error::RecvError::Lagged(_)) => Some(Err(Lagged)),
                Err(broadcast::error::RecvError::Closed) => None,
            },
        }
    }
}

impl Drop for ServiceNews {
    fn drop(&mut self) {
        self.news.watchers.fetch_sub(1, Ordering::AcqRel);
    }
}

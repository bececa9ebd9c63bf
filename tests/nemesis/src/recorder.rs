//! The history while it is made.

use muster_history::{Call, Event, History, Operation, Outcome, Time};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// Shared by all clients and by the nemesis; its clock is the one of the whole history.
#[derive(Clone)]
pub(crate) struct Recorder {
    inner: Arc<Inner>,
}

struct Inner {
    begun: Instant,
    events: Mutex<Vec<Event>>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        let inner = Inner {
            begun: Instant::now(),
            events: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn now(&self) -> Time {
        self.inner.begun.elapsed().as_micros() as Time
    }

    pub(crate) fn add(&self, event: Event) {
        let mut events = self.inner.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(event);
    }

    /// Notes a call that was invoked at `invoked_us` and returns now.
    pub(crate) fn returned(
        &self,
        (client, node): (u32, u64),
        service: &str,
        operation: Operation,
        invoked_us: Time,
        outcome: Outcome,
    ) {
        self.add(Event::Call(Call {
            client,
            node,
            service: service.to_owned(),
            operation,
            invoked_us,
            returned_us: self.now(),
            outcome,
        }));
    }

    pub(crate) fn take(&self) -> History {
        let mut events = self.inner.events.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *events).into_iter().collect()
    }
}

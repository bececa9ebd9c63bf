//! What a task owes to whoever sent it out.

use tokio::sync::mpsc;

/// Told when it is dropped, so also where the task panics: the sender counts who is under way, and would wait for ever.
pub(super) struct Report<T> {
    /// Has room for all that can be under way.
    to: mpsc::Sender<T>,
    what: Option<T>,
}

impl<T> Report<T> {
    /// Says `unfinished` unless something else is told before.
    pub(super) fn new(to: mpsc::Sender<T>, unfinished: T) -> Self {
        Self {
            to,
            what: Some(unfinished),
        }
    }

    pub(super) fn tell(mut self, what: T) {
        self.what = Some(what);
    }
}

impl<T> Drop for Report<T> {
    fn drop(&mut self) {
        if let Some(what) = self.what.take() {
            // Fails only where nobody waits for it any more.
            let _ = self.to.try_send(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_runtime::{Shutdown, TaskKind, Tasks};

    #[tokio::test]
    async fn a_task_that_panics_has_reported() {
        let (to, mut reports) = mpsc::channel(2);
        let tasks = Tasks::new(Shutdown::new());
        for panics in [true, false] {
            let report = Report::new(to.clone(), "unfinished");
            tasks.spawn("probe", TaskKind::Contained, async move {
                assert!(!panics, "on purpose");
                report.tell("found");
            });
        }
        let mut told = [reports.recv().await, reports.recv().await];
        told.sort();
        assert_eq!(told, [Some("found"), Some("unfinished")]);
    }
}

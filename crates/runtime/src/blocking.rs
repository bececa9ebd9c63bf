//! Work that blocks on the disk, away from the threads that must not wait.

use std::any::Any;
use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static ONE_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// From now on whatever the calling thread runs stays on it: [`blocking`] does its work in place, and parts that keep a
/// thread of their own run as tasks instead. For simulations, which repeat a run from a seed.
///
/// A thread must not be told so while it waits for other threads' work.
pub fn keep_to_one_thread(on: bool) {
    ONE_THREAD.set(on);
}

/// Whether the calling thread was told to [`keep_to_one_thread`].
pub fn keeps_to_one_thread() -> bool {
    ONE_THREAD.get()
}

/// Why blocking work has no answer.
#[derive(Debug)]
pub struct WorkPanicked(String);

impl std::fmt::Display for WorkPanicked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "work on the disk ended without an answer: {}", self.0)
    }
}

impl std::error::Error for WorkPanicked {}

impl From<WorkPanicked> for io::Error {
    fn from(panicked: WorkPanicked) -> Self {
        io::Error::other(panicked)
    }
}

/// Runs what blocks on the disk where blocking is allowed.
///
/// # Errors
/// [`WorkPanicked`], also when the runtime ends before the work was begun.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, WorkPanicked> {
    if keeps_to_one_thread() {
        // Other tasks come between here, as they do while a real disk works.
        tokio::task::yield_now().await;
        let outcome = catch_unwind(AssertUnwindSafe(work)).map_err(|panic| WorkPanicked(message(&*panic)));
        tokio::task::yield_now().await;
        return outcome;
    }
    #[allow(clippy::disallowed_methods, reason = "this is where blocking work is sent off")]
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|error| WorkPanicked(error.to_string()))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.as_deref().unwrap_or("without a message"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::{self, ThreadId};

    /// Where the work ran, and what became of work that panics.
    async fn tried() -> (ThreadId, String) {
        let ran = blocking(|| thread::current().id()).await.unwrap();
        let failed = blocking(|| panic!("no {}", "luck")).await;
        (ran, failed.unwrap_err().to_string())
    }

    #[tokio::test]
    async fn work_runs_on_another_thread_and_its_panic_is_an_error() {
        let (ran, failed) = tried().await;
        assert_ne!(ran, thread::current().id());
        assert!(failed.contains("no luck"), "{failed}");
    }

    #[tokio::test]
    async fn a_thread_that_keeps_to_itself_does_the_work_in_place() {
        keep_to_one_thread(true);
        let (ran, failed) = tried().await;
        keep_to_one_thread(false);
        assert_eq!(ran, thread::current().id());
        assert!(failed.contains("no luck"), "{failed}");
    }
}

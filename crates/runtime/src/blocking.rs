//! Work that blocks on the disk, away from the threads that must not wait.

use std::any::Any;
use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokio::sync::oneshot;

/// On Linux a thread has a niceness of its own; with this one it gets a tenth of what one without gets beside it.
#[cfg(target_os = "linux")]
const LATER_NICE: i32 = 10;

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
        return in_place(work).await;
    }
    #[allow(clippy::disallowed_methods, reason = "this is where blocking work is sent off")]
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|error| WorkPanicked(error.to_string()))
}

/// As [`blocking`], for work that nobody waits for: its thread has a processor when nobody else wants it.
///
/// # Errors
/// [`WorkPanicked`], also when the system gives no thread.
pub async fn background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, WorkPanicked> {
    if keeps_to_one_thread() {
        return in_place(work).await;
    }
    let (tell, told) = oneshot::channel();
    let thread = std::thread::Builder::new().name("muster-later".to_owned());
    let spawned = thread.spawn(move || {
        step_back();
        // Whoever asked may have gone.
        let _ = tell.send(caught(work));
    });
    spawned.map_err(|error| WorkPanicked(error.to_string()))?;
    let gone = |_| Err(WorkPanicked("its thread is gone".to_owned()));
    told.await.unwrap_or_else(gone)
}

/// Has the calling thread come after all others. A system that does not let it is no reason not to work.
fn step_back() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        let stepped = getpriority_process(None).and_then(|nice| setpriority_process(None, nice.max(LATER_NICE)));
        if let Err(error) = stepped {
            tracing::debug!(%error, "background work keeps its priority");
        }
    }
}

async fn in_place<T>(work: impl FnOnce() -> T) -> Result<T, WorkPanicked> {
    // Other tasks come between here, as they do while a real disk works.
    tokio::task::yield_now().await;
    let outcome = caught(work);
    tokio::task::yield_now().await;
    outcome
}

fn caught<T>(work: impl FnOnce() -> T) -> Result<T, WorkPanicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| WorkPanicked(message(&*panic)))
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

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn background_work_comes_after_all_other_and_its_panic_is_an_error() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        assert_eq!(background(nice).await.unwrap(), before.max(LATER_NICE));
        assert_eq!(nice(), before, "nobody else steps back");
        let failed = background(|| panic!("no {}", "luck")).await.unwrap_err();
        assert!(failed.to_string().contains("no luck"), "{failed}");
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

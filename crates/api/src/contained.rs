//! Panics that end one request and nothing else.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

#[derive(Debug)]
pub(crate) struct Panicked;

/// Runs `task` to its end; a panic in it ends it alone. It is not taken whole: tasks are kilobytes, and to hand one on is to
/// copy it.
pub(crate) async fn contained<F: Future>(mut task: Pin<&mut F>) -> Result<F::Output, Panicked> {
    poll_fn(|context| {
        // What a panic leaves half done is the request's own; shared state is behind locks that hold for a few lines.
        match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(context))) {
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;

    #[tokio::test]
    async fn a_panic_ends_the_request_and_not_its_connection() {
        let mut ending = pin!(async {
            tokio::task::yield_now().await;
            panic!("on purpose")
        });
        assert!(matches!(contained(ending.as_mut()).await, Err::<(), _>(Panicked)));
        assert!(matches!(contained(pin!(async { 7 })).await, Ok(7)));
    }
}

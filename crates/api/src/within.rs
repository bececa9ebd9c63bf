//! Tasks that must end in time.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::time::error::Elapsed;

/// As [`tokio::time::timeout`]. Most of a call is there or done at once; only what is not gets a timer.
pub(crate) async fn within<F: Future>(limit: Duration, task: F) -> Result<F::Output, Elapsed> {
    let mut task = pin!(task);
    if let Poll::Ready(output) = poll_fn(|context| Poll::Ready(task.as_mut().poll(context))).await {
        return Ok(output);
    }
    tokio::time::timeout(limit, task).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    const LIMIT: Duration = Duration::from_secs(4);

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_within_the_limit_is_given_up_and_all_else_is_answered() {
        assert!(within(LIMIT, sleep(Duration::from_secs(3_600))).await.is_err());
        assert!(within(LIMIT, sleep(LIMIT / 2)).await.is_ok());
        assert!(matches!(within(Duration::ZERO, async { 7 }).await, Ok(7)));
    }
}

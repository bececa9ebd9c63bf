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

//! Waiting for what should come true.

use anyhow::Context;
use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;

const PAUSE: Duration = Duration::from_millis(50);

/// Asks again and again until the answer is `Ok`, and answers it; after `deadline` the last error.
///
/// # Errors
/// The last one, with `what` and the time.
pub async fn eventually<T, F>(deadline: Duration, what: &str, mut attempt: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let start = Instant::now();
    loop {
        let error = match attempt().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if start.elapsed() >= deadline {
            return Err(error).with_context(|| format!("not within {deadline:?}: {what}"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks again and again for as long as `span`; the first error ends it.
///
/// # Errors
/// The first one, with `what` and how long it held.
pub async fn always<F>(span: Duration, what: &str, mut attempt: impl FnMut() -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let start = Instant::now();
    while start.elapsed() < span {
        let held = attempt().await;
        held.with_context(|| format!("held for {:?} only: {what}", start.elapsed()))?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

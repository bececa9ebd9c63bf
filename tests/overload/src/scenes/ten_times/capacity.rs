//! What a node can serve, while each client waits for its answer.

use crate::http::{Answer, Connection, Spec};
use anyhow::Result;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

const CALLERS: usize = 32;
/// More: a persistent write waits for the disk, and many share a sync.
const WRITERS: usize = 128;
const WITHIN: Duration = Duration::from_secs(10);

/// Calls a second that are answered well.
pub(super) async fn served(node: SocketAddr, requests: &Arc<[Bytes]>, length: Duration) -> Result<f64> {
    measured(node, CALLERS, length, {
        let requests = requests.clone();
        move |caller, number| requests[(caller * 97 + number) % requests.len()].clone()
    })
    .await
}

/// Persistent writes a second that are acknowledged.
pub(super) async fn written(node: SocketAddr, length: Duration) -> Result<f64> {
    measured(node, WRITERS, length, |caller, number| write(caller, number).register()).await
}

/// One of the few instances of a writer, changed.
pub(super) fn write(writer: usize, number: usize) -> Spec {
    let ip = format!("10.11.{}.{}", writer / 250, writer % 250);
    let spec = Spec::persistent(&format!("written-{}", writer % 50), &ip, 1 + (number % 4) as u16);
    spec.with_metadata(format!(r#"{{"n":"{number}"}}"#))
}

async fn measured(
    node: SocketAddr,
    callers: usize,
    length: Duration,
    request: impl Fn(usize, usize) -> Bytes + Clone + Send + 'static,
) -> Result<f64> {
    let (until, answered) = (Instant::now() + length, Arc::new(AtomicU64::new(0)));
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let (answered, request) = (answered.clone(), request.clone());
        tasks.spawn(async move {
            let mut connection = Connection::open(node, WITHIN).await?;
            for number in 0.. {
                if Instant::now() >= until {
                    break;
                }
                connection
                    .call(&request(caller, number), WITHIN)
                    .await
                    .and_then(Answer::ok)?;
                answered.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(answered.load(Ordering::Relaxed) as f64 / length.as_secs_f64())
}

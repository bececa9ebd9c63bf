//! Being told to stop.

use std::io::Read;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Counts how often the process was told to stop: once asks for a graceful stop, twice for an immediate one.
#[derive(Clone)]
pub struct Stops(watch::Receiver<u32>);

impl Stops {
    /// Listens to SIGTERM and SIGINT and, if asked, to the end of standard input: a parent that starts this process with
    /// a pipe ends it by closing the pipe, and cannot die without doing so.
    ///
    /// # Errors
    /// Signals cannot be listened to.
    pub fn listen(end_with_stdin: bool) -> std::io::Result<(Self, impl Future<Output = ()>)> {
        let (told, stops) = watch::channel(0);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        if end_with_stdin {
            let told = told.clone();
            // A thread, because a blocking read would keep the runtime from ending.
            std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
                let mut ignored = [0; 64];
                while matches!(std::io::stdin().read(&mut ignored), Ok(read) if read > 0) {}
                told.send_modify(|count| *count += 1);
            })?;
        }
        let listening = async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                told.send_modify(|count| *count += 1);
            }
        };
        Ok((Self(stops), listening))
    }

    /// Resolves when the process has been told `times` times.
    pub async fn told(&self, times: u32) {
        let mut stops = self.0.clone();
        if stops.wait_for(|count| *count >= times).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

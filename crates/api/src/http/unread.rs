//! A connection whose client reads nothing does not last.

use crate::tls;
use socket2::SockRef;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long an answer may lie without the client taking a byte of it; the gRPC door has the same. Clients give up within
/// seconds.
pub(super) const UNREAD_MAX: Duration = Duration::from_secs(60);

/// Ends with an error when what is to be written has been stuck for [`UNREAD_MAX`].
pub(super) struct Unread<S: Hard> {
    stream: S,
    /// Since the client took something last; nothing while it takes all.
    stuck: Option<Pin<Box<Sleep>>>,
}

/// What can be closed without its client's consent.
pub(super) trait Hard: Unpin {
    /// What the client has not read is given up when the connection is closed.
    fn give_up(&self);
}

impl Hard for tls::Stream {
    fn give_up(&self) {
        // Else the kernel keeps what a client does not read for a quarter of an hour.
        let _ = SockRef::from(tls::socket(self)).set_linger(Some(Duration::ZERO));
    }
}

impl<S: Hard> Unread<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, stuck: None }
    }

    /// Passes on what became of a write, or what is to be said of one that does not end.
    fn watched<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(UNREAD_MAX)));
        if stuck.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.stream.give_up();
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not read its answers",
        )))
    }
}

impl<S: Hard + AsyncRead> AsyncRead for Unread<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: Hard + AsyncWrite> AsyncWrite for Unread<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watched(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.watched(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.watched(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watched(context, closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    impl Hard for DuplexStream {
        fn give_up(&self) {}
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_reads_for_a_minute_is_an_error() {
        let (_client, server) = tokio::io::duplex(10);
        let mut server = Unread::new(server);
        server.write_all(&[0; 10]).await.unwrap();
        let began = tokio::time::Instant::now();
        let error = server.write_all(&[0; 10]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= UNREAD_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_a_little_now_and_then_is_waited_for() {
        let (mut client, server) = tokio::io::duplex(10);
        let mut server = Unread::new(server);
        let reading = async {
            for _ in 0..10 {
                tokio::time::sleep(UNREAD_MAX / 2).await;
                client.read_exact(&mut [0; 10]).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(server.write_all(&[0; 100]), reading);
        written.unwrap();
    }
}

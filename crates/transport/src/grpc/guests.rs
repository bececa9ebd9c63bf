//! Who is connected to the peer port, and how much of it strangers may take.
//!
//! A connection is a stranger's until a call on it has named this cluster and this member, as the first call of every member
//! does. Strangers have few places, and few bytes for what they say. Where the places are full, the oldest stranger gives way
//! to the newest; where the bytes are, the one that holds most. So nobody who connects and says nothing, or never comes to an
//! end, keeps a member out: a member needs its place for one short call, and is no stranger from then on.

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tonic::transport::server::Connected;

/// Connections that have not shown yet that a member calls. Each is an open file, of which 256 are kept free for what is not a
/// client's (`server::limits`); a member opens four.
pub(super) const STRANGERS_MAX: usize = 128;
/// Connections of members; the oldest gives way. Four for each member, and those that a cut has left behind for a moment.
const KNOWN_MAX: usize = 512;
/// Bytes of strangers' calls that have arrived and are not yet handled, over all of them. The first call on a connection may
/// be a chunk of a snapshot, 512 KiB, or entries of the log, some MiB.
pub(super) const STRANGER_BYTES_MAX: usize = 32 << 20;

/// All connections of the peer port. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Guests(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    last: u64,
    strangers: BTreeMap<u64, Stranger>,
    known: BTreeMap<u64, Arc<Standing>>,
    /// Of all strangers.
    bytes: usize,
    /// Was said, and is said again only after there has been room.
    is_crowded: bool,
}

struct Stranger {
    standing: Arc<Standing>,
    bytes: usize,
}

/// Whether a connection may go on.
#[derive(Default)]
struct Standing {
    is_over: AtomicBool,
    waker: AtomicWaker,
}

impl Standing {
    fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        self.waker.wake();
    }
}

impl Guests {
    /// A place for a connection that was accepted.
    pub(super) fn enter(&self) -> Arc<Guest> {
        let standing = Arc::<Standing>::default();
        let mut book = self.0.lock();
        book.last += 1;
        let id = book.last;
        if book.strangers.len() >= STRANGERS_MAX {
            let oldest = book.strangers.first_key_value().map(|(id, _)| *id);
            oldest.into_iter().for_each(|oldest| book.end(oldest));
            if !std::mem::replace(&mut book.is_crowded, true) {
                tracing::warn!(
                    strangers = STRANGERS_MAX,
                    "the peer port is crowded by connections that are no member's; is it open to others?"
                );
            }
        } else if book.strangers.len() < STRANGERS_MAX / 2 {
            book.is_crowded = false;
        }
        let stranger = Stranger {
            standing: standing.clone(),
            bytes: 0,
        };
        book.strangers.insert(id, stranger);
        Arc::new(Guest {
            id,
            guests: self.clone(),
            standing,
            is_known: AtomicBool::new(false),
        })
    }

    #[cfg(test)]
    pub(super) fn strangers(&self) -> usize {
        self.0.lock().strangers.len()
    }
}

impl Book {
    fn end(&mut self, id: u64) {
        if let Some(stranger) = self.strangers.remove(&id) {
            self.bytes -= stranger.bytes;
            stranger.standing.end();
        }
    }

    /// The stranger that holds most bytes, the newest of several.
    fn greediest(&self) -> Option<u64> {
        let greediest = self.strangers.iter().max_by_key(|(_, stranger)| stranger.bytes);
        greediest.map(|(id, _)| *id)
    }
}

/// One connection.
pub(super) struct Guest {
    id: u64,
    guests: Guests,
    standing: Arc<Standing>,
    is_known: AtomicBool,
}

impl Guest {
    /// A call on it was meant for this member of this cluster.
    pub(super) fn prove(&self) {
        if self.is_known.load(Ordering::Relaxed) {
            return;
        }
        let mut book = self.guests.0.lock();
        // One that has been ended meanwhile stays so.
        let Some(stranger) = book.strangers.remove(&self.id) else {
            return;
        };
        book.bytes -= stranger.bytes;
        book.known.insert(self.id, stranger.standing);
        self.is_known.store(true, Ordering::Relaxed);
        if book.known.len() > KNOWN_MAX
            && let Some((_, oldest)) = book.known.pop_first()
        {
            oldest.end();
        }
    }

    /// Takes room for so many bytes of a call. Where there is none, the stranger that holds most gives way; says whether there
    /// is room then, and there is none for the one that holds most itself.
    pub(super) fn take(&self, bytes: usize) -> bool {
        if self.is_known.load(Ordering::Relaxed) {
            return true;
        }
        let mut book = self.guests.0.lock();
        while book.bytes + bytes > STRANGER_BYTES_MAX {
            match book.greediest() {
                Some(greediest) if greediest != self.id => book.end(greediest),
                _ => return false,
            }
        }
        match book.strangers.get_mut(&self.id) {
            Some(stranger) => stranger.bytes += bytes,
            // Known since a moment ago, or ended.
            None => return self.is_known.load(Ordering::Relaxed),
        }
        book.bytes += bytes;
        true
    }

    /// Gives back what was taken while it was a stranger's.
    pub(super) fn give_back(&self, bytes: usize) {
        let mut book = self.guests.0.lock();
        if let Some(stranger) = book.strangers.get_mut(&self.id) {
            let bytes = bytes.min(stranger.bytes);
            stranger.bytes -= bytes;
            book.bytes -= bytes;
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut book = self.guests.0.lock();
        if let Some(stranger) = book.strangers.remove(&self.id) {
            book.bytes -= stranger.bytes;
        }
        book.known.remove(&self.id);
    }
}

/// A connection whose guest may be told to go.
pub(super) struct Socket {
    stream: TcpStream,
    guest: Arc<Guest>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, guest: Arc<Guest>) -> Self {
        // Answers are one small write each; waiting to fill a packet would only add 40 ms.
        let _ = stream.set_nodelay(true);
        Self { stream, guest }
    }

    /// An error once its guest is to go; else it is told when that is so.
    fn may_go_on(&self, context: &Context<'_>) -> io::Result<()> {
        self.guest.standing.waker.register(context.waker());
        if self.guest.standing.is_over.load(Ordering::Acquire) {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "gave way to a newer connection",
            ));
        }
        Ok(())
    }
}

impl Connected for Socket {
    type ConnectInfo = Arc<Guest>;

    fn connect_info(&self) -> Arc<Guest> {
        self.guest.clone()
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.may_go_on(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.may_go_on(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.may_go_on(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_over(guest: &Guest) -> bool {
        guest.standing.is_over.load(Ordering::Acquire)
    }

    #[test]
    fn the_oldest_stranger_gives_way_to_the_newest_and_members_never() {
        let guests = Guests::default();
        let member = guests.enter();
        member.prove();
        let strangers: Vec<_> = (0..STRANGERS_MAX).map(|_| guests.enter()).collect();
        assert!(strangers.iter().all(|stranger| !is_over(stranger)));
        let newest = guests.enter();
        assert!(is_over(&strangers[0]) && !is_over(&strangers[1]) && !is_over(&newest));
        assert!(!is_over(&member));
        assert_eq!(guests.strangers(), STRANGERS_MAX);
        drop((strangers, newest));
        assert_eq!(guests.strangers(), 0);
    }

    #[test]
    fn a_stranger_that_gave_way_proves_nothing_any_more() {
        let guests = Guests::default();
        let first = guests.enter();
        let _others: Vec<_> = (0..STRANGERS_MAX).map(|_| guests.enter()).collect();
        first.prove();
        assert!(is_over(&first) && !first.take(1));
    }

    #[test]
    fn bytes_of_strangers_are_bounded_and_given_back() {
        let guests = Guests::default();
        let (member, greedy, other) = (guests.enter(), guests.enter(), guests.enter());
        member.prove();
        assert!(greedy.take(STRANGER_BYTES_MAX));
        assert!(!greedy.take(1), "it holds most itself");
        assert!(member.take(2 * STRANGER_BYTES_MAX), "a member is not counted");
        assert!(other.take(1_000));
        assert!(is_over(&greedy) && !is_over(&other), "who holds most gave way");
        other.give_back(1_000);
        assert!(other.take(STRANGER_BYTES_MAX));
        drop(other);
        assert_eq!(guests.0.lock().bytes, 0);
    }

    #[test]
    fn what_a_stranger_took_is_free_when_it_is_known() {
        let guests = Guests::default();
        let guest = guests.enter();
        assert!(guest.take(STRANGER_BYTES_MAX));
        guest.prove();
        assert_eq!(guests.0.lock().bytes, 0);
        guest.give_back(STRANGER_BYTES_MAX);
        assert!(guests.enter().take(STRANGER_BYTES_MAX));
    }

    #[test]
    fn connections_of_members_are_bounded_too() {
        let guests = Guests::default();
        let known: Vec<_> = (0..=KNOWN_MAX).map(|_| guests.enter()).collect();
        known.iter().for_each(|guest| guest.prove());
        // The first were strangers too long.
        assert!(guests.0.lock().known.len() <= KNOWN_MAX);
    }
}

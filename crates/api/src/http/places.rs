//! Places at the door, and who gives his up.
//!
//! A connection holds one of `connections_max` places. Where all are taken, the one that has waited longest without ever
//! asking for anything gives way to a newcomer, if it has had its time: clients connect because they have a request, and who
//! connects and says nothing, or one byte after the other, keeps nobody out for long. Where all have asked, the newcomer waits.

use muster_runtime::{Clock, Shutdown};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// From its connection to a client's first request where places are scarce. Three round trips with TLS, and two packets lost on
/// the way; less, and clients that all come at once would drive each other out before any of them has asked.
const FIRST_REQUEST: Duration = Duration::from_secs(3);

/// All places of a door.
pub(super) struct Places {
    clock: Clock,
    all: u32,
    free: Arc<Semaphore>,
    fresh: Mutex<Fresh>,
}

/// Who has never asked, the longest wait first.
#[derive(Default)]
struct Fresh {
    last: u64,
    waiting: BTreeMap<u64, (Instant, Shutdown)>,
}

/// One of them, taken.
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    gives_way: Shutdown,
    has_asked: AtomicBool,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(connections_max: usize, clock: Clock) -> Arc<Self> {
        // The most that a semaphore has on machines of 32 bits, too.
        let all = u32::try_from(connections_max.max(1)).unwrap_or(u32::MAX).min(1 << 28);
        Arc::new(Self {
            clock,
            all,
            free: Arc::new(Semaphore::new(all as usize)),
            fresh: Mutex::default(),
        })
    }

    /// A place for a connection that was accepted, as soon as there is one.
    ///
    /// # Errors
    /// Never: nobody closes the semaphore.
    pub(super) async fn take(self: &Arc<Self>) -> std::io::Result<Place> {
        let permit = match self.free.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.wait().await?,
        };
        let gives_way = Shutdown::new();
        let number = {
            let mut fresh = self.fresh.lock();
            fresh.last += 1;
            let number = fresh.last;
            fresh.waiting.insert(number, (self.clock.now(), gives_way.clone()));
            number
        };
        Ok(Place {
            places: self.clone(),
            number,
            gives_way,
            has_asked: AtomicBool::new(false),
            _permit: permit,
        })
    }

    /// Ends one after the other of those who had their time, until a place is free.
    async fn wait(&self) -> std::io::Result<OwnedSemaphorePermit> {
        loop {
            let free = self.free.clone().acquire_owned();
            if let Ok(permit) = tokio::time::timeout(self.end_longest_wait(), free).await {
                return permit.map_err(std::io::Error::other);
            }
        }
    }

    /// Ends the longest wait if it has had its time; answers when the next one may have.
    fn end_longest_wait(&self) -> Duration {
        let (now, mut fresh) = (self.clock.now(), self.fresh.lock());
        let Some(longest) = fresh.waiting.first_entry() else {
            return FIRST_REQUEST;
        };
        let waited = now.saturating_duration_since(longest.get().0);
        if waited < FIRST_REQUEST {
            return FIRST_REQUEST - waited;
        }
        longest.remove().1.begin();
        // Its task gives the place back as soon as it runs.
        FIRST_REQUEST
    }

    /// Whether all were given back within `wait`.
    pub(super) async fn all_given_back(&self, wait: Duration) -> bool {
        tokio::time::timeout(wait, self.free.acquire_many(self.all))
            .await
            .is_ok()
    }
}

impl Place {
    /// The connection has brought a request.
    pub(super) fn asked(&self) {
        if !self.has_asked.swap(true, Ordering::Relaxed) {
            self.places.fresh.lock().waiting.remove(&self.number);
        }
    }

    /// Returns when the connection is to end for another one.
    pub(super) async fn must_go(&self) {
        self.gives_way.begun().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.fresh.lock().waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(1);

    async fn must_go(place: &Place) -> bool {
        tokio::time::timeout(SOON, place.must_go()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_wait_gives_way_and_who_has_asked_does_not() {
        let places = Places::new(3, Clock::manual(0));
        let (asker, first, second) = (
            places.take().await.unwrap(),
            places.take().await.unwrap(),
            places.take().await.unwrap(),
        );
        asker.asked();
        tokio::time::sleep(SOON).await;
        let began = tokio::time::Instant::now();
        let leaving = async {
            first.must_go().await;
            drop(first);
        };
        let (newcomer, ()) = tokio::join!(places.take(), leaving);
        // Timers are a millisecond coarse.
        let (waited, slack) = (began.elapsed(), Duration::from_millis(10));
        assert!(
            waited + slack >= FIRST_REQUEST - SOON,
            "the first had its time, not {waited:?}"
        );
        assert!(!must_go(&second).await && !must_go(&asker).await);
        newcomer.unwrap().asked();
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_have_asked_a_newcomer_waits() {
        let places = Places::new(1, Clock::manual(0));
        let asker = places.take().await.unwrap();
        asker.asked();
        assert!(tokio::time::timeout(10 * FIRST_REQUEST, places.take()).await.is_err());
        assert!(!must_go(&asker).await);
        assert!(!places.all_given_back(SOON).await);
        drop(asker);
        assert!(places.all_given_back(SOON).await);
    }
}

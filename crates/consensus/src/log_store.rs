//! openraft's log storage over [`RaftLog`].

use crate::types::{Entry, LogId, Types, Vote};
use crate::wire;
use muster_storage::{Done, LogEntry, RaftLog, Reading};
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Payload of one append to a follower; under gRPC's usual 4 MiB with room to spare.
const APPEND_BYTES_MAX: usize = 1 << 20;

#[derive(Clone)]
pub(crate) struct LogStore {
    log: Arc<RaftLog>,
    /// Whose leadership does not outlive its process; see [`LogStore::of_member`].
    local: Option<u64>,
}

impl LogStore {
    /// The store as it is written.
    #[cfg(test)]
    pub(crate) fn new(log: Arc<RaftLog>) -> Self {
        Self { log, local: None }
    }

    /// The store of a member that does not lead on in its old term when it starts again. openraft would have it do so, and
    /// two promises would break:
    ///
    /// - a leader sends an entry before its own disk has it, so a majority without it may commit the entry; a loss of power
    ///   takes it from the leader alone, which then would write another one under the same term and index;
    /// - which entries are committed it has forgotten, and without a first entry in a new term a strong read may be told an
    ///   index below what was acknowledged.
    pub(crate) fn of_member(log: Arc<RaftLog>, local: u64) -> Self {
        Self {
            log,
            local: Some(local),
        }
    }

    async fn read(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let found = match self.log.read(range, bytes_max) {
            Reading::Ready(found) => found,
            Reading::OnDisk(reading) => blocking(move || reading.run()).await?,
        };
        found.into_iter().map(|entry| Ok(wire::from_log(entry)?)).collect()
    }
}

/// Runs what blocks on the disk where blocking is allowed.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    muster_runtime::blocking(work).await?
}

/// Waits for the flusher.
pub(crate) async fn flushed(call: impl FnOnce(Done) -> io::Result<()>) -> io::Result<()> {
    let (tell, told) = oneshot::channel();
    call(Box::new(move |result| {
        // The caller may have given up.
        let _ = tell.send(result);
    }))?;
    told.await
        .unwrap_or_else(|_| Err(io::Error::other("the raft log's flusher is gone")))
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end + 1,
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        self.read(start..end, usize::MAX).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        let vote = self.log.state().vote;
        // Its vote in that term stays given, to itself; it only has to win the next one.
        let led = |vote: &muster_storage::Vote| self.local == Some(vote.leader);
        Ok(vote.map(|vote| crate::types::vote(vote.term, vote.leader, vote.committed && !led(&vote))))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start..end, APPEND_BYTES_MAX).await
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let state = self.log.state();
        Ok(LogState {
            last_purged_log_id: state.purged.map(wire::from_position),
            last_log_id: state.last.map(wire::from_position),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let vote = muster_storage::Vote {
            term: vote.leader_id.term,
            leader: vote.leader_id.node_id,
            committed: vote.committed,
        };
        flushed(|done| self.log.save_vote(vote, done)).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        if let Some(committed) = committed {
            self.log.save_committed(wire::position(&committed));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.log.state().committed.map(wire::from_position))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<LogEntry> = entries.into_iter().map(|entry| wire::to_log(&entry)).collect();
        // A disk that does not keep up holds Raft back here, without holding a thread.
        let (tell, room) = oneshot::channel();
        self.log.when_room(Box::new(move || {
            let _ = tell.send(());
        }));
        let _ = room.await;
        self.log
            .append(entries, Box::new(move |result| callback.io_completed(result)))
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.log.truncate_after(last.map(|last| last.index))
    }

    /// openraft purges what its last snapshot holds; that file was synced before it was told of.
    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.log.purge(wire::position(&upto))
    }
}

//! openraft's state machine over ours: batches in, snapshots out and in, nothing blocking on an async thread.

use crate::log_store::blocking;
use crate::machine::{self, Applied, Frozen, LogPosition, StateMachine};
use crate::reached::Reached;
use crate::types::{Command, LogId, SnapshotMeta, StoredMembership, Types};
use crate::wire;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use muster_model::MemberId;
use muster_storage::{Position, RaftLog, SnapshotFile, Snapshots};
use openraft::storage::{EntryResponder, RaftStateMachine, Snapshot};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;

/// Entries handed to the machine at once.
const APPLY_ENTRIES_MAX: usize = 1024;

pub(crate) struct State {
    machine: Arc<dyn StateMachine>,
    snapshots: Arc<Snapshots>,
    /// The last membership that was applied.
    membership: StoredMembership,
    reached: Reached,
}

impl State {
    pub(crate) fn new(machine: Arc<dyn StateMachine>, snapshots: Arc<Snapshots>) -> io::Result<Self> {
        let membership = match machine.applied() {
            Some(applied) => wire::decode_membership(applied.note)?,
            None => StoredMembership::default(),
        };
        let reached = Reached::at(machine.applied().map_or(0, |applied| applied.position.index));
        Ok(Self {
            machine,
            snapshots,
            membership,
            reached,
        })
    }

    /// Has a snapshot stand where the log begins, before Raft starts.
    ///
    /// A loss of power may leave a state that is ahead of the log: an entry is applied once a majority has it on disk, and
    /// this member's own disk need not be one of those. openraft has the log begin behind the state then, and whoever lacks
    /// what is before that needs a snapshot of it. What else lies in the log behind the last common entry was written by a
    /// leader that was overtaken, else it could not stand where something else was committed; it goes.
    pub(crate) async fn cover(&self, log: &RaftLog) -> io::Result<()> {
        let known = log.state();
        let applied = self.machine.applied().map(|applied| storage_position(applied.position));
        let log_lacks_state = applied > known.last;
        if log_lacks_state && index_of(known.last) >= index_of(applied) {
            tracing::warn!(?applied, last = ?known.last, "the log's end was overtaken by what the state holds: taken back");
            log.truncate_after(index_of(known.purged))?;
        }
        let begins_behind = if log_lacks_state { applied } else { known.purged };
        let newest = self.snapshots.newest().and_then(|file| file.meta.position);
        if newest >= begins_behind || applied < begins_behind {
            // The latter is a state that was lost; openraft restores it from the snapshot, or says what is missing.
            return Ok(());
        }
        tracing::info!(?applied, last = ?known.last, "the log will begin behind the newest snapshot: writing one");
        let mut builder = self.builder();
        builder.build_snapshot().await.map(drop)
    }

    fn builder(&self) -> Builder {
        Builder {
            frozen: Mutex::new(Some(self.machine.freeze())),
            snapshots: self.snapshots.clone(),
        }
    }

    pub(crate) fn reached(&self) -> Reached {
        self.reached.clone()
    }

    fn applied_at(&self, id: &LogId) -> Applied {
        Applied {
            position: log_position(wire::position(id)),
            note: wire::encode_membership(&self.membership),
        }
    }
}

fn index_of(position: Option<Position>) -> Option<u64> {
    position.map(|position| position.index)
}

fn log_position(position: Position) -> LogPosition {
    LogPosition {
        term: position.term,
        leader: MemberId(position.leader),
        index: position.index,
    }
}

fn storage_position(position: LogPosition) -> Position {
    Position {
        term: position.term,
        leader: position.leader.0,
        index: position.index,
    }
}

impl RaftStateMachine<Types> for State {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let applied = self.machine.applied();
        let id = applied.map(|applied| wire::from_position(storage_position(applied.position)));
        Ok((id, self.membership.clone()))
    }

    async fn apply<S>(&mut self, entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        let mut batches = entries.ready_chunks(APPLY_ENTRIES_MAX);
        while let Some(batch) = batches.next().await {
            let mut commands = Vec::with_capacity(batch.len());
            let mut waiting = Vec::with_capacity(batch.len());
            let mut last = None;
            for item in batch {
                let (entry, responder) = item?;
                let is_command = match entry.payload {
                    EntryPayload::Blank => false,
                    EntryPayload::Normal(Command(command)) => {
                        commands.push(machine::Entry {
                            index: entry.log_id.index,
                            command,
                        });
                        true
                    }
                    EntryPayload::Membership(membership) => {
                        self.membership = StoredMembership::new(Some(entry.log_id), membership);
                        false
                    }
                };
                waiting.push((is_command, responder));
                last = Some(entry.log_id);
            }
            let Some(last) = last else { continue };
            let (applied, machine, asked) = (self.applied_at(&last), self.machine.clone(), commands.len());
            let answers = blocking(move || machine.apply(commands, applied)).await?;
            if answers.len() != asked {
                return Err(io::Error::other(format!(
                    "the state machine answered {} of {asked} commands",
                    answers.len()
                )));
            }
            self.reached.advance(last.index);
            let mut answers = answers.into_iter();
            for (is_command, responder) in waiting {
                let answer = if is_command { answers.next() } else { None };
                if let Some(responder) = responder {
                    responder.send(answer.unwrap_or_default());
                }
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        self.builder()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, file: SnapshotFile) -> io::Result<()> {
        let Some(id) = &meta.last_log_id else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a snapshot of the empty state",
            ));
        };
        let membership = meta.last_membership.clone();
        let applied = Applied {
            position: log_position(wire::position(id)),
            note: wire::encode_membership(&membership),
        };
        let (machine, snapshots) = (self.machine.clone(), self.snapshots.clone());
        blocking(move || {
            let file = snapshots.adopt(file)?;
            machine.restore(&mut file.reader(), applied)?;
            snapshots.remove_older()
        })
        .await?;
        self.membership = membership;
        self.reached.advance(id.index);
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> io::Result<Option<openraft::type_config::alias::SnapshotOf<Types, SnapshotFile>>> {
        self.snapshots.newest().map(to_raft).transpose()
    }
}

/// A file with the description that openraft wants beside it.
pub(crate) fn to_raft(file: SnapshotFile) -> io::Result<openraft::type_config::alias::SnapshotOf<Types, SnapshotFile>> {
    let meta = SnapshotMeta {
        last_log_id: file.meta.position.map(wire::from_position),
        last_membership: wire::decode_membership(file.meta.note.clone())?,
    };
    Ok(Snapshot { meta, snapshot: file })
}

/// Writes a frozen state to a file.
pub(crate) struct Builder {
    frozen: Mutex<Option<Box<dyn Frozen>>>,
    snapshots: Arc<Snapshots>,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> io::Result<openraft::type_config::alias::SnapshotOf<Types, SnapshotFile>> {
        let frozen = self
            .frozen
            .lock()
            .take()
            .ok_or_else(|| io::Error::other("a builder builds once"))?;
        let snapshots = self.snapshots.clone();
        let file = blocking(move || {
            let applied = frozen.applied();
            let meta = muster_storage::SnapshotMeta {
                position: applied.as_ref().map(|applied| storage_position(applied.position)),
                note: applied.map_or_else(Bytes::new, |applied| applied.note),
            };
            let mut writer = snapshots.create(meta)?;
            frozen.write_to(&mut writer)?;
            let file = writer.finish()?;
            snapshots.remove_older()?;
            Ok(file)
        })
        .await?;
        tracing::info!(file = %file.path().display(), bytes = file.length(), "snapshot written");
        to_raft(file)
    }
}

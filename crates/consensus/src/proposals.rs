//! Commands on their way into the log: packed while others are under way, here if this member leads, else at the leader.

use crate::forward::{Answer, Answers, Ask, Commands, CommittedMessage, Nothing, Outcome, Request};
use crate::leading::Leading;
use crate::types::{ClientWriteError, Command, Fatal, Raft, WriteResult};
use crate::{metrics, wire};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, Stream, StreamExt};
use muster_model::MemberId;
use muster_runtime::Clock;
use muster_transport::{Route, Transport};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Commands of one pack.
const PACK_COMMANDS_MAX: usize = 1024;
/// Bytes of one forwarded pack; under gRPC's usual 4 MiB.
const PACK_BYTES_MAX: usize = 1 << 20;
/// Packs under way while leading; each is a message to Raft's core, which merges them further.
const LOCAL_PACKS_MAX: usize = 64;
/// Packs under way to the leader. Few, so that what arrives meanwhile is packed.
const REMOTE_PACKS_MAX: usize = 8;

pub(crate) struct Proposal {
    pub(crate) command: Bytes,
    pub(crate) deadline: Instant,
    pub(crate) answer: oneshot::Sender<Outcome>,
}

pub(crate) struct Packer {
    pub(crate) raft: Raft,
    pub(crate) leading: Arc<Leading>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Clock,
}

impl Packer {
    /// Ends when all senders are gone.
    pub(crate) async fn run(self, mut waiting: mpsc::Receiver<Proposal>) {
        let mut under_way: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
        let mut pack = Vec::new();
        loop {
            let leader = self.leading.leader();
            let leads = leader == Some(self.transport.local());
            let packs_max = if leads { LOCAL_PACKS_MAX } else { REMOTE_PACKS_MAX };
            tokio::select! {
                count = waiting.recv_many(&mut pack, PACK_COMMANDS_MAX), if under_way.len() < packs_max => {
                    if count == 0 {
                        return;
                    }
                    for part in split(std::mem::take(&mut pack)) {
                        under_way.push(self.submit(part));
                    }
                }
                Some(()) = under_way.next() => {}
            }
        }
    }

    fn submit(&self, pack: Vec<Proposal>) -> BoxFuture<'static, ()> {
        // Asked again: who led when the wait began may not lead now.
        let leader = self.leading.leader();
        let now = self.clock.now();
        // Whoever waited behind packs that a cut held up has been told by now that nobody knows: carried out here, hours later
        // perhaps, it would undo what was done since.
        let (timely, late): (Vec<_>, Vec<_>) = pack
            .into_iter()
            .partition(|proposal| proposal.deadline > now && !proposal.answer.is_closed());
        let late = late.into_iter().map(|proposal| proposal.answer).collect();
        tell(late, std::iter::repeat(Outcome::NothingDone(Nothing {})));
        let (commands, answers): (Vec<_>, Vec<_>) = timely
            .into_iter()
            .map(|proposal| ((proposal.command, proposal.deadline), proposal.answer))
            .unzip();
        let deadline = commands.iter().map(|(_, deadline)| *deadline).max();
        let within = deadline.map_or(Duration::ZERO, |deadline| {
            deadline.saturating_duration_since(self.clock.now())
        });
        let commands: Vec<_> = commands.into_iter().map(|(command, _)| command).collect();
        let (raft, transport) = (self.raft.clone(), self.transport.clone());
        Box::pin(async move {
            match leader {
                _ if commands.is_empty() => {}
                None => tell(answers, std::iter::repeat(Outcome::NothingDone(Nothing {}))),
                Some(leader) if leader == transport.local() => write(&raft, commands, answers).await,
                Some(leader) => {
                    let outcomes = forward(&*transport, leader, commands, within).await;
                    tell(answers, outcomes.into_iter());
                }
            }
        })
    }
}

fn tell(answers: Vec<oneshot::Sender<Outcome>>, outcomes: impl Iterator<Item = Outcome>) {
    for (answer, outcome) in answers.into_iter().zip(outcomes) {
        // The caller may have given up at its deadline.
        let _ = answer.send(outcome);
    }
}

fn split(pack: Vec<Proposal>) -> Vec<Vec<Proposal>> {
    let mut parts = vec![Vec::new()];
    let mut bytes = 0;
    for proposal in pack {
        bytes += proposal.command.len();
        if bytes > PACK_BYTES_MAX && parts.last().is_some_and(|part| !part.is_empty()) {
            bytes = proposal.command.len();
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(proposal);
        }
    }
    parts
}

/// Writes commands to the log of this member, which leads or has led a moment ago; each answer is told as it comes.
async fn write(raft: &Raft, commands: Vec<Bytes>, answers: Vec<oneshot::Sender<Outcome>>) {
    match raft.client_write_many(commands.into_iter().map(Command)).await {
        Ok(results) => pass_on(results, answers).await,
        // The core did not take the message.
        Err(fatal) => tell(answers, std::iter::repeat(Outcome::Refused(fatal.to_string()))),
    }
}

/// Tells each what became of his command. When Raft ends, its results end with the first that it does not have.
async fn pass_on(results: impl Stream<Item = Result<WriteResult, Fatal>>, answers: Vec<oneshot::Sender<Outcome>>) {
    let mut results = pin!(results.fuse());
    for answer in answers {
        let outcome = match results.next().await {
            Some(Ok(Ok(written))) => Outcome::Committed(CommittedMessage {
                index: written.log_id.index,
                response: written.response,
            }),
            Some(Ok(Err(error))) => write_failed(error),
            Some(Err(_)) | None => Outcome::Unknown(Nothing {}),
        };
        let _ = answer.send(outcome);
    }
}

/// Whether anything was done by a write that failed.
pub(crate) fn write_failed(error: ClientWriteError) -> Outcome {
    match error {
        // Given before anything is appended: not leading, or the lease has run out.
        ClientWriteError::ForwardToLeader(_) => Outcome::NothingDone(Nothing {}),
        // Appended, then another leader came; a majority may have kept it.
        ClientWriteError::LogEntryDiscarded(_) => Outcome::Unknown(Nothing {}),
        ClientWriteError::ChangeMembershipError(openraft::errors::ChangeMembershipError::InProgress(_)) => {
            Outcome::NothingDone(Nothing {})
        }
        error @ (ClientWriteError::ChangeMembershipError(_) | ClientWriteError::PreconditionFailed(_)) => {
            Outcome::Refused(error.to_string())
        }
    }
}

/// Writes forwarded commands; one outcome each.
pub(crate) async fn write_forwarded(raft: &Raft, commands: Vec<Bytes>) -> Answers {
    let (tells, hears): (Vec<_>, Vec<_>) = commands.iter().map(|_| oneshot::channel()).unzip();
    let commands = commands.iter().map(wire::of_its_own).collect();
    write(raft, commands, tells).await;
    let mut answers = Vec::with_capacity(hears.len());
    for heard in hears {
        answers.push(Answer {
            outcome: Some(heard.await.unwrap_or(Outcome::Unknown(Nothing {}))),
        });
    }
    Answers { answers }
}

/// One hop: the receiver writes itself or says that it does not lead.
async fn forward(transport: &dyn Transport, leader: MemberId, commands: Vec<Bytes>, within: Duration) -> Vec<Outcome> {
    let count = commands.len();
    let request = Request {
        within_ms: within.as_millis() as u64,
        ask: Some(Ask::Propose(Commands { commands })),
    };
    metrics::FORWARDED.inc_by(count as u64);
    let all = |outcome: Outcome| vec![outcome; count];
    match transport
        .call(leader, Route::RaftForward, wire::encode(&request), within)
        .await
    {
        Ok(body) => match wire::decode::<Answers>(body) {
            Ok(answers) if answers.answers.len() == count => answers
                .answers
                .into_iter()
                .map(|answer| answer.outcome.unwrap_or(Outcome::Unknown(Nothing {})))
                .collect(),
            _ => all(Outcome::Unknown(Nothing {})),
        },
        Err(error) if error.is_not_delivered() => all(Outcome::NothingDone(Nothing {})),
        Err(_) => all(Outcome::Unknown(Nothing {})),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_transport::{Boxed, Error, Handler};

    /// Whatever is asked, the answer is lost.
    struct Deaf;

    impl Transport for Deaf {
        fn local(&self) -> MemberId {
            MemberId(1)
        }

        fn call(&self, member: MemberId, _: Route, _: Bytes, _: Duration) -> Boxed<Result<Bytes, Error>> {
            let reason = "lost".to_owned();
            Box::pin(std::future::ready(Err(Error::NoAnswer { member, reason })))
        }

        fn serve(&self, _: Route, _: Arc<dyn Handler>) {}

        fn set_peers(&self, _: Vec<(MemberId, String)>) {}
    }

    #[tokio::test]
    async fn a_lost_answer_leaves_the_outcome_of_each_command_unknown() {
        let commands = vec![Bytes::from("a"), Bytes::from("b")];
        let outcomes = forward(&Deaf, MemberId(2), commands, Duration::from_secs(1)).await;
        assert_eq!(outcomes.len(), 2);
        for outcome in outcomes {
            assert!(matches!(outcome, Outcome::Unknown(_)), "it would be sent again");
        }
    }

    /// Found by losses of power: a node whose disk failed with a pack under way panicked on its way out.
    #[tokio::test]
    async fn when_raft_ends_nobody_in_the_pack_knows_what_became_of_his_command() {
        let (tells, hears): (Vec<_>, Vec<_>) = (0..4).map(|_| oneshot::channel()).unzip();
        // As openraft's: the first answer that is lost ends it.
        let results = futures_util::stream::unfold(Some(()), |more| async move {
            more.map(|()| (Err::<WriteResult, _>(Fatal::Stopped), None))
        });
        pass_on(results, tells).await;
        for heard in hears {
            assert!(matches!(heard.await, Ok(Outcome::Unknown(_))));
        }
    }
}

//! A client's connection: one transport with its streams.

use super::frame::{self, Budget, Code, Status};
use super::info::ConnectionInfo;
use super::life::{Due, EndReason, Left, Life, SetUp, StreamNo};
use super::outbox::{Outbox, Queued, Refusal};
use super::setup::Setup;
use super::unsent::Unsent;
use bytes::Bytes;
use muster_model::ConnectionId;
use muster_runtime::Clock;
use muster_wire::grpc::{Ack, ClientDetectionRequest, ConnectResetRequest, SetupAckRequest};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Questions to one client that wait for their answers.
const ASKED_MAX: usize = 64;

/// A queue of which nothing was taken for so long is its client's refusal to read. Nacos waits 300 s.
const BLOCKED: Duration = Duration::from_secs(60);

/// How the streams of a connection end that the server ends.
const ENDING: Status = Status::new(Code::Unavailable, "the server ends this connection");

/// Acks of pushes that are believed beyond those sent; a client may ack late or twice.
const SPARE_ACKS: u32 = 16;

/// One transport with its streams. Calls on it are tied to it by the transport itself, never by an address.
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) peer: SocketAddr,
    /// As the client is told it: `<millis>_<ip>_<port>`.
    pub(super) name: Box<str>,
    pub(super) unsent: Unsent,
    /// Its share of the bytes of unfinished messages.
    pub(super) partial: Arc<Budget>,
    /// What waits on the streams of all connections.
    queued: Queued,
    since_ms: u64,
    clock: Clock,
    opened: Instant,
    /// Locked for a few lines, because push, handlers and the transport's own task meet here.
    state: Mutex<State>,
    /// Set: a stand-in, which writes down what it is asked and says yes.
    #[cfg(test)]
    asked: Option<Asked>,
}

struct State {
    life: Life,
    outboxes: Vec<(StreamNo, Arc<Outbox>)>,
    waiting: HashMap<u64, oneshot::Sender<Result<(), AskError>>>,
    last_ask: u64,
    /// Acks of pushes that are still believed.
    acks_due: u32,
    exit: Option<Exit>,
    transport: Option<Waker>,
}

/// How the transport is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Exit {
    pub(super) reason: EndReason,
    /// What is under way has this long to end.
    pub(super) within: Duration,
}

/// What an answer on a stream was for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Acked {
    /// The push with this token.
    Push(u64),
    /// A question of ours, or nothing that is waited for.
    Other,
}

/// Where a stand-in writes down what it was asked: the name and the members.
#[cfg(test)]
type Asked = tokio::sync::mpsc::UnboundedSender<(&'static str, Bytes)>;

/// Why a question that the server asked has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("the connection is gone")]
    Gone,
    #[error("no answer in {0:?}")]
    Silent(Duration),
    #[error("the client's stream is full")]
    Busy,
    #[error("the client refused: {0}")]
    Refused(String),
}

impl From<Refusal> for AskError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full => AskError::Busy,
            Refusal::Ended => AskError::Gone,
        }
    }
}

impl Connection {
    pub(super) fn new(id: ConnectionId, peer: SocketAddr, since_ms: u64, clock: Clock) -> Self {
        let opened = clock.now();
        Self {
            id,
            peer,
            name: format!("{since_ms}_{}_{}", peer.ip(), peer.port()).into(),
            unsent: Unsent::default(),
            partial: Arc::new(Budget::new(0)),
            queued: Queued::default(),
            since_ms,
            opened,
            clock,
            state: Mutex::new(State {
                life: Life::new(opened),
                outboxes: Vec::new(),
                waiting: HashMap::new(),
                last_ask: 0,
                acks_due: SPARE_ACKS,
                exit: None,
                transport: None,
            }),
            #[cfg(test)]
            asked: None,
        }
    }

    /// One with a share of what all connections may hold together.
    pub(super) fn sharing(self, unsent: Unsent, partial: Arc<Budget>, queued: Queued) -> Self {
        Self {
            unsent,
            partial,
            queued,
            ..self
        }
    }

    /// A set-up naming connection without a transport; what it is asked comes out of the receiver and is acked at once.
    #[cfg(test)]
    pub(super) fn stub(
        id: ConnectionId,
        peer: SocketAddr,
    ) -> (Arc<Self>, tokio::sync::mpsc::UnboundedReceiver<(&'static str, Bytes)>) {
        let (asked, receiver) = tokio::sync::mpsc::unbounded_channel();
        let mut connection = Self::new(id, peer, 1_000, Clock::system());
        connection.asked = Some(asked);
        let (number, _) = connection.open_stream().expect("the first stream");
        let said = muster_wire::grpc::ConnectionSetup::decode(
            br#"{"clientVersion":"Nacos-Java-Client:v2.4.3","labels":{"module":"naming","AppName":"app"}}"#,
        );
        connection.set_up(number, Setup::new(said.expect("a setup"), ""));
        (Arc::new(connection), receiver)
    }

    /// Sends a request of the server's own and waits for its answer, which is matched by its request id alone.
    /// `body` is the JSON object's members after `"headers":{},"requestId":"…",`.
    pub(super) async fn ask(&self, name: &'static str, members: Bytes, within: Duration) -> Result<(), AskError> {
        #[cfg(test)]
        if let Some(asked) = &self.asked {
            return asked.send((name, members)).map_err(|_| AskError::Gone);
        }
        let (sender, answer) = oneshot::channel();
        let ask = {
            let now = self.clock.now();
            let mut state = self.state.lock();
            let number = state.next_ask();
            if state.waiting.len() >= ASKED_MAX {
                return Err(AskError::Busy);
            }
            let mut json = format!(r#"{{"headers":{{}},"requestId":"{number}","#).into_bytes();
            json.extend_from_slice(&members);
            json.push(b'}');
            state.put_on_naming(&frame::payload(name, &json), None, "", now)?;
            state.waiting.insert(number, sender);
            Waiting {
                connection: self,
                number,
            }
        };
        let answered = tokio::time::timeout(within, answer).await;
        drop(ask);
        match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(AskError::Gone),
            Err(_) => Err(AskError::Silent(within)),
        }
    }

    /// The client's application, as its setup says.
    pub(super) fn app(&self) -> Box<str> {
        self.said(|setup| setup.said.app().into())
    }

    /// `clientVersion` of its setup.
    pub(super) fn version(&self) -> Box<str> {
        self.said(|setup| setup.said.client_version.as_str().into())
    }

    /// A stream of it was set up with `module=naming`.
    pub(super) fn is_naming(&self) -> bool {
        self.state.lock().life.is_naming()
    }

    /// What the setup says that matters most: one of naming, if there is any.
    fn said<T: Default>(&self, read: impl FnOnce(&Setup) -> T) -> T {
        let state = self.state.lock();
        state.setup().map(read).unwrap_or_default()
    }

    /// As listed; nothing before it is registered.
    pub(super) fn info(&self) -> Option<ConnectionInfo> {
        let state = self.state.lock();
        let setup = state.setup()?;
        let active_ms = state
            .life
            .last_active()
            .saturating_duration_since(self.opened)
            .as_millis();
        let labels = setup.said.labels.iter();
        Some(ConnectionInfo {
            id: self.id,
            name: self.name.clone().into(),
            peer: self.peer,
            client_ip: setup.client_ip.clone().into(),
            version: setup.said.client_version.clone(),
            app: setup.said.app().to_owned(),
            labels: labels
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
            since_ms: self.since_ms,
            last_active_ms: self.since_ms + active_ms as u64,
        })
    }

    /// Whether calls on it may be handled.
    pub(super) fn is_registered(&self) -> bool {
        self.state.lock().life.is_registered()
    }

    /// A call of it is handled now, which only a registered one's is.
    pub(super) fn active(&self) {
        self.state.lock().life.active(self.clock.now());
    }

    /// A further stream, or why there is none.
    pub(super) fn open_stream(&self) -> Result<(StreamNo, Arc<Outbox>), Status> {
        let mut state = self.state.lock();
        if state.exit.is_some() {
            return Err(ENDING);
        }
        let number = state.life.open(self.clock.now()).ok_or(Status::new(
            Code::ResourceExhausted,
            "this connection has as many streams as it may",
        ))?;
        let outbox = Arc::new(Outbox::new(self.queued.clone()));
        // Nearly all clients have one stream.
        state.outboxes.reserve_exact(1);
        state.outboxes.push((number, outbox.clone()));
        Ok((number, outbox))
    }

    pub(super) fn set_up(&self, number: StreamNo, setup: Setup) -> SetUp {
        let has_table = setup.said.has_ability_table;
        let now = self.clock.now();
        let mut state = self.state.lock();
        let done = state.life.set_up(number, setup, now);
        if matches!(done, SetUp::Registered | SetUp::NoNaming) && has_table {
            let ack = frame::payload(SetupAckRequest::TYPE, &SetupAckRequest::OURS.encode());
            if let Some(outbox) = state.outbox(number) {
                // The first message of its stream: there is room, unless the stream has ended.
                let _ = outbox.put(ack, now);
            }
        }
        done
    }

    /// The stream is gone; a second call changes nothing.
    pub(super) fn stream_ended(&self, number: StreamNo) -> Left {
        let mut state = self.state.lock();
        state.outboxes.retain(|(held, _)| *held != number);
        state.life.close(number, self.clock.now())
    }

    /// Reads what a client says to a request of ours.
    pub(super) fn acked(&self, ack: &Ack) -> Acked {
        let mut state = self.state.lock();
        state.life.active(self.clock.now());
        let Ok(number) = ack.request_id.parse::<u64>() else {
            return Acked::Other;
        };
        if number <= state.last_ask {
            if let Some(waiting) = state.waiting.remove(&number) {
                let answer = match ack.is_success() {
                    true => Ok(()),
                    false => Err(AskError::Refused(ack.message.clone())),
                };
                // Nobody waits any more: it came too late.
                let _ = waiting.send(answer);
            }
            return Acked::Other;
        }
        if !ack.is_success() || state.acks_due == 0 {
            return Acked::Other;
        }
        state.acks_due -= 1;
        Acked::Push(number)
    }

    /// Queues a push for the clients of this connection whose services are of `namespace`. `about` tells pushes of one
    /// subscription from those of others.
    ///
    /// # Errors
    /// [`Refusal::Full`] also while there is no stream of naming: its client may be about to open the next. `Ended` once the
    /// connection is.
    pub(super) fn push(&self, message: &Bytes, about: u64, namespace: &str) -> Result<(), Refusal> {
        let mut state = self.state.lock();
        match state.put_on_naming(message, Some(about), namespace, self.clock.now()) {
            Ok(streams) => {
                // Each client acks for itself.
                state.acks_due = state.acks_due.saturating_add(streams);
                Ok(())
            }
            Err(Refusal::Ended) if state.exit.is_none() => Err(Refusal::Full),
            Err(refusal) => Err(refusal),
        }
    }

    /// Asks it to go to another node, whose main port is named. No ack is waited for.
    pub(super) fn reset(&self, server: Option<SocketAddr>) {
        let ip = server.map(|server| server.ip().to_string());
        let port = server.map(|server| server.port());
        self.tell(ConnectResetRequest::TYPE, |request_id| {
            let request = ConnectResetRequest {
                request_id,
                server: ip.as_deref().zip(port),
                connection_id: Some(&self.name),
            };
            request.encode()
        });
    }

    /// What is due after `now`; asks the client whether it lives, if that is, or to go where this node serves no more.
    pub(super) fn look(&self, now: Instant, serves_no_more: bool) -> Option<EndReason> {
        let (due, late) = {
            let mut state = self.state.lock();
            if state.exit.is_some() {
                return None;
            }
            let is_blocked = |(_, outbox): &(StreamNo, Arc<Outbox>)| outbox.blocked_for(now) >= BLOCKED;
            if self.unsent.unread_for(now) >= BLOCKED || state.outboxes.iter().any(is_blocked) {
                return Some(EndReason::Blocked);
            }
            let late = state.life.late(now).and_then(|number| state.outbox(number).cloned());
            let due = match serves_no_more && state.life.is_registered() {
                true => state.life.send_away(now),
                false => state.life.look(now),
            };
            (due, late)
        };
        if let Some(late) = late {
            late.end(Status::new(
                Code::DeadlineExceeded,
                "no ConnectionSetupRequest came in time",
            ));
        }
        match due {
            Due::Nothing => None,
            Due::End(reason) => Some(reason),
            Due::Go => {
                // Of the other members a node that serves no more knows nothing for sure; clients have lists of their own.
                self.reset(None);
                None
            }
            Due::Detect => {
                self.detect();
                None
            }
        }
    }

    /// Somebody newer publishes what this publishes: most likely its own client, which has left it behind broken. Asks
    /// whether it lives.
    pub(super) fn overtaken(&self) {
        let due = self.state.lock().life.doubt(self.clock.now());
        if due == Due::Detect {
            self.detect();
        }
    }

    fn detect(&self) {
        self.tell(ClientDetectionRequest::TYPE, |request_id| {
            ClientDetectionRequest { request_id }.encode()
        });
    }

    /// Sends a request to each client of the connection; whoever answers makes it live.
    fn tell(&self, name: &str, body: impl Fn(&str) -> Bytes) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let number = state.next_ask().to_string();
        let message = frame::payload(name, &body(&number));
        for (number, _) in state.life.setups() {
            if let Some(outbox) = state.outbox(number) {
                // Full or ended: then it does not answer, and that says what is to be known.
                let _ = outbox.put(message.clone(), now);
            }
        }
    }

    /// Ends the streams and then the transport. The first call counts.
    pub(super) fn close(&self, reason: EndReason, within: Duration) {
        let (outboxes, transport) = {
            let mut state = self.state.lock();
            if state.exit.is_some() {
                return;
            }
            state.exit = Some(Exit { reason, within });
            (state.outboxes.clone(), state.transport.take())
        };
        for (_, outbox) in outboxes {
            // Never `OK`: it leaves Python's clients deaf for good.
            outbox.end(ENDING);
        }
        transport.inspect(Waker::wake_by_ref);
    }

    /// Whether and how the transport is to end; else wakes it when it is.
    pub(super) fn poll_exit(&self, context: &mut Context<'_>) -> Poll<Exit> {
        let mut state = self.state.lock();
        match state.exit {
            Some(exit) => Poll::Ready(exit),
            None => {
                state.transport = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// It ends, or has ended.
    pub(super) fn is_ending(&self) -> bool {
        self.state.lock().exit.is_some()
    }

    /// The transport is gone: nobody is sent anything any more, and who waits for an answer is told.
    pub(super) fn ended(&self) -> Option<EndReason> {
        let (outboxes, waiting, exit) = {
            let mut state = self.state.lock();
            let waiting = std::mem::take(&mut state.waiting);
            (std::mem::take(&mut state.outboxes), waiting, state.exit)
        };
        for (_, outbox) in outboxes {
            outbox.end(Status::new(Code::Unavailable, "the connection is gone"));
        }
        drop(waiting);
        exit.map(|exit| exit.reason)
    }
}

impl State {
    fn outbox(&self, number: StreamNo) -> Option<&Arc<Outbox>> {
        let held = self.outboxes.iter().find(|(held, _)| *held == number);
        held.map(|(_, outbox)| outbox)
    }

    fn setup(&self) -> Option<&Setup> {
        let naming = self.life.setups().find(|(_, setup)| setup.is_naming());
        naming.or_else(|| self.life.setups().next()).map(|(_, setup)| setup)
    }

    /// Tokens of pushes are microseconds since the epoch, so these small numbers never meet them.
    fn next_ask(&mut self) -> u64 {
        self.last_ask += 1;
        self.last_ask
    }

    /// Queues a message on the naming streams whose clients may be of `namespace`; on all of naming if none is. Says how many
    /// took it. Taken by one of several is taken: which of them asked cannot be known.
    fn put_on_naming(
        &self,
        message: &Bytes,
        about: Option<u64>,
        namespace: &str,
        now: Instant,
    ) -> Result<u32, Refusal> {
        let naming = || self.life.setups().filter(|(_, setup)| setup.is_naming());
        let is_meant = |setup: &Setup| namespace.is_empty() || setup.may_be_of(namespace);
        let all = !naming().any(|(_, setup)| is_meant(setup));
        let (mut taken, mut refusal) = (0, Refusal::Ended);
        for (number, _) in naming().filter(|(_, setup)| all || is_meant(setup)) {
            let Some(outbox) = self.outbox(number) else {
                continue;
            };
            match outbox.put_about(about, message.clone(), now) {
                Ok(()) => taken += 1,
                Err(Refusal::Full) => refusal = Refusal::Full,
                Err(Refusal::Ended) => {}
            }
        }
        if taken == 0 { Err(refusal) } else { Ok(taken) }
    }
}

/// A question under way; forgotten when nobody waits for it any more.
struct Waiting<'a> {
    connection: &'a Connection,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.connection.state.lock().waiting.remove(&self.number);
    }
}

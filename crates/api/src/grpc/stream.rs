//! A client's stream: its setup first, then its answers to what the server asks and pushes.

use super::connection::{Acked, Connection};
use super::frame::{self, Code, Message, ReadError, Reader, Status};
use super::hall::Hall;
use super::life::{EndReason, SetUp, StreamNo};
use super::outbox::Outbox;
use super::setup::Setup;
use bytes::Bytes;
use muster_wire::grpc::{Ack, ConnectionSetup, Payload};
use prost::Message as _;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// The longest message of a stream. Setups and acks are some hundred bytes.
pub(super) const MESSAGE_BYTES_MAX: usize = 64 * 1_024;

/// Messages read before the transport's other calls get their turn.
const MESSAGES_PER_TURN: u32 = 32;

/// From a refused setup to the transport's end: enough for the status to reach the client.
const REFUSED_WITHIN: Duration = Duration::from_secs(1);

/// The sending half. Dropped, the stream is gone.
pub(super) struct Outlet {
    hall: Arc<Hall>,
    connection: Arc<Connection>,
    number: StreamNo,
    outbox: Arc<Outbox>,
}

impl Outlet {
    pub(super) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Result<Message, Status>> {
        let taken = self.outbox.poll_take(context, self.hall.clock.now());
        taken.map(|taken| taken.map(frame::prefixed))
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.outbox.end(Status::OK);
        self.hall.stream_ended(&self.connection, self.number);
    }
}

/// The reading half.
pub(super) struct Inlet {
    hall: Arc<Hall>,
    connection: Arc<Connection>,
    number: StreamNo,
    outbox: Arc<Outbox>,
    reader: Reader,
}

/// Both halves of a further stream, or why there is none.
pub(super) fn open(
    hall: &Arc<Hall>,
    connection: &Arc<Connection>,
    body: hyper::body::Incoming,
) -> Result<(Outlet, Inlet), Status> {
    let (number, outbox) = connection.open_stream()?;
    let outlet = Outlet {
        hall: hall.clone(),
        connection: connection.clone(),
        number,
        outbox: outbox.clone(),
    };
    let inlet = Inlet {
        hall: hall.clone(),
        connection: connection.clone(),
        number,
        outbox,
        reader: Reader::new(body, MESSAGE_BYTES_MAX, connection.partial.clone()),
    };
    Ok((outlet, inlet))
}

impl Inlet {
    /// Reads until either side ends the stream.
    pub(super) async fn run(mut self) {
        let mut is_set_up = false;
        let mut read = 0_u32;
        let status = loop {
            let next = poll_fn(|context| {
                if self.outbox.poll_ended(context) {
                    return Poll::Ready(None);
                }
                self.reader.poll_next(context)
            });
            let payload = match next.await {
                // It has said all it will; a client that goes on opens another.
                None => break Status::OK,
                Some(Err(ReadError::Cut)) => break Status::new(Code::Unavailable, "the stream is broken off"),
                Some(Err(error)) => break error.status(),
                Some(Ok(message)) => Payload::decode(message),
            };
            self.reader.release();
            let Ok(payload) = payload else {
                break Status::new(Code::InvalidArgument, "not a payload");
            };
            let taken = match is_set_up {
                false => self.set_up(&payload),
                true => {
                    self.take(&payload);
                    Ok(())
                }
            };
            if let Err(status) = taken {
                break status;
            }
            is_set_up = true;
            read = read.wrapping_add(1);
            if read.is_multiple_of(MESSAGES_PER_TURN) {
                tokio::task::yield_now().await;
            }
        };
        self.outbox.end(status);
    }

    fn set_up(&self, payload: &Payload) -> Result<(), Status> {
        let (name, body) = named(payload);
        if name != "ConnectionSetupRequest" {
            return Err(Status::new(
                Code::InvalidArgument,
                "the first message is not a ConnectionSetupRequest",
            ));
        }
        let said = ConnectionSetup::decode(body)
            .map_err(|_| Status::new(Code::InvalidArgument, "the ConnectionSetupRequest cannot be read"))?;
        if self.hall.serving().is_none() {
            // As Nacos does: the transport goes as well, so that the client takes its next server.
            self.outbox
                .end(Status::new(Code::Unavailable, "the server is starting or stopping"));
            self.connection.close(EndReason::Refused, REFUSED_WITHIN);
            return Ok(());
        }
        let client_ip = payload.metadata.as_ref().map_or("", |metadata| &metadata.client_ip);
        let setup = Setup::new(said, client_ip);
        match self.hall.set_up(&self.connection, self.number, setup) {
            SetUp::Registered | SetUp::NoNaming | SetUp::Already => Ok(()),
            SetUp::NoStream => Err(Status::new(Code::Unavailable, "the stream has ended")),
        }
    }

    /// Everything after the setup is an answer to something. Further setups are ignored, as in Nacos; so is what cannot be
    /// read, for which an ack of a push that never comes says enough.
    fn take(&self, payload: &Payload) {
        let (name, body) = named(payload);
        if !name.ends_with("Response") {
            return;
        }
        let Ok(ack) = Ack::decode(body) else {
            return;
        };
        if let Acked::Push(token) = self.connection.acked(&ack)
            && let Some(behind) = self.hall.behind()
        {
            behind.push.acked_by(token, self.connection.id);
        }
    }
}

fn named(payload: &Payload) -> (&str, &Bytes) {
    static NOTHING: Bytes = Bytes::new();
    let name = payload.metadata.as_ref().map_or("", |metadata| &metadata.r#type);
    let body = payload.body.as_ref().map_or(&NOTHING, |body| &body.value);
    (name, body)
}

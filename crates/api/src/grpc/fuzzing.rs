//! The gRPC door from its framing up, without HTTP/2.

use super::Config;
use super::call::Call;
use super::connection::Connection;
use super::frame::{self, Budget, Reader};
use super::hall::{Entered, Hall};
use super::life::StreamNo;
use super::messages;
use super::outbox::Outbox;
use super::setup::Setup;
use bytes::{Buf, Bytes};
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use muster_naming::Naming;
use muster_runtime::{Clock, Tasks};
use muster_wire::grpc::{Ack, ConnectionSetup};
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Takes the messages out of a body that arrives in these pieces; what is held of it may not exceed `held_bytes_max`. The
/// error says how the body ended if it did not end well.
pub async fn messages(
    pieces: Vec<Bytes>,
    bytes_max: usize,
    held_bytes_max: usize,
) -> (Vec<Bytes>, Result<(), &'static str>) {
    let pieces = pieces.into_iter().map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
    let budget = Arc::new(Budget::new(held_bytes_max));
    let mut reader = Reader::new(StreamBody::new(stream::iter(pieces)), bytes_max, budget.clone());
    let mut read = Vec::new();
    let ended = loop {
        match poll_fn(|context| reader.poll_next(context)).await {
            None => break Ok(()),
            Some(Ok(message)) => {
                read.push(message);
                reader.release();
            }
            Some(Err(error)) => break Err(error.status().message),
        }
    };
    drop(reader);
    assert_eq!(budget.held(), 0, "what was held is given back");
    (read, ended)
}

/// A payload with its length in front, as the door sends it.
pub fn message(name: &str, json: Bytes) -> Bytes {
    let mut message = frame::message(name, json);
    message.copy_to_bytes(message.remaining())
}

/// A door with one connection that is set up.
pub struct GrpcDoor {
    hall: Arc<Hall>,
    naming: Naming,
    entered: Entered,
    _stream: (StreamNo, Arc<Outbox>),
}

impl GrpcDoor {
    /// Called within a runtime.
    ///
    /// # Errors
    /// The setup is refused.
    pub fn open(naming: Naming, tasks: Tasks, clock: Clock, setup: &[u8], client_ip: &str) -> Result<Self, String> {
        let config = Config {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            connections_max: 2,
            message_bytes_max: 1 << 20,
            write_timeout: Duration::from_secs(3),
            tls: None,
        };
        let setup = Setup::new(
            ConnectionSetup::decode(setup).map_err(|error| error.to_string())?,
            client_ip,
        );
        let hall = Arc::new(Hall::new(config, clock));
        hall.begin(tasks);
        let peer = SocketAddr::from(([10, 0, 0, 5], 51_234));
        let entered = hall.enter(peer).expect("there is room for two");
        let stream = entered
            .connection
            .open_stream()
            .map_err(|status| status.message.to_owned())?;
        hall.set_up(&entered.connection, stream.0, setup);
        Ok(Self {
            hall,
            naming,
            entered,
            _stream: stream,
        })
    }

    fn connection(&self) -> &Arc<Connection> {
        &self.entered.connection
    }

    /// The answer's type and JSON; none of what has no handler.
    pub async fn call(
        &self,
        name: &str,
        headers: &HashMap<String, String>,
        body: &Bytes,
    ) -> Option<(&'static str, Bytes)> {
        let call = Call {
            naming: &self.naming,
            connection: self.connection(),
            watches: self.hall.watches(),
            headers,
            body,
            context: self.hall.context(self.hall.clock.now()),
            received_ms: self.hall.clock.wall_ms(),
        };
        let answer = messages::answer(&call, name).await?;
        Some((answer.name, answer.body))
    }

    /// An answer of the client's, as it comes on the stream.
    pub fn acked(&self, body: &[u8]) {
        if let Ok(ack) = Ack::decode(body) {
            self.connection().acked(&ack);
        }
    }
}

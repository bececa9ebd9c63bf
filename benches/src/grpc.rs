//! A gRPC client that costs next to nothing, so that what is measured is the server: HTTP/2's frames written out, requests
//! encoded beforehand, headers sent as indices of what the first request said, answers searched and not parsed.
//!
//! It speaks only to servers that leave HTTP/2's settings at their usual values, as tonic's do: it keeps no account of what
//! a stream lets it send, and reads no headers.

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use muster_testkit::{encode, naming_setup};
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD_BYTES: usize = 9;
const MESSAGE_HEAD_BYTES: usize = 5;

/// What a server may send before it is read: enough for a list that it sends at once.
const WINDOW_BYTES: u32 = 16 << 20;
/// HTTP/2's own bound of what a client may send over all streams, until the server raises it.
const FIRST_WINDOW_BYTES: i64 = 65_535;
/// Room for what comes at once.
const READ_BYTES: usize = 4 * 1_024;

/// As often as SDKs check a connection that has nothing to say.
const HEALTH_EVERY: Duration = Duration::from_secs(5);
/// As SDKs wait for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A server that does not acknowledge a setup has taken it by then; SDKs wait as long.
const SETUP_WITHIN: Duration = Duration::from_millis(300);

/// What every answer that tells of success has.
const SUCCESS: &[u8] = br#""resultCode":200"#;

mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RESET: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const PING: u8 = 6;
    pub(super) const GO_AWAY: u8 = 7;
    pub(super) const WINDOW_UPDATE: u8 = 8;
}

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// What a server said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// To a request: its number, and whether it says that all is well.
    Answered { request: u32, ok: bool },
    /// A message of the server's own, as bytes of protobuf with JSON in them.
    Told(Bytes),
}

/// One connection, set up as a naming client's.
pub struct Client {
    socket: TcpStream,
    received: BytesMut,
    sending: BytesMut,
    next: u32,
    /// Of the setup; 0 is none.
    stream: u32,
    /// What the server still lets us send.
    window: i64,
    /// Received and not yet given back to the server's window: of all, and of the stream.
    taken: u32,
    stream_taken: u32,
    /// The beginning of a message on the stream.
    told: BytesMut,
    /// Requests whose answer has said that all is well, and has not ended.
    good: Vec<u32>,
}

impl Client {
    /// Connects as SDKs do: server check, stream, setup. `from` is the address to come from, where one has too few ports.
    ///
    /// # Errors
    /// The server is not on loopback or does not take it.
    pub async fn connect(server: SocketAddr, from: Option<IpAddr>) -> Result<Self> {
        ensure!(
            server.ip().is_loopback(),
            "{server} is not on loopback: load goes to this machine only"
        );
        let socket = TcpSocket::new_v4()?;
        if let Some(from) = from {
            socket.bind(SocketAddr::new(from, 0))?;
        }
        let socket = socket
            .connect(server)
            .await
            .with_context(|| format!("connect to {server}"))?;
        socket.set_nodelay(true)?;
        let mut client = Self {
            socket,
            received: BytesMut::new(),
            sending: BytesMut::new(),
            next: 1,
            stream: 0,
            window: FIRST_WINDOW_BYTES,
            taken: 0,
            stream_taken: 0,
            told: BytesMut::new(),
            good: Vec::new(),
        };
        client.greet();
        let check = encode(
            "ServerCheckRequest",
            json!({"headers": {}, "module": "internal"}).to_string(),
        );
        client.call(&check).await.context("the server check")?;
        client.set_up();
        // A server that acknowledges no setup has had its time.
        if let Ok(acknowledged) = tokio::time::timeout(SETUP_WITHIN, client.next()).await {
            acknowledged.context("the setup")?;
        }
        Ok(client)
    }

    fn greet(&mut self) {
        self.sending.extend_from_slice(PREFACE);
        let mut settings = BytesMut::new();
        // No pushes of HTTP/2's, and the window of each stream.
        for (name, value) in [(2_u16, 0), (4, WINDOW_BYTES)] {
            settings.put_u16(name);
            settings.put_u32(value);
        }
        self.put_frame(kind::SETTINGS, 0, 0, &settings);
        self.put_frame(kind::WINDOW_UPDATE, 0, 0, &WINDOW_BYTES.to_be_bytes());
        self.put_frame(kind::HEADERS, END_HEADERS, 1, &first_headers("/Request/request"));
    }

    fn set_up(&mut self) {
        self.stream = self.next;
        self.next += 2;
        let mut headers = vec![0x83, 0x86];
        put_text(&mut headers, Some(0x04), "/BiRequestStream/requestBiStream");
        headers.extend([0xc1, 0xc0, 0xbf, 0xbe]);
        self.put_frame(kind::HEADERS, END_HEADERS, self.stream, &headers);
        let setup = encode("ConnectionSetupRequest", naming_setup().to_string());
        self.put_frame(kind::DATA, 0, self.stream, &setup);
    }

    /// Queues a request; the number of its answer. It goes out with the next wait for an event.
    ///
    /// # Errors
    /// More is under way than the server takes.
    pub fn ask(&mut self, message: &[u8]) -> Result<u32> {
        self.window -= message.len() as i64;
        ensure!(self.window >= 0, "more is under way than the server takes");
        let request = self.next;
        self.next += 2;
        if request > 1 {
            self.put_frame(kind::HEADERS, END_HEADERS, request, &KNOWN_HEADERS);
        }
        self.put_frame(kind::DATA, END_STREAM, request, message);
        Ok(request)
    }

    /// Lives as a client does that has nothing to say, until all are over: checks the connection and acknowledges pushes.
    ///
    /// # Errors
    /// The connection has ended, or a check was refused.
    pub async fn hold(mut self, mut over: watch::Receiver<()>) -> Result<()> {
        let health = health_request();
        let mut quiet = tokio::time::interval(HEALTH_EVERY);
        quiet.reset();
        loop {
            tokio::select! {
                _ = over.changed() => return Ok(()),
                event = self.next() => match event? {
                    Event::Told(message) => {
                        if let Some(ack) = push_ack(&message) {
                            self.answer(&ack);
                        }
                    }
                    Event::Answered { ok, .. } => ensure!(ok, "a health check was refused"),
                },
                _ = quiet.tick() => {
                    self.ask(&health)?;
                }
            }
        }
    }

    /// Queues an answer to what the server told.
    pub fn answer(&mut self, message: &[u8]) {
        self.window -= message.len() as i64;
        self.put_frame(kind::DATA, 0, self.stream, message);
    }

    /// A request and its answer, which must say that all is well; what the server tells meanwhile is dropped.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn call(&mut self, message: &[u8]) -> Result<()> {
        let ok = tokio::time::timeout(ANSWER_WITHIN, self.exchange(message)).await??;
        ensure!(ok, "refused");
        Ok(())
    }

    /// A request and whether its answer says that all is well, however long it takes; what the server tells meanwhile is
    /// dropped.
    ///
    /// # Errors
    /// The connection or the stream has ended.
    pub async fn exchange(&mut self, message: &[u8]) -> Result<bool> {
        let asked = self.ask(message)?;
        loop {
            if let Event::Answered { request, ok } = self.next().await?
                && request == asked
            {
                return Ok(ok);
            }
        }
    }

    /// Sends what is queued and waits for what comes next. Nothing is lost where the wait is given up.
    ///
    /// # Errors
    /// The connection or the stream has ended.
    pub async fn next(&mut self) -> Result<Event> {
        loop {
            while let Some(event) = self.read_frame()? {
                if let Some(event) = event {
                    return Ok(event);
                }
            }
            self.flush().await?;
            self.received.reserve(READ_BYTES);
            let read = self.socket.read_buf(&mut self.received).await?;
            ensure!(read > 0, "the server closed the connection");
        }
    }

    /// Sends what is queued.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn flush(&mut self) -> Result<()> {
        while self.sending.has_remaining() {
            let sent = self.socket.write(&self.sending).await?;
            self.sending.advance(sent);
        }
        Ok(())
    }

    /// The next frame, if all of it is there, and what is to be known of it.
    fn read_frame(&mut self) -> Result<Option<Option<Event>>> {
        if let Some(message) = self.whole_message() {
            return Ok(Some(Some(Event::Told(message))));
        }
        if self.received.len() < FRAME_HEAD_BYTES {
            return Ok(None);
        }
        let mut head = &self.received[..FRAME_HEAD_BYTES];
        let length = head.get_uint(3) as usize;
        let (kind, flags, stream) = (head.get_u8(), head.get_u8(), head.get_u32());
        if self.received.len() < FRAME_HEAD_BYTES + length {
            return Ok(None);
        }
        self.received.advance(FRAME_HEAD_BYTES);
        let body = self.received.split_to(length);
        let ended = flags & END_STREAM != 0;
        match kind {
            kind::DATA => {
                self.give_back(stream, length as u32);
                if stream == self.stream {
                    self.told.extend_from_slice(&body);
                    return Ok(Some(self.whole_message().map(Event::Told)));
                }
                if find(&body, SUCCESS).is_some() {
                    self.good.push(stream);
                }
            }
            kind::HEADERS if ended && stream == self.stream => bail!("the stream has ended"),
            kind::HEADERS => {}
            kind::SETTINGS if flags & ACK == 0 => self.put_frame(kind::SETTINGS, ACK, 0, &[]),
            kind::PING if flags & ACK == 0 => self.put_frame(kind::PING, ACK, 0, &body),
            kind::WINDOW_UPDATE if stream == 0 => self.window += i64::from((&body[..]).get_u32()),
            kind::RESET => bail!("a call was broken off"),
            kind::GO_AWAY => bail!("the server ends this connection"),
            _ => {}
        }
        if ended && matches!(kind, kind::DATA | kind::HEADERS) {
            let good = self.good.iter().position(|good| *good == stream);
            let ok = good.map(|place| self.good.swap_remove(place)).is_some();
            return Ok(Some(Some(Event::Answered { request: stream, ok })));
        }
        Ok(Some(None))
    }

    fn whole_message(&mut self) -> Option<Bytes> {
        let length = self.told.get(1..MESSAGE_HEAD_BYTES)?.get_u32() as usize;
        if self.told.len() < MESSAGE_HEAD_BYTES + length {
            return None;
        }
        self.told.advance(MESSAGE_HEAD_BYTES);
        Some(self.told.split_to(length).freeze())
    }

    fn give_back(&mut self, stream: u32, bytes: u32) {
        self.taken += bytes;
        if self.taken > WINDOW_BYTES / 2 {
            self.put_frame(kind::WINDOW_UPDATE, 0, 0, &self.taken.to_be_bytes());
            self.taken = 0;
        }
        if stream == self.stream {
            self.stream_taken += bytes;
            if self.stream_taken > WINDOW_BYTES / 2 {
                self.put_frame(kind::WINDOW_UPDATE, 0, stream, &self.stream_taken.to_be_bytes());
                self.stream_taken = 0;
            }
        }
    }

    fn put_frame(&mut self, kind: u8, flags: u8, stream: u32, body: &[u8]) {
        self.sending.reserve(FRAME_HEAD_BYTES + body.len());
        self.sending.put_uint(body.len() as u64, 3);
        self.sending.put_u8(kind);
        self.sending.put_u8(flags);
        self.sending.put_u32(stream);
        self.sending.extend_from_slice(body);
    }
}

/// Method and scheme of HTTP/2's own table, then what [`first_headers`] put into the connection's: path, authority, content
/// type, te, user agent, of which the last has the lowest number, 62.
const KNOWN_HEADERS: [u8; 7] = [0x83, 0x86, 0xc2, 0xc1, 0xc0, 0xbf, 0xbe];

fn first_headers(path: &str) -> Vec<u8> {
    let mut headers = vec![0x83, 0x86];
    put_text(&mut headers, Some(0x44), path);
    put_text(&mut headers, Some(0x41), "127.0.0.1");
    put_text(&mut headers, Some(0x5f), "application/grpc");
    headers.push(0x40);
    put_text(&mut headers, None, "te");
    put_text(&mut headers, None, "trailers");
    put_text(&mut headers, Some(0x7a), "grpc-java-netty/1.66.0");
    headers
}

/// A text shorter than 127 bytes, after the number of its name.
fn put_text(headers: &mut Vec<u8>, name: Option<u8>, text: &str) {
    headers.extend(name);
    headers.push(text.len() as u8);
    headers.extend_from_slice(text.as_bytes());
}

/// Where `what` begins.
pub fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// The text of the first member of that name in a message's JSON.
pub fn text_of<'a>(message: &'a [u8], member: &str) -> Option<&'a str> {
    let begin = format!("\"{member}\":\"");
    let rest = &message[find(message, begin.as_bytes())? + begin.len()..];
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&rest[..end]).ok()
}

/// The acknowledgement of a push.
pub fn push_ack(message: &[u8]) -> Option<Bytes> {
    let id = text_of(message, "requestId")?;
    let json = format!(r#"{{"resultCode":200,"errorCode":0,"success":true,"requestId":"{id}"}}"#);
    Some(encode("NotifySubscriberResponse", json))
}

/// `InstanceRequest`, as Java sends it. Without the service's name in the instance: r-nacos would take that for the service.
pub fn register_request(service: &str, ip: &str, port: u16, metadata: &serde_json::Value) -> Bytes {
    encode(
        "InstanceRequest",
        json!({
            "headers": {}, "namespace": "public", "serviceName": service, "groupName": "DEFAULT_GROUP",
            "type": "registerInstance", "module": "naming",
            "instance": {"ip": ip, "port": port, "weight": 1.0, "healthy": true, "enabled": true, "ephemeral": true,
                "clusterName": "DEFAULT", "metadata": metadata,
                "instanceHeartBeatInterval": 5000, "instanceHeartBeatTimeOut": 15000, "ipDeleteTimeout": 30000},
        })
        .to_string(),
    )
}

/// `SubscribeServiceRequest`.
pub fn subscribe_request(service: &str) -> Bytes {
    encode(
        "SubscribeServiceRequest",
        json!({"headers": {}, "namespace": "public", "serviceName": service, "groupName": "DEFAULT_GROUP",
            "subscribe": true, "clusters": "", "module": "naming"})
        .to_string(),
    )
}

/// `HealthCheckRequest`: what SDKs send every five seconds while they have nothing else to say.
pub fn health_request() -> Bytes {
    encode(
        "HealthCheckRequest",
        json!({"headers": {}, "module": "internal"}).to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_in_a_message() {
        let message = br#"...{"headers":{},"requestId":"17","serviceInfo":{"hosts":[{"metadata":{"n":"4"}}]}}"#;
        assert_eq!(text_of(message, "requestId"), Some("17"));
        assert_eq!(text_of(message, "n"), Some("4"));
        assert_eq!(text_of(message, "m"), None);
    }
}

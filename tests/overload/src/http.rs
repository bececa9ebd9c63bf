//! An HTTP client that costs next to nothing, so that the machine is the server's: one connection, requests written out
//! beforehand, of the answer no more read than its length.

use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// No answer of a node is longer: a list of the largest service here.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Of an answer's head; nodes write some 200 bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// As 1.x clients call themselves; older ones are treated otherwise.
const AGENT: &str = "Nacos-Java-Client:v1.4.7";

/// What a node answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

impl Answer {
    /// # Errors
    /// The status is not 200.
    pub(crate) fn ok(self) -> Result<Bytes> {
        ensure!(self.status == 200, "{}: {}", self.status, self.text());
        Ok(self.body)
    }

    /// The beginning of what was said.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body[..self.body.len().min(200)]).into_owned()
    }
}

/// One connection that is kept.
pub(crate) struct Connection {
    stream: TcpStream,
    received: BytesMut,
}

impl Connection {
    /// # Errors
    /// The address is not on loopback, or nobody takes it within `within`.
    pub(crate) async fn open(address: SocketAddr, within: Duration) -> Result<Self> {
        Ok(Self {
            stream: open(address, within).await?,
            received: BytesMut::new(),
        })
    }

    /// A request and its answer.
    ///
    /// # Errors
    /// None within `within`; the connection is then of no more use.
    pub(crate) async fn call(&mut self, request: &[u8], within: Duration) -> Result<Answer> {
        let exchange = async {
            self.stream.write_all(request).await?;
            self.answer().await
        };
        let answer = tokio::time::timeout(within, exchange).await;
        answer.with_context(|| format!("no answer within {within:?}"))?
    }

    /// Sends whole requests, whose answers are read later.
    pub(crate) async fn send(&mut self, requests: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(requests).await?)
    }

    /// The next answer.
    ///
    /// # Errors
    /// The connection ends, or what comes is no answer.
    pub(crate) async fn answer(&mut self) -> Result<Answer> {
        let (head_bytes, status, body_bytes) = loop {
            if let Some(head) = head_of(&self.received)? {
                break head;
            }
            self.read().await?;
        };
        while self.received.len() < head_bytes + body_bytes {
            self.read().await?;
        }
        drop(self.received.split_to(head_bytes));
        let body = self.received.split_to(body_bytes).freeze();
        Ok(Answer { status, body })
    }

    async fn read(&mut self) -> Result<()> {
        self.received.reserve(4 << 10);
        ensure!(
            self.stream.read_buf(&mut self.received).await? > 0,
            "the node closed the connection"
        );
        Ok(())
    }
}

/// A bare connection to a node on this machine. Dropped, it is reset, so that floods leave no ports in TIME_WAIT.
///
/// # Errors
/// The address is not on loopback, or nobody takes it within `within`.
pub(crate) async fn open(address: SocketAddr, within: Duration) -> Result<TcpStream> {
    ensure!(
        address.ip().is_loopback(),
        "{address} is not on loopback: load goes to this machine only"
    );
    let stream = tokio::time::timeout(within, TcpStream::connect(address)).await;
    let stream = stream.with_context(|| format!("connect to {address} within {within:?}"))??;
    stream.set_nodelay(true)?;
    stream.set_zero_linger()?;
    Ok(stream)
}

/// Length of the head, status, length of the body; nothing while the head is not whole.
fn head_of(received: &[u8]) -> Result<Option<(usize, u16, usize)>> {
    let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        ensure!(received.len() < HEAD_BYTES_MAX, "a head without an end");
        return Ok(None);
    };
    let head = std::str::from_utf8(&received[..end]).context("a head that is no text")?;
    let status = head.get(9..12).and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("no status in {head}"))?;
    for line in head.lines().skip(1) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if name.eq_ignore_ascii_case("content-length") {
            let length: usize = value.trim().parse().context("content-length")?;
            ensure!(length <= ANSWER_BYTES_MAX, "an answer of {length} bytes");
            return Ok(Some((end + 4, status, length)));
        }
    }
    bail!("an answer that does not say its length: {head}");
}

fn request(method: &str, path: &str, parameters: &[(&str, &str)]) -> Bytes {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish();
    format!("{method} {path}?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: {AGENT}\r\n\r\n").into()
}

pub(crate) fn get(path: &str) -> Bytes {
    request("GET", path, &[])
}

pub(crate) fn list(service: &str) -> Bytes {
    request("GET", "/nacos/v1/ns/instance/list", &[("serviceName", service)])
}

/// A list with a subscription to pushes.
pub(crate) fn subscribe(service: &str, subscriber: SocketAddr) -> Bytes {
    let (ip, port) = (subscriber.ip().to_string(), subscriber.port().to_string());
    let parameters = [("serviceName", service), ("clientIP", &ip), ("udpPort", &port)];
    request("GET", "/nacos/v1/ns/instance/list", &parameters)
}

/// An instance as these scenes write it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Spec {
    pub(crate) service: String,
    pub(crate) ip: String,
    pub(crate) port: u16,
    pub(crate) ephemeral: bool,
    /// JSON text.
    pub(crate) metadata: String,
}

impl Spec {
    pub(crate) fn ephemeral(service: &str, ip: &str, port: u16) -> Self {
        Self {
            service: service.to_owned(),
            ip: ip.to_owned(),
            port,
            ephemeral: true,
            metadata: "{}".to_owned(),
        }
    }

    pub(crate) fn persistent(service: &str, ip: &str, port: u16) -> Self {
        Self {
            ephemeral: false,
            ..Self::ephemeral(service, ip, port)
        }
    }

    /// With times of its lease that are shorter than the usual 5, 15 and 30 s, so that a scene shows in seconds who would
    /// be lost.
    pub(crate) fn with_lease_ms(mut self, interval: u32, timeout: u32, delete: u32) -> Self {
        self.metadata = format!(
            r#"{{"preserved.heart.beat.interval":"{interval}","preserved.heart.beat.timeout":"{timeout}","preserved.ip.delete.timeout":"{delete}"}}"#
        );
        self
    }

    pub(crate) fn with_metadata(mut self, metadata: String) -> Self {
        self.metadata = metadata;
        self
    }

    /// `ip:port`.
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.ip, self.port)
    }

    pub(crate) fn register(&self) -> Bytes {
        self.written("POST")
    }

    pub(crate) fn deregister(&self) -> Bytes {
        self.written("DELETE")
    }

    fn written(&self, method: &str) -> Bytes {
        let port = self.port.to_string();
        let mut parameters = vec![
            ("serviceName", self.service.as_str()),
            ("ip", self.ip.as_str()),
            ("port", port.as_str()),
            ("ephemeral", if self.ephemeral { "true" } else { "false" }),
        ];
        if method == "POST" {
            parameters.push(("metadata", self.metadata.as_str()));
        }
        request(method, "/nacos/v1/ns/instance", &parameters)
    }

    /// A full beat, which registers what is not there.
    pub(crate) fn beat(&self) -> Bytes {
        let service = format!("DEFAULT_GROUP@@{}", self.service);
        let beat = format!(
            r#"{{"serviceName":"{service}","ip":"{}","port":{},"cluster":"DEFAULT","weight":1.0,"metadata":{},"scheduled":false}}"#,
            self.ip, self.port, self.metadata
        );
        let parameters = [("serviceName", service.as_str()), ("beat", beat.as_str())];
        request("PUT", "/nacos/v1/ns/instance/beat", &parameters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_head_is() {
        assert_eq!(head_of(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r").unwrap(), None);
        let whole = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nok";
        assert_eq!(head_of(whole).unwrap(), Some((whole.len() - 2, 503, 2)));
        assert!(head_of(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn a_beat_is_what_clients_send() {
        let beat = Spec::ephemeral("s", "10.0.0.1", 80).beat();
        let text = std::str::from_utf8(&beat).unwrap();
        assert!(text.starts_with("PUT /nacos/v1/ns/instance/beat?serviceName=DEFAULT_GROUP%40%40s&beat=%7B"));
        assert!(text.ends_with("\r\n\r\n"));
    }
}

//! What the push benchmarks share: a small HTTP client and the reading of datagrams.

use anyhow::{Context, Result, bail, ensure};
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Nobody answers slower than this on loopback unless something is broken.
const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

/// What a real 1.x client calls itself.
const AGENT: &str = "Nacos-Java-Client:v1.4.6";

/// One kept-alive connection to one server.
pub struct Http {
    server: SocketAddr,
    stream: TcpStream,
}

impl Http {
    /// # Errors
    /// The server is not on loopback, or does not answer.
    pub fn connect(server: SocketAddr) -> Result<Self> {
        ensure!(
            server.ip().is_loopback(),
            "{server} is not on loopback: load goes to this machine only"
        );
        let stream =
            TcpStream::connect_timeout(&server, HTTP_TIMEOUT).with_context(|| format!("connect to {server}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(HTTP_TIMEOUT))?;
        Ok(Self { server, stream })
    }

    /// Sends a request without a body and gives the body of a 200.
    ///
    /// # Errors
    /// Anything but a 200.
    pub fn call(&mut self, method: &str, path_and_query: &str) -> Result<Vec<u8>> {
        let request = format!(
            "{method} {path_and_query} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {AGENT}\r\nContent-Length: 0\r\n\r\n",
            self.server
        );
        std::io::Write::write_all(&mut self.stream, request.as_bytes())?;
        let (head, mut body) = self.read_head()?;
        ensure!(
            head.starts_with("HTTP/1.1 200"),
            "{method} {path_and_query}: {}",
            head.lines().next().unwrap_or("")
        );
        let lower = head.to_ascii_lowercase();
        if let Some(length) = header(&lower, "content-length") {
            let length: usize = length.parse().context("content-length")?;
            while body.len() < length {
                self.read_more(&mut body)?;
            }
        } else if header(&lower, "transfer-encoding") == Some("chunked") {
            while !body.ends_with(b"0\r\n\r\n") {
                self.read_more(&mut body)?;
            }
            body = unchunked(&body).context("chunks")?;
        }
        Ok(body)
    }

    fn read_head(&mut self) -> Result<(String, Vec<u8>)> {
        let mut bytes = Vec::new();
        loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                let body = bytes.split_off(end + 4);
                return Ok((String::from_utf8(bytes)?, body));
            }
            self.read_more(&mut bytes)?;
        }
    }

    fn read_more(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece)? {
            0 => bail!("{} closed the connection", self.server),
            length => bytes.extend_from_slice(&piece[..length]),
        }
        Ok(())
    }

    /// Polls the list of `service`, which subscribes `subscriber` to it.
    ///
    /// # Errors
    /// Those of [`Http::call`].
    pub fn subscribe(&mut self, service: &str, subscriber: SocketAddr) -> Result<()> {
        let (ip, port) = (subscriber.ip(), subscriber.port());
        let path = format!(
            "/nacos/v1/ns/instance/list?namespaceId=public&serviceName=DEFAULT_GROUP%40%40{service}&clusters=&udpPort={port}&clientIP={ip}&healthyOnly=false"
        );
        self.call("GET", &path).map(drop)
    }

    /// Registers the one instance of `service` with `n` in its metadata: the change that subscribers are to be told of.
    ///
    /// # Errors
    /// Those of [`Http::call`].
    pub fn change(&mut self, service: &str, n: u64) -> Result<()> {
        let path = format!(
            "/nacos/v1/ns/instance?namespaceId=public&serviceName=DEFAULT_GROUP%40%40{service}&ip=10.9.8.7&port=80&ephemeral=true&metadata=%7B%22n%22%3A%22{n}%22%7D"
        );
        self.call("POST", &path).map(drop)
    }
}

fn header<'a>(lower_head: &'a str, name: &str) -> Option<&'a str> {
    let lines = lower_head.lines().filter_map(|line| line.split_once(':'));
    lines
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value.trim())
        .next()
}

fn unchunked(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).ok()?.trim(), 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(bytes.get(end + 2..end + 2 + length)?);
        bytes = bytes.get(end + 4 + length..)?;
    }
}

/// What a datagram told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// The text to answer with.
    pub ack: String,
    /// The `n` of [`Http::change`]; none for an empty list.
    pub n: Option<u64>,
}

/// # Errors
/// The datagram is not one that Nacos clients understand.
pub fn read_datagram(datagram: &[u8]) -> Result<Told> {
    let mut unzipped = Vec::new();
    let packet = if datagram.starts_with(&[0x1f, 0x8b]) {
        flate2::read::GzDecoder::new(datagram).read_to_end(&mut unzipped)?;
        &unzipped
    } else {
        datagram
    };
    let outer: serde_json::Value = serde_json::from_slice(packet)?;
    let inner: serde_json::Value = serde_json::from_str(outer["data"].as_str().context("data")?)?;
    let n = inner["hosts"][0]["metadata"]["n"].as_str().and_then(|n| n.parse().ok());
    let ack = format!(
        r#"{{"type": "push-ack", "lastRefTime":"{}", "data":""}}"#,
        outer["lastRefTime"]
    );
    Ok(Told { ack, n })
}

/// A service name nobody has used before: a run must not meet what an earlier one left.
pub fn fresh_service(bench: &str) -> String {
    #[allow(clippy::disallowed_methods, reason = "a benchmark names its run by the time")]
    let now = std::time::SystemTime::now();
    let ms = now
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    format!("bench-{bench}-{ms}")
}

/// The machine's time.
pub fn now() -> std::time::Instant {
    #[allow(clippy::disallowed_methods, reason = "a benchmark measures")]
    std::time::Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_gives_its_change_and_the_ack_java_would_send() {
        let told =
            read_datagram(br#"{"type":"dom","data":"{\"hosts\":[{\"metadata\":{\"n\":\"7\"}}]}","lastRefTime":5}"#);
        let told = told.unwrap();
        assert_eq!(told.n, Some(7));
        assert_eq!(told.ack, r#"{"type": "push-ack", "lastRefTime":"5", "data":""}"#);
    }

    #[test]
    fn chunks_are_joined() {
        assert_eq!(unchunked(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").unwrap(), b"abcde");
        assert_eq!(unchunked(b"zz\r\n"), None);
    }
}

//! A 1.x client's ear for pushes.

use crate::v1::Listed;
use anyhow::Context;
use flate2::read::GzDecoder;
use serde_json::Value;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::Instant;

/// A datagram that arrived and was acknowledged.
#[derive(Clone, Debug)]
pub struct Push {
    pub service: String,
    pub list: Listed,
    pub from: SocketAddr,
    pub received: Instant,
}

/// A socket that receives pushes and acknowledges them as the Java client does.
#[derive(Debug)]
pub struct Subscriber {
    socket: UdpSocket,
    pub ip: IpAddr,
    pub port: u16,
}

impl Subscriber {
    /// # Errors
    /// No socket can be had.
    pub async fn bind(ip: IpAddr) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind((ip, 0)).await?;
        let port = socket.local_addr()?.port();
        Ok(Self { socket, ip, port })
    }

    /// The next push.
    ///
    /// # Errors
    /// None within `deadline`, or one that cannot be read.
    pub async fn next(&self, deadline: Duration) -> anyhow::Result<Push> {
        let (body, from, received) = self.acknowledged(deadline).await?;
        let list: Value = serde_json::from_str(&body)?;
        Ok(Push {
            service: list["name"].as_str().unwrap_or_default().to_owned(),
            list: Listed::parse(&list)?,
            from,
            received,
        })
    }

    /// The list of the next push as its text, with weights and metadata.
    ///
    /// # Errors
    /// None within `deadline`, or one that cannot be read.
    pub async fn next_body(&self, deadline: Duration) -> anyhow::Result<String> {
        Ok(self.acknowledged(deadline).await?.0)
    }

    async fn acknowledged(&self, deadline: Duration) -> anyhow::Result<(String, SocketAddr, Instant)> {
        let mut buffer = vec![0; 65_536];
        let received = tokio::time::timeout(deadline, self.socket.recv_from(&mut buffer)).await;
        let (length, from) = received.with_context(|| format!("no push within {deadline:?}"))??;
        let received = Instant::now();
        let packet: Value = serde_json::from_slice(&Self::unpack(&buffer[..length])?)?;
        let ack = format!(
            r#"{{"type":"push-ack","lastRefTime":"{}","data":""}}"#,
            packet["lastRefTime"]
        );
        self.socket.send_to(ack.as_bytes(), from).await?;
        let body = packet["data"].as_str().context("no data")?.to_owned();
        Ok((body, from, received))
    }

    /// Receives until a push shows what is looked for.
    ///
    /// # Errors
    /// None does within `deadline`.
    pub async fn until(&self, deadline: Duration, wanted: impl Fn(&Push) -> bool) -> anyhow::Result<Push> {
        let end = Instant::now() + deadline;
        loop {
            let push = self.next(end.saturating_duration_since(Instant::now())).await?;
            if wanted(&push) {
                return Ok(push);
            }
        }
    }

    /// The text of a datagram.
    ///
    /// # Errors
    /// It begins as gzip and is none.
    pub fn unpack(datagram: &[u8]) -> anyhow::Result<Vec<u8>> {
        if !datagram.starts_with(&[0x1f, 0x8b]) {
            return Ok(datagram.to_vec());
        }
        let mut unpacked = Vec::new();
        GzDecoder::new(datagram).read_to_end(&mut unpacked)?;
        Ok(unpacked)
    }
}

//! A kept-alive HTTP/1.1 connection that costs next to nothing, so that what is measured is the server: requests are written
//! beforehand, and of an answer only the status and the length are read.

use anyhow::{Context, Result, bail, ensure};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Room for a usual answer; longer ones grow it.
const READ_BYTES: usize = 16 * 1_024;

pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    /// # Errors
    /// The server is not on loopback, or does not take it.
    pub async fn open(server: SocketAddr) -> Result<Self> {
        ensure!(
            server.ip().is_loopback(),
            "{server} is not on loopback: load goes to this machine only"
        );
        let stream = TcpStream::connect(server)
            .await
            .with_context(|| format!("connecting to {server}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            read: Vec::with_capacity(READ_BYTES),
        })
    }

    /// Sends a request and reads its answer; the status.
    ///
    /// # Errors
    /// The connection ends, or the answer is none.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.read.clear();
        let head = loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        let text = std::str::from_utf8(&self.read[..head])?;
        let status = text.get(9..12).context("no status line")?.parse()?;
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().ok())?
        });
        let Some(length) = length else {
            bail!("an answer without Content-Length:\n{text}")
        };
        while self.read.len() < head + length {
            self.more().await?;
        }
        Ok(status)
    }

    async fn more(&mut self) -> Result<()> {
        let read = self.stream.read_buf(&mut self.read).await?;
        ensure!(read > 0, "the server closed the connection");
        Ok(())
    }
}

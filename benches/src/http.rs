//! A kept-alive HTTP/1.1 connection that costs next to nothing, so that what is measured is the server: requests are written
//! beforehand, and of an answer only the status and the length are read.

use anyhow::{Context, Result, bail, ensure};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Room for a usual answer; longer ones grow it.
const READ_BYTES: usize = 16 * 1_024;

/// How an answer says where it ends.
enum Body {
    Bytes(usize),
    Chunks,
}

impl Body {
    /// If this line of its head says so.
    fn of(line: &str) -> Option<Self> {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") {
            return value.trim().parse().ok().map(Self::Bytes);
        }
        let chunks = name.eq_ignore_ascii_case("transfer-encoding") && value.trim().eq_ignore_ascii_case("chunked");
        chunks.then_some(Self::Chunks)
    }
}

/// Whether all chunks are there. Nobody sends trailers here.
fn has_last_chunk(mut body: &[u8]) -> Result<bool> {
    while let Some(line) = body.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&body[..line])?, 16).context("the size of a chunk")?;
        let whole = size.checked_add(line + 4).context("the size of a chunk")?;
        let Some(rest) = body.get(whole..) else {
            return Ok(false);
        };
        if size == 0 {
            return Ok(true);
        }
        body = rest;
    }
    Ok(false)
}

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
        match text.lines().find_map(Body::of) {
            Some(Body::Bytes(length)) => {
                while self.read.len() < head + length {
                    self.more().await?;
                }
            }
            Some(Body::Chunks) => {
                while !has_last_chunk(&self.read[head..])? {
                    self.more().await?;
                }
            }
            None => bail!("an answer that does not say where it ends:\n{text}"),
        }
        Ok(status)
    }

    async fn more(&mut self) -> Result<()> {
        let read = self.stream.read_buf(&mut self.read).await?;
        ensure!(read > 0, "the server closed the connection");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_end_with_an_empty_one() -> Result<()> {
        let whole = b"9\r\n{\"a\":\r\n0}\r\n1\r\n}\r\n0\r\n\r\n";
        for end in 0..whole.len() {
            assert!(!has_last_chunk(&whole[..end])?, "{end} bytes");
        }
        assert!(has_last_chunk(whole)?);
        assert!(has_last_chunk(b"x\r\n").is_err());
        assert!(has_last_chunk(b"ffffffffffffffff\r\n").is_err());
        Ok(())
    }
}

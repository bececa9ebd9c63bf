//! TLS for the doors: the same port takes TLS or, where that is allowed, plaintext.
//!
//! A connection is told by its first byte: 22 begins a TLS handshake, and neither an HTTP request nor an HTTP/2 preface.
//! Certificates are renewed while the node runs: the files are read again every minute, and what has changed and can be
//! used counts for the next connections. What cannot be used is said once; the old goes on.

mod files;
#[cfg(test)]
pub(crate) mod tests;

pub use files::LoadError;

use crate::metrics::{TLS_REFUSED, TLS_RENEWALS};
use files::Files;
use muster_runtime::{TaskKind, Tasks};
use parking_lot::Mutex;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

/// From the connection to the end of the handshake. That takes three round trips; ten seconds are for lost packets on a
/// bad line, and a peer that says nothing gives its place back after them.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);
/// How often the files are looked at: certificates are renewed days before they end.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The first byte of a TLS handshake record.
const HANDSHAKE: u8 = 0x16;
/// What is read of a request in plaintext before it is refused.
const PLAINTEXT_BYTES_MAX: usize = 8 * 1024;

/// A connection as it was taken: in plaintext, or in TLS.
pub type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// What a connection comes by.
pub(crate) fn socket(stream: &Stream) -> &TcpStream {
    match stream {
        Stream::Left(stream) => stream,
        Stream::Right(stream) => stream.get_ref().0,
    }
}

/// Where certificate and key lie, and whom to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// PEM: the server's certificate, then those that vouch for it.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
    /// PEM: who may vouch for clients. Given, a client without a certificate is refused.
    pub client_authority: Option<PathBuf>,
    /// Plaintext is taken on the same port, too: for the time of a change-over.
    pub plaintext_too: bool,
}

/// What is spoken within TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// gRPC, which is HTTP/2.
    Grpc,
}

impl Protocol {
    fn alpn(self) -> &'static [u8] {
        match self {
            Protocol::Http => b"http/1.1",
            Protocol::Grpc => b"h2",
        }
    }
}

/// What takes connections in TLS. Cheap to clone.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    config: Config,
    protocol: Protocol,
    /// Read by each connection, replaced by the look at the files.
    acceptor: Mutex<TlsAcceptor>,
    /// Of the contents last looked at, whether they could be used or not. The look's alone.
    fingerprint: Mutex<u64>,
}

impl Tls {
    /// # Errors
    /// A file that cannot be read or does not hold what it should, with its path.
    pub fn load(config: &Config, protocol: Protocol) -> Result<Self, LoadError> {
        let files = Files::read(config)?;
        let acceptor = TlsAcceptor::from(Arc::new(files.server_config(config, protocol)?));
        Ok(Self(Arc::new(Inner {
            config: config.clone(),
            protocol,
            acceptor: Mutex::new(acceptor),
            fingerprint: Mutex::new(files.fingerprint()),
        })))
    }

    /// Looks at the files every minute until shutdown.
    pub fn follow_files(&self, tasks: &Tasks) {
        let (tls, shutdown) = (self.clone(), tasks.shutdown().clone());
        tasks.spawn("tls files", TaskKind::Contained, async move {
            loop {
                tokio::select! {
                    () = shutdown.begun() => return,
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
                let looking = tls.clone();
                // A panic there leaves the old certificate; the next look comes.
                let _ = muster_runtime::blocking(move || looking.look_and_say()).await;
            }
        });
    }

    fn look_and_say(&self) {
        let certificate = self.0.config.certificate.display();
        match self.look() {
            Ok(false) => {}
            Ok(true) => {
                TLS_RENEWALS.with_label_values(&["renewed"]).inc();
                tracing::info!(%certificate, "new connections get the certificate as the files hold it now");
            }
            Err(error) => {
                TLS_RENEWALS.with_label_values(&["refused"]).inc();
                tracing::error!(%error, "the certificate files have changed and cannot be used; the old goes on");
            }
        }
    }

    /// Takes over what the files hold if that has changed; says whether it did. Contents that were refused are not looked
    /// at again until they change.
    fn look(&self) -> Result<bool, LoadError> {
        let inner = &*self.0;
        let files = Files::read(&inner.config);
        let mut seen = inner.fingerprint.lock();
        // A file that is away for the moment is refused once, too.
        let fingerprint = files.as_ref().map_or(0, Files::fingerprint);
        if fingerprint == *seen {
            return Ok(false);
        }
        *seen = fingerprint;
        let renewed = files?.server_config(&inner.config, inner.protocol)?;
        *inner.acceptor.lock() = TlsAcceptor::from(Arc::new(renewed));
        Ok(true)
    }

    async fn take(&self, mut stream: TcpStream) -> io::Result<Stream> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if first[0] != HANDSHAKE {
            if self.0.config.plaintext_too {
                return Ok(Stream::Left(stream));
            }
            TLS_REFUSED.with_label_values(&["plaintext"]).inc();
            if self.0.protocol == Protocol::Http {
                refuse_plaintext(&mut stream).await?;
            }
            return Err(io::Error::new(ErrorKind::InvalidData, "plaintext where TLS is spoken"));
        }
        let acceptor = self.0.acceptor.lock().clone();
        match acceptor.accept(stream).await {
            Ok(stream) => Ok(Stream::Right(Box::new(stream))),
            Err(error) => {
                TLS_REFUSED.with_label_values(&["handshake"]).inc();
                Err(error)
            }
        }
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("config", &self.0.config)
            .field("protocol", &self.0.protocol)
            .finish_non_exhaustive()
    }
}

/// Takes a connection: plaintext where there is no TLS, else by its first byte.
///
/// # Errors
/// No TLS where it is asked for, a handshake that fails or takes more than 10 s.
pub async fn accept(tls: Option<&Tls>, stream: TcpStream) -> io::Result<Stream> {
    let Some(tls) = tls else {
        return Ok(Stream::Left(stream));
    };
    match tokio::time::timeout(HANDSHAKE_WAIT, tls.take(stream)).await {
        Ok(taken) => taken,
        Err(_) => {
            TLS_REFUSED.with_label_values(&["silent"]).inc();
            Err(io::Error::new(
                ErrorKind::TimedOut,
                format!("no TLS handshake within {HANDSHAKE_WAIT:?}"),
            ))
        }
    }
}

/// Says what is wrong to whoever asks by HTTP.
async fn refuse_plaintext(stream: &mut TcpStream) -> io::Result<()> {
    const WHY: &str = "this port speaks TLS: ask by https\n";
    // What stays unread would reset the connection under the answer.
    let _ = stream.try_read(&mut [0; PLAINTEXT_BYTES_MAX]);
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{WHY}",
        WHY.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

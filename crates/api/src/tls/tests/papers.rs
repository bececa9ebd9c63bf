//! Certificates for a test, the client that shows them, and the server it asks.

use crate::tls::{Config, Protocol, Stream, Tls, accept};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

/// Who vouches.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub(crate) struct Paper {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn server(&self) -> Paper {
        self.issue(ExtendedKeyUsagePurpose::ServerAuth)
    }

    pub(crate) fn client(&self) -> Paper {
        self.issue(ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(&self, purpose: ExtendedKeyUsagePurpose) -> Paper {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        Paper {
            certificate: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// The files that a door is configured with.
pub(crate) struct Folder {
    folder: TempDir,
}

impl Folder {
    pub(crate) fn with(paper: &Paper) -> Self {
        let made = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        made.put(paper);
        made
    }

    pub(crate) fn put(&self, paper: &Paper) {
        self.write("tls.crt", &paper.certificate);
        self.write("tls.key", &paper.key);
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            certificate: self.path("tls.crt"),
            key: self.path("tls.key"),
            client_authority: None,
            plaintext_too: false,
        }
    }

    /// Clients must show a certificate of this authority.
    pub(crate) fn mutual(&self, authority: &Authority) -> Config {
        self.write("clients.crt", &authority.pem());
        Config {
            client_authority: Some(self.path("clients.crt")),
            ..self.config()
        }
    }
}

/// What a client trusts and shows.
pub(crate) struct Asker {
    pub(crate) config: ClientConfig,
}

impl Asker {
    pub(crate) fn trusting(authority: &Authority) -> Self {
        Self::made(authority, None, &[])
    }

    pub(crate) fn showing(authority: &Authority, paper: &Paper) -> Self {
        Self::made(authority, Some(paper), &[])
    }

    pub(crate) fn speaking(authority: &Authority, version: &'static SupportedProtocolVersion) -> Self {
        Self::made(authority, None, &[version])
    }

    fn made(authority: &Authority, paper: Option<&Paper>, versions: &[&'static SupportedProtocolVersion]) -> Self {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap())
            .unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = match versions {
            [] => builder.with_safe_default_protocol_versions(),
            some => builder.with_protocol_versions(some),
        };
        let builder = builder.unwrap().with_root_certificates(roots);
        let config = match paper {
            None => builder.with_no_client_auth(),
            Some(paper) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(paper.certificate.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(paper.key.as_bytes()).unwrap(),
                )
                .unwrap(),
        };
        Self { config }
    }

    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let connector = TlsConnector::from(Arc::new(self.config.clone()));
        let stream = TcpStream::connect(address).await?;
        connector.connect(ServerName::from(address.ip()), stream).await
    }
}

/// A listener that takes one connection at a time.
pub(crate) struct Port {
    listener: TcpListener,
    pub(crate) tls: Tls,
}

impl Port {
    pub(crate) async fn open(config: &Config, protocol: Protocol) -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            tls: Tls::load(config, protocol).unwrap(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub(crate) async fn take(&self) -> io::Result<Stream> {
        let (stream, _) = self.listener.accept().await?;
        accept(Some(&self.tls), stream).await
    }

    /// Both ends of one handshake.
    pub(crate) async fn meet(&self, asker: &Asker) -> (io::Result<Stream>, io::Result<TlsStream<TcpStream>>) {
        tokio::join!(self.take(), asker.connect(self.address()))
    }
}

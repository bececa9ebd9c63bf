//! The files of certificates and keys, and what becomes of them.

use super::{Config, Protocol};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};
use tokio_rustls::rustls;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// Why certificates and keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path}: not PEM: {reason}")]
    Pem { path: PathBuf, reason: String },
    #[error("{path}: holds no certificate in PEM")]
    NoCertificate { path: PathBuf },
    #[error("{path}: holds no private key in PEM")]
    NoKey { path: PathBuf },
    #[error("{path}: the private key is locked by a passphrase; only one without is taken")]
    LockedKey { path: PathBuf },
    #[error("certificate {certificate} and key {key}: {source}")]
    Pair {
        certificate: PathBuf,
        key: PathBuf,
        source: rustls::Error,
    },
    #[error("{path}: no authority that could vouch for clients: {reason}")]
    Authority { path: PathBuf, reason: String },
}

/// What the files hold at one moment.
pub(super) struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_authority: Option<Vec<u8>>,
}

impl Files {
    pub(super) fn read(config: &Config) -> Result<Self, LoadError> {
        let read = |path: &Path| {
            fs::read(path).map_err(|source| LoadError::Read {
                path: path.to_owned(),
                source,
            })
        };
        Ok(Self {
            certificate: read(&config.certificate)?,
            key: read(&config.key)?,
            client_authority: config.client_authority.as_deref().map(read).transpose()?,
        })
    }

    /// Tells other contents apart; no secret can be read from it.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.certificate, &self.key, &self.client_authority).hash(&mut hasher);
        hasher.finish()
    }

    pub(super) fn server_config(&self, config: &Config, protocol: Protocol) -> Result<ServerConfig, LoadError> {
        let chain = certificates(&config.certificate, &self.certificate)?;
        let key = private_key(&config.key, &self.key)?;
        let pair = |source| LoadError::Pair {
            certificate: config.certificate.clone(),
            key: config.key.clone(),
            source,
        };
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(pair)?;
        let builder = match (&config.client_authority, &self.client_authority) {
            (Some(path), Some(pem)) => {
                let wrong = |reason: String| LoadError::Authority {
                    path: path.clone(),
                    reason,
                };
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path, pem)? {
                    roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|error| wrong(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut made = builder.with_single_cert(chain, key).map_err(pair)?;
        made.alpn_protocols = vec![protocol.alpn().to_vec()];
        Ok(made)
    }
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = read.map_err(|error| LoadError::Pem {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    if found.is_empty() {
        return Err(LoadError::NoCertificate { path: path.to_owned() });
    }
    Ok(found)
}

fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, LoadError> {
    use rustls::pki_types::pem::Error;
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        let path = path.to_owned();
        let locked = String::from_utf8_lossy(pem).contains("ENCRYPTED");
        match error {
            _ if locked => LoadError::LockedKey { path },
            Error::NoItemsFound => LoadError::NoKey { path },
            other => LoadError::Pem {
                path,
                reason: other.to_string(),
            },
        }
    })
}

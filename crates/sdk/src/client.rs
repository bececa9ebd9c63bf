//! The client and its configuration.

use crate::Error;
use crate::connect::Tls;
use crate::servers::{Answer, Call, Repeat, Servers};
use hyper::Method;
use std::sync::Arc;
use std::time::Duration;

/// How a client reaches its servers.
#[derive(Clone, Debug)]
pub struct Config {
    /// `host:port` of each server, or `https://host:port`; all of one cluster.
    pub servers: Vec<String>,
    /// Whom to trust at servers named by `https`.
    pub tls: Option<Tls>,
    /// What stands before every path at the servers.
    pub prefix: String,
    /// How long one server is waited for. Above the servers' own 5 s for a persistent write, so that their answer is heard.
    pub timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            servers: vec!["127.0.0.1:8848".to_owned()],
            tls: None,
            prefix: "/nacos".to_owned(),
            timeout: Duration::from_secs(8),
        }
    }
}

/// A client of a cluster. Cheap to clone; clones share connections and the choice of server.
#[derive(Clone)]
pub struct Client {
    pub(crate) servers: Arc<Servers>,
    timeout: Duration,
}

impl Client {
    /// A client; connects at the first call.
    ///
    /// # Errors
    /// [`Error::BadServer`], [`Error::NoAuthority`], [`Error::BadFile`].
    pub fn new(config: &Config) -> Result<Self, Error> {
        Ok(Self {
            servers: Arc::new(Servers::new(config)?),
            timeout: config.timeout,
        })
    }

    pub(crate) async fn get(&self, path: &str, parameters: &[(&str, String)]) -> Result<Answer, Error> {
        self.call(Method::GET, path, parameters, Repeat::Harmless).await
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        parameters: &[(&str, String)],
        repeat: Repeat,
    ) -> Result<Answer, Error> {
        self.call_within(method, path, parameters, repeat, self.timeout).await
    }

    pub(crate) async fn call_within(
        &self,
        method: Method,
        path: &str,
        parameters: &[(&str, String)],
        repeat: Repeat,
        within: Duration,
    ) -> Result<Answer, Error> {
        self.servers
            .call(Call {
                method,
                path,
                parameters,
                repeat,
                within,
            })
            .await
    }
}

//! A small HTTP client.

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::time::Duration;

/// Longer than a server waits for a leader.
const TIMEOUT: Duration = Duration::from_secs(15);
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a node answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    /// # Errors
    /// The status is not 200.
    pub fn ok(self) -> anyhow::Result<Self> {
        ensure!(self.status == 200, "{}: {}", self.status, self.body);
        Ok(self)
    }

    /// # Errors
    /// The body is not JSON.
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_str(&self.body).with_context(|| self.body.clone())
    }
}

/// Keeps connections to any number of nodes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    agent: &'static str,
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

impl Http {
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        // a cut link must not hold a test for minutes
        connector.set_connect_timeout(Some(Duration::from_secs(2)));
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            agent: "Nacos-Java-Client:v1.4.7",
        }
    }

    /// # Errors
    /// No answer within 15 s.
    pub async fn get(&self, address: &str, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Answer> {
        self.call(Method::GET, address, path, parameters).await
    }

    /// # Errors
    /// No answer within 15 s.
    pub async fn post(&self, address: &str, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Answer> {
        self.call(Method::POST, address, path, parameters).await
    }

    /// # Errors
    /// No answer within 15 s.
    pub async fn put(&self, address: &str, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Answer> {
        self.call(Method::PUT, address, path, parameters).await
    }

    /// Sends the parameters in the query, as 1.x clients do.
    ///
    /// # Errors
    /// No answer within 15 s.
    pub async fn call(
        &self,
        method: Method,
        address: &str,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        let uri = format!("http://{address}{path}?{query}");
        let request = Request::builder()
            .method(method.clone())
            .uri(&uri)
            .header("User-Agent", self.agent)
            .body(Full::default())?;
        let exchange = async {
            let response = self.client.request(request).await?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
            let body = String::from_utf8_lossy(&body).into_owned();
            anyhow::Ok(Answer { status, body })
        };
        let answer = tokio::time::timeout(TIMEOUT, exchange).await;
        answer
            .with_context(|| format!("{method} {uri}: no answer"))?
            .with_context(|| format!("{method} {uri}"))
    }
}

//! Requests to one of several servers.

use crate::connect::Connector;
use crate::{AGENT, Config, Error};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::TokioExecutor;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The longest answer that is read: 1,000,000 short instances and more.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Whether a call may be made twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Repeat {
    /// Doing it twice is like doing it once: a failed try goes on to the next server.
    Harmless,
    /// Repeated only where the first try certainly was not carried out.
    IfNotDone,
}

/// One request, for any server.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// Below the configured prefix.
    pub(crate) path: &'a str,
    pub(crate) parameters: &'a [(&'a str, String)],
    pub(crate) repeat: Repeat,
    pub(crate) within: Duration,
}

/// A 2xx answer and who gave it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) server: String,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| self.bad(error))
    }

    pub(crate) fn bad(&self, reason: impl ToString) -> Error {
        Error::BadAnswer {
            server: self.server.clone(),
            reason: reason.to_string(),
        }
    }
}

/// What became of a try at one server.
enum Tried {
    Answered(StatusCode, Bytes),
    /// Not delivered.
    NotSent(String),
    /// Delivered perhaps, and no answer.
    NoAnswer(String),
}

pub(crate) struct Servers {
    addresses: Arc<[Address]>,
    /// Index of the server that answered last; others are asked when it fails.
    preferred: AtomicUsize,
    prefix: String,
    http: HyperClient<Connector, Full<Bytes>>,
}

impl Servers {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let addresses: Arc<[Address]> = config
            .servers
            .iter()
            .map(|text| address_of(text))
            .collect::<Result<_, _>>()?;
        if addresses.is_empty() {
            return Err(Error::BadServer(String::new()));
        }
        if let (Some(secure), None) = (addresses.iter().find(|address| address.tls), &config.tls) {
            return Err(Error::NoAuthority(secure.text.clone()));
        }
        let connector = Connector::new(config.tls.as_ref())?;
        Ok(Self {
            addresses,
            preferred: AtomicUsize::new(0),
            prefix: config.prefix.trim_end_matches('/').to_owned(),
            http: HyperClient::builder(TokioExecutor::new()).build(connector),
        })
    }

    /// Asks one server after the other until one answers.
    pub(crate) async fn call(&self, call: Call<'_>) -> Result<Answer, Error> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut tried = Vec::new();
        let mut last_refusal = None;
        for offset in 0..self.addresses.len() {
            let index = (first + offset) % self.addresses.len();
            let address = &self.addresses[index];
            let server = address.text.clone();
            match self.try_one(address, &call).await {
                Tried::Answered(status, body) if status.is_success() => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(Answer { server, body });
                }
                Tried::Answered(status, body) => {
                    let refusal = refusal(server, status, &body);
                    if !goes_on(status, call.repeat) {
                        return Err(refusal);
                    }
                    last_refusal = Some(refusal);
                }
                Tried::NotSent(reason) => tried.push(format!("{server}: {reason}")),
                Tried::NoAnswer(reason) if call.repeat == Repeat::Harmless => tried.push(format!("{server}: {reason}")),
                Tried::NoAnswer(reason) => return Err(Error::OutcomeUnknown { server, reason }),
            }
        }
        Err(last_refusal.unwrap_or(Error::Unreachable { tried }))
    }

    async fn try_one(&self, server: &Address, call: &Call<'_>) -> Tried {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(call.parameters.iter().map(|(name, value)| (*name, value.as_str())));
        let scheme = if server.tls { "https" } else { "http" };
        let uri = format!(
            "{scheme}://{}{}{}?{}",
            server.text,
            self.prefix,
            call.path,
            query.finish()
        );
        let request = Request::builder()
            .method(call.method.clone())
            .uri(uri)
            .header("user-agent", AGENT)
            .header("accept-encoding", "identity")
            .body(Full::<Bytes>::default());
        let request = match request {
            Ok(request) => request,
            Err(error) => return Tried::NotSent(error.to_string()),
        };
        let exchange = async {
            let response = match self.http.request(request).await {
                Ok(response) => response,
                Err(error) if error.is_connect() => return Tried::NotSent(innermost(&error)),
                Err(error) => return Tried::NoAnswer(innermost(&error)),
            };
            let status = response.status();
            match Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await {
                Ok(body) => Tried::Answered(status, body.to_bytes()),
                Err(error) => Tried::NoAnswer(error.to_string()),
            }
        };
        match tokio::time::timeout(call.within, exchange).await {
            Ok(tried) => tried,
            Err(_) => Tried::NoAnswer(format!("no answer within {:?}", call.within)),
        }
    }
}

/// Whether the next server may know better: 503 says that nothing was done; 500 and 502 may be this server's alone.
fn goes_on(status: StatusCode, repeat: Repeat) -> bool {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => true,
        StatusCode::INTERNAL_SERVER_ERROR | StatusCode::BAD_GATEWAY => repeat == Repeat::Harmless,
        _ => false,
    }
}

fn refusal(server: String, status: StatusCode, body: &[u8]) -> Error {
    let text = String::from_utf8_lossy(body);
    let said = serde_json::from_str::<serde_json::Value>(&text)
        .ok()
        .and_then(|json| json["message"].as_str().map(str::to_owned));
    let message = said.unwrap_or_else(|| text.trim().chars().take(500).collect());
    Error::Refused {
        server,
        status: status.as_u16(),
        message,
    }
}

/// The deepest cause: "connection refused" rather than "client error".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

/// Where a server is.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Address {
    /// `host:port`.
    text: String,
    tls: bool,
}

/// `host:port`, with or without `http://` or `https://`.
fn address_of(text: &str) -> Result<Address, Error> {
    let (tls, rest) = match text.trim().strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, text.trim().trim_start_matches("http://")),
    };
    let address = rest.trim_end_matches('/');
    let bad = || Error::BadServer(text.to_owned());
    let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
    let legal_host = !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']);
    if !legal_host || port.parse::<u16>().is_err() {
        return Err(bad());
    }
    Ok(Address {
        text: address.to_owned(),
        tls,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_host_and_port_with_or_without_scheme() {
        let address = |text: &str, tls| Address {
            text: text.to_owned(),
            tls,
        };
        assert_eq!(
            address_of("http://127.0.0.1:8848/").unwrap(),
            address("127.0.0.1:8848", false)
        );
        assert_eq!(address_of("[::1]:8848").unwrap(), address("[::1]:8848", false));
        assert_eq!(address_of("https://h:8848").unwrap(), address("h:8848", true));
        for wrong in ["", "localhost", "h:port", "h:99999", "https://h/x:1", ":8848"] {
            assert!(address_of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_server_in_tls_needs_an_authority_that_can_be_read() {
        let with = |tls| {
            Servers::new(&Config {
                servers: vec!["h:1".to_owned(), "https://h:2".to_owned()],
                tls,
                ..Config::default()
            })
        };
        assert!(matches!(with(None), Err(Error::NoAuthority(server)) if server == "h:2"));
        let tls = crate::Tls {
            authority: "/nowhere/ca.crt".into(),
            identity: None,
        };
        let said = with(Some(tls)).err().unwrap().to_string();
        assert!(said.contains("/nowhere/ca.crt"), "{said}");
    }

    #[test]
    fn a_call_that_may_not_be_repeated_goes_on_only_where_nothing_was_done() {
        assert!(goes_on(StatusCode::SERVICE_UNAVAILABLE, Repeat::IfNotDone));
        assert!(!goes_on(StatusCode::INTERNAL_SERVER_ERROR, Repeat::IfNotDone));
        assert!(goes_on(StatusCode::INTERNAL_SERVER_ERROR, Repeat::Harmless));
        assert!(!goes_on(StatusCode::BAD_REQUEST, Repeat::Harmless));
        assert!(!goes_on(StatusCode::GATEWAY_TIMEOUT, Repeat::Harmless));
    }

    #[test]
    fn a_refusal_says_what_the_server_said_be_it_json_or_text() {
        let json = refusal(
            "s:1".into(),
            StatusCode::CONFLICT,
            br#"{"error":"refused","message":"last voter"}"#,
        );
        assert_eq!(json.to_string(), "s:1 answered 409: last voter");
        let text = refusal("s:1".into(), StatusCode::BAD_REQUEST, b"Param 'ip' is required.");
        assert_eq!(text.to_string(), "s:1 answered 400: Param 'ip' is required.");
    }
}

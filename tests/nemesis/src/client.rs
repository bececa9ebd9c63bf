//! One client: asks a node by the public API and notes what it was told.

use crate::recorder::Recorder;
use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client as Connections;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use muster_history::{List, Operation, Outcome, Value};
use serde_json::Value as Json;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Longer than a node waits for a leader (5 s), so that it is the node that says "unknown" where it can.
const WRITE_TIMEOUT: Duration = Duration::from_secs(7);
const READ_TIMEOUT: Duration = Duration::from_secs(6);
/// A local read needs nobody; one that takes longer met a node that stands still.
const LOCAL_TIMEOUT: Duration = Duration::from_secs(3);

const INSTANCE: &str = "/nacos/v1/ns/instance";
const LIST: &str = "/nacos/v1/ns/instance/list";
const BEAT: &str = "/nacos/v1/ns/instance/beat";
const STRONG: &str = "/nacos/v3/admin/muster/instances";

/// A node as clients know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) id: u64,
    pub(crate) address: String,
    pub(crate) grpc: String,
}

/// The nodes that clients ask; changes with the membership.
#[derive(Clone, Default)]
pub(crate) struct Places(Arc<RwLock<Vec<Place>>>);

impl Places {
    pub(crate) fn set(&self, places: Vec<Place>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = places;
    }

    pub(crate) fn all(&self) -> Vec<Place> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One by its number, counted around.
    pub(crate) fn nth(&self, number: usize) -> Place {
        let places = self.all();
        places[number % places.len()].clone()
    }
}

/// What came back, sorted by what is sure.
enum Reply {
    Status(u16, String),
    /// The connection was never there, so nothing was sent.
    NotSent(String),
    Lost(String),
}

/// Cheap to clone; clones share connections.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) number: u32,
    pub(crate) recorder: Recorder,
    connections: Connections<HttpConnector, Full<Bytes>>,
}

impl Client {
    pub(crate) fn new(number: u32, recorder: &Recorder) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(Duration::from_secs(2)));
        connector.set_nodelay(true);
        let mut builder = Connections::builder(TokioExecutor::new());
        // a request that is sent twice would be two operations under one name
        builder.retry_canceled_requests(false);
        Self {
            number,
            recorder: recorder.clone(),
            connections: builder.build(connector),
        }
    }

    async fn ask(
        &self,
        method: Method,
        place: &Place,
        path: &str,
        parameters: &[(&str, &str)],
        within: Duration,
    ) -> Reply {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}?{query}", place.address))
            .header("User-Agent", "Nacos-Java-Client:v1.4.7")
            .body(Full::default());
        let request = match request {
            Ok(request) => request,
            Err(error) => return Reply::NotSent(error.to_string()),
        };
        let exchange = async {
            let response = match self.connections.request(request).await {
                Ok(response) => response,
                Err(error) if error.is_connect() => return Reply::NotSent(format!("no connection: {error}")),
                Err(error) => return Reply::Lost(error.to_string()),
            };
            let status = response.status().as_u16();
            match response.into_body().collect().await {
                Ok(body) => Reply::Status(status, String::from_utf8_lossy(&body.to_bytes()).into_owned()),
                Err(error) => Reply::Lost(error.to_string()),
            }
        };
        let reply = tokio::time::timeout(within, exchange).await;
        reply.unwrap_or_else(|_| Reply::Lost(format!("no answer within {within:?}")))
    }

    /// Has a write of a persistent instance carried out, and notes it.
    pub(crate) async fn write(&self, place: &Place, service: &str, operation: Operation) -> Outcome {
        let invoked = self.recorder.now();
        let (method, parameters) = form(service, &operation);
        let parameters: Vec<_> = parameters.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let reply = self.ask(method, place, INSTANCE, &parameters, WRITE_TIMEOUT).await;
        let outcome = outcome_of(reply);
        let who = (self.number, place.id);
        self.recorder
            .returned(who, service, operation, invoked, outcome.clone());
        outcome
    }

    /// A beat that registers what is not there; whether it was taken. Not noted: it is no operation of a history.
    pub(crate) async fn beat(
        &self,
        place: &Place,
        service: &str,
        instance: &str,
        lease: &str,
        within: Duration,
    ) -> bool {
        let Some((ip, port)) = instance.split_once(':') else {
            return false;
        };
        let metadata: Json = serde_json::from_str(lease).unwrap_or_default();
        let grouped = format!("DEFAULT_GROUP@@{service}");
        let beat = serde_json::json!({
            "serviceName": grouped, "ip": ip, "port": port.parse::<u16>().unwrap_or(0), "cluster": "DEFAULT", "weight": 1.0,
            "metadata": metadata, "scheduled": false,
        })
        .to_string();
        let parameters = [("serviceName", grouped.as_str()), ("beat", beat.as_str())];
        let reply = self.ask(Method::PUT, place, BEAT, &parameters, within).await;
        matches!(reply, Reply::Status(200, _))
    }

    /// Registers an ephemeral instance; not noted either.
    pub(crate) async fn register_ephemeral(&self, place: &Place, service: &str, instance: &str, lease: &str) -> bool {
        let Some((ip, port)) = instance.split_once(':') else {
            return false;
        };
        let parameters = [
            ("serviceName", service),
            ("ip", ip),
            ("port", port),
            ("ephemeral", "true"),
            ("metadata", lease),
        ];
        let reply = self
            .ask(Method::POST, place, INSTANCE, &parameters, LOCAL_TIMEOUT)
            .await;
        matches!(reply, Reply::Status(200, _))
    }

    /// Deregisters an ephemeral instance, and notes it.
    pub(crate) async fn deregister_ephemeral(&self, place: &Place, service: &str, instance: &str) {
        let Some((ip, port)) = instance.split_once(':') else {
            return;
        };
        let invoked = self.recorder.now();
        let parameters = [
            ("serviceName", service),
            ("ip", ip),
            ("port", port),
            ("ephemeral", "true"),
        ];
        let reply = self
            .ask(Method::DELETE, place, INSTANCE, &parameters, LOCAL_TIMEOUT)
            .await;
        let instance = instance.to_owned();
        let operation = Operation::Deregister { instance };
        let who = (self.number, place.id);
        self.recorder
            .returned(who, service, operation, invoked, outcome_of(reply));
    }

    /// Lists with all that was acknowledged before, and notes it.
    pub(crate) async fn strong_read(&self, place: &Place, service: &str) -> Option<List> {
        let parameters = [("serviceName", service), ("consistency", "strong")];
        self.read(
            place,
            service,
            STRONG,
            &parameters,
            READ_TIMEOUT,
            Operation::StrongRead,
            "instances",
        )
        .await
    }

    /// Lists as the node has it, and notes it.
    pub(crate) async fn local_read(&self, place: &Place, service: &str) -> Option<List> {
        let parameters = [("serviceName", service)];
        self.read(
            place,
            service,
            LIST,
            &parameters,
            LOCAL_TIMEOUT,
            Operation::LocalRead,
            "hosts",
        )
        .await
    }

    #[allow(clippy::too_many_arguments, reason = "the two reads differ in all of them")]
    async fn read(
        &self,
        place: &Place,
        service: &str,
        path: &str,
        parameters: &[(&str, &str)],
        within: Duration,
        operation: Operation,
        rows: &str,
    ) -> Option<List> {
        let invoked = self.recorder.now();
        let reply = self.ask(Method::GET, place, path, parameters, within).await;
        let outcome = match reply {
            Reply::Status(200, body) => match list_of(&body, rows) {
                Ok(list) => Outcome::Saw(list),
                Err(error) => Outcome::Unknown(format!("not a list: {error:#}")),
            },
            Reply::Status(status, body) => Outcome::Refused(format!("{status}: {body}")),
            Reply::NotSent(why) => Outcome::Refused(why),
            Reply::Lost(why) => Outcome::Unknown(why),
        };
        let list = match &outcome {
            Outcome::Saw(list) => Some(list.clone()),
            _ => None,
        };
        let who = (self.number, place.id);
        self.recorder.returned(who, service, operation, invoked, outcome);
        list
    }

    /// Polls a list as a 1.x client that wants pushes does; the body.
    pub(crate) async fn poll(&self, place: &Place, service: &str, ip: &str, port: u16) -> Option<String> {
        let port = port.to_string();
        let parameters = [("serviceName", service), ("clientIP", ip), ("udpPort", port.as_str())];
        match self.ask(Method::GET, place, LIST, &parameters, LOCAL_TIMEOUT).await {
            Reply::Status(200, body) => Some(body),
            _ => None,
        }
    }

    /// A call of operators: the status and the body.
    pub(crate) async fn operate(
        &self,
        method: Method,
        place: &Place,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> anyhow::Result<(u16, String)> {
        match self.ask(method, place, path, parameters, Duration::from_secs(70)).await {
            Reply::Status(status, body) => Ok((status, body)),
            Reply::NotSent(why) | Reply::Lost(why) => anyhow::bail!("{path} at node {}: {why}", place.id),
        }
    }
}

fn form(service: &str, operation: &Operation) -> (Method, Vec<(&'static str, String)>) {
    let (ip, port) = operation
        .instance()
        .and_then(|instance| instance.split_once(':'))
        .unwrap_or_default();
    let mut parameters = vec![
        ("serviceName", service.to_owned()),
        ("ip", ip.to_owned()),
        ("port", port.to_owned()),
        ("ephemeral", "false".to_owned()),
    ];
    let tagged = |tag: u64| ("metadata", format!(r#"{{"tag":"{tag}"}}"#));
    let method = match operation {
        Operation::Register { value, .. } => {
            parameters.push(("weight", value.weight.to_string()));
            parameters.push(tagged(value.tag));
            Method::POST
        }
        Operation::Edit { edit, .. } => {
            parameters.extend(edit.weight.map(|weight| ("weight", weight.to_string())));
            parameters.extend(edit.tag.map(tagged));
            Method::PATCH
        }
        _ => Method::DELETE,
    };
    (method, parameters)
}

/// What the words of a node mean, as `compat.md` documents them. What is not documented as certainly not done is unknown.
fn outcome_of(reply: Reply) -> Outcome {
    match reply {
        Reply::Status(200, _) => Outcome::Done,
        Reply::Status(status, body) => {
            let refused = match status {
                400 | 404 | 503 => true,
                500 => body.contains("did not find the Leader node"),
                _ => false,
            };
            let text = format!("{status}: {}", body.trim());
            if refused {
                Outcome::Refused(text)
            } else {
                Outcome::Unknown(text)
            }
        }
        Reply::NotSent(why) => Outcome::Refused(why),
        Reply::Lost(why) => Outcome::Unknown(why),
    }
}

/// The list in a body, whose instances stand under `rows`.
pub(crate) fn list_of(body: &str, rows: &str) -> anyhow::Result<List> {
    let json: Json = serde_json::from_str(body)?;
    rows_of(&json[rows])
}

/// A list of instances as the APIs and pushes write them.
pub(crate) fn rows_of(rows: &Json) -> anyhow::Result<List> {
    let rows = rows.as_array().context("no list")?;
    let read = |row: &Json| {
        let address = format!("{}:{}", row["ip"].as_str().context("ip")?, row["port"]);
        let tag = row["metadata"]["tag"].as_str().map_or(Ok(0), str::parse)?;
        let weight = row["weight"].as_f64().context("weight")? as u32;
        anyhow::Ok((address, Value { weight, tag }))
    };
    rows.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_that_mean_nothing_was_done_are_a_refusal() {
        let outcome = |status, body: &str| outcome_of(Reply::Status(status, body.to_owned()));
        let refused = |outcome| matches!(outcome, Outcome::Refused(_));
        let unknown = |outcome| matches!(outcome, Outcome::Unknown(_));
        assert_eq!(outcome(200, "ok"), Outcome::Done);
        assert!(refused(outcome(
            500,
            "caused: did not find the Leader node: waited 5 s;"
        )));
        assert!(unknown(outcome(500, "caused: outcome unknown: waited 5 s;")));
        assert!(unknown(outcome(500, "something else")));
        assert!(refused(outcome(503, "server is DOWNnow")));
        assert!(refused(outcome_of(Reply::NotSent("refused".to_owned()))));
        assert!(unknown(outcome_of(Reply::Lost("reset".to_owned()))));
    }

    #[test]
    fn rows_of_both_apis_are_read() {
        let list = list_of(
            r#"{"hosts":[{"ip":"10.0.0.1","port":80,"weight":7.0,"metadata":{"tag":"9"}}]}"#,
            "hosts",
        );
        let value = Value { weight: 7, tag: 9 };
        assert_eq!(list.unwrap(), List::from([("10.0.0.1:80".to_owned(), value)]));
    }
}

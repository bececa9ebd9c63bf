//! Handlers over stores in memory and a connection without a transport.

mod crowds;
mod hostile;
mod instances;
mod lists;
mod pushes;
mod slow_watchers;
mod watches;

use super::{Watches, answer};
use crate::grpc::call::Call;
use crate::grpc::connection::Connection;
use bytes::Bytes;
use muster_model::ConnectionId;
use muster_naming::testing::Testbed;
use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedReceiver;

type Asked = UnboundedReceiver<(&'static str, Bytes)>;

fn peer() -> SocketAddr {
    "10.0.0.5:51234".parse().unwrap()
}

struct Rig {
    bed: Testbed,
    watches: Watches,
    received_ms: u64,
}

impl Rig {
    fn start() -> Self {
        Self::over(Testbed::start())
    }

    fn over(bed: Testbed) -> Self {
        Self {
            watches: Watches::new(bed.tasks.clone()),
            received_ms: bed.clock.wall_ms(),
            bed,
        }
    }

    fn connect(&self, id: u64) -> (Arc<Connection>, Asked) {
        Connection::stub(ConnectionId(id), peer())
    }

    /// The answer's type and text.
    async fn ask(&self, connection: &Arc<Connection>, name: &str, body: &str) -> (&'static str, String) {
        let call = Call {
            naming: &self.bed.naming,
            connection,
            watches: &self.watches,
            headers: &HashMap::from([("app".to_owned(), "header".to_owned())]),
            body: &Bytes::copy_from_slice(body.as_bytes()),
            context: self.bed.context(),
            received_ms: self.received_ms,
        };
        let answer = answer(&call, name).await.expect("this request has a handler");
        (answer.name, String::from_utf8(answer.body.to_vec()).unwrap())
    }

    /// The answer's members; its type is checked.
    async fn json(&self, connection: &Arc<Connection>, name: &str, response: &str, body: &str) -> Value {
        let (found, text) = self.ask(connection, name, body).await;
        assert_eq!(found, response, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// What is listed of a service of the default group, as `address:healthy` in order.
    fn listed(&self, name: &str) -> Vec<String> {
        let snapshot = self.bed.naming.snapshot(&muster_naming::testing::service(name));
        let shown = snapshot.instances.iter();
        shown
            .map(|instance| format!("{} {}", instance.key, instance.kind))
            .collect()
    }
}

/// An object's text from members without braces.
fn object(members: &Bytes) -> Value {
    serde_json::from_str(&format!("{{{}}}", std::str::from_utf8(members).unwrap())).unwrap()
}

//! What is sent.

use crate::grpc;
use anyhow::{Result, bail};
use bytes::Bytes;
use clap::ValueEnum;
use muster_testkit::encode;
use serde_json::json;

/// Steps by a prime keep neighbours in time from being neighbours in one service.
const STEP: u64 = 7_919;
/// Of so many calls of a real day one is a registration and one its end, and up to the 66th they are polls: an instance beats every
/// five seconds, its client polls every ten.
const DAY: usize = 200;
const DAY_POLLS: usize = 66;

/// Where clients are answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
pub enum Door {
    Http,
    Grpc,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
pub enum Scenario {
    /// Ephemeral instances, over and over the same ones.
    Register,
    /// Persistent ones.
    Persistent,
    /// Heartbeats of 1.x clients.
    Beat,
    /// Lists of services that have ten instances.
    List,
    /// A real day of 1.x clients: beats every 5 s, polls every 10 s, one call in a hundred a registration or its end.
    Mixed,
    /// The gRPC door and nothing behind it.
    Health,
}

/// How much there is of what is sent.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Instances that HTTP calls are spread over.
    pub instances: u64,
    /// Instances of one service, over HTTP.
    pub per_service: u64,
    /// Services that a gRPC connection publishes in or asks for.
    pub services: u64,
}

impl Scenario {
    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Persistent => "persistent",
            Self::Beat => "beat",
            Self::List => "list",
            Self::Mixed => "mixed",
            Self::Health => "health",
        }
    }

    /// # Errors
    /// The door has no such call.
    pub fn check(self, door: Door) -> Result<()> {
        match (door, self) {
            (Door::Grpc, Self::Beat | Self::Mixed) => bail!("gRPC clients send no beats"),
            (Door::Grpc, Self::Persistent) => bail!("persistent instances are measured over HTTP"),
            (Door::Http, Self::Health) => bail!("HTTP clients have no health check of their connection"),
            _ => Ok(()),
        }
    }

    /// What is to be there before it begins.
    pub fn wants_instances(self) -> bool {
        matches!(self, Self::Beat | Self::List | Self::Mixed)
    }

    /// What a connection sends over and over, in this order. `run` tells its services from those of other runs.
    pub fn requests(self, door: Door, shape: &Shape, run: &str, connection: u32) -> Vec<Bytes> {
        match door {
            Door::Http if self == Self::Mixed => day(shape, run, connection),
            Door::Http => (0..shape.instances)
                .map(|n| http(self, run, n * STEP % shape.instances, shape.per_service))
                .collect(),
            Door::Grpc => (0..shape.services)
                .map(|service| over_grpc(self, run, connection, service))
                .collect(),
        }
    }
}

/// An address of its own for each of sixteen million instances.
pub fn address_of(n: u64) -> String {
    format!("10.{}.{}.{}", (n >> 16) & 255, (n >> 8) & 255, n & 255)
}

/// One request about instance number `n`.
fn http(scenario: Scenario, run: &str, n: u64, per_service: u64) -> Bytes {
    let service = format!("DEFAULT_GROUP%40%40{run}-{}", n / per_service);
    match scenario {
        Scenario::Beat => http_text(
            "PUT",
            &format!(
                "instance/beat?namespaceId=public&serviceName={service}&clusterName=DEFAULT&ip={}&port=8080",
                address_of(n)
            ),
        ),
        Scenario::List => http_text(
            "GET",
            &format!(
                "instance/list?namespaceId=public&serviceName={service}&clusters=&udpPort=0&clientIP=10.9.9.9&healthyOnly=false"
            ),
        ),
        _ => http_text(
            "POST",
            &instance(&service, &address_of(n), 8_080, scenario != Scenario::Persistent),
        ),
    }
}

fn instance(service: &str, ip: &str, port: u16, ephemeral: bool) -> String {
    format!(
        "instance?namespaceId=public&serviceName={service}&groupName=DEFAULT_GROUP&clusterName=DEFAULT&ip={ip}&port={port}&weight=1.0&enable=true&healthy=true&ephemeral={ephemeral}&metadata=%7B%22zone%22%3A%22a%22%7D"
    )
}

fn http_text(method: &str, target: &str) -> Bytes {
    format!("{method} /nacos/v1/ns/{target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Nacos-Java-Client:v1.4.6\r\nContent-Length: 0\r\n\r\n")
        .into()
}

/// Beats and polls, and one instance of this connection's own that comes and goes.
fn day(shape: &Shape, run: &str, connection: u32) -> Vec<Bytes> {
    let own = u64::from(connection) % shape.instances;
    let service = format!("DEFAULT_GROUP%40%40{run}-{}", own / shape.per_service);
    let comes = instance(&service, &address_of(own), 9_090, true);
    (0..shape.instances)
        .map(|n| {
            let turn = (n as usize * 7) % DAY;
            let n = n * STEP % shape.instances;
            match turn {
                0 => http_text("POST", &comes),
                1 => http_text("DELETE", &comes),
                2..=DAY_POLLS => http(Scenario::List, run, n, shape.per_service),
                _ => http(Scenario::Beat, run, n, shape.per_service),
            }
        })
        .collect()
}

/// One request of a connection about one of its services.
fn over_grpc(scenario: Scenario, run: &str, connection: u32, service: u64) -> Bytes {
    let name = format!("{run}-{service}");
    match scenario {
        Scenario::Health => grpc::health_request(),
        Scenario::List => encode(
            "ServiceQueryRequest",
            json!({"headers": {}, "namespace": "public", "serviceName": name, "groupName": "DEFAULT_GROUP",
                "cluster": "", "healthyOnly": false, "udpPort": 0, "module": "naming"})
            .to_string(),
        ),
        _ => grpc::register_request(&name, &address_of(connection.into()), 8_080, &json!({"zone": "a"})),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        instances: 1_000,
        per_service: 10,
        services: 3,
    };

    fn count(requests: &[Bytes], begins: &str) -> usize {
        requests.iter().filter(|it| it.starts_with(begins.as_bytes())).count()
    }

    #[test]
    fn every_instance_is_registered_once_in_a_round() {
        let mut requests = Scenario::Register.requests(Door::Http, &SHAPE, "r", 0);
        assert_eq!(requests.len(), 1_000);
        requests.sort();
        requests.dedup();
        assert_eq!(requests.len(), 1_000);
    }

    #[test]
    fn a_day_has_two_beats_for_a_poll_and_one_change_in_a_hundred() {
        let requests = Scenario::Mixed.requests(Door::Http, &SHAPE, "r", 3);
        assert_eq!(count(&requests, "PUT"), 665);
        assert_eq!(count(&requests, "GET"), 325);
        assert_eq!(count(&requests, "POST"), 5);
        assert_eq!(count(&requests, "DELETE"), 5);
    }

    #[test]
    fn a_connection_publishes_one_instance_in_each_service() {
        let requests = Scenario::Register.requests(Door::Grpc, &SHAPE, "r", 258);
        assert_eq!(requests.len(), 3);
        for request in &requests {
            assert!(grpc::find(request, b"10.0.1.2").is_some());
        }
    }

    #[test]
    fn what_a_door_has_not_is_refused() {
        assert!(Scenario::Beat.check(Door::Grpc).is_err());
        assert!(Scenario::Health.check(Door::Http).is_err());
        assert!(Scenario::Register.check(Door::Grpc).is_ok());
    }
}

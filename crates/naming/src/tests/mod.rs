//! The door as its callers see it, over stores in memory.

mod beats;
mod connections;
mod first_instance;
mod news;
mod operator;
mod protection;
mod read_model;
mod writes;

use crate::testing::{Testbed, key};
use muster_model::ServiceKey;
use muster_push::{SubscriptionInfo, SubscriptionKey, Target};

fn listed(bed: &Testbed, service: &ServiceKey) -> Vec<String> {
    let snapshot = bed.naming.snapshot(service);
    snapshot
        .instances
        .iter()
        .map(|instance| instance.key.to_string())
        .collect()
}

fn subscription(service: &ServiceKey) -> SubscriptionKey {
    SubscriptionKey {
        service: service.clone(),
        clusters: "".into(),
        target: Target::Udp("127.0.0.1:5000".parse().unwrap()),
    }
}

fn info() -> SubscriptionInfo {
    SubscriptionInfo {
        agent: "Nacos-Java-Client:v1.4.6".into(),
        app: "unknown".into(),
        datagram_bytes_max: 65_507,
    }
}

fn metadata(pairs: &[(&str, &str)]) -> muster_model::Metadata {
    pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect()
}

#[test]
fn the_testbed_reads_ipv6_addresses() {
    assert_eq!(key("[::1]:80").to_string(), "[::1]:80");
}

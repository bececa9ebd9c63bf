//! Hundreds of thousands of instances: what travels is cut into pieces, whatever there is to tell.

use super::cluster::*;
use crate::Config;
use crate::loader::chunk;
use crate::wire::BATCH_BYTES;
use muster_model::{Host, Instance, InstanceKey, Kind, MemberId, ServiceKey};
use muster_transport::memory::Network;
use std::time::Duration;

const EACH: u32 = 50_000;
const SERVICES: u32 = 100;

/// Registers `EACH` instances over `SERVICES` services; `network` tells the two sides apart.
fn register_many(node: &TestNode, net: u8) -> Vec<ServiceKey> {
    let services: Vec<_> = (0..SERVICES).map(|number| service(&format!("s{number}"))).collect();
    for number in 0..EACH {
        let [_, high, middle, low] = number.to_be_bytes();
        let host = Host::parse(&format!("10.{net}.{high}.{middle}")).unwrap();
        let one = Instance::new(InstanceKey::new(host, u16::from(low) + 1), Kind::Ephemeral);
        let of = &services[(number % SERVICES) as usize];
        node.store.register(of, one).unwrap();
    }
    services
}

fn count(node: &TestNode, services: &[ServiceKey]) -> usize {
    services.iter().map(|service| node.store.instances(service).len()).sum()
}

#[tokio::test(start_paused = true)]
async fn fifty_thousand_differences_on_either_side_of_a_cut_are_gone_ten_seconds_after_the_healing() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 3).await;
    network.isolate(MemberId(1));
    seconds(5).await;
    let services = register_many(&nodes[0], 1);
    register_many(&nodes[1], 2);
    seconds(2).await;
    assert_eq!(count(&nodes[0], &services), EACH as usize);
    assert_eq!(count(&nodes[2], &services), EACH as usize);
    network.heal();
    eventually("equal digests", Duration::from_secs(10), || all_equal(&nodes)).await;
    for node in &nodes {
        assert_eq!(count(node, &services), 2 * EACH as usize, "at {}", node.id);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_starts_takes_a_hundred_thousand_instances_in_pieces_and_opens_with_all() {
    let network = Network::new();
    let mut nodes: Vec<_> = (1..=2).map(|id| start(&network, id, 3, Config::default())).collect();
    eventually("two are ready", Duration::from_secs(20), || {
        nodes.iter().all(TestNode::is_ready)
    })
    .await;
    let services = register_many(&nodes[0], 1);
    register_many(&nodes[1], 2);
    eventually("the two are equal", Duration::from_secs(10), || all_equal(&nodes)).await;
    let (mut pieces, mut after) = (0, None);
    loop {
        let (builder, last) = chunk(&nodes[0].store.node, after);
        let bytes = prost::Message::encoded_len(&builder.batch());
        assert!(bytes < 2 * BATCH_BYTES, "a piece of {bytes} bytes");
        pieces += 1;
        if last.is_none() {
            break;
        }
        after = last;
    }
    assert!(pieces > 2 * EACH as usize * 20 / (2 * BATCH_BYTES), "{pieces} pieces");
    let late = start(&network, 3, 3, Config::default());
    while !late.is_ready() {
        millis(1).await;
    }
    let opened_with = count(&late, &services);
    assert_eq!(opened_with, 2 * EACH as usize, "in {pieces} pieces");
    nodes.push(late);
    eventually("equal digests", Duration::from_secs(10), || all_equal(&nodes)).await;
}

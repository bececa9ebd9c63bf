//! `GET /v1/ns/service/subscribers` over two members.

use super::rig::{JAVA, Rig};
use bytes::Bytes;
use muster_model::MemberId;
use muster_transport::memory::Network;
use muster_transport::{HandlerError, Route, Transport};
use std::sync::Arc;

async fn subscribe(rig: &Rig, ip: &str) {
    let path = format!("/v1/ns/instance/list?serviceName=svc&udpPort=50000&clientIP={ip}");
    assert_eq!(rig.call_as(JAVA, "GET", &path).await.status, 200);
}

/// The count, and the addresses shown.
async fn subscribers(rig: &Rig, more: &str) -> (u64, Vec<String>) {
    let path = format!("/v1/ns/service/subscribers?serviceName=svc{more}");
    let answer = rig.call("GET", &path).await.json();
    let shown = answer["subscribers"].as_array().unwrap();
    let addresses = shown.iter().map(|one| one["ip"].as_str().unwrap().to_owned());
    (answer["count"].as_u64().unwrap(), addresses.collect())
}

fn all(ips: &[&str]) -> (u64, Vec<String>) {
    (ips.len() as u64, ips.iter().map(|ip| (*ip).to_owned()).collect())
}

#[tokio::test]
async fn subscribers_of_all_members_are_listed_once_each_and_in_pages() {
    let network = Network::new();
    let one = Rig::member_of_two(1, &network).await;
    let two = Rig::member_of_two(2, &network).await;
    for (rig, ip) in [
        (&one, "10.0.0.3"),
        (&one, "10.0.0.1"),
        (&two, "10.0.0.2"),
        (&two, "10.0.0.1"),
    ] {
        subscribe(rig, ip).await;
    }
    for rig in [&one, &two] {
        assert_eq!(subscribers(rig, "").await, all(&["10.0.0.1", "10.0.0.2", "10.0.0.3"]));
    }
    assert_eq!(
        subscribers(&one, "&pageNo=2&pageSize=2").await,
        (3, vec!["10.0.0.3".to_owned()])
    );
    assert_eq!(
        subscribers(&one, "&aggregation=false").await,
        all(&["10.0.0.1", "10.0.0.3"])
    );
    assert_eq!(
        subscribers(&two, "&aggregation=false").await,
        all(&["10.0.0.1", "10.0.0.2"])
    );
}

#[tokio::test]
async fn a_member_that_cannot_be_reached_or_talks_nonsense_is_left_out() {
    let network = Network::new();
    let one = Rig::member_of_two(1, &network).await;
    subscribe(&one, "10.0.0.1").await;
    // Not there at all.
    assert_eq!(subscribers(&one, "").await, all(&["10.0.0.1"]));
    let two = network.join(MemberId(2));
    for answer in [Ok(Bytes::from_static(&[0xff; 64])), Err(HandlerError::NotReady)] {
        let answering = move |_, _| std::future::ready(answer.clone());
        two.serve(Route::Subscribers, Arc::new(answering));
        assert_eq!(subscribers(&one, "").await, all(&["10.0.0.1"]));
    }
    assert!(
        one.get_root("/metrics")
            .await
            .body
            .contains("muster_http_subscribers_missed_total")
    );
}

//! Sending clients to other nodes.

use super::rig::{Rig, StillTime};
use crate::grpc::EndReason;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tonic::Code;

#[tokio::test]
async fn every_client_is_named_another_node_and_then_closed() {
    let rig = Rig::open().await;
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(rig.java().await);
    }
    let servers: Vec<SocketAddr> = ["10.0.0.2:8848", "10.0.0.3:8858"]
        .map(|text| text.parse().unwrap())
        .to_vec();
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let draining = rig.connections.drain(servers, Duration::from_secs(10));
    let moving = async {
        let mut named = Vec::new();
        for (_, stream, info) in &mut clients {
            let (name, json) = stream.next().await.unwrap();
            assert_eq!(name, "ConnectResetRequest");
            assert_eq!(json["connectionId"].as_str().unwrap(), info.name);
            let text = |member: &str| json[member].as_str().unwrap().to_owned();
            named.push(format!("{}:{}", text("serverIp"), text("serverPort")));
        }
        for (_, stream, _) in &mut clients {
            assert_eq!(stream.try_next().await.unwrap_err().code(), Code::Unavailable);
            assert!(begun.elapsed() >= Duration::from_secs(3));
        }
        named
    };
    let (named, ()) = futures_util::future::join(moving, draining).await;
    let count = |server: &str| named.iter().filter(|named| *named == server).count();
    assert_eq!((count("10.0.0.2:8848"), count("10.0.0.3:8858")), (3, 3));
    assert!(rig.connections.is_empty() && begun.elapsed() <= Duration::from_secs(10));
    let mut late = TcpStream::connect(rig.address).await.unwrap();
    assert_eq!(late.read(&mut [0; 16]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_server_that_shares_its_address_with_another_is_not_named() {
    let cases = [
        (["10.0.0.2:8848", "10.0.0.2:8858"], None),
        // The door of these tests stands on 127.0.0.1 itself.
        (["127.0.0.1:8848", "10.0.0.2:8848"], Some("10.0.0.2")),
    ];
    for (servers, wanted) in cases {
        let rig = Rig::open().await;
        let mut clients = [rig.java().await, rig.java().await];
        tokio::time::pause();
        let servers = servers.map(|text| text.parse().unwrap()).to_vec();
        let told = async {
            for (_, stream, _) in &mut clients {
                let (_, json) = stream.next().await.unwrap();
                assert_eq!(json["serverIp"].as_str(), wanted);
            }
        };
        futures_util::future::join(told, rig.connections.drain(servers, Duration::from_secs(10))).await;
        tokio::time::resume();
    }
}

#[tokio::test]
async fn draining_ends_in_time_though_clients_do_not_let_go() {
    let rig = Rig::open().await;
    let _silent = TcpStream::connect(rig.address).await.unwrap();
    let (_client, _stream, _) = rig.java().await;
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    rig.connections.drain(Vec::new(), Duration::from_secs(2)).await;
    assert!(begun.elapsed() <= Duration::from_millis(2_100));
    rig.until("all are closed", |rig| rig.connections.is_empty()).await;
}

/// Python 2.0.0 shares one transport between its naming and its config client. What a node that stops ends of its own
/// accord must not count as the naming client's farewell, nor what clients end that are on their way.
#[tokio::test]
async fn closing_a_transport_of_two_modules_withdraws_nothing_by_itself() {
    for by_the_node in [true, false] {
        let rig = Rig::open().await;
        let (client, naming, info) = rig.java().await;
        let mut config = client
            .clone()
            .set_up(r#"{"labels":{"module":"config"},"abilityTable":{}}"#)
            .await;
        assert_eq!(config.next().await.unwrap().0, "SetupAckRequest");
        rig.publish(info.id, "s", &["10.0.0.1:80"]);
        let connection = rig.connections.0.get(info.id).unwrap();
        let time = StillTime::begin();
        match by_the_node {
            true => connection.close(EndReason::Reset, Duration::from_secs(60)),
            false => {
                rig.connections.0.leave();
                drop(naming);
            }
        }
        rig.until_still("its naming stream has ended", |_| !connection.is_naming())
            .await;
        assert_eq!((rig.connections.len(), rig.listed("s")), (1, 1));
        drop(time);
        drop((client, config));
        rig.until("it ends with its transport", |rig| rig.listed("s") == 0)
            .await;
    }
}

#[tokio::test]
async fn the_clients_of_a_node_that_serves_no_more_are_sent_away_within_ten_seconds() {
    for by_operator in [false, true] {
        let rig = Rig::open().await;
        let (_client, mut stream, info) = rig.java().await;
        match by_operator {
            false => rig.bed.set_loading(Some("raft has stopped")),
            true => {
                let context = rig.bed.context();
                let set = rig.bed.naming.set_switch(&context, "overriddenServerStatus", "DOWN");
                set.await.unwrap();
            }
        }
        tokio::time::pause();
        let begun = tokio::time::Instant::now();
        let (name, json) = stream.next().await.unwrap();
        assert_eq!(name, "ConnectResetRequest");
        assert_eq!(json["connectionId"].as_str().unwrap(), info.name);
        let asked = begun.elapsed();
        assert!(asked >= Duration::from_secs(3), "asked after {asked:?}");
        assert_eq!(stream.try_next().await.unwrap_err().code(), Code::Unavailable);
        assert!(
            begun.elapsed() >= asked + Duration::from_secs(2),
            "it had no time to go"
        );
        rig.until("it is closed", |rig| rig.connections.is_empty()).await;
        assert!(begun.elapsed() <= Duration::from_secs(10));
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_moment_of_not_being_ready_sends_nobody_away() {
    let rig = Rig::open().await;
    let (_client, mut stream, info) = rig.java().await;
    let time = StillTime::begin();
    for _ in 0..3 {
        for reason in [Some("a moment"), None] {
            rig.bed.set_loading(reason);
            for _ in 0..5 {
                time.pass(Duration::from_millis(500)).await;
                // What looks once a second has its turn.
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
            }
        }
    }
    drop(time);
    rig.subscribe(&info, "s");
    assert_eq!(stream.next().await.unwrap().0, "NotifySubscriberRequest");
}

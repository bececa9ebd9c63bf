//! Connections: kept, bounded, drained, and what a panic does to them.

use super::rig::{Rig, read_answer};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LIVE: &[u8] = b"GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n";

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let rig = Rig::open().await;
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    for _ in 0..3 {
        stream.write_all(LIVE).await.unwrap();
        assert_eq!(read_answer(&mut stream).await.unwrap().status, 200);
    }
    // A refusal does not end it either.
    stream
        .write_all(b"POST /nacos/v1/ns/instance HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(read_answer(&mut stream).await.unwrap().status, 400);
    stream.write_all(LIVE).await.unwrap();
    assert_eq!(read_answer(&mut stream).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_handler_that_panics_answers_500_on_a_connection_that_lives_on() {
    let rig = Rig::open().await;
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    // The stand-in behind this door has no Raft: asking for it panics.
    let panics =
        b"POST /nacos/v3/admin/muster/cluster/transfer-leader HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(panics).await.unwrap();
    let answer = read_answer(&mut stream).await.unwrap();
    assert_eq!((answer.status, &answer.json()["error"]), (500, &"internal".into()));
    stream.write_all(LIVE).await.unwrap();
    assert_eq!(read_answer(&mut stream).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_connection_above_the_limit_waits_for_a_place() {
    let rig = Rig::with(|config| config.connections_max = 1).await;
    let mut first = TcpStream::connect(rig.address).await.unwrap();
    first.write_all(LIVE).await.unwrap();
    assert_eq!(read_answer(&mut first).await.unwrap().status, 200);
    let mut second = TcpStream::connect(rig.address).await.unwrap();
    second.write_all(LIVE).await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(200), read_answer(&mut second)).await;
    assert!(waiting.is_err(), "served above the limit");
    drop(first);
    assert_eq!(read_answer(&mut second).await.unwrap().status, 200);
}

#[tokio::test]
async fn who_never_asks_gives_way_to_a_newcomer() {
    let rig = Rig::with(|config| config.connections_max = 2).await;
    let mut silent = TcpStream::connect(rig.address).await.unwrap();
    silent.write_all(b"GET /health").await.unwrap();
    let mut asker = TcpStream::connect(rig.address).await.unwrap();
    asker.write_all(LIVE).await.unwrap();
    assert_eq!(read_answer(&mut asker).await.unwrap().status, 200);
    let mut newcomer = TcpStream::connect(rig.address).await.unwrap();
    newcomer.write_all(LIVE).await.unwrap();
    assert_eq!(read_answer(&mut newcomer).await.unwrap().status, 200);
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap_or(0), 0, "it is closed");
    asker.write_all(LIVE).await.unwrap();
    assert_eq!(
        read_answer(&mut asker).await.unwrap().status,
        200,
        "who has asked stays"
    );
}

#[tokio::test]
async fn a_head_is_waited_for_thirty_seconds_from_the_last_answer() {
    let rig = Rig::open().await;
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    tokio::time::pause();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(20)).await;
        stream.write_all(LIVE).await.unwrap();
        assert_eq!(read_answer(&mut stream).await.unwrap().status, 200);
    }
    let answered = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(20)).await;
    stream.write_all(&LIVE[..10]).await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0, "it is closed");
    let waited = answered.elapsed().as_millis();
    assert!((30_000..30_500).contains(&waited), "{waited} ms");
}

#[tokio::test]
async fn shutdown_answers_what_is_under_way_and_takes_nothing_new() {
    let rig = Rig::open().await;
    let mut idle = TcpStream::connect(rig.address).await.unwrap();
    idle.write_all(LIVE).await.unwrap();
    read_answer(&mut idle).await.unwrap();
    let mut busy = TcpStream::connect(rig.address).await.unwrap();
    let body = "serviceName=svc&ip=10.0.0.1&port=80";
    let head = format!(
        "POST /nacos/v1/ns/instance HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    busy.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body: the request is under way.
    let mut asked = [0; 25];
    busy.read_exact(&mut asked).await.unwrap();
    assert!(asked.starts_with(b"HTTP/1.1 100"));
    rig.shutdown.begin();
    assert_eq!(
        idle.read(&mut [0; 1]).await.unwrap_or(0),
        0,
        "an idle connection is closed"
    );
    busy.write_all(body.as_bytes()).await.unwrap();
    read_answer(&mut busy).await.unwrap().is(200, "ok");
    assert_eq!(busy.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert!(rig.tasks.ended_within(Duration::from_secs(5)).await);
    assert!(TcpStream::connect(rig.address).await.is_err());
}

#[tokio::test]
async fn a_connection_that_does_not_end_is_closed_when_the_drain_is_over() {
    let rig = Rig::open().await;
    let mut stuck = TcpStream::connect(rig.address).await.unwrap();
    let head = "POST /nacos/v1/ns/instance HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n";
    stuck.write_all(head.as_bytes()).await.unwrap();
    stuck.read_exact(&mut [0; 25]).await.unwrap();
    rig.shutdown.begin();
    assert!(rig.tasks.ended_within(Duration::from_secs(5)).await);
}

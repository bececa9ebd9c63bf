//! Peers that mean harm: others are served as ever, and the node answers.

use super::client::{Client, JAVA_SETUP, Socket, payload};
use super::rig::{MESSAGE_BYTES_MAX, Rig, StillTime};
use crate::grpc::life::STREAMS_MAX;
use crate::grpc::stream;
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tonic::Code;

/// A call whose body is these bytes; its HTTP status and its gRPC status, wherever that stands.
async fn raw(rig: &Rig, path: &str, kind: &str, body: Vec<u8>) -> (u16, Option<String>) {
    let socket = TcpStream::connect(rig.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
        .await
        .unwrap();
    rig.tasks
        .spawn("raw client", muster_runtime::TaskKind::Contained, async {
            let _ = connection.await;
        });
    let request = hyper::Request::post(format!("http://localhost{path}"))
        .header("content-type", kind)
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let read = |headers: &hyper::HeaderMap| {
        let status = headers.get("grpc-status");
        status.map(|status| status.to_str().unwrap().to_owned())
    };
    let in_head = read(response.headers());
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
    let in_trailers = body.trailers().and_then(read);
    (status, in_head.or(in_trailers))
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut framed = vec![0];
    framed.extend((bytes.len() as u32).to_be_bytes());
    framed.extend(bytes);
    framed
}

#[tokio::test]
async fn garbage_is_refused_by_name() {
    let rig = Rig::open().await;
    let grpc = "application/grpc";
    let unary = "/Request/request";
    let status = |code: &str| (200, Some(code.to_owned()));
    assert_eq!(raw(&rig, unary, grpc, framed(&[0xff; 40])).await, status("0"));
    assert_eq!(raw(&rig, unary, grpc, vec![]).await, status("3"));
    assert_eq!(raw(&rig, unary, grpc, vec![0, 0, 0, 0, 9, 1]).await, status("3"));
    assert_eq!(raw(&rig, unary, grpc, vec![1, 0, 0, 0, 1, 1]).await, status("12"));
    assert_eq!(
        raw(&rig, unary, grpc, vec![0, 0xff, 0xff, 0xff, 0xff]).await,
        status("8")
    );
    assert_eq!(raw(&rig, unary, "text/plain", vec![]).await, (415, None));
    let stream = "/BiRequestStream/requestBiStream";
    assert_eq!(raw(&rig, stream, grpc, framed(&[0xff; 40])).await, status("3"));
    assert_eq!(raw(&rig, stream, grpc, framed(b"")).await, status("3"));
    assert_eq!(raw(&rig, stream, grpc, vec![]).await, status("0"));
    rig.serves().await;
}

#[tokio::test]
async fn bytes_that_are_no_http_2_harm_nobody() {
    let rig = Rig::open().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut frames = preface.to_vec();
    frames.extend([0xff; 2_000]);
    let attempts: [&[u8]; 4] = [b"GET / HTTP/1.1\r\n\r\n", &[0; 5_000], &frames, &preface[..10]];
    let mut open = Vec::new();
    for bytes in attempts {
        let mut socket = TcpStream::connect(rig.address).await.unwrap();
        // The server may hang up before it has read all.
        let _ = socket.write_all(bytes).await;
        open.push(socket);
    }
    rig.serves().await;
    drop(open);
    rig.until("all are gone", |rig| rig.connections.is_empty()).await;
}

#[tokio::test]
async fn a_message_of_the_longest_length_is_read_and_a_longer_one_refused() {
    let rig = Rig::open().await;
    let mut client = rig.connect().await;
    let long = |bytes: usize| payload("NoSuchRequest", " ".repeat(bytes));
    let taken = client.try_call(long(MESSAGE_BYTES_MAX - 100)).await.unwrap();
    taken.is_error(500, 302, "RequestHandler Not Found");
    let refused = client.try_call(long(MESSAGE_BYTES_MAX + 1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let mut stream = client.open().await.unwrap();
    stream
        .say("ConnectionSetupRequest", &" ".repeat(stream::MESSAGE_BYTES_MAX + 1))
        .await;
    assert_eq!(stream.try_next().await.unwrap_err().code(), Code::ResourceExhausted);
    rig.serves().await;
}

#[tokio::test]
async fn a_stream_must_begin_with_a_setup() {
    let rig = Rig::open().await;
    for (name, json) in [
        ("NotifySubscriberResponse", r#"{"requestId":"1","resultCode":200}"#),
        ("ConnectionSetupRequest", "not json"),
        ("", ""),
    ] {
        let mut client = rig.connect().await;
        let mut stream = client.open().await.unwrap();
        stream.say(name, json).await;
        assert_eq!(stream.try_next().await.unwrap_err().code(), Code::InvalidArgument);
        assert!(rig.connections.list().is_empty());
    }
    let mut client = rig.connect().await;
    let mut stream = client.open().await.unwrap();
    tokio::time::pause();
    assert_eq!(stream.try_next().await.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn streams_opened_and_left_are_bounded_and_harm_their_own_transport_alone() {
    let rig = Rig::open().await;
    let mut client = rig.connect().await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS_MAX {
        streams.push(client.open().await.unwrap());
    }
    let Err(refused) = client.open().await else {
        panic!("one stream too many was opened");
    };
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(client.call("ServerCheckRequest", "{}").await.codes(), (200, 0));
    rig.serves().await;
    drop(streams);
    for _ in 0..10_000 {
        match client.open().await {
            Ok(_) => return,
            Err(_) => tokio::task::yield_now().await,
        }
    }
    panic!("streams that were left are never forgotten");
}

#[tokio::test]
async fn a_flood_of_setups_changes_nothing() {
    let rig = Rig::open().await;
    let (client, stream, info) = rig.java().await;
    for _ in 0..5_000 {
        stream
            .say(
                "ConnectionSetupRequest",
                r#"{"labels":{"module":"config","AppName":"other"},"abilityTable":{}}"#,
            )
            .await;
    }
    rig.serves().await;
    let now = rig.connections.find(&info.name).unwrap();
    assert_eq!((now.app, now.labels["module"].as_str()), ("app".to_owned(), "naming"));
    drop(client);
}

#[tokio::test]
async fn a_peer_that_never_reads_harms_nobody_and_is_ended() {
    let rig = Rig::open().await;
    let (mut deaf, deaf_stream, deaf_info) = rig.java().await;
    let (mut client, mut stream, info) = rig.java().await;
    let addresses: Vec<String> = (0..400)
        .map(|host| format!("10.1.1.{}:{}", host % 200, 80 + host / 200))
        .collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    // Some 180 KB each, of which 64 KB fit into the window of a client that takes nothing.
    rig.publish(info.id, "s", &addresses);
    rig.subscribe(&deaf_info, "s");
    rig.subscribe(&info, "s");
    for round in 1..20 {
        let pushed = stream.next().await.unwrap();
        stream.ack(&pushed).await;
        rig.publish(info.id, "s", &addresses[round..]);
        rig.subscribe(&deaf_info, &format!("other{round}"));
    }
    assert_eq!(rig.connections.len(), 2);
    let time = StillTime::begin();
    // Asking keeps it from being silent; it is ended for what it does not read.
    let mut passed = 0;
    while let Ok(answer) = deaf.try_call(payload("HealthCheckRequest", "{}")).await {
        assert_eq!(answer.codes(), (200, 0), "its registration went before its transport");
        assert_eq!(client.call("HealthCheckRequest", "{}").await.codes(), (200, 0));
        passed += 1;
        assert!(passed < 70, "it is never ended");
        time.pass(Duration::from_secs(1)).await;
    }
    assert!(passed >= 58, "it was ended after {passed} s");
    // What it does not take does not keep its transport open.
    time.pass(Duration::from_secs(2)).await;
    rig.until_still("the deaf one is gone", |rig| {
        rig.connections.find(&deaf_info.name).is_none()
    })
    .await;
    assert!(rig.connections.find(&info.name).is_some());
    drop(deaf_stream);
}

#[tokio::test]
async fn connections_that_come_and_go_leave_nothing_behind() {
    let rig = Rig::open().await;
    for round in 0..60 {
        let socket = if round % 2 == 0 { Socket::Reset } else { Socket::Plain };
        let mut client = Client::connect(rig.address, socket).await;
        let stream = client.set_up(JAVA_SETUP).await;
        drop((client, stream));
    }
    rig.until("all are gone", |rig| rig.connections.is_empty()).await;
    assert!(rig.connections.list().is_empty());
    rig.serves().await;
}

/// Answers nobody reads are held in memory, by this many bytes.
async fn unread(rig: &Rig, bytes: usize) -> (Client, super::client::Stream, Bytes) {
    let (client, stream, info) = rig.java().await;
    let connection = rig.connections.0.get(info.id).unwrap();
    let held = connection
        .unsent
        .count(Bytes::from(vec![0; bytes]), rig.bed.clock.now());
    (client, stream, held)
}

const QUERY: &str = r#"{"headers":{},"namespace":"public","serviceName":"s","groupName":"DEFAULT_GROUP","cluster":"","healthyOnly":false,"udpPort":0,"module":"naming"}"#;

#[tokio::test]
async fn clients_that_read_no_answers_shut_the_door_for_themselves_alone() {
    let rig = Rig::open().await;
    let mut deaf = Vec::new();
    for _ in 0..16 {
        deaf.push(unread(&rig, 32 << 20).await);
    }
    let (mut client, _stream, _) = rig.java().await;
    assert_eq!(client.call("ServiceQueryRequest", QUERY).await.codes(), (200, 0));
    let (client, ..) = &mut deaf[0];
    let refused = client.try_call(payload("ServiceQueryRequest", QUERY)).await;
    assert_eq!(refused.unwrap_err().code(), Code::ResourceExhausted);
    for check in ["HealthCheckRequest", "ServerCheckRequest"] {
        assert_eq!(client.call(check, "{}").await.codes(), (200, 0), "{check}");
    }
}

#[tokio::test]
async fn who_leaves_an_answer_unread_for_a_minute_is_ended_though_it_asks_on() {
    let rig = Rig::open().await;
    let (mut deaf, _stream, _held) = unread(&rig, 1 << 20).await;
    let time = StillTime::begin();
    let mut passed = 0;
    while deaf.try_call(payload("HealthCheckRequest", "{}")).await.is_ok() {
        passed += 1;
        assert!(passed < 70, "it is never ended");
        time.pass(Duration::from_secs(1)).await;
    }
    assert!(passed >= 58, "it was ended after {passed} s");
}

#[tokio::test]
async fn a_transport_that_ends_no_message_is_refused_further_ones_and_others_are_not() {
    let rig = Rig::open().await;
    let socket = TcpStream::connect(rig.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
        .await
        .unwrap();
    rig.tasks
        .spawn("raw client", muster_runtime::TaskKind::Contained, async {
            let _ = connection.await;
        });
    let mut begun = framed(&vec![7; MESSAGE_BYTES_MAX]);
    begun.truncate(MESSAGE_BYTES_MAX - 10);
    let mut answers = Vec::new();
    for _ in 0..4 {
        use futures_util::StreamExt as _;
        let part = Ok::<_, std::io::Error>(hyper::body::Frame::data(Bytes::from(begun.clone())));
        let parts = futures_util::stream::iter([part]).chain(futures_util::stream::pending());
        let request = hyper::Request::post("http://localhost/Request/request")
            .header("content-type", "application/grpc")
            .body(http_body_util::StreamBody::new(parts))
            .unwrap();
        answers.push(Box::pin(sender.send_request(request)));
    }
    let (refused, ..) = futures_util::future::select_all(answers).await;
    assert_eq!(refused.unwrap().headers()["grpc-status"], "8");
    let mut client = rig.connect().await;
    let long = payload("NoSuchRequest", " ".repeat(MESSAGE_BYTES_MAX - 100));
    let taken = client.try_call(long).await.unwrap();
    taken.is_error(500, 302, "RequestHandler Not Found");
}

//! Bad input on every port: the node stays.

use muster_testkit::{Cluster, PEER_OFFSET, SDK_OFFSET, Spec, cluster};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

const SOON: Duration = Duration::from_secs(20);

fn noise(length: usize) -> Vec<u8> {
    // xorshift from a fixed seed: the same noise in every run
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

fn hostile_bytes() -> Vec<Vec<u8>> {
    let request = |line: &str| format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
    let long = "a".repeat(200_000);
    vec![
        Vec::new(),
        noise(10_000),
        vec![0; 10_000],
        vec![0xff; 10_000],
        b"GET".to_vec(),
        request(&format!("GET /nacos/v1/ns/instance/list?serviceName={long}")),
        request("GET /nacos/v1/ns/instance/list?serviceName=%ff%fe%00%zz"),
        request("DELETE /../../etc/passwd"),
        request("\u{0}\u{1} /"),
        b"POST /nacos/v1/ns/instance HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999\r\n\r\n".to_vec(),
        b"POST /nacos/v1/ns/instance HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n".to_vec(),
        [b"GET / HTTP/1.1\r\n".to_vec(), b"a: b\r\n".repeat(50_000)].concat(),
        // the start of HTTP/2, and then frames that are none
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), noise(5_000)].concat(),
        [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            vec![0, 0, 0, 4, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff],
        ]
        .concat(),
    ]
}

async fn send_all(address: &str) {
    for bytes in hostile_bytes() {
        // a port that nobody listens on, or a node that hangs up early, is well
        let Ok(mut stream) = TcpStream::connect(address).await else {
            return;
        };
        let _ = stream.write_all(&bytes).await;
        let mut answer = [0; 1024];
        let _ = tokio::time::timeout(Duration::from_millis(200), stream.read(&mut answer)).await;
    }
}

async fn is_well(cluster: &mut Cluster) {
    for id in cluster.ids() {
        assert!(cluster.node_mut(id).exit_status().unwrap().is_none(), "node {id} ended");
        cluster.ready(id).await.unwrap();
    }
    cluster.leader(SOON).await.unwrap();
    cluster.converged(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_bytes_on_any_port_stop_a_node_or_change_a_list() {
    let mut cluster = cluster(3).await.unwrap();
    let kept = Spec::persistent("p", "10.2.0.1", 1);
    cluster.v1(1).register(&kept).await.unwrap().ok().unwrap();
    let place = cluster.node(1).place.clone();
    for port in [place.port, place.port + SDK_OFFSET, place.port + PEER_OFFSET] {
        send_all(&format!("127.0.0.1:{port}")).await;
    }
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for bytes in hostile_bytes() {
        // what is longer than a datagram cannot be sent
        let _ = socket
            .send_to(&bytes[..bytes.len().min(60_000)], cluster.address(1))
            .await;
    }
    is_well(&mut cluster).await;
    assert_eq!(cluster.v1(1).list("p").await.unwrap().all.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_parameters_are_refused_and_change_nothing() {
    let mut cluster = cluster(3).await.unwrap();
    let wrong: &[&[(&str, &str)]] = &[
        &[],
        &[("serviceName", "s")],
        &[("serviceName", "s"), ("ip", "10.0.0.1")],
        &[("serviceName", "s"), ("ip", "10.0.0.1"), ("port", "abc")],
        &[("serviceName", "s"), ("ip", "10.0.0.1"), ("port", "-1")],
        &[("serviceName", "s"), ("ip", "10.0.0.1"), ("port", "99999")],
        &[
            ("serviceName", "s"),
            ("ip", "10.0.0.1"),
            ("port", "1"),
            ("weight", "NaN"),
        ],
        &[
            ("serviceName", "s"),
            ("ip", "10.0.0.1"),
            ("port", "1"),
            ("weight", "1e9"),
        ],
        &[
            ("serviceName", "s"),
            ("ip", "10.0.0.1"),
            ("port", "1"),
            ("metadata", "{\"a\""),
        ],
        &[("serviceName", "s s"), ("ip", "10.0.0.1"), ("port", "1")],
        &[
            ("serviceName", "s"),
            ("ip", "10.0.0.1"),
            ("port", "1"),
            ("clusterName", "a b"),
        ],
    ];
    for ephemeral in ["true", "false"] {
        for parameters in wrong {
            let parameters = [*parameters, &[("ephemeral", ephemeral)]].concat();
            let answer = cluster
                .http()
                .post(&cluster.address(2), "/nacos/v1/ns/instance", &parameters)
                .await
                .unwrap();
            assert!((400..=500).contains(&answer.status), "{parameters:?}: {answer:?}");
        }
    }
    for id in cluster.ids() {
        assert!(cluster.v1(id).list("s").await.unwrap().all.is_empty());
    }
    is_well(&mut cluster).await;
}

//! What a connection costs that does nothing.

use super::rig::Rig;
use crate::grpc::frame;
use bytes::Buf;
use std::io::Write;
use std::net::TcpStream;

fn http_frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = (content.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(content);
    bytes
}

/// Everything that a client says until it is set up, as bytes, so that it costs this process nothing but a descriptor.
fn said() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(http_frame(4, 0, 0, &[]));
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/BiRequestStream/requestBiStream"),
        (":authority", "10.0.0.1:9848"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("user-agent", "grpc-java-netty/1.57.2"),
        ("grpc-accept-encoding", "gzip"),
    ];
    let mut block = Vec::new();
    for (name, value) in headers {
        // Literal, to be kept in the table, as grpc-java writes it.
        block.extend([0x40, name.len() as u8]);
        block.extend(name.as_bytes());
        block.push(value.len() as u8);
        block.extend(value.as_bytes());
    }
    bytes.extend(http_frame(1, 4, 1, &block));
    let setup = frame::payload("ConnectionSetupRequest", super::client::JAVA_SETUP.as_bytes());
    let mut message = frame::prefixed(setup);
    let message = message.copy_to_bytes(message.remaining());
    bytes.extend(http_frame(0, 0, 1, &message));
    bytes
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1_024
}

#[tokio::test]
#[ignore = "measures the memory of its process: to be run alone"]
async fn an_idle_connection_costs_the_protocols_buffers_and_little_more() {
    const CONNECTIONS: usize = 2_000;
    let rig = Rig::with(|config| config.connections_max = 2 * CONNECTIONS).await;
    rig.begin();
    let connect = async |count: usize| {
        let (said, mut held) = (said(), Vec::new());
        for number in 0..count {
            let mut socket = TcpStream::connect(rig.address).unwrap();
            socket.write_all(&said).unwrap();
            held.push(socket);
            if number % 50 == 0 {
                tokio::task::yield_now().await;
            }
        }
        held
    };
    let first = connect(200).await;
    rig.until("the first are in", |rig| rig.connections.list().len() == first.len())
        .await;
    let before = resident_bytes();
    let rest = connect(CONNECTIONS).await;
    rig.until("the rest are in", |rig| {
        rig.connections.list().len() == first.len() + rest.len()
    })
    .await;
    let each = (resident_bytes() - before) / CONNECTIONS;
    #[allow(clippy::print_stdout, reason = "the figure is what it is run for")]
    {
        println!("{each} bytes for each idle connection");
    }
    // 28 KiB are buffers that h2 takes for each connection: 16 to write, 8 to read, 4 to decode headers.
    assert!(each <= 36 * 1_024, "{each} bytes for each");
}

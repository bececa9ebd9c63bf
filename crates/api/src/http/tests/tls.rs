//! The door behind TLS.

use super::rig::{Rig, read_answer};
use crate::tls::tests::papers::{Asker, Authority, Folder};
use crate::tls::{Config, Protocol, Tls};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LIVE: &[u8] = b"GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n";

async fn rig(config: &Config, connections_max: usize) -> Rig {
    let tls = Tls::load(config, Protocol::Http).unwrap();
    Rig::with(|config| {
        config.tls = Some(tls);
        config.connections_max = connections_max;
    })
    .await
}

#[tokio::test]
async fn requests_in_tls_are_answered_one_after_another() {
    let authority = Authority::new();
    let folder = Folder::with(&authority.server());
    let rig = rig(&folder.config(), 100).await;
    let mut stream = Asker::trusting(&authority).connect(rig.address).await.unwrap();
    for _ in 0..2 {
        stream.write_all(LIVE).await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(read_answer(&mut stream).await.unwrap().status, 200);
    }
    assert_eq!(rig.raw(LIVE).await.status, 400, "plaintext is refused");
}

#[tokio::test]
async fn plaintext_is_answered_where_it_is_allowed_too() {
    let folder = Folder::with(&Authority::new().server());
    let both = Config {
        plaintext_too: true,
        ..folder.config()
    };
    let rig = rig(&both, 100).await;
    assert_eq!(rig.raw(LIVE).await.status, 200);
}

#[tokio::test]
async fn a_handshake_that_stands_still_keeps_nobody_waiting_but_holds_its_place() {
    let authority = Authority::new();
    let folder = Folder::with(&authority.server());
    let rig = rig(&folder.config(), 2).await;
    let still = TcpStream::connect(rig.address).await.unwrap();
    let asker = Asker::trusting(&authority);
    let first = asker.connect(rig.address).await.unwrap();
    let third = tokio::time::timeout(Duration::from_millis(200), asker.connect(rig.address)).await;
    assert!(third.is_err(), "taken above the limit");
    drop((still, first));
    asker.connect(rig.address).await.unwrap();
}

#[tokio::test]
async fn shutdown_ends_handshakes_under_way() {
    let folder = Folder::with(&Authority::new().server());
    let rig = rig(&folder.config(), 2).await;
    let mut still = TcpStream::connect(rig.address).await.unwrap();
    // Taken for certain once the one behind it has been answered.
    assert_eq!(rig.raw(LIVE).await.status, 400);
    rig.shutdown.begin();
    assert_eq!(still.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert!(rig.tasks.ended_within(Duration::from_secs(5)).await);
}

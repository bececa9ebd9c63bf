//! Files that change while the port is open.

use super::papers::{Asker, Authority, Folder, Port};
use crate::tls::Protocol;
use muster_runtime::{Shutdown, Tasks};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_renewed_certificate_serves_new_connections_and_ends_none() {
    let (before, after) = (Authority::new(), Authority::new());
    let folder = Folder::with(&before.server());
    let port = Port::open(&folder.config(), Protocol::Http).await;
    let (taken, asked) = port.meet(&Asker::trusting(&before)).await;
    let (mut taken, mut asked) = (taken.unwrap(), asked.unwrap());
    assert!(!port.tls.look().unwrap(), "nothing has changed");

    folder.put(&after.server());
    assert!(port.tls.look().unwrap());
    assert!(port.meet(&Asker::trusting(&after)).await.0.is_ok());
    assert!(port.meet(&Asker::trusting(&before)).await.0.is_err());
    taken.write_all(b"x").await.unwrap();
    taken.flush().await.unwrap();
    assert_eq!(asked.read_u8().await.unwrap(), b'x', "the old connection goes on");
}

#[tokio::test]
async fn a_new_file_that_cannot_be_used_is_refused_once_and_the_old_stays() {
    let authority = Authority::new();
    let folder = Folder::with(&authority.server());
    let port = Port::open(&folder.config(), Protocol::Http).await;
    let asker = Asker::trusting(&authority);

    // Half way through a renewal: the certificate is there, its key is not yet.
    let renewed = authority.server();
    folder.write("tls.crt", &renewed.certificate);
    assert!(port.tls.look().is_err());
    assert!(!port.tls.look().unwrap(), "said twice");
    assert!(port.meet(&asker).await.0.is_ok());

    folder.write("tls.key", &renewed.key);
    assert!(port.tls.look().unwrap());
    assert!(port.meet(&asker).await.0.is_ok());

    std::fs::remove_file(folder.path("tls.crt")).unwrap();
    assert!(port.tls.look().is_err());
    assert!(!port.tls.look().unwrap(), "said twice");
    assert!(port.meet(&asker).await.0.is_ok());
}

#[tokio::test]
async fn a_client_authority_is_renewed_like_the_certificate() {
    let (authority, before, after) = (Authority::new(), Authority::new(), Authority::new());
    let folder = Folder::with(&authority.server());
    let port = Port::open(&folder.mutual(&before), Protocol::Grpc).await;
    folder.write("clients.crt", &after.pem());
    assert!(port.tls.look().unwrap());
    let old = Asker::showing(&authority, &before.client());
    assert!(port.meet(&old).await.0.is_err());
    let new = Asker::showing(&authority, &after.client());
    assert!(port.meet(&new).await.0.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_files_are_looked_at_every_minute_until_shutdown() {
    let (before, after) = (Authority::new(), Authority::new());
    let folder = Folder::with(&before.server());
    let port = Port::open(&folder.config(), Protocol::Http).await;
    let tasks = Tasks::new(Shutdown::new());
    port.tls.follow_files(&tasks);
    folder.put(&after.server());
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert!(port.meet(&Asker::trusting(&before)).await.0.is_ok());
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(port.meet(&Asker::trusting(&after)).await.0.is_ok());
    tasks.shutdown().begin();
    assert!(tasks.ended_within(Duration::from_secs(1)).await);
}

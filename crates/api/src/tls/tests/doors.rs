//! Who is let in, and what the others hear.

use super::papers::{Asker, Authority, Folder, Port};
use crate::tls::{Config, Protocol, Stream, Tls};
use std::io::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::version::{TLS12, TLS13};

#[tokio::test]
async fn a_client_that_trusts_the_authority_is_heard_in_tls_1_2_and_1_3() {
    let authority = Authority::new();
    let folder = Folder::with(&authority.server());
    let port = Port::open(&folder.config(), Protocol::Http).await;
    for version in [&TLS12, &TLS13] {
        let (taken, asked) = port.meet(&Asker::speaking(&authority, version)).await;
        let (mut taken, mut asked) = (taken.unwrap(), asked.unwrap());
        assert_eq!(asked.get_ref().1.protocol_version(), Some(version.version));
        asked.write_all(b"hello").await.unwrap();
        asked.flush().await.unwrap();
        let mut heard = [0; 5];
        taken.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
    }
}

#[tokio::test]
async fn each_door_names_its_own_protocol() {
    let authority = Authority::new();
    let folder = Folder::with(&authority.server());
    for (protocol, name) in [(Protocol::Http, &b"http/1.1"[..]), (Protocol::Grpc, b"h2")] {
        let port = Port::open(&folder.config(), protocol).await;
        let mut asker = Asker::trusting(&authority);
        asker.config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let (_, asked) = port.meet(&asker).await;
        assert_eq!(asked.unwrap().get_ref().1.alpn_protocol(), Some(name));
        // Older clients name none.
        asker.config.alpn_protocols.clear();
        assert!(port.meet(&asker).await.1.is_ok());
    }
}

#[tokio::test]
async fn a_client_that_trusts_another_authority_turns_away() {
    let folder = Folder::with(&Authority::new().server());
    let port = Port::open(&folder.config(), Protocol::Grpc).await;
    let (taken, asked) = port.meet(&Asker::trusting(&Authority::new())).await;
    assert!(taken.is_err());
    assert!(asked.is_err());
}

#[tokio::test]
async fn with_a_client_authority_only_its_own_are_taken() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let folder = Folder::with(&authority.server());
    let port = Port::open(&folder.mutual(&clients), Protocol::Grpc).await;
    let bare = Asker::trusting(&authority);
    assert!(port.meet(&bare).await.0.is_err(), "taken without a certificate");
    let foreign = Asker::showing(&authority, &authority.client());
    assert!(
        port.meet(&foreign).await.0.is_err(),
        "taken by another authority's certificate"
    );
    let known = Asker::showing(&authority, &clients.client());
    let (taken, asked) = port.meet(&known).await;
    assert!(matches!(taken, Ok(Stream::Right(_))));
    assert!(asked.is_ok());
}

#[tokio::test]
async fn plaintext_on_the_http_port_is_told_to_ask_by_https() {
    let folder = Folder::with(&Authority::new().server());
    let port = Port::open(&folder.config(), Protocol::Http).await;
    let mut asked = TcpStream::connect(port.address()).await.unwrap();
    asked
        .write_all(b"GET /nacos HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(port.take().await.err().unwrap().kind(), ErrorKind::InvalidData);
    let mut heard = String::new();
    asked.read_to_string(&mut heard).await.unwrap();
    assert!(heard.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{heard}");
    assert!(
        heard.ends_with("\r\n\r\nthis port speaks TLS: ask by https\n"),
        "{heard}"
    );
}

#[tokio::test]
async fn plaintext_on_the_grpc_port_is_closed() {
    let folder = Folder::with(&Authority::new().server());
    let port = Port::open(&folder.config(), Protocol::Grpc).await;
    let mut asked = TcpStream::connect(port.address()).await.unwrap();
    asked.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    assert!(port.take().await.is_err());
    let mut heard = Vec::new();
    // A reset says no less than an end.
    let _ = asked.read_to_end(&mut heard).await;
    assert!(heard.is_empty());
}

#[tokio::test]
async fn where_plaintext_is_allowed_too_the_first_byte_decides() {
    let authority = Authority::new();
    let folder = Folder::with(&authority.server());
    let config = Config {
        plaintext_too: true,
        ..folder.config()
    };
    let port = Port::open(&config, Protocol::Grpc).await;
    let (taken, _) = port.meet(&Asker::trusting(&authority)).await;
    assert!(matches!(taken, Ok(Stream::Right(_))));
    let mut asked = TcpStream::connect(port.address()).await.unwrap();
    asked.write_all(b"PRI").await.unwrap();
    let mut taken = port.take().await.unwrap();
    assert!(matches!(taken, Stream::Left(_)));
    let mut heard = [0; 3];
    taken.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"PRI", "the first byte was not eaten");
}

#[tokio::test(start_paused = true)]
async fn silence_and_a_handshake_that_stands_still_end_after_ten_seconds() {
    let folder = Folder::with(&Authority::new().server());
    let port = Port::open(&folder.config(), Protocol::Http).await;
    // A handshake record of 512 bytes that never come.
    for begun in [&b""[..], &[0x16, 3, 1, 2, 0]] {
        let mut asked = TcpStream::connect(port.address()).await.unwrap();
        asked.write_all(begun).await.unwrap();
        assert_eq!(port.take().await.err().unwrap().kind(), ErrorKind::TimedOut);
    }
}

/// What makes a good configuration a bad one.
type Change<'a> = &'a dyn Fn(&mut Config);

#[test]
fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let (paper, other) = (authority.server(), authority.server());
    let folder = Folder::with(&paper);
    folder.write("empty", "");
    folder.write("other.key", &other.key);
    folder.write(
        "locked.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    folder.write("broken", "-----BEGIN CERTIFICATE-----\nno base64!\n");
    let refused = |change: Change| {
        let mut config = folder.config();
        change(&mut config);
        Tls::load(&config, Protocol::Http).expect_err("refused").to_string()
    };
    let cases: [(&str, &str, Change); 9] = [
        ("away", "No such file", &|c| c.certificate = folder.path("away")),
        ("empty", "no certificate", &|c| c.certificate = folder.path("empty")),
        ("broken", "not PEM", &|c| c.certificate = folder.path("broken")),
        ("tls.key", "no certificate", &|c| c.certificate = folder.path("tls.key")),
        ("tls.crt", "no private key", &|c| c.key = folder.path("tls.crt")),
        ("locked.key", "passphrase", &|c| c.key = folder.path("locked.key")),
        ("other.key", "tls.crt and key", &|c| c.key = folder.path("other.key")),
        ("empty", "no certificate", &|c| {
            c.client_authority = Some(folder.path("empty"));
        }),
        ("tls.key", "no certificate", &|c| {
            c.client_authority = Some(folder.path("tls.key"));
        }),
    ];
    for (file, why, change) in cases {
        let said = refused(change);
        assert!(said.contains(file) && said.contains(why), "{file}, {why}: {said}");
    }
}

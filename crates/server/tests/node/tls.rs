//! What clients of both doors meet.

use crate::papers::Authority;
use crate::process::Process;
use muster_sdk::{Client, Config, Error, Tls};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// HTTP/2's preface, and settings that change nothing.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const SETTINGS: u8 = 4;

fn flags(pairs: &[(&str, &PathBuf)]) -> Vec<String> {
    let texts = |(flag, path): &(&str, &PathBuf)| [(*flag).to_owned(), path.display().to_string()];
    pairs.iter().flat_map(texts).collect()
}

fn client(server: String, tls: Option<Tls>) -> Client {
    Client::new(&Config {
        servers: vec![server],
        tls,
        ..Config::default()
    })
    .unwrap()
}

/// The type of the first HTTP/2 frame that the other side sends.
async fn first_frame(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin)) -> std::io::Result<u8> {
    stream.write_all(PREFACE).await?;
    stream.flush().await?;
    let mut head = [0; 9];
    stream.read_exact(&mut head).await?;
    Ok(head[3])
}

async fn grpc_in_tls(process: &Process, authority: &Authority) -> std::io::Result<u8> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(authority.ca()).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(&process.grpc).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    first_frame(&mut TlsConnector::from(Arc::new(config)).connect(name, stream).await?).await
}

async fn grpc_in_plaintext(process: &Process) -> std::io::Result<u8> {
    first_frame(&mut TcpStream::connect(&process.grpc).await?).await
}

#[tokio::test]
async fn with_a_certificate_both_doors_speak_tls_alone() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("server");
    let process = Process::start(&flags(&[("--tls-certificate", &certificate), ("--tls-key", &key)]));
    let trusting = Tls {
        authority: authority.ca(),
        identity: None,
    };
    let secured = client(format!("https://{}", process.http), Some(trusting));
    secured.cluster_status().await.unwrap();
    match client(process.http.clone(), None).cluster_status().await {
        Err(Error::Refused {
            status: 400, message, ..
        }) => assert_eq!(message, "this port speaks TLS: ask by https"),
        other => panic!("{other:?}"),
    }
    assert_eq!(grpc_in_tls(&process, &authority).await.unwrap(), SETTINGS);
    assert!(grpc_in_plaintext(&process).await.is_err());
}

#[tokio::test]
async fn with_a_client_authority_clients_show_a_certificate_where_the_door_asks() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("server");
    let mut arguments = flags(&[
        ("--tls-certificate", &certificate),
        ("--tls-key", &key),
        ("--tls-client-authority", &authority.ca()),
    ]);
    arguments.extend(["--set", "tls.grpc=tls"].map(str::to_owned));
    let process = Process::start(&arguments);
    let asking = |identity| {
        let tls = Tls {
            authority: authority.ca(),
            identity,
        };
        client(format!("https://{}", process.http), Some(tls))
    };
    assert!(asking(None).cluster_status().await.is_err());
    asking(Some(authority.issue("client"))).cluster_status().await.unwrap();
    assert_eq!(grpc_in_tls(&process, &authority).await.unwrap(), SETTINGS);
}

#[tokio::test]
async fn a_door_may_take_both_and_stops_in_order() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("server");
    let mut arguments = flags(&[("--tls-certificate", &certificate), ("--tls-key", &key)]);
    arguments.extend(["--set", "tls.http=off", "--set", "tls.grpc_plaintext_too=true"].map(str::to_owned));
    let process = Process::start(&arguments);
    client(process.http.clone(), None).cluster_status().await.unwrap();
    assert_eq!(grpc_in_tls(&process, &authority).await.unwrap(), SETTINGS);
    let mut held = TcpStream::connect(&process.grpc).await.unwrap();
    assert_eq!(first_frame(&mut held).await.unwrap(), SETTINGS);
    let silent = TcpStream::connect(&process.grpc).await.unwrap();
    let steps = process.stop();
    let names: Vec<_> = steps.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "stop being ready",
            "move gRPC clients",
            "stop accepting",
            "drain pushes",
            "drain copies",
            "hand over leadership",
            "close the log",
            "end tasks"
        ]
    );
    let late: Vec<_> = steps.iter().filter(|(_, in_time)| !in_time).collect();
    assert!(late.is_empty(), "{late:?}");
    drop((held, silent));
}

//! Which server is asked, and when the next one is, against servers that say what a test tells them.

use muster_model::{GroupName, Host, Instance, InstanceKey, Kind, NamespaceId, ServiceKey, ServiceName};
use muster_sdk::{Client, Config, Error, ServiceRecord};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A server that gives one answer to every request, each on a connection of its own; and the request lines it has heard.
fn server(status: &'static str, body: &'static str) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (heard, requests) = channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && connection.read(&mut byte).is_ok_and(|read| read == 1) {
                request.push(byte[0]);
            }
            let text = String::from_utf8_lossy(&request);
            if heard.send(text.lines().next().unwrap_or_default().to_owned()).is_err() {
                return;
            }
            let length = body.len();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            let _ = connection.write_all(answer.as_bytes());
        }
    });
    (address, requests)
}

/// A port where nobody listens.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}

/// A server that takes a request and hangs up.
fn hanging_up() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            let _ = connection.read(&mut [0; 1024]);
        }
    });
    address
}

fn client(servers: &[&str]) -> Client {
    Client::new(&Config {
        servers: servers.iter().map(|server| (*server).to_owned()).collect(),
        timeout: Duration::from_secs(5),
        ..Config::default()
    })
    .unwrap()
}

fn service() -> ServiceKey {
    let name = ServiceName::parse("svc").unwrap();
    ServiceKey::new(NamespaceId::public(), GroupName::default_group(), name)
}

fn instance() -> Instance {
    Instance::new(InstanceKey::new(Host::parse("10.0.0.1").unwrap(), 80), Kind::Persistent)
}

#[tokio::test]
async fn a_server_that_is_away_or_not_ready_is_passed_over_and_not_asked_first_again() {
    let (loading, asked) = server(
        "503 Service Unavailable",
        r#"{"error":"not_ready","message":"loading"}"#,
    );
    let (ready, heard) = server("200 OK", "ok");
    let client = client(&[&nobody(), &loading, &ready]);
    client.register(&service(), &instance()).await.unwrap();
    client.register(&service(), &instance()).await.unwrap();
    assert_eq!(asked.try_iter().count(), 1);
    let requests: Vec<_> = heard.try_iter().collect();
    assert_eq!(requests.len(), 2);
    assert!(
        requests[0].starts_with("POST /nacos/v1/ns/instance?"),
        "{}",
        requests[0]
    );
    assert!(
        requests[0].contains("serviceName=DEFAULT_GROUP%40%40svc"),
        "{}",
        requests[0]
    );
    assert!(requests[0].contains("ephemeral=false"), "{}", requests[0]);
}

#[tokio::test]
async fn a_refusal_is_final_and_says_what_the_server_said() {
    let (first, _heard) = server("400 Bad Request", "Param 'ip' is required.");
    let (second, asked) = server("200 OK", "ok");
    let refused = client(&[&first, &second]).register(&service(), &instance()).await;
    let said = refused.unwrap_err().to_string();
    assert!(said.ends_with("answered 400: Param 'ip' is required."), "{said}");
    assert_eq!(asked.try_iter().count(), 0);
}

#[tokio::test]
async fn a_write_that_may_have_been_done_is_repeated_only_where_that_is_harmless() {
    let broken = hanging_up();
    let (second, asked) = server("200 OK", "ok");
    client(&[&broken, &second])
        .register(&service(), &instance())
        .await
        .unwrap();
    assert_eq!(asked.try_iter().count(), 1);
    let created = client(&[&broken, &second])
        .create_service(&service(), &ServiceRecord::default())
        .await;
    assert!(matches!(created, Err(Error::OutcomeUnknown { .. })), "{created:?}");
    assert_eq!(asked.try_iter().count(), 0);
}

#[tokio::test]
async fn nobody_there_names_everybody_who_was_asked() {
    let (first, second) = (nobody(), nobody());
    let error = client(&[&first, &second]).cluster_status().await.unwrap_err();
    let said = error.to_string();
    assert!(said.contains(&first) && said.contains(&second), "{said}");
}

#[tokio::test]
async fn an_answer_other_than_ok_is_no_success() {
    let (odd, _heard) = server("200 OK", "<html>hello</html>");
    let answered = client(&[&odd]).register(&service(), &instance()).await;
    assert!(matches!(answered, Err(Error::BadAnswer { .. })), "{answered:?}");
}

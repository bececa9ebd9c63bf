//! From a client's socket to naming and back: the whole way, once.

use super::client::{Client, Stream, payload};
use super::rig::Rig;
use tonic::{Code, Status};

fn instance(kind: &str, port: u16) -> String {
    format!(
        r#"{{"headers":{{}},"namespace":"public","serviceName":"s","groupName":"DEFAULT_GROUP","type":"{kind}","instance":{{"ip":"10.0.0.1","port":{port},"weight":1.0,"healthy":true,"enabled":true,"ephemeral":true,"clusterName":"DEFAULT","metadata":{{}}}},"module":"naming"}}"#
    )
}

const SUBSCRIBE: &str = r#"{"headers":{},"namespace":"public","serviceName":"s","groupName":"DEFAULT_GROUP","subscribe":true,"clusters":"","module":"naming"}"#;

async fn pushed_ports(stream: &mut Stream, until: &[u64]) {
    loop {
        let pushed = stream.next().await.unwrap();
        assert_eq!(pushed.0, "NotifySubscriberRequest");
        stream.ack(&pushed).await;
        let hosts = pushed.1["serviceInfo"]["hosts"].as_array().unwrap().iter();
        let mut ports: Vec<u64> = hosts.map(|host| host["port"].as_u64().unwrap()).collect();
        ports.sort_unstable();
        if ports == until {
            return;
        }
    }
}

async fn ok(client: &mut Client, name: &str, json: &str) {
    let answer = client.call(name, json).await;
    assert_eq!(answer.codes(), (200, 0), "{answer:?}");
    assert_eq!(answer.json["success"], true);
}

#[tokio::test]
async fn what_one_client_registers_another_is_pushed_until_the_first_is_gone() {
    let rig = Rig::open().await;
    let (mut provider, provider_stream, _) = rig.java().await;
    let (mut consumer, mut stream, _) = rig.java().await;
    ok(&mut consumer, "SubscribeServiceRequest", SUBSCRIBE).await;
    ok(&mut provider, "InstanceRequest", &instance("registerInstance", 80)).await;
    pushed_ports(&mut stream, &[80]).await;
    ok(&mut consumer, "InstanceRequest", &instance("registerInstance", 81)).await;
    pushed_ports(&mut stream, &[80, 81]).await;
    drop((provider, provider_stream));
    pushed_ports(&mut stream, &[81]).await;
    ok(&mut consumer, "InstanceRequest", &instance("deregisterInstance", 81)).await;
    pushed_ports(&mut stream, &[]).await;
}

#[tokio::test]
async fn a_client_that_asks_for_long_lists_and_reads_none_is_refused_more_and_harms_nobody() {
    let rig = Rig::open().await;
    let (client, _stream, info) = rig.java().await;
    let addresses: Vec<String> = (0..10_000)
        .map(|host| format!("10.1.{}.{}:80", host / 250, host % 250))
        .collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    rig.publish(info.id, "s", &addresses);
    // Some 4 MB each: all are asked for at once, and come one after the other.
    let calls = (0..20).map(|_| {
        let mut client = client.clone();
        async move {
            let query = payload("ServiceQueryRequest", SUBSCRIBE);
            client
                .unread("/Request/request", query)
                .await
                .map(|answer| answer.body.unwrap().value.len())
        }
    });
    let answers = futures_util::future::join_all(calls).await;
    let refused = |answer: &&Result<usize, Status>| {
        answer
            .as_ref()
            .is_err_and(|status| status.code() == Code::ResourceExhausted)
    };
    let refused = answers.iter().filter(refused).count();
    assert!((1..20).contains(&refused), "{refused} of 20 were refused: {answers:?}");
    rig.serves().await;
}

//! Clients, as v2 and v3 list them.

use super::rig::{JAVA, Rig};
use crate::grpc::{self, Connections, GrpcServer};
use muster_model::Kind;
use muster_push::{SubscriptionInfo, SubscriptionKey, Target};
use muster_runtime::{TaskKind, Tasks};
use muster_wire::grpc::{Any, Metadata, Payload};
use serde_json::{Value, json};
use std::time::Duration;

async fn rig() -> Rig {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Ephemeral).await;
    rig.register("other", "10.0.0.1:80", Kind::Ephemeral).await;
    rig.register("kept", "10.0.0.2:80", Kind::Persistent).await;
    let path = "/v1/ns/instance/list?serviceName=svc&clientIP=10.0.0.9&udpPort=5000&app=shop";
    rig.call_as(JAVA, "GET", path).await;
    rig
}

async fn data(rig: &Rig, path: &str) -> Value {
    let answer = rig.call("GET", path).await;
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (200, &json!(0)),
        "{path}: {}",
        answer.body
    );
    answer.json()["data"].clone()
}

#[tokio::test]
async fn every_address_that_publishes_or_listens_is_a_client_once() {
    let rig = rig().await;
    for base in ["/v2/ns/client", "/v3/admin/ns/client"] {
        assert_eq!(
            data(&rig, &format!("{base}/list")).await,
            json!(["10.0.0.1:80#true", "10.0.0.2:80#false", "10.0.0.9:5000#true"])
        );
    }
}

#[tokio::test]
async fn a_client_is_shown_with_its_port_as_text_in_v2_and_as_number_in_v3() {
    let rig = rig().await;
    for (base, port) in [("/v2/ns/client", json!("80")), ("/v3/admin/ns/client", json!(80))] {
        let shown = data(&rig, &format!("{base}?clientId=10.0.0.2:80%23false")).await;
        assert!(shown["lastUpdatedTime"].as_u64().unwrap() > 0);
        assert_eq!(
            shown,
            json!({
                "clientId": "10.0.0.2:80#false", "ephemeral": false, "lastUpdatedTime": shown["lastUpdatedTime"],
                "clientType": "ipPort", "clientIp": "10.0.0.2", "clientPort": port,
            })
        );
        assert_eq!(
            data(&rig, &format!("{base}?clientId=10.0.0.9:5000%23true")).await["lastUpdatedTime"],
            0
        );
        for unknown in [
            "10.0.0.2:80%23true",
            "10.0.0.9:5000%23false",
            "nonsense",
            "1_10.0.0.1_80",
        ] {
            let refused = rig.call("GET", &format!("{base}?clientId={unknown}")).await;
            assert_eq!(
                (refused.status, &refused.json()["code"]),
                (404, &json!(20_004)),
                "{unknown}"
            );
            let name = unknown.replace("%23", "#");
            assert_eq!(refused.json()["data"], format!("clientId [ {name} ] not exist"));
        }
    }
}

#[tokio::test]
async fn what_a_client_publishes_and_subscribes_to_is_listed() {
    let rig = rig().await;
    let of = "clientId=10.0.0.1:80%23true";
    assert_eq!(
        data(&rig, &format!("/v2/ns/client/publish/list?{of}")).await,
        json!([
            {"namespace": "public", "group": "DEFAULT_GROUP", "serviceName": "other",
             "registeredInstance": {"ip": "10.0.0.1", "port": 80, "cluster": "DEFAULT"}},
            {"namespace": "public", "group": "DEFAULT_GROUP", "serviceName": "svc",
             "registeredInstance": {"ip": "10.0.0.1", "port": 80, "cluster": "DEFAULT"}},
        ])
    );
    assert_eq!(
        data(&rig, &format!("/v3/admin/ns/client/publish/list?{of}")).await[1],
        json!({
            "namespaceId": "public", "groupName": "DEFAULT_GROUP", "serviceName": "svc", "subscriberInfo": null,
            "publisherInfo": {"clientId": "10.0.0.1:80#true", "ip": "10.0.0.1", "port": 80, "clusterName": "DEFAULT"},
        })
    );
    assert_eq!(
        data(&rig, &format!("/v2/ns/client/subscribe/list?{of}")).await,
        json!([])
    );
    let of = "clientId=10.0.0.9:5000%23true";
    assert_eq!(
        data(&rig, &format!("/v2/ns/client/subscribe/list?{of}")).await,
        json!([{
            "namespace": "public", "group": "DEFAULT_GROUP", "serviceName": "svc",
            "subscriberInfo": {"app": "shop", "agent": JAVA, "addr": "10.0.0.9:5000"},
        }])
    );
    assert_eq!(
        data(&rig, &format!("/v3/admin/ns/client/subscribe/list?{of}")).await,
        json!([{
            "namespaceId": "public", "groupName": "DEFAULT_GROUP", "serviceName": "svc", "publisherInfo": null,
            "subscriberInfo": {
                "clientId": "10.0.0.9:5000#true", "appName": "shop", "agent": JAVA, "address": "10.0.0.9:5000",
            },
        }])
    );
}

#[tokio::test]
async fn the_clients_of_a_service_are_listed_all_or_those_of_an_address() {
    let rig = rig().await;
    let v2 = async |query: &str| data(&rig, &format!("/v2/ns/client/service/{query}")).await;
    let one = json!([{"clientId": "10.0.0.1:80#true", "ip": "10.0.0.1", "port": 80}]);
    assert_eq!(v2("publisher/list?serviceName=svc").await, one);
    assert_eq!(v2("publisher/list?serviceName=svc&ip=10.0.0.1&port=80").await, one);
    assert_eq!(
        v2("publisher/list?serviceName=svc&ip=10.0.0.1&port=81").await,
        json!([])
    );
    assert_eq!(v2("publisher/list?serviceName=svc&ephemeral=false").await, json!([]));
    assert_eq!(
        v2("publisher/list?serviceName=kept&ephemeral=false").await[0]["clientId"],
        "10.0.0.2:80#false"
    );
    assert_eq!(
        v2("subscriber/list?serviceName=svc").await,
        json!([{"clientId": "10.0.0.9:5000#true", "ip": "10.0.0.9", "port": 5000}])
    );
    assert_eq!(v2("subscriber/list?serviceName=svc&port=1").await, json!([]));
    let v3 = async |query: &str| data(&rig, &format!("/v3/admin/ns/client/service/{query}")).await;
    assert_eq!(
        v3("publisher/list?serviceName=svc").await,
        json!([{"clientId": "10.0.0.1:80#true", "ip": "10.0.0.1", "port": 80, "clusterName": "DEFAULT"}])
    );
    assert_eq!(
        v3("subscriber/list?serviceName=svc").await,
        json!([{"clientId": "10.0.0.9:5000#true", "appName": "shop", "agent": JAVA, "address": "10.0.0.9:5000"}])
    );
}

/// A client of the gRPC door: its only transport, set up as Java's does it.
struct Connected {
    _says: tokio::sync::mpsc::Sender<Payload>,
    _hears: tonic::Streaming<Payload>,
    _tasks: Tasks,
    connections: Connections,
}

impl Connected {
    /// A gRPC door with one client, which the HTTP door knows of.
    async fn to(rig: &Rig) -> Self {
        let config = grpc::Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            connections_max: 10,
            message_bytes_max: 100_000,
            write_timeout: Duration::from_secs(3),
            tls: None,
        };
        let server = GrpcServer::bind(config, rig.bed.clock.clone()).await.unwrap();
        let (address, connections) = (server.local_addr(), server.connections());
        connections.open(rig.bed.naming.clone(), rig.bed.naming.push().clone());
        let tasks = Tasks::new(rig.shutdown.clone());
        let running = server.run(rig.shutdown.clone(), Duration::from_secs(1), tasks.clone());
        tasks.spawn("grpc", TaskKind::Contained, running);
        rig.opener.join_connections(connections.clone());
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
        let mut client = tonic::client::Grpc::new(channel.unwrap().connect().await.unwrap());
        client.ready().await.unwrap();
        let (says, said) = tokio::sync::mpsc::channel(1);
        let setup = r#"{"headers":{},"clientVersion":"Nacos-Java-Client:v2.4.3","labels":{"module":"naming","AppName":"shop"},"abilityTable":{}}"#;
        let payload = Payload {
            metadata: Some(Metadata {
                r#type: "ConnectionSetupRequest".to_owned(),
                client_ip: "10.0.0.5".to_owned(),
                ..Metadata::default()
            }),
            body: Some(Any {
                type_url: String::new(),
                value: setup.as_bytes().into(),
            }),
        };
        says.send(payload).await.unwrap();
        let hears = client
            .streaming(
                tonic::Request::new(tokio_stream::wrappers::ReceiverStream::new(said)),
                "/BiRequestStream/requestBiStream".parse().unwrap(),
                tonic_prost::ProstCodec::<Payload, Payload>::default(),
            )
            .await;
        let mut hears = hears.unwrap().into_inner();
        hears.message().await.unwrap().expect("an ack of the setup");
        Self {
            _says: says,
            _hears: hears,
            _tasks: tasks,
            connections,
        }
    }
}

#[tokio::test]
async fn a_connection_is_a_client_and_what_it_publishes_is_not_its_addresses() {
    let rig = rig().await;
    let connected = Connected::to(&rig).await;
    let connection = connected.connections.list().remove(0);
    let service = muster_naming::testing::service("svc");
    let instance = muster_naming::testing::instance("10.0.0.7:80", Kind::Ephemeral);
    rig.bed
        .naming
        .publish(&rig.bed.context(), connection.id, &service, vec![instance])
        .unwrap();
    let key = SubscriptionKey {
        service: muster_naming::testing::service("other"),
        clusters: "".into(),
        target: Target::Connection {
            id: connection.id,
            peer: connection.peer,
        },
    };
    let info = SubscriptionInfo {
        agent: "Nacos-Java-Client:v2.4.3".into(),
        app: "shop".into(),
        datagram_bytes_max: usize::MAX,
    };
    rig.bed.naming.subscribe(&rig.bed.context(), key, info);
    let name = connection.name.as_str();
    let ids = data(&rig, "/v2/ns/client/list").await;
    let ids: Vec<&str> = ids.as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    let mut expected = ["10.0.0.1:80#true", "10.0.0.2:80#false", "10.0.0.9:5000#true", name];
    expected.sort_unstable();
    assert_eq!(ids, expected, "10.0.0.7 is the connection's");
    for (base, port) in [
        ("/v2/ns/client", json!(connection.peer.port().to_string())),
        ("/v3/admin/ns/client", json!(connection.peer.port())),
    ] {
        let shown = data(&rig, &format!("{base}?clientId={name}")).await;
        assert_eq!(
            shown,
            json!({
                "clientId": name, "ephemeral": true, "lastUpdatedTime": connection_time(&shown), "clientType": "connection",
                "connectType": "GRPC", "appName": "shop", "version": "Nacos-Java-Client:v2.4.3", "clientIp": "10.0.0.5",
                "clientPort": port,
            })
        );
    }
    assert_eq!(
        data(&rig, &format!("/v3/admin/ns/client/publish/list?clientId={name}")).await,
        json!([{
            "namespaceId": "public", "groupName": "DEFAULT_GROUP", "serviceName": "svc", "subscriberInfo": null,
            "publisherInfo": {"clientId": name, "ip": "10.0.0.7", "port": 80, "clusterName": "DEFAULT"},
        }])
    );
    let subscribed = data(&rig, &format!("/v2/ns/client/subscribe/list?clientId={name}")).await;
    assert_eq!(
        (&subscribed[0]["serviceName"], &subscribed[0]["subscriberInfo"]["app"]),
        (&json!("other"), &json!("shop"))
    );
    let publishers = data(&rig, "/v2/ns/client/service/publisher/list?serviceName=svc&ip=10.0.0.7").await;
    assert_eq!(publishers, json!([{"clientId": name, "ip": "10.0.0.7", "port": 80}]));
    let subscribers = data(&rig, "/v2/ns/client/service/subscriber/list?serviceName=other").await;
    assert_eq!(subscribers[0]["clientId"], name);
    let metrics = data(&rig, "/v2/ns/operator/metrics?onlyStatus=false").await;
    assert_eq!(metrics["connectionBasedClientCount"], 1);
    let not_its_address = rig.call("GET", "/v2/ns/client?clientId=10.0.0.7:80%23true").await;
    assert_eq!(not_its_address.status, 404);
}

fn connection_time(shown: &Value) -> u64 {
    shown["lastUpdatedTime"].as_u64().expect("a time")
}

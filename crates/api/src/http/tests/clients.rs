//! Clients, as v2 and v3 list them.

use super::rig::{JAVA, Rig};
use muster_model::Kind;
use serde_json::{Value, json};

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

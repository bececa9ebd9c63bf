//! `PUT /v1/ns/instance/beat`.

use super::rig::Rig;
use muster_model::Kind;
use muster_naming::testing::{key, service};

const LIGHT: &str = "/v1/ns/instance/beat?serviceName=svc&ip=10.0.0.1&port=80";
const RENEWED: &str = r#"{"clientBeatInterval":5000,"code":10200,"lightBeatEnabled":true}"#;

#[tokio::test]
async fn t14_a_light_beat_of_an_unknown_instance_is_20404_in_a_200() {
    let rig = Rig::open().await;
    rig.call("PUT", LIGHT).await.is(
        200,
        r#"{"clientBeatInterval":5000,"code":20404,"lightBeatEnabled":true}"#,
    );
    assert!(rig.listed("svc").await.is_empty());
    rig.register("svc", "10.0.0.1:80", Kind::Ephemeral).await;
    rig.call("PUT", LIGHT).await.is(200, RENEWED);
}

#[tokio::test]
async fn t22_a_full_beat_registers_under_the_service_of_the_request() {
    let rig = Rig::open().await;
    let path = "/v1/ns/instance/beat?serviceName=G1%40%40svc&beat=%7B%22ip%22:%2210.0.0.1%22,%22port%22:80,%22weight%22:2,%22serviceName%22:%22svc%22%7D";
    rig.call("PUT", path).await.is(200, RENEWED);
    assert_eq!(rig.listed("G1%40%40svc").await, ["10.0.0.1:80"]);
    assert!(rig.listed("svc").await.is_empty());
}

#[tokio::test]
async fn t3_a_beat_without_cluster_renews_an_instance_of_another_cluster() {
    let rig = Rig::open().await;
    rig.call(
        "POST",
        "/v1/ns/instance?serviceName=svc&ip=10.0.0.1&port=80&clusterName=None",
    )
    .await
    .is(200, "ok");
    rig.bed
        .ephemeral
        .set_health(&service("svc"), &key("10.0.0.1:80"), false);
    rig.form(
        "PUT",
        "/v1/ns/instance/beat",
        r#"serviceName=svc&beat={"ip":"10.0.0.1","port":80,"weight":1.0}"#,
    )
    .await
    .is(200, RENEWED);
    let hosts = rig.call("GET", "/v1/ns/instance/list?serviceName=svc").await.json()["hosts"].clone();
    assert_eq!(hosts.as_array().unwrap().len(), 1);
    assert_eq!(
        (&hosts[0]["clusterName"], &hosts[0]["healthy"]),
        (&"None".into(), &true.into())
    );
}

#[tokio::test]
async fn t42_the_instances_own_interval_is_returned() {
    let rig = Rig::open().await;
    let metadata = "%7B%22preserved.heart.beat.interval%22:%221000%22%7D";
    let register = format!("/v1/ns/instance?serviceName=svc&ip=10.0.0.1&port=80&metadata={metadata}");
    rig.call("POST", &register).await.is(200, "ok");
    assert_eq!(rig.call("PUT", LIGHT).await.json()["clientBeatInterval"], 1_000);
}

#[tokio::test]
async fn t43_a_full_beat_without_weight_registers_with_weight_zero() {
    let rig = Rig::open().await;
    let path = "/v1/ns/instance/beat?serviceName=svc&beat=%7B%22ip%22:%2210.0.0.1%22,%22port%22:80%7D";
    rig.call("PUT", path).await.is(200, RENEWED);
    let list = rig.call("GET", "/v1/ns/instance/list?serviceName=svc").await.json();
    assert_eq!(list["hosts"][0]["weight"], 0.0);
}

#[tokio::test]
async fn t44_a_beat_of_a_persistent_instance_is_answered_well() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Persistent).await;
    let path =
        "/v1/ns/instance/beat?serviceName=svc&beat=%7B%22ip%22:%2210.0.0.1%22,%22port%22:80,%22ephemeral%22:false%7D";
    rig.call("PUT", path).await.is(200, RENEWED);
}

#[tokio::test]
async fn a_beat_in_flight_does_not_bring_back_what_was_deregistered() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Ephemeral).await;
    rig.call("DELETE", "/v1/ns/instance?serviceName=svc&ip=10.0.0.1&port=80")
        .await
        .is(200, "ok");
    let path = "/v1/ns/instance/beat?serviceName=svc&beat=%7B%22ip%22:%2210.0.0.1%22,%22port%22:80,%22weight%22:1%7D";
    rig.call("PUT", path).await.is(200, RENEWED);
    assert!(rig.listed("svc").await.is_empty());
}

#[tokio::test]
async fn t13_a_beat_of_eight_kilobytes_fits_into_the_request_line() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Ephemeral).await;
    let metadata = "x".repeat(16_000);
    let path = format!(
        "/v1/ns/instance/beat?serviceName=svc&beat=%7B%22ip%22:%2210.0.0.1%22,%22port%22:80,%22weight%22:1,%22metadata%22:%7B%22k%22:%22{metadata}%22%7D%7D"
    );
    rig.call("PUT", &path).await.is(200, RENEWED);
}

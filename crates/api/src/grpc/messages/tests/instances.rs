use super::*;
use muster_model::Kind;
use muster_naming::testing::{instance, key, service};
use serde_json::json;

const REGISTERED: &str = r#"{"resultCode":200,"errorCode":0,"type":"registerInstance","success":true}"#;
const DEREGISTERED: &str = r#"{"resultCode":200,"errorCode":0,"type":"deregisterInstance","success":true}"#;

fn request(act: &str, service: &str, ip: &str) -> String {
    json!({"headers":{},"namespace":"public","serviceName":service,"groupName":"DEFAULT_GROUP","type":act,
        "instance":{"ip":ip,"port":80,"weight":1.0,"healthy":true,"enabled":true,"ephemeral":true,"clusterName":"DEFAULT",
        "metadata":{}},"module":"naming"})
    .to_string()
}

fn register(ip: &str) -> String {
    request("registerInstance", "s", ip)
}

#[tokio::test]
async fn a_second_registration_replaces_the_first_and_another_connection_s_stands_beside() {
    let rig = Rig::start();
    let (one, _asked) = rig.connect(1);
    let (other, _asked) = rig.connect(2);
    for (connection, ip) in [(&one, "1.1.1.1"), (&other, "1.1.1.9"), (&one, "1.1.1.2")] {
        let answer = rig.ask(connection, "InstanceRequest", &register(ip)).await;
        assert_eq!(answer, ("InstanceResponse", REGISTERED.to_owned()));
    }
    assert_eq!(rig.listed("s"), ["1.1.1.2:80 ephemeral", "1.1.1.9:80 ephemeral"]);
}

#[tokio::test]
async fn deregistering_ends_the_record_whatever_address_it_names() {
    let rig = Rig::start();
    let (one, _asked) = rig.connect(1);
    let (other, _asked) = rig.connect(2);
    rig.ask(&one, "InstanceRequest", &register("1.1.1.1")).await;
    rig.ask(&other, "InstanceRequest", &register("1.1.1.9")).await;
    for body in [
        request("deregisterInstance", "s", "9.9.9.9"),
        request("deregisterInstance", "s", "1.1.1.1"),
        request("deregisterInstance", "unknown", "1.1.1.1"),
        json!({"serviceName":"s","type":"deregisterInstance","instance":null}).to_string(),
        json!({"serviceName":"s","type":"deregisterInstance","instance":{"ip":"1.1.1.1","port":80,"weight":0,"healthy":false,"enabled":false}}).to_string(),
    ] {
        let answer = rig.ask(&one, "InstanceRequest", &body).await;
        assert_eq!(answer, ("InstanceResponse", DEREGISTERED.to_owned()), "{body}");
        assert_eq!(rig.listed("s"), ["1.1.1.9:80 ephemeral"], "{body}");
    }
}

#[tokio::test]
async fn a_batch_replaces_the_record_and_an_empty_one_lists_nothing() {
    let rig = Rig::start();
    let (one, _asked) = rig.connect(1);
    rig.ask(&one, "InstanceRequest", &register("1.1.1.1")).await;
    let batch = |ips: &[&str]| {
        let instances: Vec<Value> = ips.iter().map(|ip| json!({"ip":ip,"port":80})).collect();
        json!({"serviceName":"s","type":"batchRegisterInstance","instances":instances}).to_string()
    };
    let done = r#"{"resultCode":200,"errorCode":0,"type":"batchRegisterInstance","success":true}"#;
    for (ips, listed) in [
        (
            &["1.1.1.2", "1.1.1.3"][..],
            &["1.1.1.2:80 ephemeral", "1.1.1.3:80 ephemeral"][..],
        ),
        (&["1.1.1.3"], &["1.1.1.3:80 ephemeral"]),
        (&[], &[]),
    ] {
        let answer = rig.ask(&one, "BatchInstanceRequest", &batch(ips)).await;
        assert_eq!(answer, ("BatchInstanceResponse", done.to_owned()));
        assert_eq!(rig.listed("s"), listed);
    }
}

#[tokio::test]
async fn persistent_instances_belong_to_no_connection() {
    let rig = Rig::start();
    let (one, _asked) = rig.connect(1);
    let (other, _asked) = rig.connect(2);
    for ip in ["1.1.1.1", "1.1.1.2"] {
        let answer = rig.ask(&one, "PersistentInstanceRequest", &register(ip)).await;
        assert_eq!(answer, ("InstanceResponse", REGISTERED.to_owned()));
    }
    rig.bed.naming.connection_ended(one.id);
    assert_eq!(rig.listed("s"), ["1.1.1.1:80 persistent", "1.1.1.2:80 persistent"]);
    let body = request("deregisterInstance", "s", "1.1.1.1");
    for _ in 0..2 {
        let answer = rig.ask(&other, "PersistentInstanceRequest", &body).await;
        assert_eq!(
            answer,
            ("InstanceResponse", DEREGISTERED.to_owned()),
            "also where it is gone"
        );
    }
    assert_eq!(rig.listed("s"), ["1.1.1.2:80 persistent"]);
}

#[tokio::test]
async fn a_service_of_the_other_kind_refuses_in_the_asked_type_and_nacoss_words() {
    let rig = Rig::start();
    let (one, _asked) = rig.connect(1);
    let context = rig.bed.context();
    for (name, kind) in [("e", Kind::Ephemeral), ("p", Kind::Persistent)] {
        let registered = instance("2.2.2.2:80", kind);
        rig.bed
            .naming
            .register(&context, &service(name), registered)
            .await
            .unwrap();
    }
    for (message, name, text) in [
        (
            "InstanceRequest",
            "p",
            "Current service DEFAULT_GROUP@@p is persistent service, can't register ephemeral instance.",
        ),
        (
            "PersistentInstanceRequest",
            "e",
            "Current service DEFAULT_GROUP@@e is ephemeral service, can't register persistent instance.",
        ),
    ] {
        let (response, body) = rig
            .ask(&one, message, &request("registerInstance", name, "1.1.1.1"))
            .await;
        assert_eq!(response, "InstanceResponse");
        assert_eq!(
            body,
            format!(r#"{{"resultCode":500,"errorCode":400,"message":"{text}","success":false}}"#)
        );
    }
}

#[tokio::test]
async fn wrong_registrations_are_refused_in_the_asked_type_and_change_nothing() {
    let rig = Rig::start();
    let (one, _asked) = rig.connect(1);
    let with = |pairs: Value| {
        json!({"serviceName":"s","type":"registerInstance","instance":{"ip":"1.1.1.1","port":80,"metadata":pairs}})
            .to_string()
    };
    for (body, message) in [
        (
            with(json!({"preserved.heart.beat.interval":"20000"})),
            "Instance 'heart beat interval' must less than 'heart beat timeout' and 'ip delete timeout'.",
        ),
        (
            with(json!({"k":"x".repeat(1_024)})),
            "Param check invalid:Param 'Metadata' is illegal, the param length should not exceed 1024.",
        ),
        (
            request("registerInstance", "a b", "1.1.1.1"),
            "Param check invalid:Param 'serviceName' is illegal, illegal characters should not appear in the param.",
        ),
        (register(""), "Param check invalid:Param 'ip' is required."),
    ] {
        for kind in ["InstanceRequest", "PersistentInstanceRequest"] {
            let answer = rig.json(&one, kind, "InstanceResponse", &body).await;
            assert_eq!(
                answer,
                json!({"resultCode":500,"errorCode":400,"message":message,"success":false})
            );
        }
    }
    assert_eq!(rig.bed.naming.counts().instances, 0);
    let (name, body) = rig
        .ask(&one, "InstanceRequest", &request("updateInstance", "s", "1.1.1.1"))
        .await;
    assert_eq!(
        (name, body.as_str()),
        (
            "ErrorResponse",
            r#"{"resultCode":400,"errorCode":400,"message":"Unsupported request type updateInstance","success":false}"#
        )
    );
}

#[tokio::test]
async fn without_a_leader_clients_are_told_to_try_again_and_ephemeral_ones_are_served() {
    let rig = Rig::start();
    let (one, _asked) = rig.connect(1);
    rig.bed.set_leader(false);
    for act in ["registerInstance", "deregisterInstance"] {
        let body = request(act, "p", "1.1.1.1");
        let answer = rig
            .json(&one, "PersistentInstanceRequest", "ErrorResponse", &body)
            .await;
        assert_eq!(
            (&answer["resultCode"], &answer["errorCode"]),
            (&json!(500), &json!(500))
        );
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains("did not find the Leader node"), "{message}");
    }
    assert_eq!(
        rig.ask(&one, "InstanceRequest", &register("1.1.1.1")).await.1,
        REGISTERED
    );
}

#[tokio::test]
async fn a_full_node_says_so_at_once() {
    let rig = Rig::start();
    let (one, _asked) = rig.connect(1);
    rig.bed.ephemeral.set_instances_max(0);
    let answer = rig
        .json(&one, "InstanceRequest", "InstanceResponse", &register("1.1.1.1"))
        .await;
    assert_eq!(
        (&answer["resultCode"], &answer["errorCode"]),
        (&json!(500), &json!(503))
    );
}

#[tokio::test]
async fn a_connection_that_is_not_set_up_for_naming_registers_nothing() {
    let rig = Rig::start();
    let one = Arc::new(Connection::new(ConnectionId(7), peer(), 1, rig.bed.clock.clone()));
    let batch = json!({"serviceName":"s","type":"batchRegisterInstance","instances":[]}).to_string();
    let subscribe = json!({"serviceName":"s","subscribe":true}).to_string();
    let watch = json!({"groupKeyPattern":"public>>g>>*","watchType":"WATCH"}).to_string();
    for (name, body) in [
        ("InstanceRequest", &register("1.1.1.1")),
        ("BatchInstanceRequest", &batch),
        ("SubscribeServiceRequest", &subscribe),
        ("NamingFuzzyWatchRequest", &watch),
    ] {
        let answer = rig.json(&one, name, "ErrorResponse", body).await;
        assert_eq!(
            (&answer["resultCode"], &answer["errorCode"], &answer["success"]),
            (&json!(-401), &json!(-401), &json!(false)),
            "{name}"
        );
    }
    assert_eq!(rig.bed.naming.counts().instances, 0);
    assert!(rig.bed.recorder.subscriptions().is_empty());
    assert_eq!(rig.watches.len(), 0);
    let gone = rig
        .ask(&one, "InstanceRequest", &request("deregisterInstance", "s", "1.1.1.1"))
        .await;
    assert_eq!(gone.1, DEREGISTERED);
}

#[tokio::test]
async fn the_address_of_an_ephemeral_instance_is_the_client_s_own_word() {
    let rig = Rig::start();
    let (one, _asked) = rig.connect(1);
    let body = json!({"serviceName":"s","type":"registerInstance",
        "instance":{"instanceId":null,"ip":"db.internal","port":"3306","ephemeral":false,"serviceName":null,"metadata":null}});
    rig.ask(&one, "InstanceRequest", &body.to_string()).await;
    let listed = rig.bed.naming.snapshot(&service("s"));
    assert_eq!(listed.instances[0].key, key("db.internal:3306"));
    assert_eq!(
        listed.instances[0].kind,
        Kind::Ephemeral,
        "as in Nacos, whatever the instance says"
    );
}

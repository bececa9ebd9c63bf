use super::*;
use crate::grpc::Payload;
use crate::list::ID_GENERATOR;
use muster_model::{
    ClusterName, GroupName, Host as HostName, InstanceKey, Kind, Metadata, NamespaceId, Renders, ServiceName, Weight,
};
use proptest::prelude::*;
use prost::Message;
use serde_json::{Value, json};
use std::sync::Arc;

const ALL: InfoFilter<'static> = InfoFilter {
    clusters: "",
    healthy_only: false,
};
const STAMP_MS: u64 = 1_732_000_000_000;

fn instance(host: &str) -> Instance {
    Instance::new(InstanceKey::new(HostName::parse(host).unwrap(), 80), Kind::Ephemeral)
}

fn unhealthy(host: &str) -> Instance {
    Instance {
        healthy: false,
        ..instance(host)
    }
}

fn in_cluster(host: &str, cluster: &str) -> Instance {
    Instance {
        cluster: ClusterName::parse(cluster).unwrap(),
        ..instance(host)
    }
}

fn snapshot(instances: Vec<Instance>) -> ServiceSnapshot {
    ServiceSnapshot {
        key: ServiceKey::new(
            NamespaceId::public(),
            GroupName::default_group(),
            ServiceName::parse("s").unwrap(),
        ),
        revision: 1,
        stamp_ms: STAMP_MS,
        exists: true,
        instances: instances.into_iter().map(Arc::new).collect(),
        settings: Arc::default(),
        trace: None,
        renders: Renders::default(),
    }
}

fn with_threshold(protect_threshold: f32, instances: Vec<Instance>) -> ServiceSnapshot {
    ServiceSnapshot {
        settings: Arc::new(ServiceSettings {
            protect_threshold,
            metadata: [("a".to_owned(), "b".to_owned())].into_iter().collect(),
            ..ServiceSettings::default()
        }),
        ..snapshot(instances)
    }
}

fn queried(snapshot: &ServiceSnapshot, filter: &InfoFilter<'_>) -> Value {
    let answer: Value = serde_json::from_slice(&query_service_response(snapshot, filter, 7)).unwrap();
    answer["serviceInfo"].clone()
}

fn pushed(bytes: Bytes) -> (String, Value) {
    let payload = Payload::decode(bytes).unwrap();
    let metadata = payload.metadata.unwrap();
    assert!(metadata.headers.is_empty() && metadata.client_ip.is_empty());
    let body = payload.body.unwrap();
    assert_eq!(body.type_url, "");
    (metadata.r#type, serde_json::from_slice(&body.value).unwrap())
}

fn ips(info: &Value) -> Vec<&str> {
    let hosts = info["hosts"].as_array().unwrap().iter();
    hosts.map(|host| host["ip"].as_str().unwrap()).collect()
}

#[test]
fn an_answer_has_all_that_any_client_requires() {
    let snapshot = snapshot(vec![instance("1.1.1.1")]);
    let answer: Value = serde_json::from_slice(&query_service_response(&snapshot, &ALL, STAMP_MS)).unwrap();
    assert_eq!(
        answer,
        json!({"resultCode":200,"errorCode":0,"serviceInfo":{
            "name":"s","groupName":"DEFAULT_GROUP","clusters":"","cacheMillis":10000,"hosts":[
                {"instanceId":"1.1.1.1#80#DEFAULT#DEFAULT_GROUP@@s","ip":"1.1.1.1","port":80,"weight":1.0,"healthy":true,
                 "enabled":true,"ephemeral":true,"clusterName":"DEFAULT","serviceName":"DEFAULT_GROUP@@s","metadata":{},
                 "instanceHeartBeatInterval":5000,"instanceHeartBeatTimeOut":15000,"ipDeleteTimeout":30000,
                 "instanceIdGenerator":"simple"}],
            "lastRefTime":1_732_000_000_000_u64,"checksum":"","allIPs":false,"allIps":false,
            "reachProtectionThreshold":false,"valid":true},"success":true})
    );
    let answer: Value = serde_json::from_slice(&subscribe_service_response(&snapshot, &ALL, 7)).unwrap();
    assert_eq!(answer["message"], "success");
    assert_eq!(answer["serviceInfo"]["lastRefTime"], 7);
    assert_eq!(answer["success"], true);
}

#[test]
fn a_push_is_a_payload_with_headers_and_its_token_as_text() {
    let snapshot = snapshot(vec![instance("1.1.1.1"), in_cluster("1.1.1.2", "c")]);
    let (name, body) = pushed(notify_payload(&snapshot, "c", 1_732_000_000_000_001));
    assert_eq!(name, "NotifySubscriberRequest");
    assert_eq!(body["headers"], json!({}));
    assert_eq!(body["requestId"], "1732000000000001");
    assert_eq!(body["module"], "naming");
    assert_eq!(body["serviceInfo"]["lastRefTime"], STAMP_MS);
    assert_eq!(body["serviceInfo"]["clusters"], "c");
    assert_eq!(ips(&body["serviceInfo"]), ["1.1.1.2"]);
    assert_eq!(body.as_object().unwrap().len(), 4);
}

#[test]
fn subscribers_of_one_token_share_the_bytes_and_answers_share_the_list() {
    let snapshot = snapshot(vec![instance("1.1.1.1")]);
    let first = notify_payload(&snapshot, "", 7);
    assert_eq!(first.as_ptr(), notify_payload(&snapshot, "", 7).as_ptr());
    let kept = list(&snapshot, &ALL);
    assert!(
        first.as_ptr_range().contains(&kept.as_ptr()),
        "the list is the one of the push"
    );
    // The other way round: an answer came first.
    let fresh = super::tests::snapshot(vec![instance("1.1.1.1")]);
    query_service_response(&fresh, &ALL, 1);
    assert_eq!(pushed(notify_payload(&fresh, "", 7)), pushed(first));
}

#[test]
fn a_push_stays_right_where_a_snapshot_keeps_no_more_renderings() {
    let snapshot = snapshot(vec![instance("1.1.1.1")]);
    for n in 0..2 * Renders::KEPT_MAX as u64 {
        let (_, body) = pushed(notify_payload(&snapshot, &format!("c{n}"), n));
        assert_eq!(body["requestId"], n.to_string());
        assert_eq!(body["serviceInfo"]["clusters"], format!("c{n}"));
    }
}

#[test]
fn an_unknown_service_has_an_empty_list_that_echoes_the_clusters() {
    let info = queried(
        &snapshot(vec![]),
        &InfoFilter {
            clusters: "b,a,,a",
            healthy_only: true,
        },
    );
    assert_eq!(info["hosts"], json!([]));
    assert_eq!(info["clusters"], "b,a,,a");
}

#[test]
fn clusters_health_and_enabled_choose_the_hosts() {
    let disabled = Instance {
        enabled: false,
        ..instance("1.1.1.4")
    };
    let snapshot = snapshot(vec![
        instance("1.1.1.1"),
        unhealthy("1.1.1.2"),
        in_cluster("1.1.1.3", "c"),
        disabled,
    ]);
    let shown = |clusters, healthy_only| {
        let info = queried(&snapshot, &InfoFilter { clusters, healthy_only });
        ips(&info).join(" ")
    };
    assert_eq!(shown("", false), "1.1.1.1 1.1.1.2 1.1.1.3");
    assert_eq!(shown("", true), "1.1.1.1 1.1.1.3");
    assert_eq!(shown("DEFAULT", false), "1.1.1.1 1.1.1.2");
    assert_eq!(shown("c,x", false), "1.1.1.3");
}

#[test]
fn protection_needs_something_said_of_the_service() {
    let health = |snapshot: &ServiceSnapshot| {
        let info = queried(snapshot, &ALL);
        (
            info["reachProtectionThreshold"].as_bool().unwrap(),
            info["hosts"][0]["healthy"].as_bool().unwrap(),
        )
    };
    assert_eq!(health(&snapshot(vec![unhealthy("1.1.1.1")])), (false, false));
    assert_eq!(health(&with_threshold(0.0, vec![unhealthy("1.1.1.1")])), (true, true));
    let half = || vec![unhealthy("1.1.1.1"), instance("1.1.1.2")];
    assert_eq!(health(&with_threshold(0.4, half())), (false, false));
    assert_eq!(health(&with_threshold(0.5, half())), (true, true));
    let none = queried(&with_threshold(1.0, vec![]), &ALL);
    assert_eq!(none["reachProtectionThreshold"], false);
}

#[test]
fn the_id_generator_is_named_as_by_nacos() {
    let with = |pairs: &[(&str, &str)]| {
        let metadata: Metadata = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let one = Instance {
            metadata,
            ..instance("1.1.1.1")
        };
        queried(&snapshot(vec![one]), &ALL)["hosts"][0].clone()
    };
    assert_eq!(with(&[])["instanceIdGenerator"], "simple");
    assert_eq!(with(&[("a", "b")]).get("instanceIdGenerator"), None);
    assert_eq!(with(&[(ID_GENERATOR, "snowflake")])["instanceIdGenerator"], "snowflake");
    assert_eq!(
        with(&[("preserved.heart.beat.interval", "1000")])["instanceHeartBeatInterval"],
        1_000
    );
}

#[test]
fn an_answer_looks_fresh_and_never_newer_than_a_later_list() {
    let older = snapshot(vec![]);
    let (first, second) = (STAMP_MS + 5_000, STAMP_MS + 5_001);
    assert!(answer_time_ms(&older, first) < answer_time_ms(&older, second));
    // A list that is folded in the very millisecond that an answer was begun in.
    let newer = ServiceSnapshot {
        stamp_ms: first,
        ..snapshot(vec![])
    };
    assert!(newer.stamp_ms > answer_time_ms(&older, first));
    assert_eq!(
        answer_time_ms(&older, STAMP_MS - 60_000),
        STAMP_MS,
        "a clock that is behind"
    );
}

fn nulls(value: &Value) -> usize {
    match value {
        Value::Null => 1,
        Value::Array(values) => values.iter().map(nulls).sum(),
        Value::Object(members) => members.values().map(nulls).sum(),
        _ => 0,
    }
}

proptest! {
    #[test]
    fn every_list_keeps_the_rules_of_output(
        hosts in proptest::collection::vec(("[a-z0-9.]{1,12}", any::<u16>(), 0.0_f64..10_000.0, any::<bool>(), any::<bool>()), 0..6),
        pairs in proptest::collection::vec((".{0,12}", ".{0,12}"), 0..4),
        threshold in 0.0_f32..1.0,
        token in 0_u64..1 << 53,
        healthy_only: bool,
    ) {
        let instances = hosts.iter().map(|(host, port, weight, healthy, enabled)| Instance {
            weight: Weight::new(*weight).unwrap(),
            healthy: *healthy,
            enabled: *enabled,
            metadata: pairs.iter().cloned().collect(),
            ..Instance::new(InstanceKey::new(HostName::parse(host).unwrap(), *port), Kind::Persistent)
        }).collect();
        let snapshot = with_threshold(threshold, instances);
        let filter = InfoFilter { clusters: "", healthy_only };
        let answer: Value = serde_json::from_slice(&query_service_response(&snapshot, &filter, STAMP_MS)).unwrap();
        let (_, push) = pushed(notify_payload(&snapshot, "", token));
        prop_assert_eq!(&push["requestId"], &json!(token.to_string()));
        prop_assert_eq!(push["headers"].as_object().map(|headers| headers.len()), Some(0));
        for message in [&answer, &push] {
            prop_assert_eq!(nulls(message), 0);
            let info = &message["serviceInfo"];
            for text in ["name", "groupName", "clusters", "checksum"] {
                prop_assert!(info[text].is_string(), "{}", text);
            }
            for flag in ["allIPs", "allIps", "reachProtectionThreshold", "valid"] {
                prop_assert!(info[flag].is_boolean(), "{}", flag);
            }
            prop_assert!(info["cacheMillis"].is_u64() && info["lastRefTime"].is_u64());
            for host in info["hosts"].as_array().unwrap() {
                prop_assert!(host["port"].is_u64() && host["weight"].is_f64());
                prop_assert!(host["ip"].is_string() && host["instanceId"].is_string() && host["serviceName"] == "DEFAULT_GROUP@@s");
                prop_assert!(host["healthy"].is_boolean() && host["enabled"] == true && host["ephemeral"] == false);
                prop_assert!(host["metadata"].as_object().unwrap().values().all(Value::is_string));
                prop_assert!(!healthy_only || !std::ptr::eq(message, &answer) || host["healthy"] == true);
            }
        }
    }
}

use super::*;
use muster_model::{
    ClusterName, GroupName, Host, InstanceKey, Kind, NamespaceId, Renders, ServiceName, ServiceSettings, Weight,
};
use serde_json::{Value, json};
use std::sync::Arc;

const ALL: ListFilter<'static> = ListFilter {
    clusters: "",
    healthy_only: false,
    cache_ms: 10_000,
    bare_names: false,
};

fn instance(host: &str) -> Instance {
    Instance::new(InstanceKey::new(Host::parse(host).unwrap(), 80), Kind::Ephemeral)
}

fn in_cluster(host: &str, cluster: &str) -> Instance {
    Instance {
        cluster: ClusterName::parse(cluster).unwrap(),
        ..instance(host)
    }
}

fn unhealthy(host: &str) -> Instance {
    Instance {
        healthy: false,
        ..instance(host)
    }
}

fn metadata(pairs: &[(&str, &str)]) -> Metadata {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn snapshot(instances: Vec<Instance>) -> ServiceSnapshot {
    ServiceSnapshot {
        key: ServiceKey::new(
            NamespaceId::public(),
            GroupName::default_group(),
            ServiceName::parse("svc").unwrap(),
        ),
        revision: 1,
        stamp_ms: 1_700_000_000_000,
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
            ..ServiceSettings::default()
        }),
        ..snapshot(instances)
    }
}

fn rendered(snapshot: &ServiceSnapshot, filter: &ListFilter<'_>) -> Value {
    serde_json::from_slice(&service_list(snapshot, filter)).unwrap()
}

fn ips(list: &Value) -> Vec<&str> {
    list["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|host| host["ip"].as_str().unwrap())
        .collect()
}

#[test]
fn a_list_is_byte_for_byte_what_2_4_writes_and_then_what_1_4_added() {
    let text = String::from_utf8(service_list(&snapshot(vec![instance("10.0.0.1")]), &ALL)).unwrap();
    assert_eq!(
        text,
        concat!(
            r#"{"name":"DEFAULT_GROUP@@svc","groupName":"DEFAULT_GROUP","clusters":"","cacheMillis":10000,"hosts":["#,
            r#"{"instanceId":"10.0.0.1#80#DEFAULT#DEFAULT_GROUP@@svc","ip":"10.0.0.1","port":80,"weight":1.0,"#,
            r#""healthy":true,"enabled":true,"ephemeral":true,"clusterName":"DEFAULT","#,
            r#""serviceName":"DEFAULT_GROUP@@svc","metadata":{},"instanceHeartBeatInterval":5000,"#,
            r#""instanceHeartBeatTimeOut":15000,"ipDeleteTimeout":30000,"instanceIdGenerator":"simple","#,
            r#""valid":true,"marked":false}],"lastRefTime":1700000000000,"checksum":"","allIPs":false,"#,
            r#""reachProtectionThreshold":false,"valid":true,"dom":"DEFAULT_GROUP@@svc","useSpecifiedURL":false,"#,
            r#""env":"","metadata":{}}"#
        )
    );
}

#[test]
fn an_unknown_service_has_the_same_shape_and_no_hosts() {
    let unknown = ServiceSnapshot {
        exists: false,
        ..snapshot(vec![])
    };
    let list = rendered(&unknown, &ALL);
    assert_eq!(list["hosts"], json!([]));
    assert_eq!(list["name"], "DEFAULT_GROUP@@svc");
    assert_eq!(list["reachProtectionThreshold"], false);
    assert_eq!(list["cacheMillis"], 10_000);
}

#[test]
fn the_list_of_a_datagram_leaves_the_group_name_out() {
    let list: Value = serde_json::from_slice(&service_list_for_datagram(&snapshot(vec![]), &ALL)).unwrap();
    assert_eq!(list.get("groupName"), None);
    assert_eq!(list["name"], "DEFAULT_GROUP@@svc");
}

#[test]
fn clusters_are_echoed_verbatim_and_unknown_ones_contribute_nothing() {
    let snapshot = snapshot(vec![
        in_cluster("1.1.1.1", "a"),
        in_cluster("2.2.2.2", "b"),
        in_cluster("3.3.3.3", "c"),
    ]);
    for (clusters, expected) in [
        ("b,a,b,none", vec!["1.1.1.1", "2.2.2.2"]),
        ("c", vec!["3.3.3.3"]),
        ("none", vec![]),
        (",", vec!["1.1.1.1", "2.2.2.2", "3.3.3.3"]),
        ("c\"\n", vec![]),
    ] {
        let list = rendered(&snapshot, &ListFilter { clusters, ..ALL });
        assert_eq!(list["clusters"], clusters);
        assert_eq!(ips(&list), expected, "{clusters}");
    }
}

#[test]
fn bare_names_keep_the_group_in_name_alone() {
    let list = rendered(
        &snapshot(vec![instance("1.1.1.1")]),
        &ListFilter {
            bare_names: true,
            ..ALL
        },
    );
    assert_eq!(list["name"], "DEFAULT_GROUP@@svc");
    assert_eq!(list["dom"], "svc");
    assert_eq!(list["hosts"][0]["serviceName"], "svc");
    assert_eq!(list["hosts"][0]["instanceId"], "1.1.1.1#80#DEFAULT#DEFAULT_GROUP@@svc");
}

#[test]
fn disabled_instances_are_never_listed() {
    let disabled = Instance {
        enabled: false,
        ..instance("1.1.1.1")
    };
    assert_eq!(
        ips(&rendered(&snapshot(vec![disabled, instance("2.2.2.2")]), &ALL)),
        ["2.2.2.2"]
    );
}

#[test]
fn healthy_only_drops_the_unhealthy() {
    let snapshot = snapshot(vec![instance("1.1.1.1"), unhealthy("2.2.2.2")]);
    let all = rendered(&snapshot, &ALL);
    assert_eq!(ips(&all), ["1.1.1.1", "2.2.2.2"]);
    assert_eq!(
        (&all["hosts"][1]["healthy"], &all["hosts"][1]["valid"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(
        ips(&rendered(
            &snapshot,
            &ListFilter {
                healthy_only: true,
                ..ALL
            }
        )),
        ["1.1.1.1"]
    );
}

#[test]
fn a_service_without_one_healthy_instance_is_served_as_all_healthy_at_the_default_threshold() {
    let snapshot = snapshot(vec![unhealthy("1.1.1.1"), unhealthy("2.2.2.2")]);
    let list = rendered(
        &snapshot,
        &ListFilter {
            healthy_only: true,
            ..ALL
        },
    );
    assert_eq!(ips(&list), ["1.1.1.1", "2.2.2.2"]);
    assert_eq!(list["hosts"][0]["healthy"], true);
    assert_eq!(list["hosts"][0]["valid"], true);
    assert_eq!(list["reachProtectionThreshold"], true);
}

#[test]
fn protection_begins_at_the_threshold_itself_and_counts_disabled_instances() {
    let half = || vec![instance("1.1.1.1"), unhealthy("2.2.2.2")];
    assert_eq!(
        rendered(&with_threshold(0.5, half()), &ALL)["reachProtectionThreshold"],
        true
    );
    assert_eq!(
        rendered(&with_threshold(0.49, half()), &ALL)["reachProtectionThreshold"],
        false
    );
    let mut third = half();
    third.push(Instance {
        enabled: false,
        ..unhealthy("3.3.3.3")
    });
    assert_eq!(
        rendered(&with_threshold(0.49, third), &ALL)["reachProtectionThreshold"],
        true
    );
}

#[test]
fn protection_looks_only_at_the_clusters_asked_for() {
    let sick = Instance {
        healthy: false,
        ..in_cluster("1.1.1.1", "a")
    };
    let snapshot = snapshot(vec![sick, in_cluster("2.2.2.2", "b")]);
    assert_eq!(
        rendered(&snapshot, &ListFilter { clusters: "a", ..ALL })["hosts"][0]["healthy"],
        true
    );
    assert_eq!(rendered(&snapshot, &ALL)["hosts"][0]["healthy"], false);
}

#[test]
fn weights_print_as_java_prints_doubles() {
    for (weight, expected) in [(1.0, "1.0"), (0.3, "0.3"), (0.0, "0.0"), (10_000.0, "10000.0")] {
        let one = Instance {
            weight: Weight::new(weight).unwrap(),
            ..instance("1.1.1.1")
        };
        let text = String::from_utf8(service_list(&snapshot(vec![one]), &ALL)).unwrap();
        assert!(text.contains(&format!(r#""weight":{expected},"#)), "{text}");
    }
}

#[test]
fn the_id_generator_is_shown_only_without_metadata_or_with_its_key() {
    let with = |pairs: &[(&str, &str)]| Instance {
        metadata: metadata(pairs),
        ..instance("1.1.1.1")
    };
    let generator = |one| {
        rendered(&snapshot(vec![one]), &ALL)["hosts"][0]
            .get("instanceIdGenerator")
            .cloned()
    };
    assert_eq!(generator(with(&[])), Some(json!("simple")));
    assert_eq!(generator(with(&[("a", "b")])), None);
    assert_eq!(
        generator(with(&[(ID_GENERATOR, "snowflake")])),
        Some(json!("snowflake"))
    );
}

#[test]
fn timings_follow_the_preserved_metadata() {
    let one = Instance {
        metadata: metadata(&[
            ("preserved.heart.beat.interval", "1000"),
            ("preserved.heart.beat.timeout", "3000"),
            ("preserved.ip.delete.timeout", "4000"),
        ]),
        ..instance("1.1.1.1")
    };
    let host = rendered(&snapshot(vec![one]), &ALL)["hosts"][0].clone();
    assert_eq!(host["instanceHeartBeatInterval"], 1_000);
    assert_eq!(host["instanceHeartBeatTimeOut"], 3_000);
    assert_eq!(host["ipDeleteTimeout"], 4_000);
}

#[test]
fn a_snowflake_id_is_a_positive_number_that_every_node_gives_alike() {
    let service = snapshot(vec![]).key;
    let id = |host: &str| {
        let one = Instance {
            metadata: metadata(&[(ID_GENERATOR, "snowflake")]),
            ..instance(host)
        };
        instance_id(&service, &one).to_string()
    };
    assert_eq!(id("1.1.1.1"), id("1.1.1.1"));
    assert_ne!(id("1.1.1.1"), id("1.1.1.2"));
    assert!(id("1.1.1.1").ends_with("#DEFAULT#DEFAULT_GROUP@@svc"));
    assert!(id("1.1.1.1").split('#').next().unwrap().parse::<i64>().unwrap() > 0);
}

#[test]
fn texts_of_clients_are_escaped() {
    let one = Instance {
        metadata: metadata(&[("k\"\\", "line\nend\u{1}")]),
        ..instance("1.1.1.1")
    };
    let list = rendered(&snapshot(vec![one]), &ALL);
    assert_eq!(list["hosts"][0]["metadata"], json!({"k\"\\": "line\nend\u{1}"}));
}

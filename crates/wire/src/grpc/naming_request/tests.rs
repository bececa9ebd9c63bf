use super::*;
use crate::grpc::BATCH_INSTANCES_MAX;
use muster_model::Weight;
use proptest::prelude::*;
use serde_json::{Value, json};

const JAVA_REGISTER: &str = r#"{"headers":{},"namespace":"public","serviceName":"s","groupName":"DEFAULT_GROUP","type":"registerInstance",
 "instance":{"ip":"1.1.1.1","port":80,"weight":1.0,"healthy":true,"enabled":true,"ephemeral":true,"clusterName":"DEFAULT",
  "serviceName":"DEFAULT_GROUP@@s","metadata":{},"instanceHeartBeatInterval":5000,"instanceHeartBeatTimeOut":15000,
  "ipDeleteTimeout":30000,"instanceIdGenerator":"simple"},"module":"naming"}"#;
const RUST_REGISTER: &str = r#"{"type":"registerInstance","instance":{"instanceId":null,"ip":"1.1.1.1","port":80,"weight":1.0,"healthy":true,"enabled":true,"ephemeral":true,"clusterName":"DEFAULT","serviceName":null,"metadata":{}},"headers":{},"requestId":"3","namespace":"public","serviceName":"s","groupName":"DEFAULT_GROUP"}"#;

fn decoded(body: &str) -> Result<InstanceRequest, String> {
    InstanceRequest::decode(body.as_bytes(), Kind::Ephemeral).map_err(|error| error.to_string())
}

fn registered(instance: Value) -> Result<Instance, String> {
    let body = json!({"serviceName":"s","type":"registerInstance","instance":instance}).to_string();
    match decoded(&body)?.act {
        InstanceAct::Register(instance) => Ok(*instance),
        InstanceAct::Deregister(key) => Err(format!("deregisters {key}")),
    }
}

#[test]
fn registrations_of_java_and_rust_are_the_same() {
    let java = decoded(JAVA_REGISTER).unwrap();
    assert_eq!(java, decoded(RUST_REGISTER).unwrap());
    assert_eq!(java.service.to_string(), "public/DEFAULT_GROUP/s");
    assert_eq!(java.act.type_name(), "registerInstance");
    let key = InstanceKey::new(crate::host_of("1.1.1.1").unwrap(), 80);
    assert_eq!(
        java.act,
        InstanceAct::Register(Box::new(Instance::new(key, Kind::Ephemeral)))
    );
}

#[test]
fn the_kind_is_the_message_s_whatever_the_instance_says() {
    let body = r#"{"serviceName":"s","type":"registerInstance","instance":{"ip":"h","port":1,"ephemeral":false}}"#;
    for kind in [Kind::Ephemeral, Kind::Persistent] {
        let request = InstanceRequest::decode(body.as_bytes(), kind).unwrap();
        assert!(matches!(request.act, InstanceAct::Register(instance) if instance.kind == kind));
    }
}

#[test]
fn what_is_absent_null_or_blank_has_its_default() {
    let bare = registered(json!({"ip":"1.1.1.1"})).unwrap();
    assert_eq!(
        (bare.key.port, bare.weight.get(), bare.healthy, bare.enabled),
        (0, 1.0, true, true)
    );
    assert_eq!(bare.cluster.as_str(), "DEFAULT");
    let nulls = json!({"ip":"1.1.1.1","port":null,"weight":null,"healthy":null,"enabled":null,"clusterName":null,"metadata":null});
    assert_eq!(registered(nulls).unwrap(), bare);
    let blanks = json!({"ip":"1.1.1.1","port":"","clusterName":" ","metadata":{}});
    assert_eq!(registered(blanks).unwrap(), bare);
    for (namespace, group) in [(json!(null), json!(null)), (json!(""), json!(""))] {
        let body = json!({"namespace":namespace,"groupName":group,"serviceName":"s","type":"deregisterInstance"});
        assert_eq!(
            decoded(&body.to_string()).unwrap().service.to_string(),
            "public/DEFAULT_GROUP/s"
        );
    }
}

#[test]
fn scalars_of_the_wrong_type_are_taken_as_jackson_takes_them() {
    let read = registered(
        json!({"ip":"1.1.1.1","port":"80","weight":"2.5","healthy":"false","enabled":0,
        "metadata":{"n":1,"b":true,"x":null}}),
    )
    .unwrap();
    assert_eq!(
        (read.key.port, read.weight, read.healthy, read.enabled),
        (80, Weight::new(2.5).unwrap(), false, false)
    );
    let pairs: Vec<_> = read.metadata.iter().collect();
    assert_eq!(pairs, [("b", "true"), ("n", "1")]);
}

#[test]
fn go_s_deregistration_with_nothing_but_an_address_is_one() {
    let body = r#"{"headers":{},"namespace":"public","serviceName":"s","groupName":"g","type":"deregisterInstance","instance":{"instanceId":"","ip":"1.1.1.1","port":80,"weight":0,"healthy":false,"enabled":false,"ephemeral":true,"clusterName":"a_b","metadata":null,"instanceHeartBeatInterval":0,"ipDeleteTimeout":0,"instanceHeartBeatTimeOut":0}}"#;
    let request = decoded(body).unwrap();
    assert_eq!(request.act.type_name(), "deregisterInstance");
    assert!(matches!(&request.act, InstanceAct::Deregister(key) if key.to_string() == "1.1.1.1:80"));
    let nobody = decoded(r#"{"serviceName":"s","type":"deregisterInstance","instance":null}"#).unwrap();
    assert!(matches!(&nobody.act, InstanceAct::Deregister(key) if key.to_string() == "0.0.0.0:0"));
}

#[test]
fn wrong_registrations_are_refused_in_nacoss_words() {
    let illegal = |name: &str| {
        format!("Param check invalid:Param '{name}' is illegal, illegal characters should not appear in the param.")
    };
    let port = "Param check invalid:Param 'port' is illegal, the value should be between 0 and 65535.".to_owned();
    for (instance, text) in [
        (json!({"ip":"1.1.1.1","port":65_536}), port.clone()),
        (json!({"ip":"1.1.1.1","port":-1}), port),
        (json!({"ip":"a b"}), illegal("ip")),
        (json!({"ip":"1.1.1.1","clusterName":"a b"}), illegal("cluster")),
        (
            json!({"ip":"1.1.1.1","clusterName":"a_b"}),
            "Param check invalid:Instance 'clusterName' should be characters with only 0-9a-zA-Z-. (current: a_b)"
                .to_owned(),
        ),
        (json!({}), "Param check invalid:Param 'ip' is required.".to_owned()),
        (
            json!({"ip":"1.1.1.1","weight":10_001}),
            "Param check invalid:instance format invalid: The weights range from 0.0 to 10000.0".to_owned(),
        ),
        (
            json!({"ip":"1.1.1.1","port":"x"}),
            "Param check invalid:For input string: \"x\"".to_owned(),
        ),
    ] {
        assert_eq!(registered(instance.clone()).unwrap_err(), text, "{instance}");
    }
    for (body, text) in [
        (
            json!({"type":"registerInstance","instance":{}}),
            "Param check invalid:Param 'serviceName' is required.".to_owned(),
        ),
        (
            json!({"serviceName":"G@@s","type":"registerInstance"}),
            illegal("serviceName"),
        ),
        (
            json!({"serviceName":"@s","type":"registerInstance"}),
            illegal("serviceName"),
        ),
        (
            json!({"serviceName":"服","type":"registerInstance"}),
            illegal("serviceName"),
        ),
        (json!({"serviceName":"s","groupName":"a/b"}), illegal("group")),
        (
            json!({"serviceName":"s","namespace":"a.b"}),
            illegal("namespaceId/tenant"),
        ),
        (
            json!({"serviceName":"s","type":"registerInstance"}),
            "Param check invalid:Param 'instance' is required.".to_owned(),
        ),
        (
            json!({"serviceName":"s","type":"update"}),
            "Unsupported request type update".to_owned(),
        ),
        (json!({"serviceName":"s"}), "Unsupported request type null".to_owned()),
    ] {
        assert_eq!(decoded(&body.to_string()).unwrap_err(), text, "{body}");
    }
    let long = "a".repeat(513);
    assert_eq!(
        decoded(&json!({"serviceName":long}).to_string()).unwrap_err(),
        "Param check invalid:Param 'serviceName' is illegal, the param length should not exceed 512."
    );
}

#[test]
fn a_batch_is_all_of_it_or_nothing() {
    let decode = |body: Value| BatchInstanceRequest::decode(body.to_string().as_bytes());
    let batch = decode(json!({"serviceName":"s","type":"batchRegisterInstance",
        "instances":[{"ip":"1.1.1.1","port":80},{"ip":"1.1.1.2","port":80,"ephemeral":false}]}))
    .unwrap();
    assert_eq!(batch.instances.len(), 2);
    assert!(batch.instances.iter().all(|instance| instance.kind == Kind::Ephemeral));
    let empty = decode(json!({"serviceName":"s","type":"batchRegisterInstance","instances":[]})).unwrap();
    assert_eq!(empty.instances, []);
    for body in [
        json!({"serviceName":"s","type":"batchRegisterInstance","instances":null}),
        json!({"serviceName":"s","type":"batchRegisterInstance"}),
        json!({"serviceName":"s","type":"batchRegisterInstance","instances":[{"ip":"1.1.1.1"},{}]}),
    ] {
        assert!(matches!(decode(body.clone()), Err(RequestError::Refused(_))), "{body}");
    }
    assert_eq!(
        decode(json!({"serviceName":"s","type":"batchDeregisterInstance","instances":[]})),
        Err(RequestError::UnsupportedType("batchDeregisterInstance".to_owned()))
    );
}

#[test]
fn a_batch_and_its_metadata_have_a_bound() {
    let batch = |count: usize| {
        let items = vec!["{}"; count].join(",");
        format!(r#"{{"serviceName":"s","type":"batchRegisterInstance","instances":[{items}]}}"#)
    };
    let error = BatchInstanceRequest::decode(batch(BATCH_INSTANCES_MAX + 1).as_bytes()).unwrap_err();
    assert!(
        matches!(&error, RequestError::Unreadable(why) if why.to_string().contains("20001")),
        "{error}"
    );
    let just = BatchInstanceRequest::decode(batch(BATCH_INSTANCES_MAX).as_bytes()).unwrap_err();
    assert!(
        matches!(just, RequestError::Refused(_)),
        "it is read, and the first has no address"
    );
    let pairs: serde_json::Map<String, Value> = (0..5_000).map(|n| (n.to_string(), json!(""))).collect();
    assert_eq!(
        registered(json!({"ip":"1.1.1.1","metadata":pairs})).unwrap_err(),
        "Param check invalid:Param 'Metadata' is illegal, the param length should not exceed 1024."
    );
}

#[test]
fn queries_take_both_spellings_of_healthy_only_and_keep_the_clusters_verbatim() {
    let decode = |body: Value| ServiceQueryRequest::decode(body.to_string().as_bytes()).unwrap();
    let java = decode(
        json!({"headers":{},"namespace":"public","serviceName":"s","groupName":"g","healthyOnly":true,"udpPort":0}),
    );
    assert_eq!((&*java.clusters, java.healthy_only), ("", true));
    let python = decode(json!({"serviceName":"s","cluster":"b,a,,a","healthOnly":true,"udpPort":"x"}));
    assert_eq!((&*python.clusters, python.healthy_only), ("b,a,,a", true));
    assert!(!decode(json!({"serviceName":"s","healthyOnly":false,"healthOnly":true})).healthy_only);
    for cluster in ["a b".to_owned(), "é".to_owned(), "x".repeat(65), "x,".repeat(5_000)] {
        let body = json!({"serviceName":"s","cluster":cluster}).to_string();
        assert!(
            matches!(
                ServiceQueryRequest::decode(body.as_bytes()),
                Err(RequestError::Refused(_))
            ),
            "{cluster}"
        );
    }
}

#[test]
fn pages_begin_at_one_and_are_bounded() {
    let decode = |body: Value| {
        let request = ServiceListRequest::decode(body.to_string().as_bytes()).unwrap();
        (request.offset, request.limit)
    };
    assert_eq!(decode(json!({"pageNo":1,"pageSize":10,"selector":null})), (0, 10));
    assert_eq!(decode(json!({"pageNo":3,"pageSize":10,"selector":"{}"})), (20, 10));
    assert_eq!(decode(json!({"pageNo":0,"pageSize":-1})), (0, 0));
    assert_eq!(decode(json!({})), (0, 0));
    let (offset, limit) = decode(json!({"pageNo":i32::MAX,"pageSize":i32::MAX}));
    assert!(offset > 1 << 60 && limit == PAGE_NAMES_MAX);
}

#[test]
fn a_subscription_that_does_not_say_so_is_none() {
    let decode = |body: Value| SubscribeServiceRequest::decode(body.to_string().as_bytes()).unwrap();
    assert!(decode(json!({"serviceName":"s","subscribe":true,"clusters":""})).subscribe);
    assert!(!decode(json!({"serviceName":"s","clusters":"a"})).subscribe);
}

/// Whether any of the parsers takes it; none may panic.
fn taken_by_any(body: &[u8]) -> bool {
    [
        InstanceRequest::decode(body, Kind::Ephemeral).is_ok(),
        BatchInstanceRequest::decode(body).is_ok(),
        ServiceQueryRequest::decode(body).is_ok(),
        ServiceListRequest::decode(body).is_ok(),
        SubscribeServiceRequest::decode(body).is_ok(),
        crate::grpc::FuzzyWatchRequest::decode(body).is_ok(),
    ]
    .contains(&true)
}

#[test]
fn hostile_bodies_are_refused() {
    let deep = |open: &str| format!(r#"{{"serviceName":"s","x":{}"#, open.repeat(100_000));
    for body in [
        "",
        " ",
        "null",
        "[]",
        "{",
        "\"s\"",
        r#"{"serviceName":{},"groupName":[]}"#,
        &deep("["),
        &deep(r#"{"a":"#),
    ] {
        assert!(!taken_by_any(body.as_bytes()), "{:.40}", body);
    }
    for cut in 1..JAVA_REGISTER.len() {
        assert!(!taken_by_any(&JAVA_REGISTER.as_bytes()[..cut]), "cut at {cut}");
    }
    assert!(!taken_by_any(b"{\"serviceName\":\"s\",\"namespace\":\"\xff\"}"));
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        taken_by_any(&bytes);
    }

    #[test]
    fn no_member_makes_a_parser_panic(
        member in "serviceName|groupName|namespace|type|instance|instances|cluster|clusters|healthyOnly|pageNo|pageSize|subscribe|groupKeyPattern|receivedGroupKeys|watchType",
        value in r#"null|true|-1|1e400|99999999999999999999|"(x|>>|@@|a>>b>>c|registerInstance|,)"|\[\]|\[1\]|\{\}|\{"ip":7,"port":-7\}|\[\{"port":"x"\}\]"#,
    ) {
        taken_by_any(format!(r#"{{"serviceName":"s","{member}":{value}}}"#).as_bytes());
        taken_by_any(format!(r#"{{"type":"registerInstance","serviceName":"s","{member}x":1,"instance":{{"ip":"h","{member}":{value}}}}}"#).as_bytes());
    }

    #[test]
    fn an_instance_comes_back_as_it_was_sent(
        ip in "[a-z0-9.:]{1,40}", port: u16, quarters in 0_u32..=40_000, healthy: bool, enabled: bool,
        cluster in "[0-9A-Za-z-]{1,64}",
        pairs in proptest::collection::btree_map(".{0,20}", ".{0,20}", 0..5),
    ) {
        let weight = f64::from(quarters) / 4.0;
        let read = registered(json!({"ip":ip,"port":port,"weight":weight,"healthy":healthy,"enabled":enabled,
            "clusterName":cluster,"metadata":pairs})).unwrap();
        prop_assert_eq!(read.key.to_string(), format!("{ip}:{port}"));
        prop_assert_eq!((read.weight.get(), read.healthy, read.enabled), (weight, healthy, enabled));
        prop_assert_eq!(read.cluster.as_str(), cluster);
        prop_assert_eq!(read.metadata, pairs.into_iter().collect());
    }
}

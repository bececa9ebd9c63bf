use super::*;
use serde_json::json;

const NAMING: [&str; 7] = [
    "InstanceRequest",
    "BatchInstanceRequest",
    "PersistentInstanceRequest",
    "ServiceQueryRequest",
    "ServiceListRequest",
    "SubscribeServiceRequest",
    "NamingFuzzyWatchRequest",
];

#[tokio::test]
async fn what_cannot_be_read_is_502_and_changes_nothing() {
    let rig = Rig::start();
    let (one, _asked) = rig.connect(1);
    let good = r#"{"namespace":"public","serviceName":"s","groupName":"g","type":"registerInstance","instance":{"ip":"1.1.1.1","port":80},"instances":[{"ip":"1.1.1.1"}],"subscribe":true,"groupKeyPattern":"public>>g>>*","watchType":"WATCH""#;
    let deep = format!(r#"{{"x":{}"#, "[".repeat(1_000_000));
    let long = format!(r#"{{"groupKeyPattern":{{}},"namespace":["{}"]}}"#, "x".repeat(9 << 20));
    let bodies = ["", "null", "[]", "7", "{", good, &deep, &long];
    for name in NAMING {
        for body in bodies {
            let answer = rig.json(&one, name, "ErrorResponse", body).await;
            let shown = &body[..body.len().min(40)];
            assert_eq!(answer["errorCode"], 502, "{name} {shown} {answer}");
            assert_eq!(
                (&answer["resultCode"], &answer["success"]),
                (&json!(500), &json!(false))
            );
        }
    }
    assert_eq!(rig.bed.naming.counts().instances, 0);
    assert!(rig.bed.recorder.subscriptions().is_empty());
    assert_eq!(rig.watches.len(), 0);
}

#[tokio::test]
async fn every_failure_is_one_to_every_client() {
    let rig = Rig::start();
    let (one, _asked) = rig.connect(1);
    let bodies = [
        json!({}),
        json!({"serviceName":"a@@b","groupKeyPattern":"x"}),
        json!({"serviceName":"s","namespace":"a.b","groupKeyPattern":"a.b>>g>>*","watchType":"WATCH"}),
        json!({"serviceName":7,"groupName":"a b","type":[]}),
    ];
    for name in NAMING {
        for body in &bodies {
            let (found, text) = rig.ask(&one, name, &body.to_string()).await;
            let answer: Value = serde_json::from_str(&text).unwrap();
            assert!(!text.contains(":null"), "{text}");
            if answer["success"] == true {
                assert_eq!(found, "ServiceListResponse", "it needs no service and lists nothing");
                continue;
            }
            assert_ne!(answer["resultCode"], 200, "{name} {text}");
            assert_ne!(answer["errorCode"], 0, "{name} {text}");
            assert!(answer["message"].is_string(), "{name} {text}");
            if found == "ServiceListResponse" {
                assert!(answer["count"] == 0 && answer["serviceNames"] == json!([]), "{text}");
            }
        }
    }
}

#[tokio::test]
async fn other_parts_messages_are_answered_and_unknown_ones_are_not() {
    let rig = Rig::start();
    let (one, _asked) = rig.connect(1);
    for (name, response) in [
        ("ConfigQueryRequest", "ConfigQueryResponse"),
        ("ConfigBatchListenRequest", "ConfigChangeBatchListenResponse"),
        ("ConfigPublishRequest", "ConfigPublishResponse"),
        ("ConfigRemoveRequest", "ConfigRemoveResponse"),
        ("ConfigFuzzyWatchRequest", "ConfigFuzzyWatchResponse"),
        ("LockOperationRequest", "LockOperationResponse"),
    ] {
        // Whatever it holds: nothing of it is read.
        assert_eq!(rig.ask(&one, name, "not json").await.0, response);
    }
    let call = Call {
        naming: &rig.bed.naming,
        connection: &one,
        watches: &rig.watches,
        headers: &HashMap::new(),
        body: &Bytes::new(),
        context: rig.bed.context(),
        received_ms: 0,
    };
    for name in ["QueryMcpServerRequest", "DistroDataRequest", "instancerequest", ""] {
        assert!(answer(&call, name).await.is_none(), "{name}");
    }
}

//! The rules of output, held against every message that this server writes but the lists, which have theirs.

use super::*;
use bytes::Bytes;
use muster_model::{GroupName, NamespaceId, ServiceKey, ServiceName};
use proptest::prelude::*;
use serde_json::{Value, json};

fn responses(message: &str, code: i32) -> Vec<Bytes> {
    let check = ServerCheckResponse {
        connection_id: message,
        support_ability_negotiation: true,
    };
    let foreign = [
        "ConfigQueryRequest",
        "ConfigBatchListenRequest",
        "ConfigPublishRequest",
        "ConfigRemoveRequest",
        "ConfigFuzzyWatchRequest",
        "LockOperationRequest",
    ];
    let mut all = vec![
        error_response(code, message),
        coded_error_response(code, message),
        failed_response(INSTANCE_RESPONSE, code, message),
        failed_response(SERVICE_LIST_RESPONSE, code, message),
        check.encode(),
        HealthCheckResponse.encode(),
        instance_response(message),
        batch_instance_response(),
        service_list_response(7, &[message]),
        fuzzy_watch_response(),
    ];
    all.extend(foreign.map(|name| foreign_response(name).expect("a known name").1));
    all
}

/// As the client is sent them.
fn requests(text: &str) -> Vec<Bytes> {
    let service = ServiceKey::new(
        NamespaceId::public(),
        GroupName::default_group(),
        ServiceName::parse("s").expect("a name"),
    );
    let pattern = FuzzyPattern::parse("public>>g>>*").expect("a pattern");
    let contexts = [FuzzyContext {
        service_key: text.to_owned(),
        changed_type: FuzzyChange::AddService,
    }];
    let asked = [
        fuzzy_sync_members(&pattern, FuzzySync::Diff, &contexts, (1, 1)),
        fuzzy_change_members(&service, FuzzyChange::DeleteService),
    ];
    let reset = ConnectResetRequest {
        request_id: text,
        server: None,
        connection_id: Some(text),
    };
    let mut all = vec![
        SetupAckRequest::OURS.encode(),
        ClientDetectionRequest { request_id: text }.encode(),
        reset.encode(),
    ];
    all.extend(asked.map(|members| {
        let members = std::str::from_utf8(&members).expect("text");
        Bytes::from(format!(r#"{{"headers":{{}},"requestId":"1",{members}}}"#))
    }));
    all
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        _ => false,
    }
}

proptest! {
    #[test]
    fn every_message_keeps_the_rules_of_output(text in ".{0,30}", code: i32) {
        for body in responses(&text, code) {
            let read: Value = serde_json::from_slice(&body).unwrap();
            prop_assert!(!has_null(&read), "{}", read);
            let ok = read["success"] == true;
            prop_assert!(read["success"].is_boolean() && read["resultCode"].is_i64() && read["errorCode"].is_i64());
            prop_assert_eq!(read["resultCode"] == 200, ok);
            prop_assert_eq!(read["errorCode"] == 0, ok);
            prop_assert!(ok || read["message"].is_string());
            prop_assert!(!body.starts_with(br#"{"resultCode":200,"#) ^ ok, "metrics tell success by it");
        }
        for body in requests(&text) {
            let read: Value = serde_json::from_slice(&body).unwrap();
            prop_assert!(!has_null(&read), "{}", read);
            prop_assert_eq!(&read["headers"], &json!({}));
            prop_assert!(read["module"].is_string());
            prop_assert!(read.get("requestId").is_none_or(Value::is_string));
        }
    }

    #[test]
    fn a_payload_comes_back(name in ".{0,30}", body in proptest::collection::vec(any::<u8>(), 0..100)) {
        use prost::Message;
        let sent = payload(&name, Bytes::from(body.clone()));
        let read = Payload::decode(Bytes::from(sent.encode_to_vec())).unwrap();
        prop_assert_eq!(read.metadata.unwrap().r#type, name);
        prop_assert_eq!(&read.body.unwrap().value[..], &body[..]);
    }
}

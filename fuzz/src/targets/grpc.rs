//! What clients of gRPC send, from its framing up.

use super::node::{node, reading};
use crate::input::{block_on, first, split};
use bytes::Bytes;
use muster_api::fuzzing::{GrpcDoor, message, messages};
use muster_model::Kind;
use muster_wire::grpc::{
    Ack, BATCH_INSTANCES_MAX, BatchInstanceRequest, ConnectionSetup, FuzzyWatchRequest, InstanceRequest, LABELS_MAX,
    PAGE_NAMES_MAX, Payload, ServiceListRequest, ServiceQueryRequest, SubscribeServiceRequest,
};
use prost::Message as _;
use serde_json::Value;
use std::collections::HashMap;

const PREFIX_BYTES: usize = 5;
const CALLS_MAX: usize = 16;
/// A setup that every node takes, for inputs that have none.
const SETUP: &[u8] = br#"{"clientVersion":"Nacos-Java-Client:v2.4.3","labels":{"module":"naming"}}"#;

/// The longest message in tens of bytes, the length of the pieces, and the body.
pub(crate) fn grpc_frames(input: &[u8]) {
    let (tens, input) = first(input);
    let (piece_bytes, body) = first(input);
    let bytes_max = usize::from(tens) * 10;
    let (expected, ended_well) = expected_messages(body, bytes_max);
    let held_bytes_max = 2 * body.len() + 1;
    let mut endings = Vec::new();
    for piece_bytes in [body.len().max(1), usize::from(piece_bytes).max(1)] {
        let pieces = body.chunks(piece_bytes).map(Bytes::copy_from_slice).collect();
        let (read, ended) = block_on(messages(pieces, bytes_max, held_bytes_max));
        assert_eq!(read, expected, "in pieces of {piece_bytes}");
        assert_eq!(ended.is_ok(), ended_well, "{ended:?} in pieces of {piece_bytes}");
        endings.push(ended);
    }
    assert_eq!(endings[0], endings[1], "however it arrives");
    // With little room the door says so or reads the same.
    let pieces = body
        .chunks(usize::from(piece_bytes).max(1))
        .map(Bytes::copy_from_slice)
        .collect();
    let (read, _) = block_on(messages(pieces, bytes_max, usize::from(tens)));
    assert_eq!(read, expected[..read.len()]);
}

/// By the rule of gRPC, without a care for pieces.
fn expected_messages(mut body: &[u8], bytes_max: usize) -> (Vec<Bytes>, bool) {
    let mut messages = Vec::new();
    while let Some((prefix, rest)) = body.split_first_chunk::<PREFIX_BYTES>() {
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        if prefix[0] != 0 || length > bytes_max || length > rest.len() {
            return (messages, false);
        }
        messages.push(Bytes::copy_from_slice(&rest[..length]));
        body = &rest[length..];
    }
    (messages, body.is_empty())
}

/// A payload, whatever it calls itself.
pub(crate) fn grpc_payload(input: &[u8]) {
    // Inputs that are no payload are tried as its JSON.
    let body = match Payload::decode(input) {
        Ok(payload) => {
            let again = Payload::decode(payload.encode_to_vec().as_slice());
            assert_eq!(again.as_ref(), Ok(&payload));
            let name = payload.metadata.as_ref().map_or("", |metadata| &metadata.r#type);
            let body = payload.body.as_ref().map(|body| body.value.clone()).unwrap_or_default();
            written_by_hand(name, &body);
            body
        }
        Err(_) => Bytes::copy_from_slice(input),
    };
    if let Ok(setup) = ConnectionSetup::decode(&body) {
        assert!(setup.labels.len() <= LABELS_MAX);
    }
    if let Ok(ack) = Ack::decode(&body) {
        assert_eq!(ack.is_success(), ack.result_code == 200);
    }
    for kind in [Kind::Ephemeral, Kind::Persistent] {
        let _ = InstanceRequest::decode(&body, kind);
    }
    if let Ok(batch) = BatchInstanceRequest::decode(&body) {
        assert!(batch.instances.len() <= BATCH_INSTANCES_MAX);
        assert!(batch.instances.iter().all(|instance| instance.kind == Kind::Ephemeral));
    }
    if let Ok(page) = ServiceListRequest::decode(&body) {
        assert!(page.limit <= PAGE_NAMES_MAX);
    }
    let _ = (
        ServiceQueryRequest::decode(&body),
        SubscribeServiceRequest::decode(&body),
    );
    if let Ok(watch) = FuzzyWatchRequest::decode(&body) {
        let text = watch.pattern.as_str();
        assert_eq!(muster_wire::grpc::FuzzyPattern::parse(text), Ok(watch.pattern.clone()));
    }
}

/// The door writes the bytes around its JSON itself.
fn written_by_hand(name: &str, json: &Bytes) {
    let bytes = message(name, json.clone());
    let length = u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]) as usize;
    assert_eq!((bytes[0], length), (0, bytes.len() - PREFIX_BYTES));
    let read = Payload::decode(&bytes[PREFIX_BYTES..]).expect("what the door sends can be read");
    assert_eq!(read.metadata.unwrap_or_default().r#type, name);
    assert_eq!(read.body.unwrap_or_default().value, *json);
}

/// A setup, then calls and acks, parted by zero bytes: each a name, a line's end, JSON; an ack has no name.
pub(crate) fn grpc_calls(input: &[u8]) {
    let (setup, calls) = split(input, 0);
    block_on(async {
        let node = node();
        let open = |setup| {
            let (naming, tasks, clock) = (node.naming.clone(), node.tasks.clone(), node.clock.clone());
            GrpcDoor::open(naming, tasks, clock, setup, "10.0.0.5")
        };
        let door = open(setup).or_else(|_| open(SETUP)).expect("it is a setup");
        let headers = HashMap::from([("app".to_owned(), "header".to_owned())]);
        for call in calls.split(|byte| *byte == 0).take(CALLS_MAX) {
            let (name, body) = split(call, b'\n');
            let name = String::from_utf8_lossy(name);
            if name.is_empty() {
                door.acked(body);
                continue;
            }
            let before = reading(&node);
            let answer = door.call(&name, &headers, &Bytes::copy_from_slice(body)).await;
            if answer.is_none_or(|(response, json)| !is_success(&name, response, &json)) {
                assert_eq!(reading(&node), before, "what is refused changes nothing: {name}");
            }
        }
    });
}

/// The rules that satisfy every SDK; see `muster_wire::grpc`.
fn is_success(name: &str, response: &str, json: &[u8]) -> bool {
    let answer: Value = serde_json::from_slice(json).expect("answers are JSON");
    let success = answer["success"] == Value::Bool(true);
    assert!(!has_null(&answer), "null in {response}: {answer}");
    assert_eq!(success, answer["resultCode"] == 200, "{answer}");
    assert_eq!(success, answer["errorCode"] == 0, "{answer}");
    assert!(
        response == "ErrorResponse" || response.ends_with("Response"),
        "{response} to {name}"
    );
    success
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(all) => all.iter().any(has_null),
        Value::Object(all) => all.values().any(has_null),
        _ => false,
    }
}

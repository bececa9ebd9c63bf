//! Calls to the HTTP door.

use super::node::{node, reading};
use crate::input::{block_on, split};
use muster_api::fuzzing::HttpDoor;

/// More calls find nothing more and take their time.
const CALLS_MAX: usize = 8;
/// Begins an input that is sent as it is.
const RAW: u8 = b'!';

/// Calls parted by a zero byte, each `METHOD target`, a line with the agent, a body; or behind `!` a connection's bytes.
pub(crate) fn http(input: &[u8]) {
    let panics = HttpDoor::panics();
    block_on(async {
        let node = node();
        let door = HttpDoor::new(node.naming.clone(), node.clock.clone());
        if let Some(raw) = input.strip_prefix(&[RAW]) {
            door.answer(raw).await;
            return;
        }
        for call in input.split(|byte| *byte == 0).take(CALLS_MAX) {
            let before = reading(&node);
            let answer = door.answer(&request(call)).await;
            check(&answer, call);
            if status(&answer).is_none_or(|status| status >= 400) {
                assert_eq!(
                    reading(&node),
                    before,
                    "what is refused changes nothing: {}",
                    shown(call)
                );
            }
        }
    });
    assert_eq!(HttpDoor::panics(), panics, "a handler panicked");
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn request(call: &[u8]) -> Vec<u8> {
    let (line, rest) = split(call, b'\n');
    let (agent, body) = split(rest, b'\n');
    let (method, target) = split(line, b' ');
    let mut request = [
        method,
        b" /nacos",
        target,
        b" HTTP/1.1\r\nhost: node\r\nuser-agent: ",
        agent,
    ]
    .concat();
    request.extend_from_slice(format!("\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes());
    request.extend_from_slice(body);
    request
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.strip_prefix(b"HTTP/1.1 ")?;
    std::str::from_utf8(line.get(..3)?).ok()?.parse().ok()
}

/// Something is answered, and what calls itself JSON is.
fn check(answer: &[u8], call: &[u8]) {
    assert!(
        status(answer).is_some(),
        "no answer to {}: {}",
        shown(call),
        shown(answer)
    );
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        panic!("an answer without a head's end to {}", shown(call));
    };
    let head = shown(&answer[..end]).to_ascii_lowercase();
    let body = &answer[end + 4..];
    let is_whole = !head.contains("transfer-encoding") && !call.starts_with(b"HEAD") && !body.is_empty();
    if is_whole && head.contains("content-type: application/json") {
        let read: Result<serde_json::Value, _> = serde_json::from_slice(body);
        assert!(read.is_ok(), "not JSON, to {}: {}", shown(call), shown(body));
    }
}

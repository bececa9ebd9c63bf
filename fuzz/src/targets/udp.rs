//! What comes by UDP and with it: acks, agents; and the datagrams that go out.

use crate::input::split;
use flate2::read::GzDecoder;
use muster_wire::{ACK_BYTES_MAX, Agent, DATAGRAM_BYTES_MAX, datagram, parse_ack};
use serde_json::Value;
use std::io::Read;

const GZIP_MARK: [u8; 2] = [0x1f, 0x8b];
/// Larger numbers are rounded by JavaScript clients.
const TOKEN_END: u64 = 1 << 53;

pub(crate) fn udp(input: &[u8]) {
    acks(input);
    agents(input);
    datagrams(input);
}

fn acks(input: &[u8]) {
    let Some(token) = parse_ack(input) else { return };
    assert!(token < TOKEN_END && input.len() <= ACK_BYTES_MAX);
    // As Java and Go write it, and as Node does.
    for shown in [format!("\"{token}\""), token.to_string()] {
        let ack = format!(r#"{{"type":"push-ack","lastRefTime":{shown},"data":""}}"#);
        assert_eq!(parse_ack(ack.as_bytes()), Some(token), "{ack}");
    }
    // Acks are never compressed, so nothing is ever unpacked.
    assert!(!input.starts_with(&GZIP_MARK));
}

fn agents(input: &[u8]) {
    let (agent, version) = split(input, b'\n');
    let (Ok(agent), Ok(version)) = (std::str::from_utf8(agent), std::str::from_utf8(version)) else {
        return;
    };
    for version in [None, Some(version)] {
        let read = Agent::parse(Some(agent), version);
        let text = Agent::text(Some(agent), version);
        assert_eq!(Agent::parse(Some(text), None), read, "{text}");
        assert!(read.datagram_bytes_max() <= DATAGRAM_BYTES_MAX);
        let _ = (read.pushes(), read.grouped_names(), read.strict_put());
    }
}

/// A list goes out as it is, compressed or not.
fn datagrams(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        assert_eq!(datagram(input, 7), None);
        return;
    };
    // Repeated, so that it is long enough to be compressed.
    for list in [text.to_owned(), text.repeat(8)] {
        let sent = datagram(list.as_bytes(), 7).expect("so short a list fits");
        assert!(sent.len() <= DATAGRAM_BYTES_MAX);
        let mut packet = Vec::new();
        if sent.starts_with(&GZIP_MARK) {
            GzDecoder::new(sent.as_slice())
                .read_to_end(&mut packet)
                .expect("it was compressed");
        } else {
            packet = sent;
        }
        let packet: Value = serde_json::from_slice(&packet).expect("a datagram is JSON");
        assert_eq!((&packet["type"], &packet["data"]), (&"dom".into(), &list.into()));
        assert_eq!(packet["lastRefTime"], 7);
    }
}

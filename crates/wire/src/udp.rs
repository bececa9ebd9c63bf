//! What travels over UDP: the pushed datagram and the subscriber's ack.

use crate::agent::DATAGRAM_BYTES_MAX;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use std::fmt;
use std::io::Write;

/// From this size on the whole packet is gzip (Nacos's `UdpPushService`); clients tell by its magic number.
const GZIP_FROM_BYTES: usize = 1_024;

/// Up to this size the best compression takes about a millisecond; above, a quick one is tried first.
const GZIP_BEST_UP_TO_BYTES: usize = 64 * 1_024;

/// Lists compress about 30 to 1 (measured: 3,275 instances fit), so what is longer than this cannot fit into a
/// datagram and is not worth seconds of trying.
const PACKET_BYTES_MAX: usize = 64 * DATAGRAM_BYTES_MAX;

/// Acks are below 100 bytes; a `dump-ack`, which nobody asks for, carries a client's whole cache.
pub const ACK_BYTES_MAX: usize = 1_024;

/// Tokens stay below this: JavaScript clients round larger integers (T-11).
const TOKEN_END: u64 = 1 << 53;

/// The datagram that carries `list` (UTF-8 JSON of [`crate::service_list_for_datagram`]); `None` when it does not fit
/// into any datagram.
pub fn datagram(list: &[u8], token: u64) -> Option<Vec<u8>> {
    let packet = envelope(list, token)?;
    let packed = if packet.len() < GZIP_FROM_BYTES {
        packet
    } else if packet.len() <= GZIP_BEST_UP_TO_BYTES {
        gzip(&packet, Compression::default())
    } else if packet.len() <= PACKET_BYTES_MAX {
        let quick = gzip(&packet, Compression::fast());
        if quick.len() <= DATAGRAM_BYTES_MAX {
            quick
        } else {
            gzip(&packet, Compression::default())
        }
    } else {
        return None;
    };
    (packed.len() <= DATAGRAM_BYTES_MAX).then_some(packed)
}

/// `{"type":"dom","data":"<the list as a string>","lastRefTime":N}`.
fn envelope(list: &[u8], token: u64) -> Option<Vec<u8>> {
    let list = std::str::from_utf8(list).ok()?;
    // Quotes are escaped: about one byte in eight of a list.
    let mut packet = Vec::with_capacity(64 + list.len() + list.len() / 4);
    packet.extend_from_slice(br#"{"type":"dom","data":"#);
    serde_json::to_writer(&mut packet, list).expect("a text is JSON, and Vec takes all");
    write!(packet, r#","lastRefTime":{token}}}"#).expect("Vec takes all");
    Some(packet)
}

fn gzip(packet: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(packet.len() / 8), level);
    encoder
        .write_all(packet)
        .and_then(|()| encoder.finish())
        .expect("Vec takes all")
}

/// The token of an ack, or `None` for what is not one.
///
/// As in Nacos the `type` does not matter, with one exception: `dom` is our own datagram, which a host that echoes
/// packets would send back.
pub fn parse_ack(datagram: &[u8]) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Ack {
        #[serde(default, rename = "type", deserialize_with = "lenient_type")]
        is_dom: bool,
        #[serde(rename = "lastRefTime")]
        token: Token,
    }
    if datagram.len() > ACK_BYTES_MAX {
        return None;
    }
    let ack: Ack = serde_json::from_slice(datagram).ok()?;
    (!ack.is_dom && ack.token.0 < TOKEN_END).then_some(ack.token.0)
}

fn lenient_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(serde_json::Value::deserialize(deserializer)? == "dom")
}

/// A token as Java and Go (text) or Node (number) send it back.
struct Token(u64);

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyShape;
        impl Visitor<'_> for AnyShape {
            type Value = Token;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a token, as number or text")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Token, E> {
                Ok(Token(number))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Token, E> {
                let whole = number >= 0.0 && number < TOKEN_END as f64 && number.fract() == 0.0;
                whole
                    .then_some(Token(number as u64))
                    .ok_or_else(|| E::custom("not a token"))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Token, E> {
                text.trim().parse().map(Token).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(AnyShape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use proptest::prelude::*;
    use std::io::Read;

    fn unzipped(packet: &[u8]) -> String {
        let mut text = String::new();
        GzDecoder::new(packet).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_short_packet_is_plain_text_in_nacos_s_order() {
        let packet = datagram(br#"{"name":"G@@s","hosts":[]}"#, 1_700_000_000_000_001).unwrap();
        assert_eq!(
            String::from_utf8(packet).unwrap(),
            r#"{"type":"dom","data":"{\"name\":\"G@@s\",\"hosts\":[]}","lastRefTime":1700000000000001}"#
        );
    }

    #[test]
    fn the_packet_is_gzip_from_1024_bytes_on() {
        let around = r#"{"type":"dom","data":"","lastRefTime":7}"#.len();
        let plain = datagram("x".repeat(1_023 - around).as_bytes(), 7).unwrap();
        assert_eq!((plain.len(), plain[0]), (1_023, b'{'));
        let packed = datagram("x".repeat(1_024 - around).as_bytes(), 7).unwrap();
        assert_eq!(packed[..2], [0x1f, 0x8b]);
        assert_eq!(unzipped(&packed).len(), 1_024);
    }

    #[test]
    fn large_lists_survive_the_way() {
        let list: String = (0..8_000)
            .map(|n| format!(r#"{{"ip":"10.0.{}.{}"}},"#, n / 256, n % 256))
            .collect();
        let packet = datagram(list.as_bytes(), 7).unwrap();
        let outer: serde_json::Value = serde_json::from_str(&unzipped(&packet)).unwrap();
        assert_eq!(outer["data"], list);
    }

    #[test]
    fn what_does_not_fit_into_a_datagram_is_no_datagram() {
        // Digits of a linear congruential generator: about 2.3 to 1 under gzip.
        let mut state = 1_u64;
        let noise: String = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'0' + (state >> 33) as u8 % 10)
        })
        .take(300_000)
        .collect();
        assert_eq!(datagram(noise.as_bytes(), 7), None);
        assert_eq!(datagram(&vec![b'x'; PACKET_BYTES_MAX], 7), None);
    }

    #[test]
    fn acks_of_java_go_and_node_are_read() {
        for text in [
            r#"{"type": "push-ack", "lastRefTime":"1700000000000001", "data":""}"#,
            r#"{"type":"push-ack","lastRefTime":1700000000000001,"data":""}"#,
            r#"{"type":"push-ack","lastRefTime":1.700000000000001e15}"#,
            r#"{"type":"unknow-ack","lastRefTime":"1700000000000001"}"#,
            r#"{"type":5,"lastRefTime":" 1700000000000001 "}"#,
            r#"{"lastRefTime":1700000000000001}"#,
        ] {
            assert_eq!(parse_ack(text.as_bytes()), Some(1_700_000_000_000_001), "{text}");
        }
    }

    #[test]
    fn garbage_and_our_own_datagram_are_no_acks() {
        for text in [
            "",
            "null",
            "[]",
            "{",
            r#"{"type":"push-ack"}"#,
            r#"{"lastRefTime":-1}"#,
            r#"{"lastRefTime":1.5}"#,
            r#"{"lastRefTime":null}"#,
            r#"{"lastRefTime":"x"}"#,
            r#"{"lastRefTime":9007199254740992}"#,
            r#"{"lastRefTime":"99999999999999999999999"}"#,
            r#"{"lastRefTime":1,"lastRefTime":2}"#,
            r#"{"type":"dom","data":"{}","lastRefTime":1}"#,
        ] {
            assert_eq!(parse_ack(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_ack(&[0xff; 100]), None);
        let long = format!(r#"{{"lastRefTime":1,"data":"{}"}}"#, "x".repeat(ACK_BYTES_MAX));
        assert_eq!(parse_ack(long.as_bytes()), None);
        let deep = "[".repeat(1_000);
        assert_eq!(parse_ack(format!(r#"{{"type":{deep}"#).as_bytes()), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_ack(&bytes);
        }

        #[test]
        fn every_token_below_2_to_the_53_comes_back_through_a_javascript_number(token in 0_u64..TOKEN_END) {
            let rounded = token as f64 as u64;
            let ack = format!(r#"{{"lastRefTime":{rounded}}}"#);
            prop_assert_eq!(parse_ack(ack.as_bytes()), Some(token));
        }
    }
}

//! HTTP/2's frames, written out, so that they can be wrong.

use anyhow::{Result, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::HashMap;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

const HEAD_BYTES: usize = 9;
/// Streams of one connection that never end, each as long as a member's message may be.
pub(super) const BODIES: u32 = 16;
const BODY_BYTES: u32 = 60 << 20;
/// HTTP/2's own bound of a frame, and of what may be sent before the other side says more.
pub(super) const PIECE_BYTES: usize = 16_384;
const FIRST_WINDOW: i64 = 65_535;
/// In one write.
const FRAMES_AT_ONCE: u32 = 50;

pub(super) fn begin() -> Bytes {
    crate::flood::http2_begin()
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEAD_BYTES + body.len());
    frame.put_uint(body.len() as u64, 3);
    frame.put_u8(kind);
    frame.put_u8(flags);
    frame.put_u32(stream);
    frame.extend_from_slice(body);
    frame.freeze()
}

/// Clients' streams have odd numbers.
fn stream(number: u32) -> u32 {
    (number % (1 << 30)) * 2 + 1
}

/// The headers of a call between members: static entries of HTTP/2's table, and literals that are not remembered.
fn headers_of_call() -> Vec<u8> {
    let mut headers = vec![0x83, 0x86];
    for (name, value) in [
        (":path", "/muster.peer.v1.Peer/Call"),
        (":authority", "127.0.0.1"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        headers.push(0);
        for text in [name, value] {
            headers.push(text.len() as u8);
            headers.extend_from_slice(text.as_bytes());
        }
    }
    headers
}

/// The beginning of a call.
pub(super) fn call(number: u32, is_all: bool) -> Bytes {
    let flags = END_HEADERS | if is_all { END_STREAM } else { 0 };
    frame(HEADERS, flags, stream(number), &headers_of_call())
}

pub(super) fn data(number: u32, body: &[u8]) -> Bytes {
    frame(DATA, 0, stream(number), body)
}

/// gRPC's head of a message that will be long.
pub(super) fn body_begin(number: u32) -> Bytes {
    let mut head = vec![0];
    head.put_u32(BODY_BYTES);
    data(number, &head)
}

/// A message and the end of the call.
pub(super) fn whole_body(number: u32, message: &[u8]) -> Bytes {
    let mut body = vec![0];
    body.put_u32(message.len() as u32);
    body.extend_from_slice(message);
    frame(DATA, END_STREAM, stream(number), &body)
}

/// protobuf of a call between members.
pub(super) fn request(cluster: u64, from: u64, to: u64, route: u64, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    for (field, value) in [(1, cluster), (2, from), (3, to), (4, route & 0xffff_ffff)] {
        message.push(field << 3);
        put_number(&mut message, value);
    }
    message.push(5 << 3 | 2);
    put_number(&mut message, body.len() as u64);
    message.extend_from_slice(body);
    message
}

fn put_number(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

/// Streams that are reset as soon as they are opened.
pub(super) fn resets(number: u32) -> (u64, Bytes) {
    let mut bytes = BytesMut::new();
    for step in 0..FRAMES_AT_ONCE {
        let number = number * FRAMES_AT_ONCE + step;
        bytes.extend_from_slice(&call(number, false));
        bytes.extend_from_slice(&frame(RESET, 0, stream(number), &8_u32.to_be_bytes()));
    }
    (u64::from(FRAMES_AT_ONCE), bytes.freeze())
}

/// Headers of one stream that go on and on.
pub(super) fn headers(number: u32) -> (u64, Bytes) {
    // A literal that is not remembered: x-n: and sixty bytes.
    let mut line = vec![0, 3];
    line.extend_from_slice(b"x-n");
    line.push(60);
    line.extend_from_slice(&[b'v'; 60]);
    let lines = line.repeat(100);
    let mut bytes = BytesMut::new();
    if number == 0 {
        bytes.extend_from_slice(&frame(HEADERS, 0, 1, &headers_of_call()));
    }
    for _ in 0..FRAMES_AT_ONCE {
        bytes.extend_from_slice(&frame(CONTINUATION, 0, 1, &lines));
    }
    (u64::from(FRAMES_AT_ONCE), bytes.freeze())
}

/// Settings and pings, each of which asks for an answer.
pub(super) fn settings(number: u32) -> (u64, Bytes) {
    let mut bytes = BytesMut::new();
    for _ in 0..FRAMES_AT_ONCE {
        // 3: streams at once
        let mut setting = vec![0, 3];
        setting.put_u32(number);
        bytes.extend_from_slice(&frame(SETTINGS, 0, 0, &setting));
        bytes.extend_from_slice(&frame(PING, 0, 0, &[0; 8]));
    }
    (u64::from(FRAMES_AT_ONCE) * 2, bytes.freeze())
}

/// What a node lets one send: over all streams, and over each.
pub(super) struct Credit {
    all: i64,
    each: HashMap<u32, i64>,
    first: i64,
    received: BytesMut,
}

impl Default for Credit {
    fn default() -> Self {
        Self {
            all: FIRST_WINDOW,
            each: HashMap::new(),
            first: FIRST_WINDOW,
            received: BytesMut::new(),
        }
    }
}

impl Credit {
    /// Whether another piece may go on a stream, which it then has.
    pub(super) fn takes(&mut self, number: u32) -> bool {
        let left = self.each.entry(stream(number)).or_insert(self.first);
        let piece = PIECE_BYTES as i64;
        if self.all < piece || *left < piece {
            return false;
        }
        self.all -= piece;
        *left -= piece;
        true
    }

    /// Waits for what the node says, and counts what it allows; the answers to its pings.
    ///
    /// # Errors
    /// It has closed the connection.
    pub(super) async fn read(&mut self, from: &mut OwnedReadHalf) -> Result<BytesMut> {
        let mut pongs = BytesMut::new();
        ensure!(from.read_buf(&mut self.received).await? > 0, "closed");
        while self.received.len() >= HEAD_BYTES {
            let mut head = &self.received[..HEAD_BYTES];
            let length = head.get_uint(3) as usize;
            let (kind, flags, stream) = (head.get_u8(), head.get_u8(), head.get_u32());
            if self.received.len() < HEAD_BYTES + length {
                break;
            }
            self.received.advance(HEAD_BYTES);
            let mut body = self.received.split_to(length);
            match kind {
                WINDOW_UPDATE if length >= 4 && stream == 0 => self.all += i64::from(body.get_u32()),
                WINDOW_UPDATE if length >= 4 => {
                    *self.each.entry(stream).or_insert(self.first) += i64::from(body.get_u32());
                }
                SETTINGS if flags & ACK == 0 => self.settings(body),
                PING if flags & ACK == 0 => pongs.extend_from_slice(&frame(PING, ACK, 0, &body)),
                _ => {}
            }
        }
        Ok(pongs)
    }

    fn settings(&mut self, mut body: BytesMut) {
        while body.len() >= 6 {
            let (name, value) = (body.get_u16(), i64::from(body.get_u32()));
            // The window of a stream that is new, and by as much more of those that are open.
            if name == 4 {
                self.each.values_mut().for_each(|left| *left += value - self.first);
                self.first = value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_its_length_kind_and_stream() {
        assert_eq!(
            &frame(DATA, END_STREAM, 3, b"ab")[..],
            b"\x00\x00\x02\x00\x01\x00\x00\x00\x03ab"
        );
        assert_eq!(stream(0), 1);
        assert_eq!(stream(2), 5);
    }

    #[test]
    fn numbers_of_protobuf_have_seven_bits_a_byte() {
        assert_eq!(request(300, 0, 0, 0, b""), [8, 0xac, 2, 16, 0, 24, 0, 32, 0, 42, 0]);
    }
}

//! Payloads in gRPC's frames: a byte for compression, four for the length, the message.

use anyhow::{bail, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use muster_wire::grpc::{Any, Metadata, Payload};
use prost::Message;

const HEAD_BYTES: usize = 5;
/// No list of a test is longer.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// One framed payload of the given type.
pub fn encode(kind: &str, json: impl Into<Bytes>) -> Bytes {
    let payload = Payload {
        metadata: Some(Metadata {
            r#type: kind.to_owned(),
            client_ip: "127.0.0.1".to_owned(),
            ..Metadata::default()
        }),
        body: Some(Any {
            type_url: String::new(),
            value: json.into(),
        }),
    };
    let mut frame = BytesMut::with_capacity(HEAD_BYTES + payload.encoded_len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(payload.encoded_len()).expect("a test's message is small"));
    payload.encode(&mut frame).expect("room was made for it");
    frame.freeze()
}

/// Puts what arrives in pieces together.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: BytesMut,
}

impl Frames {
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole payload: its type and its JSON.
    ///
    /// # Errors
    /// What arrived is no payload.
    pub fn take(&mut self) -> anyhow::Result<Option<(String, Bytes)>> {
        if self.buffer.len() < HEAD_BYTES {
            return Ok(None);
        }
        ensure!(self.buffer[0] == 0, "a compressed message, which nobody asked for");
        let length = u32::from_be_bytes([self.buffer[1], self.buffer[2], self.buffer[3], self.buffer[4]]) as usize;
        if length > MESSAGE_BYTES_MAX {
            bail!("a message of {length} bytes");
        }
        if self.buffer.len() < HEAD_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(HEAD_BYTES);
        let payload = Payload::decode(self.buffer.split_to(length).freeze())?;
        let kind = payload.metadata.map(|metadata| metadata.r#type).unwrap_or_default();
        Ok(Some((kind, payload.body.map(|body| body.value).unwrap_or_default())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_in_pieces_is_one_payload() {
        let frame = encode("HealthCheckRequest", "{}");
        let mut frames = Frames::default();
        for byte in &frame[..frame.len() - 1] {
            frames.push(&[*byte]);
            assert!(frames.take().unwrap().is_none());
        }
        frames.push(&frame[frame.len() - 1..]);
        let (kind, json) = frames.take().unwrap().unwrap();
        assert_eq!((kind.as_str(), &json[..]), ("HealthCheckRequest", &b"{}"[..]));
        assert!(frames.take().unwrap().is_none());
    }
}

//! Pushed datagrams and their acks.

use crate::naming::{Listed, ListedJson};
use flate2::read::GzDecoder;
use serde::Deserialize;
use std::io::Read;

/// The longest list that is unpacked from a datagram; a datagram of 64 KiB of real lists holds a tenth of it.
const UNPACKED_BYTES_MAX: u64 = 16 << 20;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Datagram {
    #[serde(rename = "type")]
    kind: String,
    data: String,
    last_ref_time: u64,
}

/// A pushed list.
#[derive(Debug)]
pub(crate) struct Notice {
    /// `group@@name`.
    pub(crate) name: String,
    /// The cluster filter, as asked.
    pub(crate) clusters: String,
    pub(crate) listed: Listed,
    /// What the server waits for.
    pub(crate) ack: Vec<u8>,
}

/// Reads a datagram; none for what is not a list.
pub(crate) fn read(bytes: &[u8]) -> Option<Notice> {
    let mut unpacked = Vec::new();
    let json = if bytes.starts_with(&GZIP_MAGIC) {
        let read = GzDecoder::new(bytes)
            .take(UNPACKED_BYTES_MAX)
            .read_to_end(&mut unpacked);
        read.ok()?;
        unpacked.as_slice()
    } else {
        bytes
    };
    let datagram: Datagram = serde_json::from_slice(json).ok()?;
    if datagram.kind != "dom" && datagram.kind != "service" {
        return None;
    }
    let listed: ListedJson = serde_json::from_str(&datagram.data).ok()?;
    let (name, clusters) = (listed.name.clone(), listed.clusters.clone());
    Some(Notice {
        name,
        clusters,
        listed: listed.into_listed().ok()?,
        ack: format!(
            r#"{{"type":"push-ack","lastRefTime":"{}","data":""}}"#,
            datagram.last_ref_time
        )
        .into_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    const PUSH: &str = r#"{"type":"dom","data":"{\"name\":\"G@@s\",\"clusters\":\"\",\"hosts\":[],\"lastRefTime\":5}","lastRefTime":77}"#;

    #[test]
    fn a_push_is_acknowledged_by_its_outer_stamp() {
        let notice = read(PUSH.as_bytes()).unwrap();
        assert_eq!((notice.name.as_str(), notice.listed.stamp_ms), ("G@@s", 5));
        assert_eq!(notice.ack, br#"{"type":"push-ack","lastRefTime":"77","data":""}"#);
    }

    #[test]
    fn a_packed_push_reads_the_same() {
        let mut packer = GzEncoder::new(Vec::new(), Compression::default());
        packer.write_all(PUSH.as_bytes()).unwrap();
        assert_eq!(read(&packer.finish().unwrap()).unwrap().name, "G@@s");
    }

    #[test]
    fn what_is_not_a_push_is_not_read() {
        for noise in [
            &b""[..],
            b"{}",
            b"\x1f\x8bnot gzip",
            br#"{"type":"dump","data":"","lastRefTime":1}"#,
            br#"{"type":"dom","data":"[]","lastRefTime":1}"#,
        ] {
            assert!(read(noise).is_none());
        }
    }
}

//! What members tell each other, and the same records in the warm copy's file.
//!
//! Ours alone and never a client's. Every list a peer can fill is counted before it is believed, and names are parsed as
//! strictly as those of clients.

use crate::merge::Incoming;
use crate::moment::Moment;
use crate::record::{Body, Gone, Holder, Record, State, Version};
use bytes::Bytes;
use muster_model::{
    ClusterName, GroupName, Host, Instance, InstanceKey, Kind, MemberId, NamespaceId, ServiceKey, ServiceName, Stamp,
    Weight,
};
use muster_transport::HandlerError;
use prost::Message as _;
use std::collections::HashMap;
use std::sync::Arc;

/// Batches are cut at this size; a single record may be larger.
pub(crate) const BATCH_BYTES: usize = 1 << 20;
/// Records of one batch; merging so many takes some milliseconds.
pub(crate) const BATCH_RECORDS: usize = 4_096;
/// Hashes of one message: 12 bytes each.
pub(crate) const HASHES_MAX: usize = 65_536;
/// Larger bodies are refused unread.
const BODY_BYTES_MAX: usize = 16 << 20;
/// A stamp later than this is garbage: the year 2286.
const STAMP_MS_MAX: u64 = 10_000_000_000_000;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Batch {
    #[prost(message, repeated, tag = "1")]
    pub(crate) services: Vec<ServiceRecords>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ServiceRecords {
    #[prost(string, tag = "1")]
    pub(crate) namespace: String,
    #[prost(string, tag = "2")]
    pub(crate) group: String,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
    #[prost(message, repeated, tag = "4")]
    pub(crate) records: Vec<WireRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WireRecord {
    #[prost(string, tag = "1")]
    pub(crate) host: String,
    #[prost(uint32, tag = "2")]
    pub(crate) port: u32,
    #[prost(fixed64, tag = "3")]
    pub(crate) stamp: u64,
    #[prost(uint64, tag = "4")]
    pub(crate) origin: u64,
    /// 0 listed, 1 deregistered, 2 expired.
    #[prost(uint32, tag = "5")]
    pub(crate) gone: u32,
    /// How long ago it was seen; of a tombstone, what its removal rests on.
    #[prost(uint32, tag = "6")]
    pub(crate) silence_ms: u32,
    #[prost(bool, tag = "7")]
    pub(crate) by_silence: bool,
    /// Of tombstones alone.
    #[prost(uint32, tag = "8")]
    pub(crate) interval_ms: u32,
    /// Empty is `DEFAULT`.
    #[prost(string, tag = "9")]
    pub(crate) cluster: String,
    #[prost(double, tag = "10")]
    pub(crate) weight: f64,
    #[prost(bool, tag = "11")]
    pub(crate) disabled: bool,
    #[prost(bool, tag = "12")]
    pub(crate) healthy: bool,
    #[prost(message, repeated, tag = "13")]
    pub(crate) metadata: Vec<Pair>,
    /// The member whose connection holds it; 0 when beats renew it.
    #[prost(uint64, tag = "14")]
    pub(crate) held_by: u64,
    /// A deregistered one was not named by anybody: its connection has ended. Beside `gone` and not a number of it, so
    /// that a member that does not know the word yet takes it for a deregistration and not for garbage.
    #[prost(bool, tag = "15")]
    pub(crate) released: bool,
    /// Of released ones: the claim that has ended. None ends all before it.
    #[prost(fixed64, tag = "16")]
    pub(crate) claim_stamp: u64,
    #[prost(uint64, tag = "17")]
    pub(crate) claim_origin: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Pair {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

/// Which instances have beaten at the sender since it last said so; or, with `asks`, which of these the receiver has seen.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Seen {
    #[prost(fixed64, repeated, tag = "1")]
    pub(crate) hashes: Vec<u64>,
    /// How long ago, in the same order; empty in a question.
    #[prost(uint32, repeated, tag = "2")]
    pub(crate) ages_ms: Vec<u32>,
    #[prost(bool, tag = "3")]
    pub(crate) asks: bool,
    /// Places in `hashes` of what a connection holds and a client's own beat has renewed all the same.
    #[prost(uint32, repeated, tag = "4")]
    pub(crate) by_clients: Vec<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DigestAsked {
    /// Tombstones made before this minute are left out.
    #[prost(uint64, tag = "1")]
    pub(crate) from_minute: u64,
    /// All leaf digests XORed.
    #[prost(fixed64, tag = "2")]
    pub(crate) root: u64,
    /// Empty in the first question: mostly the root is enough.
    #[prost(fixed64, repeated, tag = "3")]
    pub(crate) leaves: Vec<u64>,
    #[prost(uint32, tag = "4")]
    pub(crate) first_leaf: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DigestAnswer {
    #[prost(bool, tag = "1")]
    pub(crate) equal: bool,
    #[prost(message, repeated, tag = "2")]
    pub(crate) lists: Vec<LeafList>,
    /// Where to ask on; 0 when all leaves were compared.
    #[prost(uint32, tag = "3")]
    pub(crate) next_leaf: u32,
}

/// Everything the answering member has in one leaf that differs.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LeafList {
    #[prost(uint32, tag = "1")]
    pub(crate) leaf: u32,
    #[prost(fixed64, repeated, tag = "2")]
    pub(crate) hashes: Vec<u64>,
    #[prost(fixed64, repeated, tag = "3")]
    pub(crate) stamps: Vec<u64>,
    #[prost(uint64, repeated, tag = "4")]
    pub(crate) origins: Vec<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FetchAsked {
    #[prost(fixed64, repeated, tag = "1")]
    pub(crate) hashes: Vec<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FetchAnswer {
    #[prost(message, optional, tag = "1")]
    pub(crate) batch: Option<Batch>,
    /// How many of the hashes were looked up, from the first on.
    #[prost(uint32, tag = "2")]
    pub(crate) served: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SnapshotAsked {
    /// The last hash of the chunk before; none for the first.
    #[prost(fixed64, optional, tag = "1")]
    pub(crate) after: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SnapshotAnswer {
    /// The answering member's own stage of loading: 0 empty yet, 1 has read its warm copy, 2 ready.
    #[prost(uint32, tag = "1")]
    pub(crate) stage: u32,
    #[prost(message, optional, tag = "2")]
    pub(crate) batch: Option<Batch>,
    /// The last hash of this chunk; none when it was the last chunk.
    #[prost(fixed64, optional, tag = "3")]
    pub(crate) last: Option<u64>,
}

/// Why a message was not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Garbage {
    #[error("{bytes} bytes")]
    TooLong { bytes: usize },
    #[error("not the message of this route: {0}")]
    Undecodable(String),
    #[error("{what} out of bounds")]
    OutOfBounds { what: &'static str },
    #[error("a name that is none: {0}")]
    Name(#[from] muster_model::NameError),
}

impl From<Garbage> for HandlerError {
    fn from(garbage: Garbage) -> Self {
        crate::metrics::GARBAGE.inc();
        HandlerError::Failed(garbage.to_string())
    }
}

pub(crate) fn decode<M: prost::Message + Default>(body: Bytes) -> Result<M, Garbage> {
    if body.len() > BODY_BYTES_MAX {
        return Err(Garbage::TooLong { bytes: body.len() });
    }
    M::decode(body).map_err(|error| Garbage::Undecodable(error.to_string()))
}

pub(crate) fn encode(message: &impl prost::Message) -> Bytes {
    message.encode_to_vec().into()
}

impl Seen {
    pub(crate) fn checked(self) -> Result<Self, Garbage> {
        let paired = self.asks || self.hashes.len() == self.ages_ms.len();
        let placed = self.by_clients.len() <= self.hashes.len()
            && self
                .by_clients
                .iter()
                .all(|place| (*place as usize) < self.hashes.len());
        if self.hashes.len() > HASHES_MAX || !paired || !placed {
            return Err(Garbage::OutOfBounds { what: "seen hashes" });
        }
        Ok(self)
    }
}

impl LeafList {
    /// The entries, if the lists match.
    pub(crate) fn entries(&self) -> Result<impl Iterator<Item = (u64, Version)> + '_, Garbage> {
        if self.hashes.len() != self.stamps.len() || self.hashes.len() != self.origins.len() {
            return Err(Garbage::OutOfBounds { what: "leaf list" });
        }
        Ok(self
            .hashes
            .iter()
            .zip(self.stamps.iter().zip(&self.origins))
            .map(|(hash, (stamp, origin))| {
                let version = Version {
                    stamp: Stamp(*stamp),
                    origin: MemberId(*origin),
                };
                (*hash, version)
            }))
    }
}

/// Gathers records into a batch, service by service, until it is full.
#[derive(Default)]
pub(crate) struct BatchBuilder {
    batch: Batch,
    places: HashMap<ServiceKey, usize>,
    bytes: usize,
    records: usize,
}

impl BatchBuilder {
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.records >= BATCH_RECORDS
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records == 0
    }

    pub(crate) fn records(&self) -> usize {
        self.records
    }

    /// Adds the record's present state.
    pub(crate) fn add(&mut self, record: &Record, now: Moment) {
        let wire = WireRecord::of(record, now);
        let place = *self.places.entry(record.service.clone()).or_insert_with(|| {
            let service = &record.service;
            let named = ServiceRecords {
                namespace: service.namespace().as_str().to_owned(),
                group: service.group().as_str().to_owned(),
                name: service.name().as_str().to_owned(),
                records: Vec::new(),
            };
            self.bytes += named.encoded_len() + 4;
            self.batch.services.push(named);
            self.batch.services.len() - 1
        });
        self.bytes += wire.encoded_len() + 4;
        self.records += 1;
        self.batch.services[place].records.push(wire);
    }

    pub(crate) fn batch(self) -> Batch {
        self.batch
    }
}

impl WireRecord {
    fn of(record: &Record, now: Moment) -> Self {
        let state = record.state();
        let mut wire = Self {
            host: record.key.host.as_str().to_owned(),
            port: record.key.port.into(),
            stamp: state.version.stamp.0,
            origin: state.version.origin.0,
            silence_ms: now.age_ms(record.lease.seen()),
            by_silence: state.by_silence,
            held_by: state.held_by.map_or(0, |holder| holder.member().0),
            ..Self::default()
        };
        match &state.body {
            Body::Gone(gone) => {
                wire.gone = match gone {
                    Gone::Deregistered | Gone::Released(_) => 1,
                    Gone::Expired => 2,
                };
                if let Gone::Released(claim) = gone {
                    wire.released = true;
                    wire.claim_stamp = claim.stamp.0;
                    wire.claim_origin = claim.origin.0;
                }
                wire.interval_ms = record.lease.interval_ms();
            }
            Body::Listed(instance) => {
                if instance.cluster.as_str() != "DEFAULT" {
                    wire.cluster = instance.cluster.as_str().to_owned();
                }
                wire.weight = instance.weight.get();
                wire.disabled = !instance.enabled;
                wire.healthy = instance.healthy;
                wire.metadata = instance
                    .metadata
                    .iter()
                    .map(|(key, value)| Pair {
                        key: key.to_owned(),
                        value: value.to_owned(),
                    })
                    .collect();
            }
        }
        wire
    }

    fn parse(self, service: &ServiceKey, now: Moment) -> Result<Incoming, Garbage> {
        let out_of_bounds = |what| Garbage::OutOfBounds { what };
        let port = u16::try_from(self.port).map_err(|_| out_of_bounds("port"))?;
        let key = InstanceKey::new(Host::parse(&self.host)?, port);
        let stamp = Stamp(self.stamp);
        if stamp.millis() > STAMP_MS_MAX {
            return Err(out_of_bounds("stamp"));
        }
        let version = Version {
            stamp,
            origin: MemberId(self.origin),
        };
        let body = match self.gone {
            0 => Body::Listed(Arc::new(Instance {
                key: key.clone(),
                kind: Kind::Ephemeral,
                cluster: if self.cluster.is_empty() {
                    ClusterName::default_cluster()
                } else {
                    ClusterName::parse(&self.cluster)?
                },
                weight: Weight::new(self.weight).map_err(|_| out_of_bounds("weight"))?,
                enabled: !self.disabled,
                healthy: self.healthy,
                metadata: self.metadata.into_iter().map(|pair| (pair.key, pair.value)).collect(),
            })),
            1 if self.released => {
                let claim = Version {
                    stamp: Stamp(self.claim_stamp),
                    origin: MemberId(self.claim_origin),
                };
                let claim = if claim == Version::default() { version } else { claim };
                // It would outrank what was written after it.
                if claim > version {
                    return Err(out_of_bounds("claim"));
                }
                Body::Gone(Gone::Released(Box::new(claim)))
            }
            1 => Body::Gone(Gone::Deregistered),
            2 => Body::Gone(Gone::Expired),
            _ => return Err(out_of_bounds("kind of tombstone")),
        };
        let gone = matches!(body, Body::Gone(_));
        Ok(Incoming {
            service: service.clone(),
            key,
            state: State {
                version,
                body,
                held_by: Holder::new(MemberId(self.held_by)).filter(|_| !gone),
                by_silence: self.by_silence && !gone,
            },
            seen: now.minus_ms(self.silence_ms.into()),
            interval_ms: gone.then_some(self.interval_ms),
        })
    }
}

impl Batch {
    /// All records, parsed; one that is not fit to be believed condemns them all.
    pub(crate) fn parse(self, now: Moment) -> Result<Vec<Incoming>, Garbage> {
        let count: usize = self.services.iter().map(|service| service.records.len()).sum();
        if count > BATCH_RECORDS {
            return Err(Garbage::OutOfBounds { what: "batch" });
        }
        let mut all = Vec::with_capacity(count);
        for named in self.services {
            let service = ServiceKey::new(
                NamespaceId::parse(&named.namespace)?,
                GroupName::parse(&named.group)?,
                ServiceName::parse(&named.name)?,
            );
            for record in named.records {
                all.push(record.parse(&service, now)?);
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::{Lease, timings};
    use crate::tests::cluster::{instance, key, service};

    const NOW: Moment = Moment(1 << 40);

    fn record(body: Body, held_by: u64) -> Record {
        let version = Version {
            stamp: Stamp::from_millis(1_700_000_000_000),
            origin: MemberId(2),
        };
        let state = State {
            version,
            body,
            held_by: Holder::new(MemberId(held_by)),
            by_silence: false,
        };
        let lease = Lease::new(timings(&instance(1), held_by > 0), NOW);
        Record::new(service("a"), key(1), 7, 7, lease, state)
    }

    fn told(record: &Record) -> (WireRecord, Incoming) {
        let wire = WireRecord::of(record, NOW);
        let read = wire.clone().parse(&record.service, NOW).unwrap();
        (wire, read)
    }

    #[test]
    fn who_holds_a_record_travels_with_it() {
        for held_by in [0, 3] {
            let record = record(Body::Listed(Arc::new(instance(1))), held_by);
            let (wire, read) = told(&record);
            assert_eq!(wire.held_by, held_by);
            assert_eq!(read.state, record.state());
        }
    }

    #[test]
    fn a_release_is_a_deregistration_to_a_member_that_does_not_know_the_word() {
        let claim = Version {
            stamp: Stamp(77),
            origin: MemberId(3),
        };
        let released = Gone::Released(Box::new(claim));
        for (gone, number) in [(Gone::Deregistered, 1), (Gone::Expired, 2), (released, 1)] {
            let record = record(Body::Gone(gone), 0);
            let (mut wire, read) = told(&record);
            assert_eq!(read.state, record.state());
            wire.released = false;
            assert_eq!(wire.gone, number);
        }
    }

    #[test]
    fn a_release_of_what_was_written_after_it_is_refused() {
        let record = record(Body::Gone(Gone::Released(Box::default())), 0);
        let mut wire = WireRecord::of(&record, NOW);
        wire.claim_stamp = wire.stamp + 1;
        assert!(wire.parse(&record.service, NOW).is_err());
    }

    /// The bytes of the first release; members of it are met during an upgrade.
    #[test]
    fn a_record_that_beats_renew_is_encoded_as_it_always_was() {
        let record = record(Body::Listed(Arc::new(instance(1))), 0);
        let bytes = encode(&WireRecord::of(&record, NOW));
        let mut expected = b"\x0a\x0810.1.0.1\x10\x01\x19".to_vec();
        expected.extend(Stamp::from_millis(1_700_000_000_000).0.to_le_bytes());
        expected.extend(b"\x20\x02\x51");
        expected.extend(1f64.to_le_bytes());
        expected.extend(b"\x60\x01");
        assert_eq!(bytes, expected);
    }
}

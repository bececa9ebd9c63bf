//! The state as a stream: what a snapshot file holds and what a member that lags behind is sent.
//!
//! ```text
//! stream = "MUSTERPS" version:u16 frame*             all numbers little-endian
//! frame  = kind:u8 length:u32 crc32:u32 payload      the checksum is over kind, length and payload
//! kinds    1 head: stamp, answers ever remembered    4 switches
//!          2 a service without its instances         5 a block of answers
//!          3 an instance of the service before it    255 end: number of frames before it
//! ```
//! Services come in the order of their keys, instances in that of theirs: equal states are equal bytes. A kind this
//! version does not know is an error: it would be state that this member then lacks.

use crate::PersistentService;
use crate::record::{
    InstanceRecord, Malformed, ServiceKeyRecord, ServiceRecord, SettingsRecord, SwitchesRecord, present,
};
use crate::state::State;
use crate::window::{BLOCK, CAPACITY, Window};
use muster_model::{Instance, ServiceKey, Stamp};
use prost::Message;
use std::io::{self, Read, Write};
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"MUSTERPS";
const VERSION: u16 = 1;

const HEAD: u8 = 1;
const SERVICE: u8 = 2;
const INSTANCE: u8 = 3;
const SWITCHES: u8 = 4;
const ANSWERS: u8 = 5;
const END: u8 = 255;

/// Bytes gathered before the sink is called.
const WRITE_BYTES: usize = 64 * 1024;

#[derive(Clone, PartialEq, Message)]
struct HeadFrame {
    #[prost(uint64, tag = "1")]
    stamp: u64,
    #[prost(uint64, tag = "2")]
    answers_ever: u64,
}

#[derive(Clone, PartialEq, Message)]
struct ServiceFrame {
    #[prost(message, optional, tag = "1")]
    key: Option<ServiceKeyRecord>,
    #[prost(message, optional, tag = "2")]
    service: Option<ServiceRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct EndFrame {
    #[prost(uint64, tag = "1")]
    frames: u64,
}

/// Writes the state.
pub(crate) fn write(state: &State, sink: &mut dyn Write) -> io::Result<()> {
    let mut frames = FrameWriter::new(sink);
    frames.add(
        HEAD,
        &HeadFrame {
            stamp: state.stamp.0,
            answers_ever: state.window.next(),
        }
        .encode_to_vec(),
    )?;
    let switches = SwitchesRecord {
        values: (*state.switches).clone(),
    };
    frames.add(SWITCHES, &switches.encode_to_vec())?;
    for (key, service) in state.sorted() {
        let frame = ServiceFrame {
            key: Some(key.into()),
            service: Some(head_record(service)),
        };
        frames.add(SERVICE, &frame.encode_to_vec())?;
        for instance in service.instances.values() {
            frames.add(INSTANCE, &InstanceRecord::from(&**instance).encode_to_vec())?;
        }
    }
    for block in 0..CAPACITY / BLOCK {
        frames.add(ANSWERS, &state.window.encode_block(block))?;
    }
    let count = frames.count;
    frames.add(END, &EndFrame { frames: count }.encode_to_vec())?;
    frames.finish()
}

/// Reads what [`write()`] wrote, up to its end frame.
pub(crate) fn read(source: &mut dyn Read) -> io::Result<State> {
    let mut start = [0; 10];
    source.read_exact(&mut start)?;
    if &start[..8] != MAGIC {
        return Err(invalid("not a snapshot of the replicated state"));
    }
    let version = u16::from_le_bytes([start[8], start[9]]);
    if version != VERSION {
        return Err(invalid(format!(
            "snapshot version {version}, this node knows {VERSION}"
        )));
    }
    let mut reading = Reading::default();
    loop {
        let (kind, payload) = read_frame(source)?;
        if kind == END {
            let end: EndFrame = decode(&payload, "end")?;
            return reading.finish(end.frames).map_err(invalid);
        }
        reading.add(kind, payload).map_err(invalid)?;
    }
}

/// A service without its instances, as it is stored.
pub(crate) fn head_record(service: &PersistentService) -> ServiceRecord {
    ServiceRecord {
        created: service.created,
        settings: Some(SettingsRecord::from(&*service.settings)),
    }
}

/// The service that [`head_record`] was made of, still without instances.
pub(crate) fn service_of(record: ServiceRecord) -> Result<PersistentService, Malformed> {
    Ok(PersistentService {
        created: record.created,
        settings: Arc::new(present(record.settings, "settings")?.try_into()?),
        ..PersistentService::default()
    })
}

/// What has been read so far.
#[derive(Default)]
struct Reading {
    state: State,
    head: Option<HeadFrame>,
    current: Option<(ServiceKey, PersistentService)>,
    answers: Vec<Vec<u8>>,
    frames: u64,
}

impl Reading {
    fn add(&mut self, kind: u8, payload: Vec<u8>) -> Result<(), Malformed> {
        self.frames += 1;
        match kind {
            HEAD => self.head = Some(decode(&payload, "head")?),
            SERVICE => {
                self.end_service()?;
                let frame: ServiceFrame = decode(&payload, "service")?;
                let key = present(frame.key, "service key")?.try_into()?;
                self.current = Some((key, service_of(present(frame.service, "service")?)?));
            }
            INSTANCE => {
                let instance = Instance::try_from(decode::<InstanceRecord>(&payload, "instance")?)?;
                let (_, service) = self
                    .current
                    .as_mut()
                    .ok_or(Malformed("an instance before any service".to_owned()))?;
                service.instances.insert(instance.key.clone(), Arc::new(instance));
            }
            SWITCHES => self.state.switches = Arc::new(decode::<SwitchesRecord>(&payload, "switches")?.values),
            // there are 32; a stream with more is not ours
            ANSWERS if self.answers.len() as u64 == CAPACITY / BLOCK => {
                return Err(Malformed("too many answers".to_owned()));
            }
            ANSWERS => self.answers.push(payload),
            other => return Err(Malformed(format!("frame {other} is not known"))),
        }
        Ok(())
    }

    fn end_service(&mut self) -> Result<(), Malformed> {
        if let Some((key, service)) = self.current.take() {
            if self.state.service(&key).is_some() {
                return Err(Malformed(format!("service {key} comes twice")));
            }
            self.state.insert(key, service);
        }
        Ok(())
    }

    fn finish(mut self, frames: u64) -> Result<State, Malformed> {
        self.end_service()?;
        let head = present(self.head, "head")?;
        if frames != self.frames {
            return Err(Malformed(format!("{} frames of {frames}", self.frames)));
        }
        let answers = self.answers.iter().map(Vec::as_slice);
        self.state.window = Arc::new(Window::decode(answers, head.answers_ever)?);
        self.state.stamp = Stamp(head.stamp);
        Ok(self.state)
    }
}

struct FrameWriter<'a> {
    sink: &'a mut dyn Write,
    pending: Vec<u8>,
    count: u64,
}

impl<'a> FrameWriter<'a> {
    fn new(sink: &'a mut dyn Write) -> Self {
        let mut pending = MAGIC.to_vec();
        pending.extend_from_slice(&VERSION.to_le_bytes());
        Self {
            sink,
            pending,
            count: 0,
        }
    }

    fn add(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).map_err(|_| invalid("a frame above 4 GiB"))?;
        self.pending.push(kind);
        self.pending.extend_from_slice(&length.to_le_bytes());
        self.pending
            .extend_from_slice(&checksum(kind, length, payload).to_le_bytes());
        self.pending.extend_from_slice(payload);
        self.count += 1;
        if self.pending.len() >= WRITE_BYTES {
            self.sink.write_all(&self.pending)?;
            self.pending.clear();
        }
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        self.sink.write_all(&self.pending)?;
        self.sink.flush()
    }
}

fn read_frame(source: &mut dyn Read) -> io::Result<(u8, Vec<u8>)> {
    let mut start = [0; 9];
    source.read_exact(&mut start)?;
    let kind = start[0];
    let length = u32::from_le_bytes([start[1], start[2], start[3], start[4]]);
    let crc = u32::from_le_bytes([start[5], start[6], start[7], start[8]]);
    // grows with what is there, so that a length that is wrong costs no memory
    let mut payload = Vec::new();
    source.take(length.into()).read_to_end(&mut payload)?;
    if payload.len() as u64 != u64::from(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if crc != checksum(kind, length, &payload) {
        return Err(invalid("a frame's checksum is wrong"));
    }
    Ok((kind, payload))
}

fn checksum(kind: u8, length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(&length.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

fn decode<M: Message + Default>(payload: &[u8], what: &str) -> Result<M, Malformed> {
    M::decode(payload).map_err(|error| Malformed::of(what, error))
}

impl From<Malformed> for io::Error {
    fn from(malformed: Malformed) -> Self {
        invalid(malformed)
    }
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

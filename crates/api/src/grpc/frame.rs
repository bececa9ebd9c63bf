//! gRPC's framing: messages with their length in front, laid over HTTP/2 bodies.

use bytes::buf::Chain;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use hyper::body::{Body, Incoming};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

/// One byte that says whether the message is compressed, four of length.
const PREFIX_BYTES: usize = 5;

/// Room that the first part of a long message gets at once; a length is only a claim until its bytes are there.
const CLAIM_BYTES_MAX: usize = 64 * 1_024;

/// How a call ended, as gRPC says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Code {
    Ok = 0,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Unavailable = 14,
}

/// The end of a call or a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Status {
    pub(super) code: Code,
    /// ASCII without `%`, so that it stands in a trailer as it is.
    pub(super) message: &'static str,
}

impl Status {
    pub(super) const OK: Self = Self::new(Code::Ok, "");

    pub(super) const fn new(code: Code, message: &'static str) -> Self {
        Self { code, message }
    }
}

/// A message on its way out: what stands before the body, then the body, which many answers may share.
pub(super) type Message = Chain<Bytes, Bytes>;

/// JSON up to this length is copied behind its head; more is sent from where it lies.
const COPIED_BYTES_MAX: usize = 2_048;

/// A payload that is named `name`, with its length in front.
pub(super) fn message(name: &str, json: Bytes) -> Message {
    let head = Head::new(name, json.len());
    if json.len() > COPIED_BYTES_MAX {
        return head.write(true, 0).freeze().chain(json);
    }
    let mut bytes = head.write(true, json.len());
    bytes.extend_from_slice(&json);
    bytes.freeze().chain(Bytes::new())
}

/// A payload in one piece, as it lies in a stream's queue.
pub(super) fn payload(name: &str, json: &[u8]) -> Bytes {
    let mut bytes = Head::new(name, json.len()).write(false, json.len());
    bytes.extend_from_slice(json);
    bytes.freeze()
}

/// Puts its length in front of a payload.
pub(super) fn prefixed(payload: Bytes) -> Message {
    let mut prefix = BytesMut::with_capacity(PREFIX_BYTES);
    put_prefix(&mut prefix, payload.len());
    prefix.freeze().chain(payload)
}

fn put_prefix(bytes: &mut BytesMut, payload_bytes: usize) {
    bytes.put_u8(0);
    // A message of 4 GiB is beyond every bound of this server.
    bytes.put_u32(u32::try_from(payload_bytes).expect("a message is shorter than 4 GiB"));
}

/// Everything of a `Payload` that stands before its JSON: written here, so that a long list is not copied for it.
struct Head<'a> {
    name: &'a str,
    json_bytes: usize,
    metadata_bytes: usize,
    any_bytes: usize,
}

impl<'a> Head<'a> {
    fn new(name: &'a str, json_bytes: usize) -> Self {
        Self {
            name,
            json_bytes,
            metadata_bytes: field_bytes(name.len()),
            any_bytes: field_bytes(json_bytes),
        }
    }

    /// Into a buffer that has room for `spare` bytes more.
    fn write(&self, with_prefix: bool, spare: usize) -> BytesMut {
        let payload_bytes = field_bytes(self.metadata_bytes) + field_bytes(self.any_bytes);
        let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + payload_bytes - self.json_bytes + spare);
        if with_prefix {
            put_prefix(&mut bytes, payload_bytes);
        }
        put_field(&mut bytes, METADATA, self.metadata_bytes);
        put_field(&mut bytes, METADATA_TYPE, self.name.len());
        bytes.extend_from_slice(self.name.as_bytes());
        put_field(&mut bytes, BODY, self.any_bytes);
        put_field(&mut bytes, BODY_VALUE, self.json_bytes);
        bytes
    }
}

/// Field numbers of `Payload`, `Metadata` and `Any`.
const METADATA: u32 = 2;
const METADATA_TYPE: u32 = 3;
const BODY: u32 = 3;
const BODY_VALUE: u32 = 2;

fn put_field(bytes: &mut BytesMut, number: u32, length: usize) {
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, bytes);
    prost::encoding::encode_varint(length as u64, bytes);
}

/// A field of `length` bytes with its tag; all our numbers are below 16, so that a tag is one byte.
fn field_bytes(length: usize) -> usize {
    1 + prost::encoding::encoded_len_varint(length as u64) + length
}

/// Bytes of messages that have arrived in part: of all transports together, or one transport's share of them.
#[derive(Debug)]
pub(super) struct Budget {
    bytes_max: usize,
    bytes: AtomicUsize,
    /// What this is a share of.
    all: Option<Arc<Budget>>,
}

impl Budget {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: AtomicUsize::new(0),
            all: None,
        }
    }

    /// A transport's part: what is taken from it is taken from the whole, too.
    pub(super) fn share(self: &Arc<Self>, bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            all: Some(self.clone()),
            ..Self::new(bytes_max)
        })
    }

    fn take(&self, bytes: usize) -> bool {
        if !self.take_here(bytes) {
            return false;
        }
        let taken = self.all.as_ref().is_none_or(|all| all.take(bytes));
        if !taken {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        taken
    }

    #[cfg(feature = "fuzzing")]
    pub(super) fn held(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn take_here(&self, bytes: usize) -> bool {
        let taken = |now: usize| Some(now + bytes).filter(|sum| *sum <= self.bytes_max);
        self.bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken)
            .is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(all) = &self.all {
            all.give_back(bytes);
        }
    }
}

/// Why no message was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReadError {
    TooLong,
    Compressed,
    /// Too much has arrived in part: of this transport, or of all.
    NoRoom,
    /// The caller's side ended within a message.
    Cut,
}

impl ReadError {
    pub(super) fn status(self) -> Status {
        match self {
            ReadError::TooLong => Status::new(Code::ResourceExhausted, "the message is longer than this server takes"),
            ReadError::Compressed => Status::new(Code::Unimplemented, "compressed messages are not taken"),
            ReadError::NoRoom => Status::new(
                Code::ResourceExhausted,
                "this server holds too many unfinished messages",
            ),
            ReadError::Cut => Status::new(Code::InvalidArgument, "the message is broken off"),
        }
    }
}

/// Takes messages out of a request's body.
pub(super) struct Reader<B = Incoming> {
    body: B,
    /// What came last and is not read yet; empty while `partial` is not.
    rest: Bytes,
    /// The beginning of a message that came in several parts.
    partial: BytesMut,
    bytes_max: usize,
    budget: Arc<Budget>,
    /// Of the budget.
    held: usize,
}

impl<B: Body<Data = Bytes> + Unpin> Reader<B> {
    pub(super) fn new(body: B, bytes_max: usize, budget: Arc<Budget>) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            partial: BytesMut::new(),
            bytes_max,
            budget,
            held: 0,
        }
    }

    /// The next message; `None` at the body's end.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, ReadError>>> {
        loop {
            match self.split() {
                Ok(None) => {}
                Ok(Some(message)) => return Poll::Ready(Some(Ok(message))),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                Some(Err(_)) => return Poll::Ready(Some(Err(ReadError::Cut))),
                None if self.rest.is_empty() && self.partial.is_empty() => return Poll::Ready(None),
                None => return Poll::Ready(Some(Err(ReadError::Cut))),
            };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if let Err(error) = self.append(data) {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    /// The bytes of the messages read so far are not held any more.
    pub(super) fn release(&mut self) {
        let kept = self.partial.len().min(self.held);
        self.budget.give_back(self.held - kept);
        self.held = kept;
    }

    fn append(&mut self, data: Bytes) -> Result<(), ReadError> {
        if self.rest.is_empty() && self.partial.is_empty() {
            self.rest = data;
            return Ok(());
        }
        let rest = std::mem::take(&mut self.rest);
        let more = rest.len() + data.len();
        if !self.budget.take(more) {
            return Err(ReadError::NoRoom);
        }
        self.held += more;
        if self.partial.is_empty() {
            let claimed = length_of(&rest).unwrap_or(0).min(CLAIM_BYTES_MAX);
            self.partial.reserve(more.max(claimed + PREFIX_BYTES));
        }
        self.partial.extend_from_slice(&rest);
        self.partial.extend_from_slice(&data);
        Ok(())
    }

    /// Cuts off the first message, if all of it is there.
    fn split(&mut self) -> Result<Option<Bytes>, ReadError> {
        let there: &[u8] = match self.partial.is_empty() {
            true => &self.rest,
            false => &self.partial,
        };
        let Some(length) = length_of(there) else {
            return Ok(None);
        };
        if there[0] != 0 {
            return Err(ReadError::Compressed);
        }
        if length > self.bytes_max {
            return Err(ReadError::TooLong);
        }
        if there.len() - PREFIX_BYTES < length {
            return Ok(None);
        }
        if !self.partial.is_empty() {
            self.rest = std::mem::take(&mut self.partial).freeze();
        }
        let mut message = self.rest.split_to(PREFIX_BYTES + length);
        message.advance(PREFIX_BYTES);
        Ok(Some(message))
    }
}

impl<B> Drop for Reader<B> {
    fn drop(&mut self) {
        self.budget.give_back(self.held);
    }
}

/// What the prefix says, once it is there.
fn length_of(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(1..PREFIX_BYTES)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::body::Frame;
    use proptest::prelude::*;
    use prost::Message as _;
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::task::Waker;

    struct Parts(VecDeque<Bytes>);

    impl Body for Parts {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|part| Ok(Frame::data(part))))
        }
    }

    fn reader(parts: impl IntoIterator<Item = Vec<u8>>, budget: &Arc<Budget>) -> Reader<Parts> {
        let parts = parts.into_iter().map(Bytes::from).collect();
        Reader::new(Parts(parts), 1_000, budget.clone())
    }

    fn all(reader: &mut Reader<Parts>) -> Vec<Result<Bytes, ReadError>> {
        let mut context = Context::from_waker(Waker::noop());
        let mut read = Vec::new();
        while let Poll::Ready(Some(message)) = reader.poll_next(&mut context) {
            let failed = message.is_err();
            read.push(message);
            if failed {
                break;
            }
        }
        read
    }

    fn framed(payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend((payload.len() as u32).to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    proptest! {
        #[test]
        fn messages_are_read_as_they_were_written_however_they_are_cut(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..6),
            cuts in proptest::collection::vec(1_usize..90, 1..40),
        ) {
            let stream: Vec<u8> = payloads.iter().flat_map(|payload| framed(payload)).collect();
            let (mut parts, mut at) = (Vec::new(), 0);
            for cut in cuts.iter().cycle() {
                if at == stream.len() {
                    break;
                }
                let end = (at + cut).min(stream.len());
                parts.push(stream[at..end].to_vec());
                at = end;
            }
            let budget = Arc::new(Budget::new(10_000));
            let mut reader = reader(parts, &budget);
            let read: Vec<Vec<u8>> = all(&mut reader).into_iter().map(|message| message.unwrap().to_vec()).collect();
            prop_assert_eq!(read, payloads);
            drop(reader);
            prop_assert_eq!(budget.bytes.load(Ordering::Relaxed), 0);
        }

        #[test]
        fn no_bytes_stop_the_reader(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..10)) {
            let budget = Arc::new(Budget::new(100));
            let mut reader = reader(parts, &budget);
            all(&mut reader);
            drop(reader);
            prop_assert_eq!(budget.bytes.load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    fn what_is_too_long_compressed_or_cut_is_refused_by_name() {
        let budget = Arc::new(Budget::new(100));
        let first = |parts: Vec<Vec<u8>>| all(&mut reader(parts, &budget)).remove(0);
        assert_eq!(first(vec![vec![0, 0, 0, 4, 0]]), Err(ReadError::TooLong));
        assert_eq!(first(vec![vec![1, 0, 0, 0, 1, 7]]), Err(ReadError::Compressed));
        assert_eq!(first(vec![vec![0, 0, 0, 0, 2, 7]]), Err(ReadError::Cut));
        assert_eq!(first(vec![vec![0, 0, 0, 1, 0], vec![7; 150]]), Err(ReadError::NoRoom));
    }

    #[test]
    fn a_transport_that_takes_up_its_share_leaves_the_rest_to_others() {
        let all = Arc::new(Budget::new(250));
        let (one, other, third) = (all.share(100), all.share(100), all.share(100));
        assert!(one.take(60) && !one.take(60) && one.take(40));
        assert!(other.take(100));
        assert!(!third.take(60), "the whole has its own bound");
        assert!(third.take(50));
        for share in [one, other] {
            share.give_back(100);
        }
        third.give_back(50);
        assert_eq!(all.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_long_claim_takes_no_room_before_its_bytes_come() {
        let budget = Arc::new(Budget::new(usize::MAX));
        let mut claims = Reader::new(Parts(VecDeque::new()), usize::MAX, budget);
        claims.append(Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff])).unwrap();
        claims.append(Bytes::from_static(&[7])).unwrap();
        assert!(claims.partial.capacity() <= 2 * CLAIM_BYTES_MAX);
    }

    #[test]
    fn a_message_is_the_payload_that_prost_writes() {
        for length in [2, 100, 127, 128, COPIED_BYTES_MAX, COPIED_BYTES_MAX + 1, 100_000] {
            let json = Bytes::from(vec![b'x'; length]);
            let expected = muster_wire::grpc::payload("InstanceResponse", json.clone()).encode_to_vec();
            let whole = payload("InstanceResponse", &json);
            assert_eq!(whole, expected);
            for mut message in [message("InstanceResponse", json), super::prefixed(whole)] {
                assert_eq!(message.copy_to_bytes(message.remaining()), framed(&expected));
            }
        }
    }
}

//! What other members say.

use super::node::WALL_MS;
use crate::input::{block_on, first, pieces};
use bytes::Bytes;
use muster_ephemeral::fuzzing::{Member, ROUTES};

const CALLS_MAX: usize = 8;

/// A kind of message and its bytes.
pub(crate) fn raft_messages(input: &[u8]) {
    let (kind, bytes) = first(input);
    let read_and_write = |bytes| muster_consensus::fuzzing::read_and_write(kind, bytes);
    if let Ok(once) = read_and_write(Bytes::copy_from_slice(bytes)) {
        assert_eq!(read_and_write(once.clone()), Ok(once), "kind {kind}");
    }
}

pub(crate) fn ping(input: &[u8]) {
    use muster_membership::fuzzing::read_and_write;
    if let Ok(once) = read_and_write(Bytes::copy_from_slice(input)) {
        assert_eq!(read_and_write(once.clone()), Ok(once));
    }
}

/// Calls as pieces, each a route and a body; then all that was taken in is told to another member.
pub(crate) fn copies(input: &[u8]) {
    block_on(async {
        let member = Member::new(WALL_MS);
        for call in pieces(input).into_iter().take(CALLS_MAX) {
            let (route, body) = first(call);
            let route = ROUTES[usize::from(route) % ROUTES.len()];
            let before = member.reading();
            match member.call(route, Bytes::copy_from_slice(body)).await {
                Ok(_) => assert!(member.clock_goes_on(), "after {route:?}"),
                Err(muster_transport::Error::Failed { .. }) => {
                    assert_eq!(member.reading(), before, "what is refused changes nothing");
                }
                Err(error) => panic!("{route:?}: {error}"),
            }
        }
        let other = Member::new(WALL_MS);
        for batch in member.batches() {
            let taken = other.call(ROUTES[0], batch).await;
            assert!(
                taken.is_ok(),
                "what is told by one member is believed by another: {taken:?}"
            );
        }
        let (one, two) = (member.reading(), other.reading());
        assert_eq!(one.listed, two.listed);
        assert_eq!(one.compared, two.compared);
    });
}

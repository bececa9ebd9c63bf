//! What can be called, and over which connection.

/// What a call is about. The number is on the wire: never reuse one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u32)]
pub enum Route {
    RaftAppend = 1,
    RaftVote = 2,
    RaftPreVote = 3,
    RaftSnapshot = 4,
    RaftTransferLeader = 5,
    /// A proposal, read barrier or membership change sent on to the leader.
    RaftForward = 6,
    MembershipPing = 20,
    /// Changed and removed ephemeral instances.
    EphemeralDelta = 30,
    /// Which instances have beaten of late.
    EphemeralSeen = 31,
    EphemeralDigest = 32,
    EphemeralFetch = 33,
    /// The whole store in chunks, for a node that starts.
    EphemeralSnapshot = 34,
    /// Subscribers of a service on the called node, for listings.
    Subscribers = 40,
}

/// Calls of one lane share a connection; a snapshot never stands before a heartbeat.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Lane {
    /// Small and urgent: votes, pings.
    Control,
    /// The Raft log's entries, with the heartbeats that share their message.
    Log,
    /// Forwarded writes and AP copies.
    Data,
    /// Snapshots.
    Bulk,
}

impl Route {
    pub const ALL: [Route; 13] = [
        Route::RaftAppend,
        Route::RaftVote,
        Route::RaftPreVote,
        Route::RaftSnapshot,
        Route::RaftTransferLeader,
        Route::RaftForward,
        Route::MembershipPing,
        Route::EphemeralDelta,
        Route::EphemeralSeen,
        Route::EphemeralDigest,
        Route::EphemeralFetch,
        Route::EphemeralSnapshot,
        Route::Subscribers,
    ];

    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|route| *route as u32 == number)
    }

    pub fn lane(self) -> Lane {
        match self {
            Route::RaftVote | Route::RaftPreVote | Route::RaftTransferLeader | Route::MembershipPing => Lane::Control,
            Route::RaftAppend => Lane::Log,
            Route::RaftForward
            | Route::EphemeralDelta
            | Route::EphemeralSeen
            | Route::EphemeralDigest
            | Route::EphemeralFetch
            | Route::Subscribers => Lane::Data,
            Route::RaftSnapshot | Route::EphemeralSnapshot => Lane::Bulk,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_a_number_of_its_own() {
        for route in Route::ALL {
            assert_eq!(Route::from_number(route as u32), Some(route));
        }
        assert_eq!(Route::from_number(0), None);
    }
}

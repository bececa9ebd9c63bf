//! Our own servers, and who is asking.

use std::fmt;

/// A stable number of one server; its address may change between starts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct MemberId(pub u64);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One server of the cluster.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Member {
    pub id: MemberId,
    /// Where clients reach it: host and main HTTP port, `10.0.0.1:8848`.
    pub client_address: String,
    /// Where members reach it: host and main port + 1001.
    pub peer_address: String,
}

/// Who is asking. Everybody is anonymous until `auth` exists.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Principal {
    #[default]
    Anonymous,
}

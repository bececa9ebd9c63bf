use muster_model::ConnectionId;
use std::fmt;
use std::net::SocketAddr;

/// Where deliveries go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Target {
    /// Datagrams to an address that the client named.
    Udp(SocketAddr),
    /// The stream of a connection that the client holds open; `peer` is where it comes from, for listings.
    Connection { id: ConnectionId, peer: SocketAddr },
}

impl Target {
    /// The other side's address, as far as this node sees it.
    pub fn address(&self) -> SocketAddr {
        match self {
            Target::Udp(address) => *address,
            Target::Connection { peer, .. } => *peer,
        }
    }

    pub(crate) fn recipient(&self) -> Recipient {
        match self {
            Target::Udp(address) => Recipient::Address(*address),
            Target::Connection { id, .. } => Recipient::Connection(*id),
        }
    }

    /// IPv4 is written as IPv4, however the socket that saw it names it.
    pub(crate) fn canonical(self) -> Self {
        let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        match self {
            Target::Udp(address) => Target::Udp(plain(address)),
            Target::Connection { id, peer } => Target::Connection { id, peer: plain(peer) },
        }
    }
}

/// Who acks: what a token is looked up with. Addresses stand before connections.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Recipient {
    Address(SocketAddr),
    Connection(ConnectionId),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address())
    }
}

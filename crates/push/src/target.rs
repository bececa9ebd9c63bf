use muster_model::ConnectionId;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

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

    pub(crate) fn ip(&self) -> IpAddr {
        self.address().ip()
    }

    pub(crate) fn port(&self) -> u16 {
        self.address().port()
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

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address())
    }
}

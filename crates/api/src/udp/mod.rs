//! UDP push: renders snapshots into datagrams, sends them, reads the acks.
//!
//! All datagrams leave from one socket at a fixed address, so that a firewall can let them and their acks through.

mod networks;
mod packet;

use muster_push::{Delivery, Handed, Push, Sink, Target};
use muster_runtime::{TaskKind, Tasks};
use muster_wire::{ACK_BYTES_MAX, parse_ack};
use networks::Networks;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// Room for ten thousand small datagrams and their acks; the kernel grants what `net.core.[rw]mem_max` allows.
const BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// Acks read before other tasks of the runtime get their turn.
const ACKS_PER_TURN: usize = 256;

/// After an error of the socket itself; never seen, and not to be spun on.
const RECEIVE_ERROR_WAIT: Duration = Duration::from_millis(50);

#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    /// Addresses pushes may go to, as CIDR blocks; empty allows all.
    pub allowed: Vec<String>,
}

/// The one socket that pushes leave from and acks come to.
#[derive(Clone)]
pub struct UdpPush(Arc<Inner>);

struct Inner {
    socket: UdpSocket,
    local: SocketAddr,
    allowed: Networks,
}

impl UdpPush {
    /// # Errors
    /// The address cannot be bound, or `allowed` holds what is not a network.
    pub fn bind(config: Config) -> io::Result<Self> {
        let allowed =
            Networks::parse(&config.allowed).map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
        let socket = Socket::new(Domain::for_address(config.listen), Type::DGRAM, Some(Protocol::UDP))?;
        if config.listen.is_ipv6() {
            // So that `[::]` reaches IPv4 subscribers as well.
            socket.set_only_v6(false)?;
        }
        // Less than asked for is no reason not to start: what overflows is lost and sent again.
        let _ = socket.set_send_buffer_size(BUFFER_BYTES);
        let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::from(config.listen))?;
        let socket = UdpSocket::from(socket);
        let local = socket.local_addr()?;
        Ok(Self(Arc::new(Inner { socket, local, allowed })))
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.0.local
    }

    /// Reads acks and hands them to `push` until shutdown.
    pub fn receive_acks(&self, push: Push, tasks: &Tasks) {
        let inner = self.0.clone();
        let shutdown = tasks.shutdown().clone();
        tasks.spawn("udp acks", TaskKind::Critical, async move {
            let reading = async {
                match inner.socket.try_clone().and_then(tokio::net::UdpSocket::from_std) {
                    Ok(socket) => receive(&socket, &push).await,
                    Err(error) => tracing::error!(%error, "acks of pushes cannot be read; every push will be repeated"),
                }
            };
            tokio::select! {
                () = shutdown.begun() => {}
                () = reading => {}
            }
        });
    }
}

async fn receive(socket: &tokio::net::UdpSocket, push: &Push) {
    // One byte more than an ack may have, so that a longer datagram is not taken for a short one.
    let mut buffer = [0; ACK_BYTES_MAX + 1];
    loop {
        if let Err(error) = socket.readable().await {
            tracing::warn!(%error, "waiting for acks failed");
            tokio::time::sleep(RECEIVE_ERROR_WAIT).await;
            continue;
        }
        for _ in 0..ACKS_PER_TURN {
            match socket.try_recv_from(&mut buffer) {
                Ok((length, from)) => {
                    if let Some(token) = parse_ack(&buffer[..length]) {
                        push.acked(token, from);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // An ICMP answer to something sent earlier: it concerns that one address, whose retries tell us too.
                Err(error) => {
                    tracing::debug!(%error, "reading acks");
                    break;
                }
            }
        }
        tokio::task::yield_now().await;
    }
}

impl Inner {
    /// The address to hand to the kernel, or nothing if datagrams do not go there.
    fn reachable(&self, target: SocketAddr) -> Option<SocketAddr> {
        let host = target.ip().to_canonical();
        let broadcast = matches!(host, IpAddr::V4(host) if host.is_broadcast());
        let wanted = target.port() != 0 && !host.is_unspecified() && !host.is_multicast() && !broadcast;
        if !wanted || !self.allowed.admit(host) {
            return None;
        }
        match (self.local.ip(), host) {
            (IpAddr::V4(_), IpAddr::V4(_)) => Some(SocketAddr::new(host, target.port())),
            (IpAddr::V4(_), IpAddr::V6(_)) => None,
            (IpAddr::V6(_), IpAddr::V4(host)) => Some(SocketAddr::new(host.to_ipv6_mapped().into(), target.port())),
            (IpAddr::V6(_), IpAddr::V6(_)) => Some(SocketAddr::new(host, target.port())),
        }
    }
}

impl Sink for UdpPush {
    fn deliver(&self, delivery: &Delivery) -> Handed {
        let Target::Udp(target) = delivery.key.target else {
            return Handed::Unreachable;
        };
        let Some(target) = self.0.reachable(target) else {
            return Handed::Unreachable;
        };
        let packet = packet::packet(delivery);
        if packet.is_empty() || packet.len() > delivery.info.datagram_bytes_max {
            return Handed::TooLarge;
        }
        let mut sent = self.0.socket.send_to(&packet, target);
        if matches!(&sent, Err(error) if error.kind() == ErrorKind::ConnectionRefused) {
            // The answer of another address to an earlier datagram, reported here once.
            sent = self.0.socket.send_to(&packet, target);
        }
        match sent {
            Ok(_) => Handed::Sent,
            Err(error) => handed(&error),
        }
    }
}

fn handed(error: &io::Error) -> Handed {
    /// `EMSGSIZE` and `ENOBUFS` of Linux, for which `ErrorKind` has no name.
    const MESSAGE_TOO_LONG: i32 = 90;
    const NO_BUFFER_SPACE: i32 = 105;
    match (error.kind(), error.raw_os_error()) {
        (ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::OutOfMemory, _) | (_, Some(NO_BUFFER_SPACE)) => {
            Handed::Busy
        }
        (_, Some(MESSAGE_TOO_LONG)) => Handed::TooLarge,
        _ => {
            tracing::debug!(%error, "a push was refused by the network");
            Handed::Unreachable
        }
    }
}

#[cfg(test)]
mod tests;

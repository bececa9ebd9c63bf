//! Ports for a node.

use anyhow::bail;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::sync::{LazyLock, Mutex, PoisonError};

/// SDKs speak gRPC at the main port + 1000.
pub const SDK_OFFSET: u16 = 1000;
/// Members speak with each other at the main port + 1001.
pub const PEER_OFFSET: u16 = 1001;

/// Below Linux's range for outgoing connections (32768 and up), so that no client takes a port before its node does.
const FIRST: u32 = 10_000;
const SPAN: u32 = 20_000;

/// A main port on loopback such that HTTP, UDP, gRPC and the members' port are free. Never the same twice in a process.
///
/// # Errors
/// None is free.
pub fn free_port() -> anyhow::Result<u16> {
    static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    // test processes that run side by side start at different places
    let start = std::process::id().wrapping_mul(7_919) % SPAN;
    for step in 0..SPAN / 10 {
        let port = (FIRST + (start + step * 10) % SPAN) as u16;
        if is_free(port) && given.insert(port) {
            return Ok(port);
        }
    }
    bail!("no free ports from {FIRST} on")
}

fn is_free(port: u16) -> bool {
    let ip = IpAddr::from(Ipv4Addr::LOCALHOST);
    let tcp = |port: u16| TcpListener::bind((ip, port));
    let all = (
        tcp(port),
        tcp(port + SDK_OFFSET),
        tcp(port + PEER_OFFSET),
        UdpSocket::bind((ip, port)),
    );
    matches!(all, (Ok(_), Ok(_), Ok(_), Ok(_)))
}

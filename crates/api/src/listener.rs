//! How both TCP doors listen.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};

/// Connections the kernel holds for us; the system's own limit (`somaxconn`, 4096) is usually the smaller.
const BACKLOG: u32 = 4_096;

/// After an accept that failed for want of file handles, so that the loop does not spin.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restarted node takes its port although old connections linger in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

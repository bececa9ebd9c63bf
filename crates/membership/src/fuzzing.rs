//! What a member says in a ping, opened to the fuzz targets.

use crate::ping::Ping;
use bytes::Bytes;

/// Reads a ping as a node does and writes it again.
///
/// # Errors
/// Why it is not believed.
pub fn read_and_write(body: Bytes) -> Result<Bytes, String> {
    Ok(Ping::parse(body)?.bytes())
}

/// A ping as this version writes it.
pub fn sample() -> Bytes {
    let ping = Ping {
        heard: vec![1, 2, 3],
        ready: true,
        stamp: 1_700_000_000_000 << 16,
        wall_ms: 1_700_000_000_000,
    };
    ping.bytes()
}

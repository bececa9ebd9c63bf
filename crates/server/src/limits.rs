//! What the system allows the process.

use crate::metrics;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files for the log, the peers and ourselves, beside one per connection.
const FILES_FOR_OURSELVES: u64 = 256;

/// Allows as many open files as the hard limit does: each connection is one, and the usual soft limit is 1024. Says how many
/// of the connections that are configured the limit leaves room for; the others wait in the kernel's backlog.
pub fn raise_open_files(connections_max: usize) -> usize {
    let before = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: before.maximum,
        maximum: before.maximum,
    };
    let allowed = match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => before.maximum,
        Err(error) => {
            tracing::warn!(%error, "open file limit stays as it is");
            before.current
        }
    };
    let allowed = allowed.unwrap_or(u64::MAX);
    metrics::OPEN_FILES_MAX.set(i64::try_from(allowed).unwrap_or(i64::MAX));
    let room = usize::try_from(allowed.saturating_sub(FILES_FOR_OURSELVES))
        .unwrap_or(usize::MAX)
        .max(1);
    if room < connections_max {
        tracing::info!(
            room,
            connections_max,
            "the limit of open files leaves room for fewer connections"
        );
    }
    connections_max.min(room)
}

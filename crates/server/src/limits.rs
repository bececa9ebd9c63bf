//! What the system allows the process.

use crate::metrics;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files for the log, the peers and ourselves, beside one per connection.
const FILES_FOR_OURSELVES: u64 = 256;

/// Connections that each door may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Places {
    pub http: usize,
    pub grpc: usize,
}

impl Places {
    /// The same in shares where there is room for fewer, and one at each door at least.
    fn within(self, room: usize) -> Self {
        let all = self.http.saturating_add(self.grpc);
        if all <= room {
            return self;
        }
        let share = |places: usize| (places as u128 * room as u128 / all as u128) as usize;
        Self {
            http: share(self.http).max(1),
            grpc: share(self.grpc).max(1),
        }
    }
}

/// Allows as many open files as the hard limit does: each connection is one, and the usual soft limit is 1024. Says how many
/// of the connections that are configured the limit leaves room for.
pub fn raise_open_files(configured: Places) -> Places {
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
    let room = usize::try_from(allowed.saturating_sub(FILES_FOR_OURSELVES)).unwrap_or(usize::MAX);
    let places = configured.within(room);
    if places != configured {
        tracing::info!(
            http = places.http,
            grpc = places.grpc,
            "the limit of open files leaves room for fewer connections"
        );
    }
    let shown = |places: usize| i64::try_from(places).unwrap_or(i64::MAX);
    metrics::CONNECTIONS_MAX
        .with_label_values(&["http"])
        .set(shown(places.http));
    metrics::CONNECTIONS_MAX
        .with_label_values(&["grpc"])
        .set(shown(places.grpc));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_share_the_room_as_they_were_configured() {
        let configured = Places {
            http: 50_000,
            grpc: 10_000,
        };
        assert_eq!(configured.within(60_000), configured);
        assert_eq!(configured.within(600), Places { http: 500, grpc: 100 });
    }

    #[test]
    fn a_door_has_one_place_at_least() {
        let configured = Places { http: 50_000, grpc: 1 };
        assert_eq!(configured.within(100), Places { http: 99, grpc: 1 });
        assert_eq!(configured.within(0), Places { http: 1, grpc: 1 });
    }
}

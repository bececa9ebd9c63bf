//! The cluster-wide switches: which ones we heed, what they may be set to, and who is told when they change.
//!
//! A switch either works or is refused by name. Nacos answers `ok` to an entry it does not know (reference nacos-http
//! 9.9); an operator then believes in a setting that is none.

use crate::Error;
use crate::stores::{Stores, Subscribers};
use arc_swap::ArcSwap;
use muster_ephemeral::Rules;
use muster_model::BeatTimings;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The cluster-wide switches, parsed. Defaults are Nacos's (reference nacos-http 9.9).
#[derive(Clone, PartialEq, Debug)]
pub struct Switches {
    /// `clientBeatInterval`: what clients without an interval of their own are asked to keep to.
    pub client_beat_interval: Duration,
    /// `lightBeatEnabled`: clients may leave the instance out of their beats.
    pub light_beat: bool,
    /// `check`: off, nothing is marked or removed for its silence, and nothing is probed.
    pub health_check: bool,
    /// `pushEnabled`.
    pub push: bool,
    /// `defaultInstanceEphemeral`: the kind of a registration that names none.
    pub default_ephemeral: bool,
    /// `cacheMillis` to a client that is pushed to, and to one that is not.
    pub push_cache_ms: u64,
    pub default_cache_ms: u64,
    /// `healthCheckTimes`: probes in a row that flip the health.
    pub check_times: u32,
    /// `overriddenServerStatus`.
    pub server_status: Option<String>,
    /// Entries as set, for showing.
    pub set: BTreeMap<String, String>,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            client_beat_interval: BeatTimings::default().interval,
            light_beat: true,
            health_check: true,
            push: true,
            default_ephemeral: true,
            push_cache_ms: 10_000,
            default_cache_ms: 3_000,
            check_times: 3,
            server_status: None,
            set: BTreeMap::new(),
        }
    }
}

/// Entries of Nacos that have no meaning here; named, so that the refusal can say so.
const NOT_HEEDED: [&str; 21] = [
    "adWeightMap",
    "autoChangeHealthCheckEnabled",
    "batch",
    "disableAddIP",
    "distro",
    "distroServerExpiredMillis",
    "distroThreshold",
    "enableAuthentication",
    "enableStandalone",
    "healthCheckWhiteList",
    "httpHealthParams",
    "incrementalList",
    "limitedUrlMap",
    "masters",
    "mysqlHealthParams",
    "pushVersion",
    "sendBeatOnly",
    "serverStatusSynchronizationPeriodMillis",
    "serviceStatusSynchronizationPeriodMillis",
    "tcpHealthParams",
    "trafficRevise",
];

impl Switches {
    /// Sets one entry.
    ///
    /// # Errors
    /// What is wrong with entry or value.
    fn put(&mut self, entry: &str, value: &str) -> Result<(), String> {
        match entry {
            "clientBeatInterval" => {
                // Up to the default beat timeout: a client that beats on time must not be marked for it.
                let timeout_ms = BeatTimings::default().timeout.as_millis() as u64;
                self.client_beat_interval = Duration::from_millis(number(value, 100, timeout_ms)?);
            }
            "lightBeatEnabled" => self.light_beat = truth(value)?,
            "check" => self.health_check = truth(value)?,
            "pushEnabled" => self.push = truth(value)?,
            "defaultInstanceEphemeral" => self.default_ephemeral = truth(value)?,
            // From below by Nacos; from above because a subscription lives 90 s from its last poll.
            "pushCacheMillis" => self.push_cache_ms = number(value, 10_000, 60_000)?,
            "defaultCacheMillis" => self.default_cache_ms = number(value, 1_000, 60_000)?,
            "healthCheckTimes" => self.check_times = number(value, 1, 1_000)? as u32,
            "overriddenServerStatus" => self.server_status = status(value)?,
            _ if NOT_HEEDED.contains(&entry) => return Err("has no effect on this server".to_owned()),
            _ => return Err("is not known".to_owned()),
        }
        Ok(())
    }

    /// Reads what Raft holds. What another version of us has set and this one does not know is shown and not heeded.
    fn read(set: BTreeMap<String, String>) -> Self {
        let mut switches = Self::default();
        for (entry, value) in &set {
            if let Err(problem) = switches.put(entry, value) {
                tracing::warn!(entry, value, problem, "switch is set and not heeded by this version");
            }
        }
        switches.set = set;
        switches
    }
}

fn number(value: &str, min: u64, max: u64) -> Result<u64, String> {
    let read = value.parse().ok().filter(|number| (min..=max).contains(number));
    read.ok_or_else(|| format!("{value:?} is not a number from {min} to {max}"))
}

fn truth(value: &str) -> Result<bool, String> {
    if value.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if value.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err(format!("{value:?} is neither true nor false"))
    }
}

/// `READ_ONLY` and `WRITE_ONLY` let half of the requests through in Nacos; nothing here does, so they are refused.
fn status(value: &str) -> Result<Option<String>, String> {
    match value {
        "null" => Ok(None),
        "UP" | "DOWN" | "STARTING" | "PAUSED" => Ok(Some(value.to_owned())),
        _ => Err(format!("{value:?} is none of UP, DOWN, STARTING, PAUSED, null")),
    }
}

/// Holds the switches as read last, and passes them on to the parts that heed them.
pub(crate) struct Board {
    stores: Stores,
    subscribers: Arc<dyn Subscribers>,
    current: ArcSwap<Switches>,
    /// Held while comparing and passing on, so that an older reading never overwrites a newer one.
    refreshing: Mutex<()>,
}

impl Board {
    pub(crate) fn new(stores: Stores, subscribers: Arc<dyn Subscribers>) -> Self {
        Self {
            stores,
            subscribers,
            current: ArcSwap::from_pointee(Switches::default()),
            refreshing: Mutex::default(),
        }
    }

    pub(crate) fn current(&self) -> Arc<Switches> {
        self.current.load_full()
    }

    pub(crate) fn beat_interval(&self) -> Duration {
        self.current.load().client_beat_interval
    }

    /// Looks whether Raft holds other switches than those in force.
    pub(crate) fn refresh(&self) {
        let _guard = self.refreshing.lock();
        let set = self.stores.persistent.switches();
        let before = self.current.load_full();
        if set == before.set {
            return;
        }
        let next = Switches::read(set);
        if next.health_check != before.health_check {
            self.stores.ephemeral.set_rules(Rules {
                expiry: next.health_check,
            });
        }
        if next.push != before.push {
            self.subscribers.set_enabled(next.push);
        }
        tracing::info!(set = ?next.set, "switches changed");
        self.current.store(Arc::new(next));
    }

    pub(crate) async fn set(&self, entry: &str, value: &str, deadline: Instant) -> Result<(), Error> {
        let value = value.trim();
        Switches::default()
            .put(entry, value)
            .map_err(|problem| Error::BadSwitch {
                entry: entry.chars().take(128).collect(),
                problem,
            })?;
        let value = (value != "null").then(|| value.to_owned());
        self.stores.persistent.set_switch(entry, value, deadline).await?;
        self.refresh();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(entry: &str, value: &str) -> Result<Switches, String> {
        let mut switches = Switches::default();
        switches.put(entry, value).map(|()| switches)
    }

    #[test]
    fn each_heeded_entry_moves_its_field_and_no_other() {
        let base = Switches::default();
        let millis = Duration::from_millis;
        for (entry, value, expected) in [
            (
                "clientBeatInterval",
                "8000",
                Switches {
                    client_beat_interval: millis(8_000),
                    ..base.clone()
                },
            ),
            (
                "lightBeatEnabled",
                "false",
                Switches {
                    light_beat: false,
                    ..base.clone()
                },
            ),
            (
                "check",
                "FALSE",
                Switches {
                    health_check: false,
                    ..base.clone()
                },
            ),
            (
                "pushEnabled",
                "false",
                Switches {
                    push: false,
                    ..base.clone()
                },
            ),
            (
                "defaultInstanceEphemeral",
                "false",
                Switches {
                    default_ephemeral: false,
                    ..base.clone()
                },
            ),
            (
                "pushCacheMillis",
                "20000",
                Switches {
                    push_cache_ms: 20_000,
                    ..base.clone()
                },
            ),
            (
                "defaultCacheMillis",
                "1000",
                Switches {
                    default_cache_ms: 1_000,
                    ..base.clone()
                },
            ),
            (
                "healthCheckTimes",
                "5",
                Switches {
                    check_times: 5,
                    ..base.clone()
                },
            ),
            (
                "overriddenServerStatus",
                "DOWN",
                Switches {
                    server_status: Some("DOWN".into()),
                    ..base.clone()
                },
            ),
        ] {
            assert_eq!(put(entry, value), Ok(expected), "{entry}");
        }
    }

    #[test]
    fn wrong_values_are_refused() {
        for (entry, value) in [
            ("clientBeatInterval", "0"),
            ("clientBeatInterval", "15001"),
            ("lightBeatEnabled", "yes"),
            ("check", ""),
            ("pushCacheMillis", "9999"),
            ("pushCacheMillis", "99999999999999999999"),
            ("defaultCacheMillis", "999"),
            ("healthCheckTimes", "-1"),
            ("overriddenServerStatus", "READ_ONLY"),
            ("overriddenServerStatus", "up"),
        ] {
            assert!(put(entry, value).is_err(), "{entry}={value}");
        }
    }

    #[test]
    fn entries_without_effect_are_refused_and_so_are_unknown_ones() {
        assert!(put("distroThreshold", "0.5").unwrap_err().contains("no effect"));
        assert!(put("noSuch", "1").unwrap_err().contains("not known"));
        assert!(put("healthCheckEnabled", "false").is_err(), "the entry is called check");
    }
}

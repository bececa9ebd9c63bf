//! What the settings mean together.

use super::{Settings, tree::RaftSync};
use muster_model::MemberId;
use std::fmt;

/// A setting that ends the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub key: String,
    pub value: String,
    pub source: String,
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {} ({}): {}", self.key, self.value, self.source, self.why)
    }
}

impl Settings {
    /// Every key whose value cannot be, alone or beside the others, and why.
    pub fn check(&self) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        let mut refuse_if = |is_wrong: bool, key: &'static str, why: &str| {
            if is_wrong {
                wrong.push((key, why.to_owned()));
            }
        };
        refuse_if(self.id == 0, "id", "must be above 0");
        refuse_if(
            !self.members.is_empty() && self.members.find(MemberId(self.id)).is_none(),
            "id",
            "is not one of `members`",
        );
        refuse_if(self.cluster_name.is_empty(), "cluster_name", "must not be empty");
        refuse_if(
            self.peer_listen.is_none() && self.listen.port() > u16::MAX - super::member_list::PEER_PORT_OFFSET,
            "listen",
            "leaves no room for the peer port 1001 above it; set `peer_listen`",
        );
        refuse_if(
            self.peer_listen == Some(self.listen) && self.listen.port() != 0,
            "peer_listen",
            "must differ from `listen`",
        );

        let prefix = &self.http.prefix;
        let shape =
            prefix.is_empty() || prefix.starts_with('/') && !prefix.ends_with('/') && !prefix.contains(['?', '#', ' ']);
        refuse_if(
            !shape,
            "http.prefix",
            "must be empty, or begin with / and not end in it",
        );
        refuse_if(
            self.http.body_bytes_max < 1024,
            "http.body_bytes_max",
            "must be 1024 or more",
        );
        refuse_if(
            self.http.connections_max == 0,
            "http.connections_max",
            "must be above 0",
        );
        refuse_if(
            self.http.write_timeout_ms < self.raft.election_max_ms,
            "http.write_timeout_ms",
            "must not be below `raft.election_max_ms`: every election would fail writes",
        );

        let raft = &self.raft;
        refuse_if(raft.heartbeat_ms == 0, "raft.heartbeat_ms", "must be above 0");
        refuse_if(
            raft.election_min_ms < 3 * raft.heartbeat_ms,
            "raft.election_min_ms",
            "must be three heartbeats or more",
        );
        refuse_if(
            raft.election_min_ms >= raft.election_max_ms,
            "raft.election_min_ms",
            "must be below `raft.election_max_ms`",
        );
        refuse_if(
            raft.snapshot_every_entries == 0,
            "raft.snapshot_every_entries",
            "must be above 0",
        );
        refuse_if(
            raft.proposals_waiting_max == 0,
            "raft.proposals_waiting_max",
            "must be above 0",
        );
        refuse_if(
            self.persistent.checkpoint_every_ms == 0,
            "persistent.checkpoint_every_ms",
            "must be above 0",
        );

        let ephemeral = &self.ephemeral;
        refuse_if(
            ephemeral.digest_every_ms == 0,
            "ephemeral.digest_every_ms",
            "must be above 0",
        );
        refuse_if(
            ephemeral.seen_every_ms == 0,
            "ephemeral.seen_every_ms",
            "must be above 0",
        );
        refuse_if(
            ephemeral.tombstone_kept_ms < 60_000,
            "ephemeral.tombstone_kept_ms",
            "must be 60000 or more: a shorter cut would bring removed instances back",
        );
        refuse_if(
            ephemeral.instances_max == 0,
            "ephemeral.instances_max",
            "must be above 0",
        );

        refuse_if(
            self.membership.ping_every_ms == 0,
            "membership.ping_every_ms",
            "must be above 0",
        );
        refuse_if(
            self.membership.dead_after_ms < 3 * self.membership.ping_every_ms,
            "membership.dead_after_ms",
            "must be three pings or more",
        );

        let push = &self.push;
        refuse_if(
            push.merge_min_ms > push.merge_max_ms,
            "push.merge_min_ms",
            "must not be above `push.merge_max_ms`",
        );
        refuse_if(
            push.subscription_kept_ms < 90_000,
            "push.subscription_kept_ms",
            "must be 90000 or more: idle clients poll once a minute",
        );
        refuse_if(
            push.retries_ms.len() > 10,
            "push.retries_ms",
            "must be ten waits or fewer",
        );
        refuse_if(self.naming.probes_max == 0, "naming.probes_max", "must be above 0");
        if let Err(error) = self.log.filter.parse::<tracing_subscriber::filter::targets::Targets>()
            && self.log.filter.parse::<tracing_subscriber::EnvFilter>().is_err()
        {
            refuse_if(true, "log.filter", &error.to_string());
        }
        wrong
    }

    /// What may be meant and should be said in the log.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let count = self.members.members().len();
        if count > 0 && count.is_multiple_of(2) {
            warnings.push(format!(
                "{count} members survive no more failures than {} do",
                count - 1
            ));
        }
        if self.raft.sync == RaftSync::Never {
            warnings.push("raft.sync is never: acknowledged writes may be lost at a power cut".to_owned());
        }
        if self.force_open {
            warnings.push("force_open is set: lists may be short until clients have beaten again".to_owned());
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Settings)) -> Vec<&'static str> {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.check().into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn the_defaults_hold_all_rules() {
        assert_eq!(Settings::default().check(), vec![]);
        assert!(Settings::default().warnings().is_empty());
    }

    #[test]
    fn each_rule_refuses_by_its_key() {
        assert_eq!(refused(|s| s.id = 0), ["id"]);
        assert_eq!(refused(|s| s.http.prefix = "nacos/".to_owned()), ["http.prefix"]);
        assert_eq!(refused(|s| s.http.prefix = String::new()), [""; 0]);
        assert_eq!(refused(|s| s.raft.election_max_ms = 400), ["raft.election_min_ms"]);
        assert_eq!(
            refused(|s| s.membership.dead_after_ms = 1_000),
            ["membership.dead_after_ms"]
        );
        assert_eq!(
            refused(|s| s.push.subscription_kept_ms = 10_000),
            ["push.subscription_kept_ms"]
        );
        assert_eq!(refused(|s| s.listen.set_port(65_000)), ["listen"]);
        assert_eq!(refused(|s| s.log.filter = "a=b=c".to_owned()), ["log.filter"]);
    }

    #[test]
    fn an_even_number_of_members_is_warned_of() {
        let settings = Settings {
            members: "1@a:1,2@b:1".parse().unwrap(),
            ..Settings::default()
        };
        assert_eq!(settings.warnings().len(), 1);
    }
}

//! What the settings mean together.

use super::{Settings, tree::RaftSync};
use muster_model::MemberId;
use std::fmt;
use std::net::SocketAddr;

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
            self.grpc.listen.is_none() && self.listen.port() > u16::MAX - super::member_list::GRPC_PORT_OFFSET,
            "listen",
            "leaves no room for the gRPC port 1000 above it; set `grpc.listen`",
        );
        let (peers, grpc) = (self.peer_listen(), self.grpc_listen());
        refuse_if(collide(peers, self.listen), "peer_listen", "must differ from `listen`");
        refuse_if(collide(grpc, self.listen), "grpc.listen", "must differ from `listen`");
        let (given, other) = match self.grpc.listen {
            Some(_) => ("grpc.listen", "must not be where the other members are answered"),
            None => ("peer_listen", "must not be where gRPC clients are answered"),
        };
        // Both of 65535 where there is no room, which is said above.
        refuse_if(collide(grpc, peers) && grpc.port() != u16::MAX, given, other);

        let prefix = &self.http.prefix;
        let foreign = |character: char| "?# ".contains(character) || character.is_control();
        let shape = prefix.is_empty() || prefix.starts_with('/') && !prefix.ends_with('/') && !prefix.contains(foreign);
        refuse_if(
            !shape,
            "http.prefix",
            "must be empty, or begin with / and not end in it, and hold no ?, #, space or control character",
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

        refuse_if(
            self.grpc.connections_max == 0,
            "grpc.connections_max",
            "must be above 0",
        );
        refuse_if(
            self.grpc.message_bytes_max < 1024,
            "grpc.message_bytes_max",
            "must be 1024 or more",
        );
        refuse_if(
            self.grpc.write_timeout_ms < self.raft.election_max_ms,
            "grpc.write_timeout_ms",
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
        refuse_if(
            push.stream_retries_ms.len() > 10,
            "push.stream_retries_ms",
            "must be ten waits or fewer",
        );
        refuse_if(self.naming.probes_max == 0, "naming.probes_max", "must be above 0");
        if let Err(error) = self.log.filter.parse::<tracing_subscriber::filter::targets::Targets>()
            && self.log.filter.parse::<tracing_subscriber::EnvFilter>().is_err()
        {
            refuse_if(true, "log.filter", &error.to_string());
        }
        wrong.extend(self.tls.check());
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
        warnings.extend(self.tls.warnings());
        warnings
    }
}

/// Whether two listeners cannot both be bound. The system finds a free port for 0.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let same_ip = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.port() != 0 && same_ip
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
        assert_eq!(refused(|s| s.http.prefix = "/a\u{7f}".to_owned()), ["http.prefix"]);
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
        assert_eq!(refused(|s| s.listen.set_port(65_000)), ["listen", "listen"]);
        assert_eq!(refused(|s| s.log.filter = "a=b=c".to_owned()), ["log.filter"]);
    }

    #[test]
    fn doors_on_the_same_port_are_refused() {
        let at = |text: &str| Some(text.parse().unwrap());
        assert_eq!(refused(|s| s.grpc.listen = at("127.0.0.1:8848")), ["grpc.listen"]);
        assert_eq!(refused(|s| s.grpc.listen = at("127.0.0.1:9849")), ["grpc.listen"]);
        assert_eq!(refused(|s| s.grpc.listen = at("0.0.0.0:9849")), ["grpc.listen"]);
        assert_eq!(refused(|s| s.grpc.listen = at("127.0.0.2:9849")), [""; 0]);
        assert_eq!(refused(|s| s.peer_listen = at("127.0.0.1:9848")), ["peer_listen"]);
        assert_eq!(refused(|s| s.peer_listen = at("127.0.0.1:8848")), ["peer_listen"]);
        assert_eq!(refused(|s| s.listen.set_port(0)), [""; 0]);
    }

    #[test]
    fn without_room_for_the_grpc_port_it_must_be_given() {
        let listen_alone = |s: &mut Settings| {
            s.listen.set_port(64_536);
            s.peer_listen = "127.0.0.1:9849".parse().ok();
        };
        assert_eq!(refused(listen_alone), ["listen"]);
        let given = |s: &mut Settings| {
            listen_alone(s);
            s.grpc.listen = "127.0.0.1:9848".parse().ok();
        };
        assert_eq!(refused(given), [""; 0]);
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

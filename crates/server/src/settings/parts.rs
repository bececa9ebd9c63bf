//! From the tree to the crates' own configurations.

use super::member_list::{GRPC_PORT_OFFSET, PEER_PORT_OFFSET};
use super::{RaftSync, Settings};
use muster_api::tls::Tls;
use muster_model::{Member, MemberId};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Settings {
    pub fn member_id(&self) -> MemberId {
        MemberId(self.id)
    }

    pub fn standalone(&self) -> bool {
        self.members.is_empty()
    }

    /// Where the other members are answered.
    pub fn peer_listen(&self) -> SocketAddr {
        self.peer_listen.unwrap_or_else(|| self.above_listen(PEER_PORT_OFFSET))
    }

    /// Where gRPC clients are answered.
    pub fn grpc_listen(&self) -> SocketAddr {
        self.grpc.listen.unwrap_or_else(|| self.above_listen(GRPC_PORT_OFFSET))
    }

    fn above_listen(&self, offset: u16) -> SocketAddr {
        let port = match self.listen.port() {
            0 => 0,
            // `check` has refused what would overflow.
            main => main.saturating_add(offset),
        };
        SocketAddr::new(self.listen.ip(), port)
    }

    /// This node as the members list has it; standalone: as it listens, where "all addresses" is told to others as
    /// loopback, there being no others.
    pub fn local_member(&self) -> Member {
        if let Some(member) = self.members.find(self.member_id()) {
            return member.clone();
        }
        let told = |address: SocketAddr| match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
            IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port()),
            _ => address,
        };
        Member {
            id: self.member_id(),
            client_address: told(self.listen).to_string(),
            peer_address: told(self.peer_listen()).to_string(),
        }
    }

    /// All members as configured, this one included.
    pub fn configured_members(&self) -> Vec<Member> {
        if self.standalone() {
            vec![self.local_member()]
        } else {
            self.members.members().to_vec()
        }
    }

    /// What keeps clusters apart on the wire: FNV-1a of the cluster's name (the list of members changes, the name stays).
    pub fn cluster_hash(&self) -> u64 {
        self.cluster_name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            })
    }

    /// Places and certificates are found at the start, and come from there.
    pub fn http(&self, connections_max: usize, tls: Option<Tls>) -> muster_api::http::Config {
        muster_api::http::Config {
            listen: self.listen,
            prefix: self.http.prefix.clone(),
            body_bytes_max: self.http.body_bytes_max,
            connections_max,
            write_timeout: ms(self.http.write_timeout_ms),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            standalone: self.standalone(),
            tls,
        }
    }

    /// As [`Settings::http`].
    pub fn grpc(&self, connections_max: usize, tls: Option<Tls>) -> muster_api::grpc::Config {
        muster_api::grpc::Config {
            listen: self.grpc_listen(),
            connections_max,
            message_bytes_max: self.grpc.message_bytes_max,
            write_timeout: ms(self.grpc.write_timeout_ms),
            tls,
        }
    }

    pub fn udp(&self) -> muster_api::udp::Config {
        muster_api::udp::Config {
            listen: self.udp.listen.unwrap_or(self.listen),
            allowed: self.udp.allowed.clone(),
        }
    }

    pub fn consensus(&self) -> muster_consensus::Config {
        muster_consensus::Config {
            data_dir: self.data_dir.join("raft"),
            local: self.local_member(),
            founders: self.configured_members(),
            sync: match self.raft.sync {
                RaftSync::Always => muster_consensus::Sync::Always,
                RaftSync::Never => muster_consensus::Sync::Never,
            },
            heartbeat: ms(self.raft.heartbeat_ms),
            election_min: ms(self.raft.election_min_ms),
            election_max: ms(self.raft.election_max_ms),
            snapshot_every_entries: self.raft.snapshot_every_entries,
            proposals_waiting_max: self.raft.proposals_waiting_max,
        }
    }

    pub fn persistent(&self) -> muster_persistent::Config {
        muster_persistent::Config {
            // It makes `state` and its lock there.
            data_dir: self.data_dir.clone(),
            checkpoint_every: ms(self.persistent.checkpoint_every_ms),
            sled_cache_bytes: self.persistent.sled_cache_bytes,
        }
    }

    pub fn ephemeral(&self) -> muster_ephemeral::Config {
        muster_ephemeral::Config {
            copy_delay: ms(self.ephemeral.copy_delay_ms),
            digest_every: ms(self.ephemeral.digest_every_ms),
            seen_every: ms(self.ephemeral.seen_every_ms),
            tombstone_kept: ms(self.ephemeral.tombstone_kept_ms),
            instances_max: self.ephemeral.instances_max,
            warm_dir: self.ephemeral.warm_copy.then(|| self.data_dir.join("warm")),
            force_open: self.force_open,
            ..Default::default()
        }
    }

    pub fn membership(&self) -> muster_membership::Config {
        muster_membership::Config {
            ping_every: ms(self.membership.ping_every_ms),
            dead_after: ms(self.membership.dead_after_ms),
            skew_warn_ms: self.membership.skew_warn_ms,
        }
    }

    pub fn push(&self) -> muster_push::Config {
        muster_push::Config {
            merge_min: ms(self.push.merge_min_ms),
            merge_max: ms(self.push.merge_max_ms),
            retries: self.push.retries_ms.iter().copied().map(ms).collect(),
            stream_retries: self.push.stream_retries_ms.iter().copied().map(ms).collect(),
            subscription_kept: ms(self.push.subscription_kept_ms),
            subscriptions_max: self.push.subscriptions_max,
            ..Default::default()
        }
    }

    pub fn naming(&self) -> muster_naming::Config {
        muster_naming::Config {
            services_max: self.naming.services_max,
            probes_max: self.naming.probes_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standalone_node_is_a_group_of_one() {
        let settings = Settings {
            listen: "0.0.0.0:9000".parse().unwrap(),
            ..Settings::default()
        };
        let founders = settings.consensus().founders;
        assert_eq!(founders.len(), 1);
        assert_eq!(founders[0].client_address, "127.0.0.1:9000");
        assert_eq!(founders[0].peer_address, "127.0.0.1:10001");
        assert_eq!(settings.peer_listen().to_string(), "0.0.0.0:10001");
    }

    #[test]
    fn grpc_clients_are_answered_1000_above_the_main_port() {
        let mut settings = Settings {
            listen: "0.0.0.0:8858".parse().unwrap(),
            ..Settings::default()
        };
        assert_eq!(settings.grpc_listen().to_string(), "0.0.0.0:9858");
        settings.listen.set_port(0);
        assert_eq!(settings.grpc_listen().port(), 0, "the system gives both");
        settings.grpc.listen = Some("10.0.0.1:7000".parse().unwrap());
        assert_eq!(settings.grpc_listen().to_string(), "10.0.0.1:7000");
    }

    #[test]
    fn a_member_is_where_the_list_says() {
        let settings = Settings {
            id: 4,
            members: "1@a:8848,4@b:8848/7000".parse().unwrap(),
            ..Settings::default()
        };
        assert_eq!(settings.consensus().founders.len(), 2);
        assert_eq!(settings.local_member().peer_address, "b:7000");
    }

    #[test]
    fn clusters_of_other_names_have_other_hashes() {
        let other = Settings {
            cluster_name: "other".to_owned(),
            ..Settings::default()
        };
        assert_ne!(other.cluster_hash(), Settings::default().cluster_hash());
    }
}

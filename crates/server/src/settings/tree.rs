//! The tree of settings as a person writes it.

use super::MemberList;
use super::TlsSettings;
use super::section::section;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The main HTTP port, Nacos's.
const MAIN_PORT: u16 = 8848;

fn ms(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

/// When the Raft log is synced to disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RaftSync {
    #[default]
    Always,
    Never,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

section! {
    /// The node itself.
    Settings {
        /// This node's number in the cluster; stable for its life, whatever its address.
        id: u64 = 1,
        /// Members of clusters with different names refuse each other's calls.
        cluster_name: String = "muster".to_owned(),
        /// Where everything is kept: `raft` (log, vote, snapshots), `state` (the replicated state), `warm` (a copy of the
        /// ephemeral instances for the restart of the whole cluster).
        data_dir: PathBuf = PathBuf::from("data"),
        /// Where clients are answered, by HTTP. Loopback unless told otherwise: open to the network is a decision.
        listen: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), MAIN_PORT),
        /// Where the other members are answered; unset: the address of `listen` with its port + 1001. Never open it to
        /// clients.
        peer_listen: Option<SocketAddr> = None,
        /// The members that found the cluster, this one included, `id@host:port` with the main port of each (and
        /// `/port` behind it where the peer port is not the main port + 1001); the same on all founders. Empty:
        /// standalone, a group of one. Once the cluster is founded its members are changed with `muster cluster
        /// add|remove`, not here: a new node names itself and members of the running cluster, and waits to be added.
        members: MemberList = MemberList::default(),
        /// Answers clients even though no peer's copy of the ephemeral instances could be loaded. For disasters: lists
        /// may be short until clients have beaten again.
        force_open: bool = false,
        /// How long a node without a Raft leader waits before it opens with the persistent instances it has on disk.
        leader_wait_ms: u64 = 10_000,
        http: HttpSettings = HttpSettings::default(),
        grpc: GrpcSettings = GrpcSettings::default(),
        tls: TlsSettings = TlsSettings::default(),
        udp: UdpSettings = UdpSettings::default(),
        raft: RaftSettings = RaftSettings::default(),
        persistent: PersistentSettings = PersistentSettings::default(),
        ephemeral: EphemeralSettings = EphemeralSettings::default(),
        membership: MembershipSettings = MembershipSettings::default(),
        push: PushSettings = PushSettings::default(),
        naming: NamingSettings = NamingSettings::default(),
        log: LogSettings = LogSettings::default(),
        shutdown: ShutdownSettings = ShutdownSettings::default(),
    }
}

section! {
    /// The HTTP door.
    HttpSettings {
        /// What stands before every Nacos path.
        prefix: String = "/nacos".to_owned(),
        /// The longest request body; longer ones are refused.
        body_bytes_max: usize = 1024 * 1024,
        /// Open connections; more wait in the kernel's backlog.
        connections_max: usize = 50_000,
        /// The longest a persistent write is waited for before it is answered with "no leader" or "outcome unknown".
        write_timeout_ms: u64 = 5_000,
    }
}

section! {
    /// The gRPC door, for Nacos 2.x and 3.x clients.
    GrpcSettings {
        /// Where they are answered; unset: the address of `listen` with its port + 1000, where clients look for it. Nacos
        /// moves that distance by `nacos.server.grpc.port.offset`, and so do clients.
        listen: Option<SocketAddr> = None,
        /// Open connections; more are closed at once. A client holds one as long as it lives.
        connections_max: usize = 50_000,
        /// The longest message of a client; longer ones end its connection. Nacos:
        /// `nacos.remote.server.grpc.sdk.max-inbound-message-size`.
        message_bytes_max: usize = 10 * 1024 * 1024,
        /// The longest a persistent write is waited for before it is answered with "no leader" or "outcome unknown".
        /// Clients wait 3 s, all their tries together.
        write_timeout_ms: u64 = 2_500,
    }
}

section! {
    /// Push by UDP, for Nacos 1.x clients.
    UdpSettings {
        /// The socket that pushes leave from and acks come to; unset: the address of `listen`.
        listen: Option<SocketAddr> = None,
        /// Networks that pushes may go to, as CIDR blocks; empty allows all.
        allowed: Vec<String> = Vec::new(),
    }
}

section! {
    /// Consensus: what is replicated by Raft.
    RaftSettings {
        /// `always`: nothing is acknowledged before a majority has synced it. `never`: for benchmarks beside peers that
        /// do not sync; acknowledged writes may be lost at a power cut.
        sync: RaftSync = RaftSync::Always,
        /// How often a leader is heard.
        heartbeat_ms: u64 = 100,
        /// Silence of the leader after which a follower stands for election: a random time between this ...
        election_min_ms: u64 = 500,
        /// ... and this.
        election_max_ms: u64 = 1_000,
        /// Log entries after which a snapshot is written and the log before it may go.
        snapshot_every_entries: u64 = 200_000,
        /// Writes waiting at this node; more are refused.
        proposals_waiting_max: usize = 10_000,
    }
}

section! {
    /// The replicated state on disk.
    PersistentSettings {
        /// How often what has changed is written to the checkpoint and synced. The log covers what is newer.
        checkpoint_every_ms: u64 = 5_000,
        /// Memory for the checkpoint's cache.
        sled_cache_bytes: u64 = 16 * 1024 * 1024,
    }
}

section! {
    /// Ephemeral instances and their copies at the other members.
    EphemeralSettings {
        /// Least pause between two rounds of copies to a peer: a change after a quiet time goes at once, a storm is gathered.
        copy_delay_ms: u64 = ms(muster_ephemeral::Config::default().copy_delay),
        /// How often contents are compared with a peer's.
        digest_every_ms: u64 = ms(muster_ephemeral::Config::default().digest_every),
        /// How often the members tell each other whom they have heard beating.
        seen_every_ms: u64 = ms(muster_ephemeral::Config::default().seen_every),
        /// How long a removal is remembered, so that a member that missed it cannot bring the instance back.
        tombstone_kept_ms: u64 = ms(muster_ephemeral::Config::default().tombstone_kept),
        /// Instances kept, over all services; more are refused.
        instances_max: usize = muster_ephemeral::Config::default().instances_max,
        /// Keeps a copy under `data_dir` for the restart of the whole cluster.
        warm_copy: bool = true,
    }
}

section! {
    /// Which members live.
    MembershipSettings {
        /// How often the other members are asked whether they live.
        ping_every_ms: u64 = ms(muster_membership::Config::default().ping_every),
        /// Silence after which a member counts as dead; at least three pings.
        dead_after_ms: u64 = ms(muster_membership::Config::default().dead_after),
        /// Wall clocks of two members further apart than this raise a warning.
        skew_warn_ms: u64 = muster_membership::Config::default().skew_warn_ms,
    }
}

section! {
    /// Telling subscribers.
    PushSettings {
        /// A service that was quiet is pushed at once; its next push waits this long, so that storms merge.
        merge_min_ms: u64 = ms(muster_push::Config::default().merge_min),
        /// How far that wait grows while a storm lasts.
        merge_max_ms: u64 = ms(muster_push::Config::default().merge_max),
        /// Waits before each further try of a push by UDP that was not acknowledged.
        retries_ms: Vec<u64> = muster_push::Config::default().retries.into_iter().map(ms).collect(),
        /// The same of a push to a gRPC client.
        stream_retries_ms: Vec<u64> = muster_push::Config::default().stream_retries.into_iter().map(ms).collect(),
        /// How long a UDP client's subscription lives after its last poll or ack; at least 90 s.
        subscription_kept_ms: u64 = ms(muster_push::Config::default().subscription_kept),
        /// Subscriptions kept on this node; clients above that poll.
        subscriptions_max: usize = muster_push::Config::default().subscriptions_max,
    }
}

section! {
    /// The read model and the probes.
    NamingSettings {
        /// Service names kept, those of unknown but subscribed services included.
        services_max: usize = muster_naming::Config::default().services_max,
        /// Health probes of persistent instances under way at once.
        probes_max: usize = muster_naming::Config::default().probes_max,
    }
}

section! {
    /// What is logged.
    LogSettings {
        /// Levels, as `RUST_LOG` writes them: `info`, `info,muster_push=debug`. `RUST_LOG` itself is read where neither
        /// file, environment nor flags set this.
        filter: String = "info,openraft=warn".to_owned(),
        /// `text` or `json`.
        format: LogFormat = LogFormat::Text,
    }
}

section! {
    /// The end of the day: the longest each step of a graceful stop may take. Together they should stay below the time
    /// after which the supervisor kills (Kubernetes: 30 s, systemd: 90 s).
    ShutdownSettings {
        /// gRPC clients are asked to go to another member that is ready, a few at a time.
        grpc_ms: u64 = 5_000,
        /// Requests under way are finished.
        http_ms: u64 = 5_000,
        /// Pushes that are due are sent.
        push_ms: u64 = 1_000,
        /// Copies that are due go to the other members, and the warm copy to disk.
        ephemeral_ms: u64 = 5_000,
        /// Leadership is handed over.
        leadership_ms: u64 = 3_000,
        /// The log is synced and closed.
        log_ms: u64 = 5_000,
        /// What is left ends.
        tasks_ms: u64 = 3_000,
    }
}

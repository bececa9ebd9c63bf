//! Which members exist and live, and which of them answers for an ephemeral client.
//!
//! The list of members is handed in (by `server`, from configuration and from consensus); liveness is found here, by
//! pings both ways: a peer that we reach but that does not reach us does not count as alive (reference D3). Works without
//! a Raft leader.

use muster_model::{ClientId, Member, MemberId};
use muster_runtime::{HybridClock, Tasks};
use muster_transport::Transport;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

#[derive(Clone, Debug)]
pub struct Config {
    pub ping_every: Duration,
    /// Silence after which a member counts as dead. Not below three pings.
    pub dead_after: Duration,
    /// Wall clocks further apart than this raise a metric and a warning.
    pub skew_warn_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ping_every: Duration::from_millis(500),
            dead_after: Duration::from_secs(3),
            skew_warn_ms: 500,
        }
    }
}

/// Who answers for a client. Never a bool: not knowing is an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Responsibility {
    Here,
    At(MemberId),
    /// A majority of members is out of sight: nobody may mark or remove.
    Unknown,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberView {
    pub member: Member,
    pub alive: bool,
    /// Serves clients, by its own word (its state is loaded).
    pub ready: bool,
    pub last_seen: Option<Instant>,
    /// Its wall clock minus ours, from the last ping.
    pub skew_ms: i64,
}

/// The members at one moment. Immutable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    pub local: MemberId,
    /// All members, sorted by id, this one included.
    pub members: Vec<MemberView>,
    /// Whether this member sees a majority of the members alive, itself included.
    pub quorum: bool,
    /// Counts changes of who is alive; a higher epoch means responsibilities may have moved.
    pub epoch: u64,
    /// When this node entered the present epoch.
    pub since: Instant,
}

impl View {
    /// Who answers for `client`: by rendezvous hashing over the living members.
    pub fn responsible_for(&self, client: &ClientId) -> Responsibility {
        let _ = client;
        todo!("skeleton")
    }

    /// The other members that are alive.
    pub fn living_peers(&self) -> impl Iterator<Item = &Member> {
        self.members
            .iter()
            .filter(|seen| seen.alive && seen.member.id != self.local)
            .map(|seen| &seen.member)
    }

    /// The other members, alive or not.
    pub fn peers(&self) -> impl Iterator<Item = &Member> {
        self.members
            .iter()
            .filter(|seen| seen.member.id != self.local)
            .map(|seen| &seen.member)
    }
}

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct Membership {
    #[allow(dead_code, reason = "skeleton")]
    view: watch::Receiver<Arc<View>>,
}

impl Membership {
    /// Starts pinging `members` (this one included).
    pub fn start(
        config: Config,
        local: Member,
        members: Vec<Member>,
        transport: Arc<dyn Transport>,
        hybrid: HybridClock,
        tasks: &Tasks,
    ) -> Self {
        let _ = (config, local, members, transport, hybrid, tasks);
        todo!("skeleton")
    }

    /// A membership that never changes, for tests of the crates above.
    pub fn fixed(view: View) -> Self {
        let (_, view) = watch::channel(Arc::new(view));
        Self { view }
    }

    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// Told of every change of the view's members, life or readiness (not of `last_seen` alone).
    pub fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// Replaces the list of members.
    pub fn set_members(&self, members: Vec<Member>) {
        let _ = members;
        todo!("skeleton")
    }

    /// Tells the others whether this member serves clients.
    pub fn set_ready(&self, ready: bool) {
        let _ = ready;
        todo!("skeleton")
    }
}

//! The thin shell: pings go out, pings come in, each moves the view.

use crate::config::Config;
use crate::metrics;
use crate::ping::Ping;
use crate::roll::Roll;
use crate::view::View;
use bytes::Bytes;
use muster_model::{Member, MemberId};
use muster_runtime::{HybridClock, TaskKind, Tasks};
use muster_transport::{HandlerError, Route, Transport};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// A standing skew is warned of this often, not with every ping.
const SKEW_WARN_EVERY: Duration = Duration::from_secs(60);

pub(crate) struct Pinger {
    pub(crate) config: Config,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) hybrid: HybridClock,
    /// Held for a few lines, never over an await.
    pub(crate) roll: Mutex<Roll>,
    pub(crate) view: watch::Sender<Arc<View>>,
    /// Somebody came to sight or the list has changed: ping now rather than at the next turn.
    pub(crate) hurry: Notify,
    pub(crate) skew_warned: Mutex<HashMap<MemberId, Instant>>,
}

impl Pinger {
    pub(crate) fn start(self: &Arc<Self>, tasks: &Tasks) {
        let serving = self.clone();
        self.transport.serve(
            Route::MembershipPing,
            Arc::new(move |from, body| {
                let answer = serving.answer(from, body);
                async move { answer }
            }),
        );
        let (pinger, all) = (self.clone(), tasks.clone());
        tasks.spawn("membership-ping", TaskKind::Critical, async move {
            pinger.run(all).await;
        });
    }

    async fn run(self: Arc<Self>, tasks: Tasks) {
        let mut turns = tokio::time::interval(self.config.ping_every);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = tasks.shutdown().begun() => return,
                _ = turns.tick() => {}
                () = self.hurry.notified() => {}
            }
            self.look();
            let peers: Vec<_> = self.roll.lock().peers().map(|member| member.id).collect();
            for peer in peers {
                let pinger = self.clone();
                tasks.spawn("membership-ping-one", TaskKind::Contained, async move {
                    pinger.ping(peer).await;
                });
            }
        }
    }

    async fn ping(&self, peer: MemberId) {
        let body = self.own_ping().bytes();
        let call = self
            .transport
            .call(peer, Route::MembershipPing, body, self.config.ping_within());
        let parsed = match call.await {
            Ok(body) => Ping::parse(body),
            Err(error) => Err(error.to_string()),
        };
        match parsed {
            Ok(ping) => {
                let skew_ms = self.observe(peer, &ping);
                let now = self.hybrid.clock().now();
                self.roll.lock().answered(peer, &ping, skew_ms, now);
                self.look();
            }
            Err(error) => {
                metrics::PINGS_FAILED.inc();
                tracing::debug!(member = %peer, error, "no answer to a ping");
            }
        }
    }

    fn answer(&self, from: MemberId, body: Bytes) -> Result<Bytes, HandlerError> {
        let ping = Ping::parse(body).map_err(HandlerError::Failed)?;
        // Before anything of it is believed: a stranger must not move the clock.
        if !self.roll.lock().peers().any(|member| member.id == from) {
            return Err(HandlerError::Failed(format!("{from} is not a member here")));
        }
        let skew_ms = self.observe(from, &ping);
        let now = self.hybrid.clock().now();
        let was_alive = self.is_alive(from);
        self.roll.lock().called(from, &ping, skew_ms, now);
        self.look();
        if !was_alive && !self.is_alive(from) {
            self.hurry.notify_one();
        }
        Ok(self.own_ping().bytes())
    }

    fn is_alive(&self, id: MemberId) -> bool {
        self.view.borrow().is_living_peer(id)
    }

    fn own_ping(&self) -> Ping {
        let now = self.hybrid.clock().now();
        let roll = self.roll.lock();
        Ping {
            heard: roll.heard(now),
            ready: roll.is_ready(),
            stamp: self.hybrid.tick().0,
            wall_ms: self.hybrid.clock().wall_ms(),
        }
    }

    /// Takes over the sender's time and measures how far its wall clock is from ours.
    fn observe(&self, from: MemberId, ping: &Ping) -> i64 {
        self.hybrid.observe(ping.stamp());
        let skew_ms = ping.wall_ms as i64 - self.hybrid.clock().wall_ms() as i64;
        if skew_ms.unsigned_abs() > self.config.skew_warn_ms {
            let now = self.hybrid.clock().now();
            let mut warned = self.skew_warned.lock();
            let due = warned
                .get(&from)
                .is_none_or(|at| now.saturating_duration_since(*at) >= SKEW_WARN_EVERY);
            if due {
                warned.insert(from, now);
                tracing::warn!(member = %from, skew_ms, "wall clocks are apart: is NTP running on both?");
            }
        }
        skew_ms
    }

    /// Looks at the roll and publishes what is seen; watchers wake only when it says something new.
    pub(crate) fn look(&self) {
        let now = self.hybrid.clock().now();
        // The roll stays locked meanwhile, so that an older look never replaces a newer one.
        let mut roll = self.roll.lock();
        let view = roll.look(now);
        let alive = view.members.iter().filter(|seen| seen.alive);
        metrics::MEMBERS.set(view.members.len() as i64);
        metrics::MEMBERS_ALIVE.set(alive.clone().count() as i64);
        metrics::QUORUM.set(view.quorum.into());
        metrics::EPOCH.set(view.epoch as i64);
        metrics::SKEW_MAX_MS.set(alive.map(|seen| seen.skew_ms.abs()).max().unwrap_or(0));
        self.view.send_if_modified(|shown| {
            let news = !view.says_the_same_as(shown);
            if view.epoch != shown.epoch {
                let alive: Vec<_> = view.living_peers().map(|member| member.id.0).collect();
                tracing::info!(
                    epoch = view.epoch,
                    quorum = view.quorum,
                    ?alive,
                    "living members changed"
                );
            }
            *shown = Arc::new(view);
            news
        });
    }

    pub(crate) fn set_members(&self, members: Vec<Member>) {
        self.roll.lock().set_members(members, self.hybrid.clock().now());
        self.tell_transport();
        self.look();
        self.hurry.notify_one();
    }

    /// Where to call the members.
    pub(crate) fn tell_transport(&self) {
        let peers = {
            let roll = self.roll.lock();
            let address = |member: &Member| (member.id, member.peer_address.clone());
            roll.peers().map(address).collect()
        };
        self.transport.set_peers(peers);
    }

    pub(crate) fn set_ready(&self, ready: bool) {
        self.roll.lock().set_ready(ready);
        self.look();
        self.hurry.notify_one();
    }
}

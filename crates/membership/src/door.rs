//! The door to membership.

use crate::config::Config;
use crate::pinger::Pinger;
use crate::roll::Roll;
use crate::view::View;
use muster_model::Member;
use muster_runtime::{HybridClock, Tasks};
use muster_transport::Transport;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// What keeps the view.
#[derive(Clone)]
enum Keeper {
    Pings(Arc<Pinger>),
    /// Nobody; the sender is held so that watchers wait instead of ending.
    Nobody(#[allow(dead_code, reason = "held for its life alone")] Arc<watch::Sender<Arc<View>>>),
}

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct Membership {
    view: watch::Receiver<Arc<View>>,
    keeper: Keeper,
}

impl Membership {
    /// Starts pinging `members` (this one included), as configured. This member belongs to no group before
    /// [`Membership::set_members`] has told of one.
    pub fn start(
        config: Config,
        local: Member,
        members: Vec<Member>,
        transport: Arc<dyn Transport>,
        hybrid: HybridClock,
        tasks: &Tasks,
    ) -> Self {
        let mut roll = Roll::new(local.id, members, config.dead_after(), hybrid.clock().now());
        let (sender, view) = watch::channel(Arc::new(roll.look(hybrid.clock().now())));
        let pinger = Arc::new(Pinger {
            config,
            transport,
            hybrid,
            roll: Mutex::new(roll),
            view: sender,
            hurry: Notify::new(),
            skew_warned: Mutex::new(HashMap::new()),
        });
        pinger.tell_transport();
        pinger.start(tasks);
        Self {
            view,
            keeper: Keeper::Pings(pinger),
        }
    }

    /// A membership that never changes, for tests of the crates above.
    pub fn fixed(view: View) -> Self {
        let (sender, view) = watch::channel(Arc::new(view));
        Self {
            view,
            keeper: Keeper::Nobody(Arc::new(sender)),
        }
    }

    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// Told of every change of the view's members, life or readiness (not of `last_seen` alone).
    pub fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// Replaces the list of members by that of the group. A fixed membership keeps the one it has.
    pub fn set_members(&self, members: Vec<Member>) {
        if let Keeper::Pings(pinger) = &self.keeper {
            pinger.set_members(members);
        }
    }

    /// Tells the others whether this member serves clients. A fixed membership tells nobody.
    pub fn set_ready(&self, ready: bool) {
        if let Keeper::Pings(pinger) = &self.keeper {
            pinger.set_ready(ready);
        }
    }
}

//! The door's calls for clients whose open connection is the lease.

use crate::Ephemeral;
use crate::answers::Error;
use crate::held::{Departure, Parting};
use crate::moment::Moment;
use muster_model::{ConnectionId, Instance, InstanceKey, Kind, ServiceKey};
use muster_runtime::TaskKind;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Instances that are parted with before others have a turn: about a millisecond.
const SLICE: usize = 256;

/// Why a connection is no more. Whatever the reason, nothing goes once draining has begun: the clients of a node that
/// leaves are on their way to others, and have 30 seconds to publish there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Its client closed it, or its network did: what it owns goes at once, on all nodes. Unless this process has just stood
    /// still: then its clients are likely to have gone elsewhere meanwhile, and what it owns has a last lease of 30 seconds.
    Closed,
    /// It did not answer: what it owns goes at once, too. Unless this node has lost the majority: then it is more likely to
    /// be cut off itself than its client to be dead, and what it owns has a last lease of 30 seconds, which only members
    /// with a majority end.
    Silent,
    /// This node sent it away, so its client lives as far as anybody knows, and is on its way to another node: what it
    /// owns has a last lease of 30 seconds.
    Evicted,
}

impl Ephemeral {
    /// Makes `instances` all that this connection publishes under the service; an empty list is kept, and lists nothing.
    /// They stay listed while the connection lives: until [`Ephemeral::end`] is called for it.
    ///
    /// An address that is left out of a further list is deregistered, as by [`Ephemeral::withdraw`].
    ///
    /// The newest registration of an address owns its lease: this takes over what another connection, another node or
    /// beats held, without a push where it lists the same.
    ///
    /// # Errors
    /// [`Error::Full`]: nothing stays that was not published before. [`Error::ConnectionEnded`].
    pub fn publish(
        &self,
        connection: ConnectionId,
        service: &ServiceKey,
        mut instances: Vec<Instance>,
    ) -> Result<(), Error> {
        for instance in &mut instances {
            instance.kind = Kind::Ephemeral;
        }
        let received = self.node.timeline.instant();
        let now = self.node.timeline.at(received);
        let (applied, answer) = self.node.store.publish(connection, service, instances, now);
        self.node.spread_all(&applied, received);
        answer
    }

    /// Ends what this connection publishes under the service, whatever `named` says: its client's order, which holds also
    /// against others who publish the same, such as the same client's earlier connection that is broken and not known to
    /// be. What somebody newer has taken over is left alone. One that publishes nothing there ends
    /// what is listed at `named`, if a connection held it that is not one of this node's: nothing that beats renew.
    pub fn withdraw(&self, connection: ConnectionId, service: &ServiceKey, named: &InstanceKey) {
        let received = self.node.timeline.instant();
        let now = self.node.timeline.at(received);
        let applied = self.node.store.withdraw(connection, service, named, now);
        self.node.spread_all(&applied, received);
    }

    /// As [`Ephemeral::end_by`], of a connection that was closed.
    pub fn end(&self, connection: ConnectionId) {
        self.end_by(connection, Ending::Closed);
    }

    /// The connection is gone, and takes no list in any more. What becomes of what it owns, `ending` says; it goes in
    /// slices, the first before this returns.
    pub fn end_by(&self, connection: ConnectionId, ending: Ending) {
        self.depart(self.node.store.end(connection), ending);
    }

    /// The connection goes on, and publishes nothing any more: what it owns goes as at its end. It may publish again, and
    /// keeps what it does from now on.
    pub fn leave(&self, connection: ConnectionId) {
        self.depart(self.node.store.leave(connection), Ending::Closed);
    }

    fn depart(&self, mut departure: Departure, ending: Ending) {
        self.part_slice(&mut departure, ending);
        // Without a runtime there is nobody else who would have to wait.
        let spawns = tokio::runtime::Handle::try_current().is_ok();
        if spawns && !departure.is_done() {
            let parting = self.clone();
            let rest = async move {
                while !departure.is_done() {
                    tokio::task::yield_now().await;
                    parting.part_slice(&mut departure, ending);
                }
            };
            self.node.tasks.spawn("ephemeral-depart", TaskKind::Contained, rest);
            return;
        }
        while !departure.is_done() {
            self.part_slice(&mut departure, ending);
        }
    }

    fn part_slice(&self, departure: &mut Departure, ending: Ending) {
        let received = self.node.timeline.instant();
        let now = self.node.timeline.at(received);
        let parting = self.parting(ending, now);
        let applied = self.node.store.part_some(departure, &parting, SLICE, now);
        self.node.spread_all(&applied, received);
    }

    fn parting(&self, ending: Ending, now: Moment) -> Parting {
        let on_their_way = self.node.draining.load(Ordering::Acquire)
            || self.node.pulse.is_doubtful(now)
            || match ending {
                Ending::Closed => false,
                Ending::Silent => !self.node.membership.view().quorum,
                Ending::Evicted => true,
            };
        if on_their_way {
            Parting::Linger
        } else {
            Parting::Release
        }
    }

    /// Connections of this node of whose instances somebody newer has registered one since this was last asked, be it over
    /// another connection, at another node or by beats; waits until there are some. For one who asks.
    ///
    /// Each may be one that its client has left behind, broken and not known to be, so it is to be asked whether it lives:
    /// while it counts as living it takes its instances back when the newer registration ends.
    pub async fn overtaken(&self) -> HashSet<ConnectionId> {
        self.node.store.overtaken.next().await
    }

    /// What the connection publishes, by service, as it published it; in no order.
    pub fn published_by(&self, connection: ConnectionId) -> Vec<(ServiceKey, Vec<Arc<Instance>>)> {
        self.node.store.holds.published_by(connection)
    }
}

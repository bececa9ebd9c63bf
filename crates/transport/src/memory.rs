//! Members inside one process, for tests: links can be cut one way, slowed and made lossy.

use crate::{Boxed, Error, Handler, HandlerError, Route, Transport};
use bytes::Bytes;
use muster_model::MemberId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

type Routes = HashMap<Route, Arc<dyn Handler>>;

#[derive(Default)]
struct State {
    members: HashMap<MemberId, Routes>,
    /// Direction from, to; missing means a perfect link.
    links: HashMap<(MemberId, MemberId), Link>,
}

#[derive(Clone, Copy, Default)]
struct Link {
    cut: bool,
    delay: Duration,
}

/// The network that the transports of one test share.
#[derive(Clone, Default)]
pub struct Network(Arc<Mutex<State>>);

impl Network {
    pub fn new() -> Self {
        Self::default()
    }

    /// The end of `member`. Joining again under the same id is a restart: earlier handlers are gone.
    pub fn join(&self, member: MemberId) -> Arc<MemoryTransport> {
        self.0.lock().members.insert(member, Routes::new());
        Arc::new(MemoryTransport {
            member,
            network: self.clone(),
        })
    }

    /// Takes `member` off the network, as a crash does.
    pub fn leave(&self, member: MemberId) {
        self.0.lock().members.remove(&member);
    }

    /// Loses everything sent from `from` to `to`. The answers to calls the other way travel this direction too.
    pub fn cut(&self, from: MemberId, to: MemberId) {
        self.0.lock().links.entry((from, to)).or_default().cut = true;
    }

    /// Cuts `member` off from all others, both ways.
    pub fn isolate(&self, member: MemberId) {
        let others: Vec<_> = self
            .0
            .lock()
            .members
            .keys()
            .copied()
            .filter(|other| *other != member)
            .collect();
        for other in others {
            self.cut(member, other);
            self.cut(other, member);
        }
    }

    /// Delivers what is sent from `from` to `to` after `delay`.
    pub fn delay(&self, from: MemberId, to: MemberId, delay: Duration) {
        self.0.lock().links.entry((from, to)).or_default().delay = delay;
    }

    /// Makes all links perfect again.
    pub fn heal(&self) {
        self.0.lock().links.clear();
    }

    fn link(&self, from: MemberId, to: MemberId) -> Link {
        self.0.lock().links.get(&(from, to)).copied().unwrap_or_default()
    }

    /// Crosses one direction of a link; a cut one never delivers.
    async fn cross(&self, from: MemberId, to: MemberId) {
        let link = self.link(from, to);
        if !link.delay.is_zero() {
            tokio::time::sleep(link.delay).await;
        }
        if link.cut {
            std::future::pending::<()>().await;
        }
    }
}

/// One member's end of a [`Network`].
pub struct MemoryTransport {
    member: MemberId,
    network: Network,
}

impl Transport for MemoryTransport {
    fn local(&self) -> MemberId {
        self.member
    }

    fn call(&self, to: MemberId, route: Route, body: Bytes, within: Duration) -> Boxed<Result<Bytes, Error>> {
        let (from, network) = (self.member, self.network.clone());
        Box::pin(async move {
            let exchange = async {
                network.cross(from, to).await;
                let handler = {
                    let state = network.0.lock();
                    let Some(routes) = state.members.get(&to) else {
                        return Err(Error::Unreachable {
                            member: to,
                            reason: "down".into(),
                        });
                    };
                    routes.get(&route).cloned().ok_or(Error::NotReady(to))?
                };
                let answer = handler.handle(from, body).await;
                network.cross(to, from).await;
                answer.map_err(|error| match error {
                    HandlerError::NotReady => Error::NotReady(to),
                    HandlerError::Failed(text) => Error::Failed { member: to, text },
                })
            };
            tokio::time::timeout(within, exchange).await.unwrap_or_else(|_| {
                Err(Error::NoAnswer {
                    member: to,
                    reason: format!("none in {within:?}"),
                })
            })
        })
    }

    fn serve(&self, route: Route, handler: Arc<dyn Handler>) {
        if let Some(routes) = self.network.0.lock().members.get_mut(&self.member) {
            routes.insert(route, handler);
        }
    }

    fn set_peers(&self, _peers: Vec<(MemberId, String)>) {}
}

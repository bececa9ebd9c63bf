//! A member's end of the network.

use super::wire::{Posted, Wire};
use bytes::Bytes;
use muster_model::MemberId;
use muster_transport::{Boxed, Error, Handler, Route, Transport};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// One run of one member, as far as calls go. A restart makes a new one.
pub struct End {
    local: MemberId,
    wire: Wire,
    routes: Mutex<HashMap<Route, Arc<dyn Handler>>>,
}

impl End {
    pub fn new(local: MemberId, wire: Wire) -> Arc<Self> {
        Arc::new(Self {
            local,
            wire,
            routes: Mutex::default(),
        })
    }

    pub fn handler(&self, route: Route) -> Option<Arc<dyn Handler>> {
        self.routes.lock().get(&route).cloned()
    }
}

impl Transport for End {
    fn local(&self) -> MemberId {
        self.local
    }

    fn call(&self, to: MemberId, route: Route, body: Bytes, within: Duration) -> Boxed<Result<Bytes, Error>> {
        let (from, wire) = (self.local, self.wire.clone());
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            wire.post(Posted::Call {
                from,
                to,
                route,
                body,
                within,
                answer,
            });
            let no_answer = |reason: String| Err(Error::NoAnswer { member: to, reason });
            match tokio::time::timeout(within, answered).await {
                Ok(Ok(result)) => result,
                Ok(Err(_dropped)) => no_answer("the connection broke".into()),
                Err(_elapsed) => no_answer(format!("none in {within:?}")),
            }
        })
    }

    fn serve(&self, route: Route, handler: Arc<dyn Handler>) {
        self.routes.lock().insert(route, handler);
    }

    fn set_peers(&self, _peers: Vec<(MemberId, String)>) {}
}

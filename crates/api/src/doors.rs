//! One sink out of two: datagrams to addresses, messages to connections.

use muster_push::{Delivery, Handed, Sink, Target};
use std::sync::Arc;

/// Hands each delivery to the door that its target is reached through.
#[derive(Clone)]
pub struct Doors {
    udp: Arc<dyn Sink>,
    connections: Arc<dyn Sink>,
}

impl Doors {
    pub fn new(udp: Arc<dyn Sink>, connections: Arc<dyn Sink>) -> Self {
        Self { udp, connections }
    }
}

impl Sink for Doors {
    fn deliver(&self, delivery: &Delivery) -> Handed {
        match delivery.key.target {
            Target::Udp(_) => self.udp.deliver(delivery),
            Target::Connection { .. } => self.connections.deliver(delivery),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::{ConnectionId, Renders, ServiceSnapshot};
    use muster_push::{SubscriptionInfo, SubscriptionKey};

    struct Says(Handed);

    impl Sink for Says {
        fn deliver(&self, _: &Delivery) -> Handed {
            self.0
        }
    }

    fn to(target: Target) -> Delivery {
        let service = muster_naming::testing::service("svc");
        Delivery {
            key: Arc::new(SubscriptionKey {
                service: service.clone(),
                clusters: "".into(),
                target,
            }),
            info: Arc::new(SubscriptionInfo {
                agent: "".into(),
                app: "".into(),
                datagram_bytes_max: 1_400,
            }),
            snapshot: Arc::new(ServiceSnapshot {
                key: service,
                revision: 1,
                stamp_ms: 1,
                exists: true,
                instances: Box::default(),
                settings: Arc::default(),
                trace: None,
                renders: Renders::default(),
            }),
            token: 1,
        }
    }

    #[test]
    fn each_target_has_its_own_door() {
        let doors = Doors::new(Arc::new(Says(Handed::TooLarge)), Arc::new(Says(Handed::Busy)));
        let peer = "10.0.0.1:5000".parse().unwrap();
        assert_eq!(doors.deliver(&to(Target::Udp(peer))), Handed::TooLarge);
        let connection = Target::Connection {
            id: ConnectionId(1),
            peer,
        };
        assert_eq!(doors.deliver(&to(connection)), Handed::Busy);
    }
}

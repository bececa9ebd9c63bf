//! P6 at the number that brought others down.

use super::*;
use muster_model::Kind;
use muster_naming::testing::{Parts, instance, service};
use muster_push::{Delivery, Handed, Push, Sink, SubscriptionInfo, SubscriptionKey, Target};
use muster_wire::grpc::notify_payload;
use parking_lot::Mutex;
use std::time::Duration;

const INSTANCES: usize = 5_000;
const SUBSCRIBERS: u64 = 5_000;

/// Encodes as the doors do; keeps all bytes, so that no two encodings can have stood at one place one after the other.
#[derive(Default)]
struct Encoded(Mutex<Vec<(usize, Bytes)>>);

impl Sink for Encoded {
    fn deliver(&self, delivery: &Delivery) -> Handed {
        let payload = notify_payload(&delivery.snapshot, &delivery.key.clusters, delivery.token);
        self.0.lock().push((delivery.snapshot.instances.len(), payload));
        Handed::Sent
    }
}

/// The encodings that hold so many instances, by place, and how many were sent each.
fn places(encoded: &Encoded, instances: usize) -> HashMap<usize, u64> {
    let mut places = HashMap::new();
    for (_, bytes) in encoded.0.lock().iter().filter(|(of, _)| *of == instances) {
        *places.entry(bytes.as_ptr() as usize).or_default() += 1;
    }
    places
}

/// That threads which ask at once render once is shown in `model`.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_change_among_five_thousand_instances_is_rendered_once_for_five_thousand_subscribers() {
    let encoded = Arc::new(Encoded::default());
    let sink = encoded.clone();
    let bed = muster_naming::testing::Testbed::start_with(Parts {
        push: Some(Box::new(move |changes, tasks| {
            let config = muster_push::Config {
                // Nobody acks here, and nothing is to be sent twice for that.
                stream_retries: vec![Duration::from_secs(3_600)],
                ..muster_push::Config::default()
            };
            let clock = muster_runtime::Clock::system();
            Push::start(config, Arc::new(changes), sink, clock, tasks)
        })),
        ..Parts::default()
    });
    let wide = service("wide");
    let register = async |n: usize| {
        let one = instance(&format!("10.{}.{}.1:80", n / 250, n % 250), Kind::Ephemeral);
        bed.naming.register(&bed.context(), &wide, one).await.unwrap();
    };
    for n in 0..INSTANCES {
        register(n).await;
    }
    bed.naming.push().open();
    for number in 1..=SUBSCRIBERS {
        let key = SubscriptionKey {
            service: wide.clone(),
            clusters: "".into(),
            target: Target::Connection {
                id: ConnectionId(number),
                peer: peer(),
            },
        };
        let info = SubscriptionInfo {
            agent: "Nacos-Java-Client:v3.0.0".into(),
            app: "".into(),
            datagram_bytes_max: 0,
        };
        bed.naming.subscribe(&bed.context(), key, info);
    }
    let all_have = async |instances: usize| {
        let sent = async {
            while places(&encoded, instances).values().sum::<u64>() < SUBSCRIBERS {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), sent)
            .await
            .expect("all are sent the list");
        places(&encoded, instances)
    };
    // The first list of each is one rendering, and so is the change.
    assert_eq!(
        all_have(INSTANCES).await.into_values().collect::<Vec<_>>(),
        [SUBSCRIBERS]
    );
    for (id, token) in tokens(&encoded) {
        bed.naming.push().acked_by(token, id);
    }
    register(INSTANCES).await;
    assert_eq!(
        all_have(INSTANCES + 1).await.into_values().collect::<Vec<_>>(),
        [SUBSCRIBERS]
    );
}

/// Every subscriber, with the token that all were sent.
fn tokens(encoded: &Encoded) -> Vec<(ConnectionId, u64)> {
    let bytes = encoded.0.lock()[0].1.clone();
    let payload = <muster_wire::grpc::Payload as prost::Message>::decode(bytes).unwrap();
    let body: Value = serde_json::from_slice(&payload.body.unwrap().value).unwrap();
    let token = body["requestId"].as_str().unwrap().parse().unwrap();
    (1..=SUBSCRIBERS).map(|number| (ConnectionId(number), token)).collect()
}

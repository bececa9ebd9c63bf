use super::*;
use muster_model::{
    GroupName, Host, Instance, InstanceKey, Kind, NamespaceId, Renders, ServiceKey, ServiceName, ServiceSnapshot,
};
use muster_push::{Snapshots, Subscribed, SubscriptionInfo, SubscriptionKey, Target};
use muster_runtime::{Clock, Shutdown};
use parking_lot::Mutex;

const JAVA: &str = "Nacos-Java-Client:v1.4.6";

fn service() -> ServiceKey {
    ServiceKey::new(
        NamespaceId::public(),
        GroupName::default_group(),
        ServiceName::parse("svc").unwrap(),
    )
}

fn snapshot(revision: u64, instances: usize) -> Arc<ServiceSnapshot> {
    let instance = |n: usize| {
        let host = Host::parse(&format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255)).unwrap();
        let mut instance = Instance::new(InstanceKey::new(host, 80), Kind::Ephemeral);
        // Metadata that does not compress away.
        instance.metadata = [(
            "id".to_owned(),
            format!("{:016x}", (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        )]
        .into_iter()
        .collect();
        Arc::new(instance)
    };
    Arc::new(ServiceSnapshot {
        key: service(),
        revision,
        stamp_ms: 1_700_000_000_000 + revision,
        exists: true,
        instances: (0..instances).map(instance).collect(),
        settings: Arc::default(),
        trace: None,
        renders: Renders::default(),
    })
}

fn bind(allowed: &[&str]) -> UdpPush {
    UdpPush::bind(Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        allowed: allowed.iter().map(|text| (*text).to_owned()).collect(),
    })
    .unwrap()
}

fn delivery(target: SocketAddr, snapshot: &Arc<ServiceSnapshot>, agent: &str) -> Delivery {
    Delivery {
        key: Arc::new(SubscriptionKey {
            service: service(),
            clusters: "".into(),
            target: Target::Udp(target),
        }),
        info: Arc::new(SubscriptionInfo {
            agent: agent.into(),
            app: "".into(),
            datagram_bytes_max: muster_wire::Agent::parse(Some(agent), None).datagram_bytes_max(),
        }),
        snapshot: snapshot.clone(),
        token: 1_700_000_000_000_001,
    }
}

#[tokio::test]
async fn a_datagram_arrives_from_the_one_address_as_nacos_writes_it() {
    let push = bind(&[]);
    let client = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let empty = snapshot(1, 0);
    assert_eq!(
        push.deliver(&delivery(client.local_addr().unwrap(), &empty, JAVA)),
        Handed::Sent
    );
    let mut buffer = vec![0; 65_536];
    let (length, from) = client.recv_from(&mut buffer).await.unwrap();
    assert_eq!(from, push.local_addr());
    let outer: serde_json::Value = serde_json::from_slice(&buffer[..length]).unwrap();
    assert_eq!(outer["type"], "dom");
    assert_eq!(outer["lastRefTime"], 1_700_000_000_000_001_u64);
    let inner: serde_json::Value = serde_json::from_str(outer["data"].as_str().unwrap()).unwrap();
    assert_eq!(inner["name"], "DEFAULT_GROUP@@svc");
    assert_eq!(inner["dom"], "DEFAULT_GROUP@@svc");
    assert_eq!(inner["cacheMillis"], 10_000);
    assert_eq!(inner["lastRefTime"], 1_700_000_000_001_u64);
    assert_eq!(inner["hosts"], serde_json::json!([]));
    assert_eq!(inner.get("groupName"), None);
}

#[test]
fn what_exceeds_the_receiver_s_buffer_is_not_sent() {
    let (push, target) = (bind(&[]), "127.0.0.1:9".parse().unwrap());
    let middling = snapshot(1, 500);
    assert_eq!(
        push.deliver(&delivery(target, &middling, "Nacos-Go-Client:v1.1.4")),
        Handed::TooLarge
    );
    assert_eq!(push.deliver(&delivery(target, &middling, JAVA)), Handed::Sent);
    let large = snapshot(2, 20_000);
    assert_eq!(push.deliver(&delivery(target, &large, JAVA)), Handed::TooLarge);
}

#[test]
fn addresses_that_nobody_can_listen_at_are_unreachable_and_harm_no_other() {
    let push = bind(&[]);
    let snapshot = snapshot(1, 1);
    for target in [
        "0.0.0.0:5000",
        "127.0.0.1:0",
        "224.0.0.1:5000",
        "255.255.255.255:5000",
        "[::1]:5000",
        "[ff02::1]:5000",
    ] {
        let outcome = push.deliver(&delivery(target.parse().unwrap(), &snapshot, JAVA));
        assert_eq!(outcome, Handed::Unreachable, "{target}");
    }
    let closed = "127.0.0.1:9".parse().unwrap();
    for _ in 0..10 {
        assert_eq!(push.deliver(&delivery(closed, &snapshot, JAVA)), Handed::Sent);
    }
}

#[test]
fn only_allowed_networks_are_sent_to() {
    let push = bind(&["10.0.0.0/8"]);
    let outcome = push.deliver(&delivery("127.0.0.1:9".parse().unwrap(), &snapshot(1, 1), JAVA));
    assert_eq!(outcome, Handed::Unreachable);
    let wrong = UdpPush::bind(Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        allowed: vec!["10.0.0.0/99".to_owned()],
    });
    assert_eq!(wrong.err().map(|error| error.kind()), Some(ErrorKind::InvalidInput));
}

#[test]
fn bytes_are_rendered_once_for_all_subscribers_of_one_kind() {
    let snapshot = snapshot(1, 3);
    let to = |port: u16, agent| packet::packet(&delivery(SocketAddr::from(([127, 0, 0, 1], port)), &snapshot, agent));
    let (one, other) = (to(1, JAVA), to(2, JAVA));
    assert_eq!(one.as_ptr(), other.as_ptr());
    let bare = to(3, "Nacos-Go-Client:v1.1.4");
    assert_ne!(one, bare);
}

/// A list by hand.
struct Lists(Mutex<Arc<ServiceSnapshot>>);

impl Snapshots for Lists {
    fn newest(&self, _: &ServiceKey) -> Arc<ServiceSnapshot> {
        self.0.lock().clone()
    }
}

#[tokio::test]
async fn a_change_is_pushed_and_acks_of_every_shape_end_the_delivery_over_real_sockets() {
    let udp = bind(&[]);
    let lists = Arc::new(Lists(Mutex::new(snapshot(1, 1))));
    let shutdown = Shutdown::new();
    let tasks = Tasks::new(shutdown.clone());
    let push = Push::start(
        muster_push::Config::default(),
        lists.clone(),
        Arc::new(udp.clone()),
        Clock::system(),
        &tasks,
    );
    udp.receive_acks(push.clone(), &tasks);
    push.open();

    let client = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let key = SubscriptionKey {
        service: service(),
        clusters: "".into(),
        target: Target::Udp(client.local_addr().unwrap()),
    };
    let info = SubscriptionInfo {
        agent: JAVA.into(),
        app: "".into(),
        datagram_bytes_max: 65_507,
    };
    assert_eq!(push.subscribe(key, info, &snapshot(1, 1)), Subscribed::Pushed);

    let mut buffer = vec![0; 65_536];
    let java = |token: u64| format!(r#"{{"type": "push-ack", "lastRefTime":"{token}", "data":""}}"#);
    let node = |token: u64| format!(r#"{{"type":"push-ack","lastRefTime":{token},"data":""}}"#);
    for (nth, ack) in [java as fn(u64) -> String, node, java, node].into_iter().enumerate() {
        *lists.0.lock() = snapshot(2 + nth as u64, 0);
        push.changed(&service());
        let (length, from) = client.recv_from(&mut buffer).await.unwrap();
        assert_eq!(from, udp.local_addr());
        let outer: serde_json::Value = serde_json::from_slice(&buffer[..length]).unwrap();
        for garbage in [&b"{"[..], &[0xff; 1_400], b"{\"lastRefTime\":5}"] {
            client.send_to(garbage, from).await.unwrap();
        }
        client
            .send_to(ack(outer["lastRefTime"].as_u64().unwrap()).as_bytes(), from)
            .await
            .unwrap();
        // The next change is sent only once the ack of this one was read.
        while push.counts().acked <= nth as u64 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(push.counts().deliveries, 4);
    shutdown.begin();
    assert!(tasks.ended_within(Duration::from_secs(5)).await);
}

//! P8: a client that has long polled nothing but "empty".

use super::*;
use crate::testing::{Parts, instance, service};
use muster_model::Kind;
use muster_push::{Delivery, Handed, Push, Sink, Subscribed};
use muster_runtime::Clock;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// Who was sent how many instances.
#[derive(Default)]
struct Sent(Mutex<Vec<usize>>);

impl Sink for Sent {
    fn deliver(&self, delivery: &Delivery) -> Handed {
        self.0.lock().push(delivery.snapshot.instances.len());
        Handed::Sent
    }
}

/// Java 1.4 asks again after 2, 4, 8, 16, 32 and then every 60 s while its list is empty, and has nothing to ack. Other
/// registries forget it in between.
#[tokio::test(start_paused = true)]
async fn the_first_instance_is_pushed_within_two_seconds_to_who_has_polled_empty_lists_for_ten_minutes() {
    let (sent, clock) = (Arc::new(Sent::default()), Clock::manual(1_732_000_000_000));
    let (sink, of_push) = (sent.clone(), clock.clone());
    let bed = Testbed::start_with(Parts {
        clock,
        push: Some(Box::new(move |changes, tasks| {
            let config = muster_push::Config::default();
            let push = Push::start(config, Arc::new(changes), sink, of_push, tasks);
            push.open();
            push
        })),
        ..Parts::default()
    });
    let s = service("awaited");
    let begun = bed.clock.now();
    let poll = || {
        let (list, subscribed) = bed.naming.subscribe(&bed.context(), subscription(&s), info());
        assert!(!list.exists && list.instances.is_empty());
        assert_eq!(subscribed, Subscribed::Pushed, "and it is told that pushes come");
    };
    let mut wait = Duration::from_secs(2);
    poll();
    while bed.clock.now() - begun < Duration::from_secs(600) {
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(60));
        poll();
    }
    // As long after a poll as can be.
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert!(sent.0.lock().is_empty(), "nothing has changed");
    let one = instance("10.0.0.1:80", Kind::Ephemeral);
    bed.naming.register(&bed.context(), &s, one).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(*sent.0.lock(), [1]);
}

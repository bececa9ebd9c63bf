use super::{info, listed, subscription};
use crate::changes::{Changes, Joined};
use crate::stores::{EphemeralStore, Stores};
use crate::testing::{MemoryEphemeral, MemoryPersistent, Parts, Recorder, Testbed, instance, key, service, trace};
use crate::{Config, Error, ServiceFilter};
use muster_model::{ChangeSink, Kind, NamespaceId, ServiceSettings};
use muster_push::{Push, Snapshots, Subscribed};
use muster_runtime::{Clock, HybridClock};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SWEEP: Duration = Duration::from_secs(11);

#[tokio::test]
async fn a_write_is_in_the_next_answer() {
    let bed = Testbed::start();
    let s = service("s");
    for port in 1..20 {
        let address = format!("10.0.0.1:{port}");
        bed.naming
            .register(&bed.context(), &s, instance(&address, Kind::Ephemeral))
            .await
            .unwrap();
        assert!(listed(&bed, &s).contains(&address));
        if port % 2 == 0 {
            bed.naming
                .deregister(&bed.context(), &s, &key(&address), Kind::Ephemeral)
                .await
                .unwrap();
            assert!(!listed(&bed, &s).contains(&address));
        }
    }
}

#[tokio::test]
async fn writers_on_many_threads_each_read_their_own_write() {
    let bed = Testbed::start();
    let s = service("s");
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (bed, s) = (&bed, &s);
            scope.spawn(move || {
                let mut last = (0, 0);
                for port in 1..300 {
                    let address = format!("10.0.0.{writer}:{port}");
                    bed.ephemeral.register(s, instance(&address, Kind::Ephemeral)).unwrap();
                    let snapshot = bed.naming.snapshot(s);
                    assert!(
                        snapshot.instances.iter().any(|listed| listed.key == key(&address)),
                        "{address}"
                    );
                    let now = (snapshot.revision, snapshot.stamp_ms);
                    assert!(now.0 > last.0 && now.1 > last.1, "{now:?} after {last:?}");
                    last = now;
                }
            });
        }
    });
    assert_eq!(bed.naming.counts().instances, 4 * 299);
}

#[tokio::test]
async fn dropping_slots_under_writers_loses_no_change_and_turns_no_stamp_back() {
    let bed = Testbed::start();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sweeper = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                bed.naming.model().drop_vacant();
            }
        });
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let bed = &bed;
                scope.spawn(move || {
                    let s = service(&format!("s{writer}"));
                    let mut last = (0, 0);
                    for _ in 0..500 {
                        for listed in [1, 0] {
                            if listed == 1 {
                                bed.ephemeral.register(&s, instance("h:1", Kind::Ephemeral)).unwrap();
                            } else {
                                bed.ephemeral.deregister(&s, &key("h:1"));
                            }
                            let snapshot = bed.naming.snapshot(&s);
                            assert_eq!(snapshot.instances.len(), listed);
                            let now = (snapshot.revision, snapshot.stamp_ms);
                            // A dropped slot may come back with the empty list it went with.
                            let later = now.0 > last.0 && now.1 > last.1;
                            assert!(later || (listed == 0 && now.1 >= last.1), "{now:?} after {last:?}");
                            last = now;
                        }
                    }
                })
            })
            .collect();
        let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        stop.store(true, Ordering::Relaxed);
        sweeper.join().unwrap();
        ended.into_iter().for_each(|ended| ended.unwrap());
    });
    bed.naming.model().fold_all();
    bed.naming.model().drop_vacant();
    assert_eq!((bed.naming.model().slots_kept(), bed.naming.counts().instances), (0, 0));
}

#[tokio::test]
async fn a_thousand_equal_registrations_make_no_revision() {
    let bed = Testbed::start();
    let s = service("s");
    let one = instance("10.0.0.1:80", Kind::Persistent);
    bed.naming.register(&bed.context(), &s, one.clone()).await.unwrap();
    let before = bed.naming.snapshot(&s);
    for _ in 0..1_000 {
        // The replicated store reports each of them, equal or not.
        bed.naming.register(&bed.context(), &s, one.clone()).await.unwrap();
    }
    let after = bed.naming.snapshot(&s);
    assert!(
        Arc::ptr_eq(&before, &after),
        "{} then {}",
        before.revision,
        after.revision
    );
}

#[tokio::test]
async fn a_snapshot_carries_the_latest_change_it_holds() {
    let bed = Testbed::start();
    let s = service("s");
    bed.naming
        .register(&bed.context(), &s, instance("a:1", Kind::Ephemeral))
        .await
        .unwrap();
    let id = bed
        .naming
        .register(&bed.context(), &s, instance("a:2", Kind::Ephemeral))
        .await
        .unwrap();
    let snapshot = bed.naming.snapshot(&s);
    let trace = snapshot.trace.unwrap();
    assert_eq!(trace.id, id);
    assert!(snapshot.stamp_ms >= trace.stamp.millis());
}

#[tokio::test]
async fn a_change_while_subscribing_is_told() {
    let bed = Testbed::start();
    let s = service("s");
    let (store, target) = (bed.ephemeral.clone(), s.clone());
    bed.recorder.on_next_subscribe(move || {
        store
            .register(&target, instance("10.0.0.1:80", Kind::Ephemeral))
            .unwrap();
    });
    let (seen, subscribed) = bed.naming.subscribe(&bed.context(), subscription(&s), info());
    assert_eq!(subscribed, Subscribed::Pushed);
    assert!(seen.instances.is_empty());
    assert_eq!(bed.recorder.take_changed(), std::slice::from_ref(&s));
    assert!(bed.changes.newest(&s).revision > seen.revision);
}

#[tokio::test]
async fn subscribing_again_to_what_has_not_changed_tells_nothing() {
    let bed = Testbed::start();
    let s = service("s");
    bed.naming.subscribe(&bed.context(), subscription(&s), info());
    bed.naming.subscribe(&bed.context(), subscription(&s), info());
    assert_eq!(bed.recorder.take_changed(), []);
    bed.naming
        .register(&bed.context(), &s, instance("a:1", Kind::Ephemeral))
        .await
        .unwrap();
    assert_eq!(bed.recorder.take_changed(), [s]);
}

#[tokio::test]
async fn changes_before_the_start_are_kept() {
    let hybrid = HybridClock::new(Clock::system());
    let changes = Changes::new(Config::default(), hybrid.clone());
    let sink: Arc<dyn ChangeSink> = Arc::new(changes.clone());
    let ephemeral = Arc::new(MemoryEphemeral::new(hybrid.clone(), sink.clone()));
    let s = service("s");
    ephemeral.register(&s, instance("a:1", Kind::Ephemeral)).unwrap();
    changes.changed(&service("gone-again"), trace(1));
    assert!(!changes.newest(&s).exists, "nothing is known before the start");
    let early = changes.newest(&s);
    changes.0.join(Joined {
        stores: Stores {
            ephemeral,
            persistent: Arc::new(MemoryPersistent::new(hybrid, sink)),
        },
        push: Arc::new(Recorder::default()),
    });
    let snapshot = changes.newest(&s);
    assert_eq!(snapshot.instances.len(), 1);
    assert!(snapshot.trace.is_some());
    assert!(snapshot.stamp_ms > early.stamp_ms);
    changes.0.fold_all();
    assert_eq!(changes.0.listing.len(), 1);
}

#[tokio::test]
async fn a_flood_of_unknown_names_leaves_nothing_behind() {
    let bed = Testbed::start();
    for nth in 0..5_000 {
        let snapshot = bed.naming.snapshot(&service(&format!("unknown-{nth}")));
        assert!(!snapshot.exists && snapshot.instances.is_empty());
    }
    assert_eq!(bed.naming.model().slots_kept(), 0);
}

#[tokio::test]
async fn a_full_read_model_refuses_new_names_and_serves_known_ones() {
    let config = Config {
        services_max: 2,
        ..Config::default()
    };
    let bed = Testbed::start_with(Parts {
        config,
        ..Parts::default()
    });
    let (a, b, c) = (service("a"), service("b"), service("c"));
    let context = bed.context();
    bed.naming
        .register(&context, &a, instance("h:1", Kind::Ephemeral))
        .await
        .unwrap();
    assert_eq!(
        bed.naming.subscribe(&context, subscription(&b), info()).1,
        Subscribed::Pushed
    );
    assert_eq!(
        bed.naming.subscribe(&context, subscription(&c), info()).1,
        Subscribed::Refused
    );
    for kind in [Kind::Ephemeral, Kind::Persistent] {
        let refused = bed.naming.register(&context, &c, instance("h:1", kind)).await;
        assert!(matches!(refused, Err(Error::Full(_))), "{refused:?}");
    }
    let refused = bed
        .naming
        .create_service(&context, &c, ServiceSettings::default())
        .await;
    assert!(matches!(refused, Err(Error::Full(_))), "{refused:?}");
    bed.naming
        .register(&context, &b, instance("h:2", Kind::Ephemeral))
        .await
        .unwrap();
    // What peers bring is kept: the stores hold it already.
    bed.ephemeral.register(&c, instance("h:3", Kind::Ephemeral)).unwrap();
    assert_eq!(listed(&bed, &c), ["h:3"]);
}

#[tokio::test(start_paused = true)]
async fn slots_of_nothing_go_unless_somebody_subscribes() {
    let bed = Testbed::start();
    let (left, wanted) = (service("left"), service("wanted"));
    let context = bed.context();
    bed.naming
        .register(&context, &left, instance("h:1", Kind::Ephemeral))
        .await
        .unwrap();
    bed.naming.subscribe(&context, subscription(&wanted), info());
    bed.naming
        .deregister(&context, &left, &key("h:1"), Kind::Ephemeral)
        .await
        .unwrap();
    let last = bed.naming.snapshot(&left);
    tokio::time::sleep(SWEEP).await;
    assert_eq!(bed.naming.model().slots_kept(), 1, "the subscribed one stays");
    let again = bed.naming.snapshot(&left);
    assert!(again.stamp_ms >= last.stamp_ms && again.revision >= last.revision);
    bed.naming
        .register(&context, &left, instance("h:1", Kind::Ephemeral))
        .await
        .unwrap();
    let back = bed.naming.snapshot(&left);
    assert!(back.stamp_ms > last.stamp_ms && back.revision > last.revision);
    bed.recorder.forget_all();
    tokio::time::sleep(SWEEP).await;
    assert_eq!(bed.naming.model().slots_kept(), 1, "the one with an instance stays");
}

#[tokio::test]
async fn created_services_are_listed_empty_and_emptied_ones_are_not() {
    let bed = Testbed::start();
    let context = bed.context();
    let filter = ServiceFilter {
        namespace: NamespaceId::public(),
        group: None,
    };
    bed.naming
        .create_service(&context, &service("created"), ServiceSettings::default())
        .await
        .unwrap();
    bed.naming
        .register(&context, &service("emptied"), instance("h:1", Kind::Ephemeral))
        .await
        .unwrap();
    bed.naming
        .register(&context, &service("alive"), instance("h:1", Kind::Persistent))
        .await
        .unwrap();
    assert_eq!(bed.naming.services(&filter, 0, 10).total, 3);
    bed.naming
        .deregister(&context, &service("emptied"), &key("h:1"), Kind::Ephemeral)
        .await
        .unwrap();
    let page = bed.naming.services(&filter, 0, 10);
    assert_eq!(page.services, [service("alive"), service("created")]);
    assert_eq!(page.total, 2);
    assert_eq!(bed.naming.services(&filter, 1, 10).services, [service("created")]);
    assert_eq!(bed.naming.namespaces(), [(NamespaceId::public(), 2)]);
    let counts = bed.naming.counts();
    assert_eq!(
        (counts.services, counts.persistent_instances, counts.ephemeral_instances),
        (2, 1, 0)
    );
}

struct Count(std::sync::Mutex<Vec<u64>>);

impl muster_push::Sink for Count {
    fn deliver(&self, delivery: &muster_push::Delivery) -> muster_push::Handed {
        self.0.lock().unwrap().push(delivery.snapshot.revision);
        muster_push::Handed::Sent
    }
}

#[tokio::test(start_paused = true)]
async fn push_delivers_changes_once_and_equal_ones_never() {
    let sent = Arc::new(Count(std::sync::Mutex::default()));
    let sink = sent.clone();
    let bed = Testbed::start_with(Parts {
        push: Some(Box::new(move |changes, tasks| {
            let config = muster_push::Config {
                retries: vec![Duration::from_secs(3_600)],
                ..muster_push::Config::default()
            };
            let push = Push::start(config, Arc::new(changes), sink, Clock::system(), tasks);
            push.open();
            push
        })),
        ..Parts::default()
    });
    let (s, context) = (service("s"), bed.context());
    let (seen, _) = bed.naming.subscribe(&context, subscription(&s), info());
    bed.naming
        .register(&context, &s, instance("h:1", Kind::Persistent))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..1_000 {
        bed.naming
            .register(&context, &s, instance("h:1", Kind::Persistent))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(*sent.0.lock().unwrap(), [seen.revision + 1]);
    assert_eq!(bed.naming.counts().subscriptions, 1);
}

#[derive(Clone, Debug)]
enum Step {
    Register(u8, u16),
    Deregister(u8, u16),
    Equal(u8),
    /// A change from a peer whose clock is ahead by so much.
    Ahead(u8, u64),
    Skew(i64),
    Wait(u64),
    Query(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..3, 0u16..3).prop_map(|(s, port)| Step::Register(s, port)),
        4 => (0u8..3, 0u16..3).prop_map(|(s, port)| Step::Deregister(s, port)),
        1 => (0u8..3).prop_map(Step::Equal),
        1 => (0u8..3, 0u64..60_000).prop_map(|(s, ms)| Step::Ahead(s, ms)),
        2 => (-60_000i64..60_000).prop_map(Step::Skew),
        1 => (0u64..15_000).prop_map(Step::Wait),
        4 => (0u8..4).prop_map(Step::Query),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What one node answers about a service never goes back: whatever the order of changes, whatever the clocks do, and
    /// also when the slot was dropped and made again meanwhile.
    #[test]
    fn answers_only_move_forward(steps in proptest::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let clock = Clock::manual(1_000_000_000);
            let bed = Testbed::start_with(Parts { clock: clock.clone(), ..Parts::default() });
            let mut last: HashMap<u8, (u64, u64, usize)> = HashMap::new();
            let mut model: HashMap<u8, std::collections::BTreeSet<u16>> = HashMap::new();
            for step in steps {
                let named = |s: u8| service(&format!("s{s}"));
                let s = match step {
                    Step::Register(s, port) => {
                        model.entry(s).or_default().insert(port);
                        bed.ephemeral.register(&named(s), instance(&format!("h:{port}"), Kind::Ephemeral)).unwrap();
                        s
                    }
                    Step::Deregister(s, port) => {
                        model.entry(s).or_default().remove(&port);
                        bed.ephemeral.deregister(&named(s), &key(&format!("h:{port}")));
                        s
                    }
                    Step::Equal(s) => {
                        bed.changes.changed(&named(s), trace(0));
                        s
                    }
                    Step::Ahead(s, ms) => {
                        let ahead = muster_model::Stamp::from_millis(bed.hybrid.now_ms() + ms);
                        bed.changes.changed(&named(s), trace(ahead.0));
                        s
                    }
                    Step::Skew(ms) => {
                        clock.set_skew_ms(ms);
                        continue;
                    }
                    Step::Wait(ms) => {
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                        continue;
                    }
                    Step::Query(s) => s,
                };
                let snapshot = bed.naming.snapshot(&named(s));
                let held: Vec<u16> = snapshot.instances.iter().map(|listed| listed.key.port).collect();
                let expected: Vec<u16> = model.get(&s).into_iter().flatten().copied().collect();
                prop_assert_eq!(&held, &expected);
                let now = (snapshot.revision, snapshot.stamp_ms, held.len());
                if let Some(before) = last.insert(s, now) {
                    prop_assert!(now.0 >= before.0 && now.1 >= before.1, "{:?} after {:?}", now, before);
                    // A register or deregister moves the length by one, so a different list has another length.
                    if now.2 != before.2 {
                        prop_assert!(now.0 > before.0 && now.1 > before.1, "{:?} after {:?}", now, before);
                    }
                }
            }
            Ok(())
        })?;
    }
}

#[test]
fn a_testbed_that_is_dropped_leaves_no_read_model_behind() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let model = {
        let _within = runtime.enter();
        let bed = Testbed::start_with(Parts {
            push: Some(Box::new(|changes, tasks| {
                let config = muster_push::Config::default();
                Push::start(
                    config,
                    Arc::new(changes),
                    Arc::new(Count(std::sync::Mutex::default())),
                    Clock::system(),
                    tasks,
                )
            })),
            ..Parts::default()
        });
        Arc::downgrade(&bed.changes.0)
    };
    // The door's tasks hold it until they end.
    runtime.shutdown_background();
    assert_eq!(model.strong_count(), 0);
}

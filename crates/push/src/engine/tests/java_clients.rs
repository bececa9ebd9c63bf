//! Java 1.x clients behind a network that holds back and doubles: they apply whatever arrives, older or not, and
//! drop the answer to a poll if a push came since the poll before.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Change,
    /// Another service of the same client.
    ChangeOther,
    Poll,
    Pass(u64),
    /// The n-th datagram or ack on its way arrives, and a copy stays behind if told so.
    Arrive {
        nth: usize,
        again: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Change),
        2 => Just(Step::ChangeOther),
        1 => Just(Step::Poll),
        6 => (1_u64..1_500).prop_map(Step::Pass),
        10 => (any::<usize>(), any::<bool>()).prop_map(|(nth, again)| Step::Arrive { nth, again }),
    ]
}

/// Copies that the network makes of one datagram or ack.
const COPIES_MAX: u8 = 2;

#[derive(Clone, Copy, Debug)]
enum OnItsWay {
    Datagram { service: usize, revision: u64, token: u64 },
    Ack { token: u64 },
}

struct Net {
    world: World,
    services: [ServiceKey; 2],
    /// With the copies already made.
    on_its_way: Vec<(OnItsWay, u8)>,
    /// What the client holds of each service.
    holds: [u64; 2],
    pushed_since_poll: [bool; 2],
}

impl Net {
    fn new() -> Self {
        let mut net = Self {
            world: World::new(),
            services: [service("a"), service("b")],
            on_its_way: Vec::new(),
            holds: [0; 2],
            pushed_since_poll: [false; 2],
        };
        net.step(Step::Poll);
        net
    }

    fn send(&mut self) {
        for tried in self.world.sent() {
            let of = &tried.delivery.key.service;
            let datagram = OnItsWay::Datagram {
                service: usize::from(*of == self.services[1]),
                revision: tried.delivery.snapshot.revision,
                token: tried.delivery.token,
            };
            self.on_its_way.push((datagram, 0));
        }
    }

    fn arrive(&mut self, arriving: OnItsWay) {
        match arriving {
            OnItsWay::Datagram {
                service,
                revision,
                token,
            } => {
                self.holds[service] = revision;
                self.pushed_since_poll[service] = true;
                self.on_its_way.push((OnItsWay::Ack { token }, 0));
            }
            OnItsWay::Ack { token } => {
                self.world.engine.acked(token, target(1), self.world.now);
                self.world.check();
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Change => self.world.change(&self.services[0].clone()),
            Step::ChangeOther => self.world.change(&self.services[1].clone()),
            Step::Poll => {
                for at in 0..2 {
                    let service = self.services[at].clone();
                    self.world.poll(&subscription(&service, 1));
                    if !std::mem::take(&mut self.pushed_since_poll[at]) {
                        self.holds[at] = self.world.list(&service).revision;
                    }
                }
            }
            Step::Pass(millis) => self.world.pass(millis),
            Step::Arrive { nth, again } if !self.on_its_way.is_empty() => {
                let nth = nth % self.on_its_way.len();
                let (arriving, copies) = &mut self.on_its_way[nth];
                let (arriving, made) = (*arriving, *copies);
                *copies += 1;
                if !again || made == COPIES_MAX {
                    self.on_its_way.remove(nth);
                }
                self.arrive(arriving);
            }
            Step::Arrive { .. } => {}
        }
        self.send();
    }

    fn newest(&mut self) -> [u64; 2] {
        let [a, b] = self.services.clone();
        [self.world.list(&a).revision, self.world.list(&b).revision]
    }
}

#[test]
fn a_datagram_that_arrives_after_a_newer_one_is_repaired_upon_its_ack() {
    let (mut world, a) = (World::new(), service("a"));
    world.poll(&subscription(&a, 1));
    world.change(&a);
    let older = world.sent().remove(0);
    assert!(world.ack(&older));
    world.pass(100);
    world.change(&a);
    let newer = world.sent().remove(0);
    assert!(world.ack(&newer));
    assert!(world.sent().is_empty());
    // the network had doubled it: Java holds the older list now, and says so
    assert!(world.ack(&older));
    let again = world.sent();
    assert_eq!(revisions(&again), revisions(std::slice::from_ref(&newer)));
    assert!(world.ack(&again[0]));
    // copies of the newest draw nothing, and whoever forges acks of the older one draws three more
    let mut drawn = 0;
    for _ in 0..10 {
        world.ack(&newer);
        assert!(world.sent().is_empty());
        world.ack(&older);
        let again = world.sent();
        assert!(again.iter().all(|tried| world.ack(tried)));
        drawn += again.len();
    }
    assert_eq!(drawn, 3);
}

#[test]
fn a_network_that_doubles_everything_draws_no_datagram_more() {
    let (mut world, a) = (World::new(), service("a"));
    world.poll(&subscription(&a, 1));
    for _ in 0..100 {
        world.change(&a);
        let sent = world.sent();
        assert_eq!(sent.len(), 1);
        world.ack(&sent[0]);
        world.ack(&sent[0]);
        assert!(world.sent().is_empty());
        world.pass(1_000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// P4: three seconds after the last write, without a further poll.
    #[test]
    fn a_client_that_applies_whatever_arrives_ends_with_the_last_write_in_three_seconds(
        steps in proptest::collection::vec(step(), 1..60)
    ) {
        let mut net = Net::new();
        // Somebody who has never acked is owed two datagrams alone.
        net.step(Step::Change);
        net.step(Step::Arrive { nth: 0, again: false });
        net.step(Step::Arrive { nth: 0, again: false });
        for step in steps {
            net.step(step);
        }
        net.step(Step::Change);
        net.step(Step::ChangeOther);
        // Nothing more is lost; what was held back arrives in any order, which is the worst: the latest first.
        for _ in 0..12 {
            while let Some((arriving, _)) = net.on_its_way.pop() {
                net.arrive(arriving);
            }
            net.step(Step::Pass(250));
        }
        prop_assert_eq!(net.holds, net.newest());
    }
}

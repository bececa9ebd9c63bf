use super::*;
use muster_runtime::Clock;
use muster_wire::grpc::ConnectionSetup;
use proptest::prelude::*;

const NAMING: &str = r#"{"labels":{"module":"naming"}}"#;
const CONFIG: &str = r#"{"labels":{"module":"config"}}"#;

fn setup(json: &str) -> Setup {
    Setup::new(ConnectionSetup::decode(json.as_bytes()).unwrap(), "10.0.0.1")
}

fn start() -> Instant {
    Clock::system().now()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A connection that was set up at `start`.
fn naming(start: Instant) -> (Life, StreamNo) {
    let mut life = Life::new(start);
    let number = life.open(start).unwrap();
    assert_eq!(life.set_up(number, setup(NAMING), start), SetUp::Registered);
    (life, number)
}

#[test]
fn a_silent_client_is_asked_and_then_ended() {
    let start = start();
    let (mut life, _) = naming(start);
    assert_eq!(life.look(start + seconds(19)), Due::Nothing);
    assert_eq!(life.look(start + seconds(20)), Due::Detect);
    assert_eq!(life.look(start + seconds(24)), Due::Nothing);
    assert_eq!(life.look(start + seconds(25)), Due::End(EndReason::Silent));
}

#[test]
fn a_client_that_answers_stays_and_is_asked_anew_only_after_further_silence() {
    let start = start();
    let (mut life, _) = naming(start);
    assert_eq!(life.look(start + seconds(20)), Due::Detect);
    life.active(start + seconds(24));
    assert_eq!(life.look(start + seconds(43)), Due::Nothing);
    assert_eq!(life.look(start + seconds(44)), Due::Detect);
}

#[test]
fn looks_that_come_late_never_end_a_client_that_was_not_asked() {
    let start = start();
    let (mut life, _) = naming(start);
    assert_eq!(life.look(start + seconds(600)), Due::Detect);
    assert_eq!(life.look(start + seconds(604)), Due::Nothing);
}

#[test]
fn a_transport_that_is_never_set_up_ends() {
    let start = start();
    let mut life = Life::new(start);
    assert_eq!(life.look(start + seconds(29)), Due::Nothing);
    assert_eq!(life.look(start + seconds(30)), Due::End(EndReason::Silent));
}

#[test]
fn a_stream_without_a_setup_is_late_after_ten_seconds() {
    let start = start();
    let (mut life, _) = naming(start);
    let second = life.open(start + seconds(5)).unwrap();
    assert_eq!(life.late(start + seconds(14)), None);
    assert_eq!(life.late(start + seconds(15)), Some(second));
    life.set_up(second, setup(CONFIG), start + seconds(15));
    assert_eq!(life.late(start + seconds(60)), None);
}

#[test]
fn a_streams_first_setup_counts() {
    let start = start();
    let (mut life, number) = naming(start);
    assert_eq!(life.set_up(number, setup(CONFIG), start), SetUp::Already);
    assert!(life.is_naming());
    assert_eq!(life.close(number, start), Left::Unregistered);
    assert_eq!(life.set_up(number, setup(NAMING), start), SetUp::NoStream);
}

#[test]
fn a_streams_end_takes_its_share_alone() {
    let start = start();
    let (mut life, first) = naming(start);
    let second = life.open(start).unwrap();
    life.set_up(second, setup(NAMING), start);
    let third = life.open(start).unwrap();
    life.set_up(third, setup(CONFIG), start);
    assert_eq!(life.close(first, start), Left::Same);
    assert!(life.is_naming());
    assert_eq!(life.close(second, start), Left::NoNaming);
    assert!(!life.is_naming() && life.is_registered());
    assert_eq!(life.close(third, start), Left::Unregistered);
    assert_eq!(life.close(third, start), Left::Same);
}

#[test]
fn a_transport_without_its_last_stream_ends_soon_unless_another_is_set_up() {
    let start = start();
    let (mut life, number) = naming(start);
    life.close(number, start + seconds(7));
    assert_eq!(life.look(start + seconds(8)), Due::Nothing);
    life.active(start + seconds(8));
    assert_eq!(life.look(start + seconds(9)), Due::End(EndReason::Closed));
    let next = life.open(start + seconds(9)).unwrap();
    life.set_up(next, setup(NAMING), start + seconds(9));
    assert_eq!(life.look(start + seconds(10)), Due::Nothing);
}

#[test]
fn there_is_an_end_to_streams() {
    let start = start();
    let mut life = Life::new(start);
    let streams: Vec<_> = std::iter::from_fn(|| life.open(start)).take(1_000).collect();
    assert_eq!(streams.len(), STREAMS_MAX);
    life.close(streams[3], start);
    assert!(life.open(start).is_some());
}

#[derive(Clone, Debug)]
enum Step {
    Open,
    SetUp(usize, bool),
    Close(usize),
    Active,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        Just(Step::Open),
        (0_usize..6, any::<bool>()).prop_map(|(stream, naming)| Step::SetUp(stream, naming)),
        (0_usize..6).prop_map(Step::Close),
        Just(Step::Active),
        (1_u64..12_000).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 0..80)
}

proptest! {
    /// Looked at once a second, as the door does, a connection that is silent is gone within 27 s, one that speaks every
    /// 19 s never is, and being registered is having a stream that was set up.
    #[test]
    fn whatever_a_client_does_the_promises_hold(steps in steps()) {
        let mut now = start();
        let (mut life, mut active) = (Life::new(now), now);
        let mut open: Vec<(StreamNo, Option<bool>)> = Vec::new();
        let mut streamless: Option<Instant> = None;
        let mut asked: Option<Instant> = None;
        for step in steps {
            match step {
                Step::Open => open.extend(life.open(now).map(|number| (number, None))),
                Step::SetUp(index, is_naming) => {
                    let number = open.get(index).map_or(StreamNo(0), |(number, _)| *number);
                    let done = life.set_up(number, setup(if is_naming { NAMING } else { CONFIG }), now);
                    match open.get_mut(index) {
                        None => prop_assert_eq!(done, SetUp::NoStream),
                        Some((_, Some(_))) => prop_assert_eq!(done, SetUp::Already),
                        Some((_, kind)) => {
                            *kind = Some(is_naming);
                            (active, streamless, asked) = (now, None, None);
                        }
                    }
                }
                Step::Close(index) if index < open.len() => {
                    let (number, kind) = open.remove(index);
                    life.close(number, now);
                    if kind.is_some() && open.iter().all(|(_, kind)| kind.is_none()) {
                        (streamless, asked) = (Some(now), None);
                    }
                }
                Step::Close(_) => {}
                Step::Active => {
                    life.active(now);
                    (active, asked) = (now, None);
                }
                Step::Wait(millis) => {
                    let until = now + Duration::from_millis(millis);
                    while now < until {
                        now += Duration::from_millis(1_000).min(until - now);
                        match life.look(now) {
                            Due::Go => prop_assert!(false, "this node serves"),
                            Due::Nothing => {}
                            Due::Detect => {
                                prop_assert!(life.is_registered() && asked.is_none() && now - active >= SILENCE);
                                asked = Some(now);
                            }
                            Due::End(reason) => {
                                let expected = match (life.is_registered(), streamless) {
                                    (true, _) => asked.is_some_and(|then| now - then >= DETECTION),
                                    (false, Some(then)) => reason == EndReason::Closed && now - then >= STREAMLESS,
                                    (false, None) => now - active >= UNSET,
                                };
                                prop_assert!(expected, "ended for {:?} without cause", reason);
                                return Ok(());
                            }
                        }
                        prop_assert!(!life.is_registered() || now - active <= Duration::from_secs(27));
                    }
                }
            }
            prop_assert_eq!(life.is_registered(), open.iter().any(|(_, kind)| kind.is_some()));
            prop_assert_eq!(life.is_naming(), open.iter().any(|(_, kind)| *kind == Some(true)));
        }
    }
}

#[test]
fn naming_is_over_once_when_what_follows_it_is_something_else() {
    let start = start();
    let (mut life, first) = naming(start);
    assert_eq!(life.close(first, start), Left::Unregistered);
    let config = life.open(start).unwrap();
    assert_eq!(life.set_up(config, setup(CONFIG), start), SetUp::NoNaming);
    let further = life.open(start).unwrap();
    assert_eq!(life.set_up(further, setup(CONFIG), start), SetUp::Registered);
    let (mut life, first) = naming(start);
    life.close(first, start);
    let second = life.open(start).unwrap();
    assert_eq!(
        life.set_up(second, setup(NAMING), start),
        SetUp::Registered,
        "it went on"
    );
}

#[test]
fn whom_the_node_sends_away_keeps_its_listing_and_who_left_does_not() {
    for reason in [EndReason::Reset, EndReason::Blocked, EndReason::Refused] {
        assert_eq!(reason.ending(), Ending::Evicted);
    }
    assert_eq!(EndReason::Closed.ending(), Ending::Closed);
    assert_eq!(EndReason::Silent.ending(), Ending::Silent);
}

#[test]
fn who_is_sent_away_is_asked_once_and_has_time_to_go() {
    let start = start();
    let (mut life, _) = naming(start);
    assert_eq!(life.send_away(start), Due::Go);
    assert_eq!(life.send_away(start + seconds(2)), Due::Nothing);
    assert_eq!(life.send_away(start + seconds(3)), Due::End(EndReason::Reset));
    // The node serves again.
    assert_eq!(life.look(start + seconds(4)), Due::Nothing);
    assert_eq!(life.send_away(start + seconds(5)), Due::Go);
}

#[test]
fn who_is_doubted_is_asked_once_and_has_as_long_to_answer_as_the_silent() {
    let start = start();
    let (mut life, _) = naming(start);
    assert_eq!(life.doubt(start), Due::Detect);
    assert_eq!(life.doubt(start + seconds(1)), Due::Nothing);
    assert_eq!(life.look(start + seconds(4)), Due::Nothing);
    assert_eq!(life.look(start + seconds(5)), Due::End(EndReason::Silent));
    life.active(start + seconds(5));
    assert_eq!(life.look(start + seconds(6)), Due::Nothing);
    assert_eq!(Life::new(start).doubt(start), Due::Nothing);
}

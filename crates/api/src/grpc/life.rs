//! The rules of a connection's life: when it counts as registered, when it is asked whether it lives, when it ends.
//!
//! ```text
//! a stream opens ──setup within 10 s──► registered ──20 s silent──► asked ──5 s silent──► ended
//!                                          ▲  every handled request, every answer on a stream: not silent
//! ```
//! Pure: `now` comes in, what is to be done goes out. Looked at once a second, so that a silent client is gone after 27 s
//! at the latest.

use super::setup::Setup;
use muster_naming::Ending;
use std::time::{Duration, Instant};

/// Silence after which a client is asked whether it lives; Nacos's own. Clients send something every 5 s.
pub(super) const SILENCE: Duration = Duration::from_secs(20);

/// How long it may take to say so; Nacos's own is the same.
pub(super) const DETECTION: Duration = Duration::from_secs(5);

/// From a stream's opening to its setup. Clients send it as the first thing they do.
pub(super) const SETUP: Duration = Duration::from_secs(10);

/// A transport that was never set up, from its beginning. Clients set up within a second, or else want to be told.
pub(super) const UNSET: Duration = Duration::from_secs(30);

/// From the end of the last stream that was set up to the transport's: a client that goes on opens the next at once.
pub(super) const STREAMLESS: Duration = Duration::from_secs(2);

/// From asking a client to go to closing its transport: Java and Go have changed over by then, and open the new connection
/// first.
pub(super) const MOVE: Duration = Duration::from_secs(3);

/// Streams of one transport. Python 2.0.0 has one for each client object of a process; all others have one.
pub(super) const STREAMS_MAX: usize = 32;

/// Numbers a transport's streams in the order of their opening.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct StreamNo(pub(super) u32);

/// Why a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EndReason {
    /// The client's doing, or the network's.
    Closed,
    /// It did not say that it lives.
    Silent,
    /// It was asked to go to another node.
    Reset,
    /// It reads nothing of what it is sent.
    Blocked,
    /// This node takes no more, or does not serve.
    Refused,
}

impl EndReason {
    pub(crate) fn label(self) -> &'static str {
        match self {
            EndReason::Closed => "closed",
            EndReason::Silent => "silent",
            EndReason::Reset => "reset",
            EndReason::Blocked => "blocked",
            EndReason::Refused => "refused",
        }
    }

    /// What it is to what the connection published. Whom this node sends away is to be listed until it has found another.
    pub(super) fn ending(self) -> Ending {
        match self {
            EndReason::Closed => Ending::Closed,
            EndReason::Silent => Ending::Silent,
            EndReason::Reset | EndReason::Blocked | EndReason::Refused => Ending::Evicted,
        }
    }
}

/// What is due now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Due {
    Nothing,
    /// Ask whether it lives.
    Detect,
    /// Ask it to go to another node.
    Go,
    End(EndReason),
}

/// What became of a setup.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SetUp {
    Registered,
    /// Registered; its streams of naming have ended before and this is none: what naming holds for the connection goes.
    NoNaming,
    /// A stream's first setup counts, as in Nacos.
    Already,
    /// The stream has ended meanwhile.
    NoStream,
}

/// What a stream's end leaves behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Left {
    /// Nothing that matters: it was not set up, or others of its kind remain.
    Same,
    /// Streams of other modules remain, and none of naming: what naming holds for the connection goes.
    NoNaming,
    /// None that was set up remains; the transport goes soon.
    Unregistered,
}

struct Slot {
    number: StreamNo,
    opened: Instant,
    setup: Option<Setup>,
}

/// The state of one connection.
pub(super) struct Life {
    slots: Vec<Slot>,
    opened: u32,
    last_active: Instant,
    asked: Option<Instant>,
    /// It was asked to go, then.
    sent_away: Option<Instant>,
    /// Naming may hold something for the connection.
    held_by_naming: bool,
    /// The last stream that was set up has ended, then.
    streamless: Option<Instant>,
}

impl Life {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            slots: Vec::new(),
            opened: 0,
            last_active: now,
            asked: None,
            sent_away: None,
            held_by_naming: false,
            streamless: None,
        }
    }

    /// A further stream, if there may be one.
    pub(super) fn open(&mut self, now: Instant) -> Option<StreamNo> {
        if self.slots.len() >= STREAMS_MAX {
            return None;
        }
        self.opened = self.opened.wrapping_add(1);
        let number = StreamNo(self.opened);
        // Nearly all clients have one stream.
        self.slots.reserve_exact(1);
        self.slots.push(Slot {
            number,
            opened: now,
            setup: None,
        });
        Some(number)
    }

    pub(super) fn set_up(&mut self, number: StreamNo, setup: Setup, now: Instant) -> SetUp {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.number == number) else {
            return SetUp::NoStream;
        };
        if slot.setup.is_some() {
            return SetUp::Already;
        }
        slot.setup = Some(setup);
        self.streamless = None;
        self.active(now);
        match self.naming_is_over() {
            true => SetUp::NoNaming,
            false => SetUp::Registered,
        }
    }

    pub(super) fn close(&mut self, number: StreamNo, now: Instant) -> Left {
        let Some(index) = self.slots.iter().position(|slot| slot.number == number) else {
            return Left::Same;
        };
        if self.slots.swap_remove(index).setup.is_none() {
            return Left::Same;
        }
        if !self.is_registered() {
            self.streamless = Some(now);
            self.asked = None;
            return Left::Unregistered;
        }
        match self.naming_is_over() {
            true => Left::NoNaming,
            false => Left::Same,
        }
    }

    /// Whether naming holds something that none of the streams is for; said once.
    fn naming_is_over(&mut self) -> bool {
        let held = self.held_by_naming;
        self.held_by_naming = self.is_naming();
        held && !self.held_by_naming
    }

    /// It did something that only a living client does.
    pub(super) fn active(&mut self, now: Instant) {
        self.last_active = self.last_active.max(now);
        self.asked = None;
    }

    pub(super) fn last_active(&self) -> Instant {
        self.last_active
    }

    pub(super) fn is_registered(&self) -> bool {
        self.setups().next().is_some()
    }

    pub(super) fn is_naming(&self) -> bool {
        self.setups().any(|(_, setup)| setup.is_naming())
    }

    /// The streams that were set up, and as what.
    pub(super) fn setups(&self) -> impl Iterator<Item = (StreamNo, &Setup)> {
        let slots = self.slots.iter();
        slots.filter_map(|slot| slot.setup.as_ref().map(|setup| (slot.number, setup)))
    }

    /// A stream that should have been set up by now.
    pub(super) fn late(&self, now: Instant) -> Option<StreamNo> {
        let late = |slot: &&Slot| slot.setup.is_none() && now.saturating_duration_since(slot.opened) >= SETUP;
        self.slots.iter().find(late).map(|slot| slot.number)
    }

    /// There is reason to think that it is dead: what is due now.
    pub(super) fn doubt(&mut self, now: Instant) -> Due {
        if !self.is_registered() || self.asked.is_some() {
            return Due::Nothing;
        }
        self.asked = Some(now);
        Due::Detect
    }

    /// What is due where the node serves no more: its clients are asked to go, and then ended.
    pub(super) fn send_away(&mut self, now: Instant) -> Due {
        match self.sent_away {
            None => {
                self.sent_away = Some(now);
                Due::Go
            }
            Some(then) if now.saturating_duration_since(then) >= MOVE => Due::End(EndReason::Reset),
            Some(_) => Due::Nothing,
        }
    }

    /// What is due where the node serves.
    pub(super) fn look(&mut self, now: Instant) -> Due {
        self.sent_away = None;
        let since = |then: Instant| now.saturating_duration_since(then);
        if !self.is_registered() {
            return match self.streamless {
                Some(then) if since(then) >= STREAMLESS => Due::End(EndReason::Closed),
                None if since(self.last_active) >= UNSET => Due::End(EndReason::Silent),
                _ => Due::Nothing,
            };
        }
        match self.asked {
            Some(then) if since(then) >= DETECTION => Due::End(EndReason::Silent),
            None if since(self.last_active) >= SILENCE => {
                self.asked = Some(now);
                Due::Detect
            }
            _ => Due::Nothing,
        }
    }
}

#[cfg(test)]
mod tests;

//! The state of every link, one way, and what becomes of something that is sent over it.

use crate::random::Random;
use muster_model::MemberId;
use std::collections::BTreeMap;

/// Who is at an end of a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    Member(MemberId),
    Client(usize),
}

/// One direction of a link. The default is a sound one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Link {
    pub cut: bool,
    /// On top of the usual few milliseconds.
    pub slow_ms: u64,
    pub lost_per_mille: u64,
    pub doubled_per_mille: u64,
}

impl Link {
    pub fn is_sound(self) -> bool {
        self == Self::default()
    }
}

/// What becomes of something that is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Lost,
    Arrives { after_ms: u64, again_after_ms: Option<u64> },
}

/// All links.
pub struct Links {
    links: BTreeMap<(Place, Place), Link>,
    /// When a link last changed; one that is not here never did.
    changed_ms: BTreeMap<(Place, Place), u64>,
    random: Random,
}

impl Links {
    pub fn new(random: Random) -> Self {
        Self {
            links: BTreeMap::new(),
            changed_ms: BTreeMap::new(),
            random,
        }
    }

    pub fn of(&self, from: Place, to: Place) -> Link {
        self.links.get(&(from, to)).copied().unwrap_or_default()
    }

    pub fn set(&mut self, from: Place, to: Place, link: Link, now_ms: u64) {
        if self.of(from, to) == link {
            return;
        }
        self.changed_ms.insert((from, to), now_ms);
        if link.is_sound() {
            self.links.remove(&(from, to));
        } else {
            self.links.insert((from, to), link);
        }
    }

    /// Changes both directions.
    pub fn set_both(&mut self, a: Place, b: Place, link: Link, now_ms: u64) {
        self.set(a, b, link, now_ms);
        self.set(b, a, link, now_ms);
    }

    /// Makes every link sound.
    pub fn heal(&mut self, now_ms: u64) {
        for ends in std::mem::take(&mut self.links).into_keys() {
            self.changed_ms.insert(ends, now_ms);
        }
    }

    /// Since when both directions have been sound; `None` while one is not.
    pub fn sound_since(&self, a: Place, b: Place) -> Option<u64> {
        if !self.of(a, b).is_sound() || !self.of(b, a).is_sound() {
            return None;
        }
        let changed = |from, to| self.changed_ms.get(&(from, to)).copied().unwrap_or(0);
        Some(changed(a, b).max(changed(b, a)))
    }

    /// What becomes of something sent now.
    pub fn fate(&mut self, from: Place, to: Place) -> Fate {
        let link = self.of(from, to);
        if link.cut || self.random.chance(link.lost_per_mille) {
            return Fate::Lost;
        }
        let after_ms = self.delay_ms(link);
        let again_after_ms = self
            .random
            .chance(link.doubled_per_mille)
            .then(|| after_ms + self.delay_ms(link));
        Fate::Arrives {
            after_ms,
            again_after_ms,
        }
    }

    /// Mostly two milliseconds or three; one in fifty is late, so that things overtake each other.
    fn delay_ms(&mut self, link: Link) -> u64 {
        let usual = if self.random.one_in(50) {
            self.random.between(4, 40)
        } else {
            self.random.between(2, 3)
        };
        match link.slow_ms {
            0 => usual,
            slow_ms => usual + self.random.between(slow_ms / 2, slow_ms),
        }
    }
}

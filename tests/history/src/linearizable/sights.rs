//! Who still has to see what, and who can still make it so.
//!
//! A field that an unexplained read has to see, and that no unexplained write sets to that value, must not be overwritten: the
//! read could never be explained. This is what keeps the search from wandering: without it a wrong order of two writes shows
//! tens of calls later.

use super::object::{Act, Object, Write};
use crate::Value;
use std::collections::HashMap;

/// One thing that can be seen of an instance.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Sight {
    Absent,
    Weight(u32),
    Tag(u64),
}

/// Counts of what is left, by sight. Sights that no read has are not counted.
#[derive(Debug)]
pub(super) struct Sights {
    numbers: HashMap<(usize, Sight), usize>,
    /// Unexplained reads that have it.
    wanted: Vec<u32>,
    /// Unexplained writes, of known and unknown outcome, that make it.
    makers: Vec<u32>,
}

fn of(value: Option<Value>) -> impl Iterator<Item = Sight> {
    let both = value.map(|value| [Sight::Weight(value.weight), Sight::Tag(value.tag)]);
    let absent = value.is_none().then_some(Sight::Absent);
    both.into_iter().flatten().chain(absent)
}

fn made_by(write: Write) -> impl Iterator<Item = Sight> {
    let (weight, tag) = match write {
        Write::Set(value) => (Some(value.weight), Some(value.tag)),
        Write::Edit(edit) => (edit.weight, edit.tag),
        Write::Clear => (None, None),
    };
    let absent = (write == Write::Clear).then_some(Sight::Absent);
    weight
        .map(Sight::Weight)
        .into_iter()
        .chain(tag.map(Sight::Tag))
        .chain(absent)
}

impl Sights {
    pub(super) fn of(object: &Object) -> Self {
        let mut sights = Self {
            numbers: HashMap::new(),
            wanted: Vec::new(),
            makers: Vec::new(),
        };
        for sure in &object.sure {
            let Act::Read(seen) = &sure.act else { continue };
            for (key, value) in seen.iter().enumerate() {
                for sight in of(*value) {
                    let new = sights.numbers.len();
                    sights.numbers.entry((key, sight)).or_insert(new);
                }
            }
        }
        sights.wanted = vec![0; sights.numbers.len()];
        sights.makers = vec![0; sights.numbers.len()];
        for sure in &object.sure {
            sights.put_back(&sure.act);
        }
        for maybe in &object.maybe {
            sights.unmade(maybe.key, maybe.write);
        }
        sights
    }

    fn number(&self, key: usize, sight: Sight) -> Option<usize> {
        self.numbers.get(&(key, sight)).copied()
    }

    /// Whether any read has it, explained or not.
    pub(super) fn is_seen(&self, key: usize, sight: Sight) -> bool {
        self.numbers.contains_key(&(key, sight))
    }

    /// A call is explained.
    pub(super) fn take_out(&mut self, act: &Act) {
        match act {
            Act::Read(seen) => self.count_read(seen, |wanted| *wanted -= 1),
            Act::Write { key, write } => self.made(*key, *write),
        }
    }

    /// A call is not explained after all.
    pub(super) fn put_back(&mut self, act: &Act) {
        match act {
            Act::Read(seen) => self.count_read(seen, |wanted| *wanted += 1),
            Act::Write { key, write } => self.unmade(*key, *write),
        }
    }

    fn count_read(&mut self, seen: &[Option<Value>], mut count: impl FnMut(&mut u32)) {
        for (key, value) in seen.iter().enumerate() {
            for sight in of(*value) {
                if let Some(number) = self.number(key, sight) {
                    count(&mut self.wanted[number]);
                }
            }
        }
    }

    pub(super) fn made(&mut self, key: usize, write: Write) {
        for sight in made_by(write) {
            if let Some(number) = self.number(key, sight) {
                self.makers[number] -= 1;
            }
        }
    }

    pub(super) fn unmade(&mut self, key: usize, write: Write) {
        for sight in made_by(write) {
            if let Some(number) = self.number(key, sight) {
                self.makers[number] += 1;
            }
        }
    }

    /// What going from one value to another loses although it is wanted and nobody can make it again.
    pub(super) fn lost(&self, key: usize, from: Option<Value>, to: Option<Value>) -> Option<Sight> {
        let stays = |sight: &Sight| of(to).any(|other| other == *sight);
        of(from).filter(|sight| !stays(sight)).find(|sight| {
            let number = self.number(key, *sight);
            number.is_some_and(|number| self.wanted[number] > 0 && self.makers[number] == 0)
        })
    }
}

impl Sight {
    pub(super) fn is_of(self, value: Option<Value>) -> bool {
        of(value).any(|sight| sight == self)
    }
}

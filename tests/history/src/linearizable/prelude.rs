//! Which writes of unknown outcome may have come right before a look.
//!
//! All answers are minimal: each write in them leaves at least one field, or the instance's presence, for the look to see. An
//! instance has two fields, so that no prelude is longer than a registration and two edits.

use super::object::{Object, Write};
use super::sights::{Sight, Sights};
use crate::{Edit, Value};

/// Numbers of writes of unknown outcome, in their order.
pub(super) type Prelude = Vec<usize>;

/// The open writes of unknown outcome on one key at one moment of the search.
pub(super) struct Open<'a> {
    sights: &'a Sights,
    key: usize,
    sets: Vec<(usize, Value)>,
    edits: Vec<(usize, Edit)>,
    /// Any one: who clears is the same as who else clears.
    clear: Option<usize>,
}

impl<'a> Open<'a> {
    pub(super) fn new(object: &Object, sights: &'a Sights, key: usize, open: impl Iterator<Item = usize>) -> Self {
        let mut this = Self {
            sights,
            key,
            sets: Vec::new(),
            edits: Vec::new(),
            clear: None,
        };
        for number in open {
            let maybe = &object.maybe[number];
            match maybe.write {
                Write::Set(value) => this.sets.push((number, value)),
                Write::Edit(edit) => this.edits.push((number, edit)),
                Write::Clear => this.clear = this.clear.or(Some(number)),
            }
        }
        this
    }

    /// How the state may have become what a read saw, which differs from it.
    pub(super) fn leading_to(&self, state: Option<Value>, seen: Option<Value>) -> Vec<Prelude> {
        let Some(seen) = seen else {
            return self.clear.map(|clear| vec![clear]).into_iter().collect();
        };
        let mut preludes = Vec::new();
        // registrations of the same value are as good as each other
        if let Some((set, _)) = self.sets.iter().find(|(_, value)| *value == seen) {
            preludes.push(vec![*set]);
        }
        if let Some(state) = state {
            self.edited(state, seen, &[], &mut preludes);
        }
        for (set, value) in self.sets.iter().filter(|(_, value)| *value != seen) {
            self.edited(*value, seen, &[*set], &mut preludes);
        }
        preludes
    }

    /// One edit or two that make `seen` of `from`.
    fn edited(&self, from: Value, seen: Value, before: &[usize], preludes: &mut Vec<Prelude>) {
        // whatever the last edit sets is seen
        let last = self.edits.iter().filter(|(_, edit)| edit.apply(seen) == seen);
        for (last, last_edit) in last {
            if last_edit.apply(from) == seen {
                preludes.push([before, &[*last]].concat());
                continue;
            }
            for (first, first_edit) in self.edits.iter().filter(|(first, _)| first != last) {
                if last_edit.apply(first_edit.apply(from)) == seen {
                    preludes.push([before, &[*first, *last]].concat());
                }
            }
        }
    }

    /// What may have come before an edit that was done: it found the instance there, and left what it does not set itself.
    pub(super) fn before_edit(&self, state: Option<Value>, edit: Edit) -> Vec<Prelude> {
        // the fields that show through, as some read saw them
        let weight_shows = |weight: u32| edit.weight.is_none() && self.sights.is_seen(self.key, Sight::Weight(weight));
        let tag_shows = |tag: u64| edit.tag.is_none() && self.sights.is_seen(self.key, Sight::Tag(tag));
        let shows = |value: Value| weight_shows(value.weight) || tag_shows(value.tag);
        let edit_shows = |it: &Edit| it.weight.is_some_and(weight_shows) || it.tag.is_some_and(tag_shows);
        let mut preludes = Vec::new();
        if state.is_some() {
            preludes.push(Vec::new());
            let edits = self.edits.iter().filter(|(_, it)| edit_shows(it));
            preludes.extend(edits.map(|(number, _)| vec![*number]));
        }
        let mut unseen = None;
        for (set, value) in &self.sets {
            if shows(*value) {
                preludes.push(vec![*set]);
            } else {
                unseen = unseen.or(Some(*set));
            }
        }
        if state.is_none() {
            // to be there, one that nobody saw does as well as any other, and is of no use elsewhere
            preludes.extend(unseen.map(|set| vec![set]));
            let sets: Vec<_> = match unseen {
                Some(set) => vec![set],
                None => self.sets.iter().map(|(set, _)| *set).collect(),
            };
            for set in sets {
                let edits = self.edits.iter().filter(|(_, it)| edit_shows(it));
                preludes.extend(edits.map(|(number, _)| vec![set, *number]));
            }
        }
        preludes
    }
}

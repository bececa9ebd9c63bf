//! The search for an order, without recursion, since a history is longer than a stack is deep.

use super::object::{Act, Object, Write};
use super::prelude::{Open, Prelude};
use super::sights::Sights;
use crate::{Call, Time, Value};
use std::collections::HashSet;

/// Calls told of where the search came to its deepest dead end.
const CALLS_TOLD_MAX: usize = 8;

const BARRED_TOLD_MAX: usize = 4;

/// The value of each key.
type State = Vec<Option<Value>>;

pub(super) enum Found {
    /// There is an order that explains everything.
    Order,
    /// There is none.
    Nothing(Deepest),
    /// The bound came first.
    GivenUp { steps: usize },
}

/// The longest explanation that was found, and what does not fit into it.
#[derive(Default)]
pub(super) struct Deepest {
    explained: usize,
    state: State,
    next: Vec<usize>,
    /// Reads that would be left without an explanation by going on.
    barred: Vec<usize>,
}

impl Deepest {
    pub(super) fn told(&self, object: &Object, calls: &[&Call]) -> String {
        let mut text = format!(
            "no order explains more than {} of {} calls ({} more have an unknown outcome). There the list is",
            self.explained,
            object.sure.len(),
            object.maybe.len()
        );
        for (key, value) in object.keys.iter().zip(&self.state) {
            match value {
                Some(value) => text.push_str(&format!(" {key}={value}")),
                None => text.push_str(&format!(" {key}=absent")),
            }
        }
        text.push_str("\nand no order goes on with one of");
        for sure in self.next.iter().take(CALLS_TOLD_MAX) {
            text.push_str(&format!("\n{}", calls[object.sure[*sure].call]));
        }
        if !self.barred.is_empty() {
            text.push_str("\nfor that leaves no explanation of");
            for sure in &self.barred {
                text.push_str(&format!("\n{}", calls[object.sure[*sure].call]));
            }
        }
        text
    }
}

pub(super) fn search(object: &Object, steps_max: usize) -> Found {
    Search::new(object).run(steps_max)
}

/// A write or read of known outcome, after writes of unknown outcome that it needs.
struct Move {
    prelude: Prelude,
    sure: usize,
}

/// One point of the search, and what can be done there.
struct Frame {
    /// Reads that fitted, taken on arrival.
    taken: Vec<usize>,
    state: State,
    moves: std::vec::IntoIter<Move>,
    applied: Option<Move>,
}

struct Search<'a> {
    object: &'a Object,
    /// The calls that are not explained yet, linked in the order of their invocation; the last place is the ring's head.
    next: Vec<usize>,
    previous: Vec<usize>,
    /// The same as bits, set for explained calls.
    explained: Vec<u64>,
    explained_count: usize,
    /// Highest word of `explained` that was ever set.
    words: usize,
    used: Vec<bool>,
    sights: Sights,
    state: State,
    tried: HashSet<Box<[u64]>>,
    deepest: Deepest,
}

impl<'a> Search<'a> {
    fn new(object: &'a Object) -> Self {
        let count = object.sure.len();
        Self {
            object,
            next: (1..=count).chain([0]).collect(),
            previous: [count].into_iter().chain(0..count).collect(),
            explained: vec![0; count / 64 + 1],
            explained_count: 0,
            words: 0,
            used: vec![false; object.maybe.len()],
            sights: Sights::of(object),
            state: vec![None; object.keys.len()],
            tried: HashSet::new(),
            deepest: Deepest::default(),
        }
    }

    fn run(mut self, steps_max: usize) -> Found {
        let mut frames: Vec<Frame> = Vec::new();
        let mut steps = 0;
        loop {
            let taken = self.take_fitting_reads();
            if self.explained_count == self.object.sure.len() {
                return Found::Order;
            }
            steps += 1;
            if steps > steps_max {
                return Found::GivenUp { steps: steps_max };
            }
            let moves = if self.tried.insert(self.position()) {
                self.moves()
            } else {
                Vec::new()
            };
            frames.push(Frame {
                taken,
                state: self.state.clone(),
                moves: moves.into_iter(),
                applied: None,
            });
            if !self.go_on(&mut frames) {
                return Found::Nothing(self.deepest);
            }
        }
    }

    /// Makes the next move there is, going back as far as need be; `false` when all were tried.
    fn go_on(&mut self, frames: &mut Vec<Frame>) -> bool {
        while let Some(frame) = frames.last_mut() {
            if let Some(applied) = frame.applied.take() {
                self.undo(applied, &frame.state);
            }
            if let Some(step) = frame.moves.next() {
                if self.apply(&step) {
                    frame.applied = Some(step);
                    return true;
                }
                self.undo(step, &frame.state);
                continue;
            }
            for read in frame.taken.drain(..).rev() {
                self.put_back(read);
            }
            frames.pop();
        }
        false
    }

    /// Makes a move; `false` if a read that is left can never be explained after it.
    fn apply(&mut self, step: &Move) -> bool {
        let mut well = true;
        self.take_out(step.sure);
        for maybe in &step.prelude {
            let it = &self.object.maybe[*maybe];
            self.used[*maybe] = true;
            self.sights.made(it.key, it.write);
            well &= self.write(it.key, it.write);
        }
        if let Act::Write { key, write } = self.object.sure[step.sure].act {
            well &= self.write(key, write);
        }
        well
    }

    fn write(&mut self, key: usize, write: Write) -> bool {
        let from = self.state[key];
        let to = write.apply(from);
        self.state[key] = to;
        let Some(lost) = self.sights.lost(key, from, to) else {
            return true;
        };
        if self.explained_count == self.deepest.explained + 1 && self.deepest.barred.len() < BARRED_TOLD_MAX {
            let wants = |sure: usize| matches!(&self.object.sure[sure].act, Act::Read(seen) if lost.is_of(seen[key]));
            let head = self.object.sure.len();
            let left = std::iter::successors(Some(self.next[head]), |sure| Some(self.next[*sure]));
            let barred = left.take_while(|sure| *sure != head).find(|sure| wants(*sure));
            self.deepest
                .barred
                .extend(barred.filter(|sure| !self.deepest.barred.contains(sure)));
        }
        false
    }

    fn undo(&mut self, step: Move, state: &State) {
        self.put_back(step.sure);
        for maybe in step.prelude {
            let it = &self.object.maybe[maybe];
            self.used[maybe] = false;
            self.sights.unmade(it.key, it.write);
        }
        self.state.clone_from(state);
    }

    /// The calls that no other unexplained call has returned before, and until when writes of unknown outcome must have been
    /// invoked to come now.
    fn candidates(&self) -> (Vec<usize>, Time) {
        let head = self.object.sure.len();
        let mut first_return = Time::MAX;
        let mut candidates = Vec::new();
        let mut sure = self.next[head];
        while sure != head && self.object.sure[sure].invoked <= first_return {
            first_return = first_return.min(self.object.sure[sure].returned);
            candidates.push(sure);
            sure = self.next[sure];
        }
        (candidates, first_return)
    }

    fn take_fitting_reads(&mut self) -> Vec<usize> {
        let mut taken = Vec::new();
        loop {
            let (candidates, _) = self.candidates();
            let fits = |sure: &usize| matches!(&self.object.sure[*sure].act, Act::Read(seen) if *seen == self.state);
            let fitting: Vec<_> = candidates.into_iter().filter(fits).collect();
            if fitting.is_empty() {
                return taken;
            }
            for read in fitting {
                self.take_out(read);
                taken.push(read);
            }
        }
    }

    fn moves(&mut self) -> Vec<Move> {
        let (mut candidates, first_return) = self.candidates();
        if self.explained_count > self.deepest.explained || self.deepest.next.is_empty() {
            self.deepest = Deepest {
                explained: self.explained_count,
                state: self.state.clone(),
                next: candidates.clone(),
                barred: Vec::new(),
            };
        }
        // most calls take effect in the order in which they return
        candidates.sort_by_key(|sure| self.object.sure[*sure].returned);
        let mut moves = Vec::new();
        for sure in candidates {
            let preludes = self.preludes(sure, first_return);
            moves.extend(preludes.into_iter().map(|prelude| Move { prelude, sure }));
        }
        moves
    }

    fn preludes(&self, sure: usize, first_return: Time) -> Vec<Prelude> {
        let open = |key: usize| {
            let usable = move |maybe: &usize| {
                let it = &self.object.maybe[*maybe];
                !self.used[*maybe] && it.invoked <= first_return
            };
            let of_key = self.object.maybe_of[key].iter().copied();
            Open::new(self.object, &self.sights, key, of_key.filter(usable))
        };
        match &self.object.sure[sure].act {
            Act::Write { key, write } => match write {
                Write::Edit(edit) => open(*key).before_edit(self.state[*key], *edit),
                _ => vec![Prelude::new()],
            },
            Act::Read(seen) => {
                let mut preludes = vec![Prelude::new()];
                for (key, seen) in seen.iter().enumerate() {
                    if self.state[key] == *seen {
                        continue;
                    }
                    let ways = open(key).leading_to(self.state[key], *seen);
                    let with_each = |prelude: Prelude| {
                        let with = |way: &Prelude| [prelude.as_slice(), way].concat();
                        ways.iter().map(with).collect::<Vec<_>>()
                    };
                    preludes = preludes.into_iter().flat_map(with_each).collect();
                }
                preludes
            }
        }
    }

    /// What is explained, what was used and the state, in as few words as tell it from any other position.
    fn position(&self) -> Box<[u64]> {
        let head = self.object.sure.len();
        let first = self.next[head];
        let mut position = vec![first as u64];
        // all before `first` is explained; trailing zeros would tell one position from itself
        let words = &self.explained[first / 64..=self.words.max(first / 64)];
        let kept = words.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
        position.push(kept as u64);
        position.extend(&words[..kept]);
        for value in &self.state {
            match value {
                None => position.push(u64::MAX),
                Some(value) => position.extend([u64::from(value.weight), value.tag]),
            }
        }
        let used = self.used.iter().enumerate().filter(|(_, used)| **used);
        position.extend(used.map(|(maybe, _)| maybe as u64));
        position.into()
    }

    fn take_out(&mut self, sure: usize) {
        let (next, previous) = (self.next[sure], self.previous[sure]);
        self.next[previous] = next;
        self.previous[next] = previous;
        self.explained[sure / 64] |= 1 << (sure % 64);
        self.words = self.words.max(sure / 64);
        self.explained_count += 1;
        self.sights.take_out(&self.object.sure[sure].act);
    }

    /// In the opposite order of [`Search::take_out`].
    fn put_back(&mut self, sure: usize) {
        let (next, previous) = (self.next[sure], self.previous[sure]);
        self.next[previous] = sure;
        self.previous[next] = sure;
        self.explained[sure / 64] &= !(1 << (sure % 64));
        self.explained_count -= 1;
        self.sights.put_back(&self.object.sure[sure].act);
    }
}

//! The latest commands' answers, so that a retry is answered and not carried out again.

use crate::command::RequestId;
use crate::outcome::Outcome;
use crate::record::Malformed;
use prost::Message;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;

/// Answers kept. Counted, not timed, so that all members forget the same one at the same entry. At 5,000 writes a second
/// it spans 3 s, which is what a write may wait at most; a retry later than that meets commands that are harmless twice.
pub(crate) const CAPACITY: u64 = 16_384;
/// Answers in one record of a checkpoint or frame of a snapshot.
pub(crate) const BLOCK: u64 = 512;

/// A bounded memory of answers, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    kept: VecDeque<Remembered>,
    by_id: HashMap<RequestId, (u64, Outcome)>,
    /// How many were ever remembered; the ordinal of the next one.
    next: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Remembered {
    pub(crate) id: RequestId,
    pub(crate) index: u64,
    pub(crate) outcome: Outcome,
}

impl Window {
    pub(crate) fn find(&self, id: RequestId) -> Option<(u64, Outcome)> {
        self.by_id.get(&id).copied()
    }

    pub(crate) fn remember(&mut self, answer: Remembered) {
        if self.kept.len() as u64 == CAPACITY
            && let Some(oldest) = self.kept.pop_front()
        {
            self.by_id.remove(&oldest.id);
        }
        self.by_id.insert(answer.id, (answer.index, answer.outcome));
        self.kept.push_back(answer);
        self.next += 1;
    }

    /// How many were ever remembered.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    fn ordinals(&self) -> Range<u64> {
        self.next - self.kept.len() as u64..self.next
    }

    /// The numbers of the blocks that answers since `since` went to.
    pub(crate) fn blocks_since(&self, since: u64) -> impl Iterator<Item = u64> {
        let kept = self.ordinals();
        let first = since.max(kept.start) / BLOCK;
        let last = kept.end.div_ceil(BLOCK);
        // the oldest block may share its place with the newest
        (first..last)
            .map(|block| block % (CAPACITY / BLOCK))
            .take((CAPACITY / BLOCK) as usize)
    }

    /// What is kept in the place of block `number`.
    pub(crate) fn encode_block(&self, number: u64) -> Vec<u8> {
        let kept = self.ordinals();
        let answers = self.kept.iter().zip(kept);
        let of_block = answers.filter(|(_, ordinal)| (ordinal / BLOCK) % (CAPACITY / BLOCK) == number);
        let answers = of_block
            .map(|(answer, ordinal)| AnswerRecord {
                ordinal,
                origin: answer.id.origin,
                sequence: answer.id.sequence,
                index: answer.index,
                outcome: answer.outcome.to_number(),
            })
            .collect();
        BlockRecord { answers }.encode_to_vec()
    }

    /// A window of the answers in `blocks`, given in any order, of which `next` were ever remembered.
    pub(crate) fn decode<'a>(blocks: impl Iterator<Item = &'a [u8]>, next: u64) -> Result<Self, Malformed> {
        let mut answers = Vec::new();
        for block in blocks {
            let block = BlockRecord::decode(block).map_err(|error| Malformed::of("answers", error))?;
            answers.extend(block.answers);
        }
        answers.sort_by_key(|answer| answer.ordinal);
        let mut window = Self {
            next: next.saturating_sub(CAPACITY),
            ..Self::default()
        };
        for answer in answers {
            if answer.ordinal != window.next {
                return Err(Malformed(format!("answer {} follows {}", answer.ordinal, window.next)));
            }
            window.remember(Remembered {
                id: RequestId {
                    origin: answer.origin,
                    sequence: answer.sequence,
                },
                index: answer.index,
                outcome: Outcome::from_number(answer.outcome)?,
            });
        }
        if window.next != next {
            return Err(Malformed(format!("{} answers of {next}", window.next)));
        }
        Ok(window)
    }
}

impl PartialEq for Window {
    fn eq(&self, other: &Self) -> bool {
        self.next == other.next && self.kept == other.kept
    }
}

#[derive(Clone, PartialEq, Message)]
struct BlockRecord {
    #[prost(message, repeated, tag = "1")]
    answers: Vec<AnswerRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct AnswerRecord {
    #[prost(uint64, tag = "1")]
    ordinal: u64,
    #[prost(fixed64, tag = "2")]
    origin: u64,
    #[prost(uint64, tag = "3")]
    sequence: u64,
    #[prost(uint64, tag = "4")]
    index: u64,
    #[prost(uint32, tag = "5")]
    outcome: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(n: u64) -> Remembered {
        Remembered {
            id: RequestId { origin: 7, sequence: n },
            index: n + 100,
            outcome: Outcome::Changed,
        }
    }

    fn filled(count: u64) -> Window {
        let mut window = Window::default();
        (0..count).for_each(|n| window.remember(answer(n)));
        window
    }

    #[test]
    fn the_oldest_answer_is_forgotten_when_the_window_is_full() {
        let window = filled(CAPACITY + 1);
        assert_eq!(window.find(answer(0).id), None);
        assert_eq!(window.find(answer(1).id), Some((101, Outcome::Changed)));
        assert_eq!(window.by_id.len() as u64, CAPACITY);
    }

    #[test]
    fn blocks_written_as_they_change_hold_the_whole_window_at_any_fill() {
        let mut window = Window::default();
        let mut places: HashMap<u64, Vec<u8>> = HashMap::new();
        let mut since = 0;
        for step in [1, 3, 508, 0, 512, 700, 9_000, 6_000, 1, 40_000, 511, 1] {
            (0..step).for_each(|_| window.remember(answer(window.next())));
            for block in window.blocks_since(since) {
                places.insert(block, window.encode_block(block));
            }
            since = window.next();
            let loaded = Window::decode(places.values().map(Vec::as_slice), window.next()).unwrap();
            assert_eq!(loaded, window, "after {step}");
        }
    }

    #[test]
    fn a_window_with_a_hole_is_refused() {
        let window = filled(2_000);
        let blocks = [window.encode_block(0), window.encode_block(2), window.encode_block(3)];
        assert!(Window::decode(blocks.iter().map(Vec::as_slice), 2_000).is_err());
        assert!(Window::decode([].into_iter(), 1).is_err());
    }
}

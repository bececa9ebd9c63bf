//! Inputs beside those that are kept, chosen without looking at what they reach: a check that needs no build of its own.
//!
//! Coverage finds deeper (`cargo xtask fuzz`), but what it has found is in the corpus, and a step or two away from that is where
//! a change of the code is noticed.

/// More changes at once leave nothing of the input.
const CHANGES_MAX: usize = 4;
/// A range that is left out, doubled or taken from another input.
const RANGE_BYTES_MAX: usize = 64;

/// Numbers at which counting goes wrong, as a byte and at the end of wider ones.
const EDGES: [u8; 8] = [0, 1, 2, 5, 0x7f, 0x80, 0xfe, 0xff];

/// Numbers out of a seed, the same each time.
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below a bound that is not 0.
    fn below(&mut self, bound: usize) -> usize {
        ((self.next() >> 32) % bound as u64) as usize
    }

    pub(crate) fn byte(&mut self) -> u8 {
        (self.next() >> 32) as u8
    }

    fn edge(&mut self) -> u8 {
        EDGES[self.below(EDGES.len())]
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let begin = self.below(length + 1);
        let bytes = self.below(RANGE_BYTES_MAX.min(length - begin) + 1);
        begin..begin + bytes
    }
}

/// One of the inputs, changed a little; never longer than allowed.
///
/// # Panics
/// There are no inputs.
pub fn mutated(inputs: &[Vec<u8>], bytes_max: usize, noise: &mut Noise) -> Vec<u8> {
    let mut input = inputs[noise.below(inputs.len())].clone();
    for _ in 0..=noise.below(CHANGES_MAX) {
        change(&mut input, inputs, noise);
    }
    input.truncate(bytes_max);
    input
}

fn change(input: &mut Vec<u8>, inputs: &[Vec<u8>], noise: &mut Noise) {
    let at = noise.below(input.len() + 1);
    match noise.below(8) {
        0 => input.insert(at, noise.byte()),
        1 => input.insert(at, noise.edge()),
        2 => drop(input.drain(noise.range(input.len()))),
        3 => {
            let range = input[noise.range(input.len())].to_vec();
            input.splice(at..at, range);
        }
        4 => {
            let other = &inputs[noise.below(inputs.len())];
            let range = other[noise.range(other.len())].to_vec();
            input.splice(at..at, range);
        }
        5 => {
            let width = [2, 4, 8][noise.below(3)];
            let edge = noise.edge();
            input.iter_mut().skip(at).take(width).for_each(|byte| *byte = edge);
        }
        6 => input.iter_mut().skip(at).take(1).for_each(|byte| *byte = noise.edge()),
        _ => input
            .iter_mut()
            .skip(at)
            .take(1)
            .for_each(|byte| *byte ^= 1 << noise.below(8)),
    }
}

//! Chances that a seed repeats.

/// Xorshift.
#[derive(Clone, Copy)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn coin(&mut self) -> bool {
        self.next() & 0x1000 == 0
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        // The low bits of a xorshift are its weakest.
        (self.next() >> 16) % bound
    }
}

//! What openraft counts its batches with, in half a kibibyte each (ADR 009).
//!
//! The crate of this name on crates.io, in whose place cargo builds this one (`[patch.crates-io]`), finds its buckets in
//! tables. It makes them for all sixteen widths at the first use of one: 26 MiB that stay. Here a bucket is a power of two,
//! found by counting zeros. There is as much of that crate's face as openraft wants. openraft shows what is counted behind its
//! feature `runtime-stats` alone, which muster does not take.

use std::fmt;
use std::marker::PhantomData;

/// One for zero, and one for each place that the highest bit of a number can have.
const BUCKETS: usize = u64::BITS as usize + 1;

/// How many values fell between which powers of two. `T` is what the real one may note beside a span of time; not used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Histogram<T = ()> {
    counts: [u64; BUCKETS],
    noted: PhantomData<T>,
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Histogram<T> {
    /// Nothing counted.
    pub fn new() -> Self {
        Self {
            counts: [0; BUCKETS],
            noted: PhantomData,
        }
    }

    /// Counts `value` once.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts `value` `count` times.
    pub fn record_n(&mut self, value: u64, count: u64) {
        let bucket = u64::BITS - value.leading_zeros();
        self.counts[bucket as usize] += count;
    }

    /// How many values were counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The lower end of the bucket below or in which `share` (0 to 1) of the values are; 0 of none.
    pub fn percentile(&self, share: f64) -> u64 {
        let total = self.total();
        let wanted = ((total as f64 * share).ceil() as u64).clamp(1, total.max(1));
        let mut passed = 0;
        let reached = self.counts.iter().position(|count| {
            passed += count;
            passed >= wanted
        });
        match reached {
            None | Some(0) => 0,
            Some(bucket) => 1 << (bucket - 1),
        }
    }

    /// The usual percentiles.
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats {
            samples: self.total(),
            p0_1: self.percentile(0.001),
            p1: self.percentile(0.01),
            p5: self.percentile(0.05),
            p10: self.percentile(0.1),
            p50: self.percentile(0.5),
            p90: self.percentile(0.9),
            p99: self.percentile(0.99),
            p99_9: self.percentile(0.999),
        }
    }
}

/// The percentiles of a [`Histogram`], each the lower end of its bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub struct PercentileStats {
    pub samples: u64,
    pub p0_1: u64,
    pub p1: u64,
    pub p5: u64,
    pub p10: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} samples: 0.1 % {}, 1 % {}, 5 % {}, 10 % {}, 50 % {}, 90 % {}, 99 % {}, 99.9 % {}",
            self.samples, self.p0_1, self.p1, self.p5, self.p10, self.p50, self.p90, self.p99, self.p99_9
        )
    }
}

/// Histograms under each other, a line each.
#[derive(Clone, Default, Debug)]
pub struct AsciiChart {
    lines: Vec<(String, Histogram)>,
}

impl AsciiChart {
    /// Without a line.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one line more.
    #[must_use]
    pub fn add(mut self, name: impl Into<String>, histogram: Histogram) -> Self {
        self.lines.push((name.into(), histogram));
        self
    }
}

impl fmt::Display for AsciiChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines
            .iter()
            .try_for_each(|(name, histogram)| writeln!(f, "{name}: {}", histogram.percentile_stats()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_between_powers_of_two() {
        let mut histogram = Histogram::<()>::new();
        assert_eq!(histogram.percentile(0.5), 0);
        for value in [0, 1, 5, 5, 6, 7, 100, u64::MAX] {
            histogram.record(value);
        }
        assert_eq!(histogram.total(), 8);
        let stats = histogram.percentile_stats();
        assert_eq!((stats.p0_1, stats.p50, stats.p99), (0, 4, 1 << 63));
        assert_eq!(histogram.percentile(0.25), 1);
        histogram.record_n(0, 100);
        assert_eq!((histogram.total(), histogram.percentile(0.9)), (108, 0));
    }
}

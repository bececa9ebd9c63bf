//! Which bytes of a file were written since its last sync.

use std::ops::Range;

/// Past this many ranges they are one.
const RANGES_MAX: usize = 4096;

/// What changed in a file since its last sync.
#[derive(Default)]
pub(crate) struct Changes {
    /// Apart from each other, in order.
    ranges: Vec<Range<u64>>,
    /// The shortest the file has been: what lies behind it has been cut off, whatever it is now.
    shortest: Option<u64>,
    /// Nobody remembers; all may have changed.
    everything: bool,
}

impl Changes {
    /// Everything may have changed.
    pub(crate) fn unknown() -> Self {
        Self {
            everything: true,
            ..Self::default()
        }
    }

    pub(crate) fn wrote(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let first = self.ranges.partition_point(|old| old.end < range.start);
        let last = self.ranges.partition_point(|old| old.start <= range.end);
        let mut joined = range;
        for old in &self.ranges[first..last] {
            joined = joined.start.min(old.start)..joined.end.max(old.end);
        }
        self.ranges.splice(first..last, [joined]);
        if self.ranges.len() > RANGES_MAX {
            self.everything = true;
            self.ranges.clear();
        }
    }

    pub(crate) fn cut(&mut self, length: u64) {
        self.shortest = Some(self.shortest.map_or(length, |shortest| shortest.min(length)));
    }

    pub(crate) fn shortest(&self) -> Option<u64> {
        self.shortest
    }

    /// What has to be copied of a file of this length.
    pub(crate) fn of(&self, length: u64) -> Vec<Range<u64>> {
        if self.everything {
            return std::iter::once(0..length).collect();
        }
        let inside = self.ranges.iter().map(|range| range.start..range.end.min(length));
        inside.filter(|range| range.start < range.end).collect()
    }
}

//! What server processes cost, from `/proc`.

use anyhow::{Context, Result};
use std::time::Duration;

/// CPU time and resident memory of some processes together.
#[derive(Clone, Copy, Default, Debug)]
pub struct Usage {
    /// A tick is 10 ms wherever Linux runs today (`USER_HZ` 100).
    pub cpu_ticks: u64,
    pub resident_kib: u64,
    /// The most that was ever resident, of each.
    pub peak_kib: u64,
}

impl Usage {
    /// # Errors
    /// One of the processes does not run.
    pub fn of(pids: &[u32]) -> Result<Self> {
        let mut usage = Self::default();
        for pid in pids {
            let stat =
                std::fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid}"))?;
            let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
            usage.cpu_ticks += fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
            usage.resident_kib += fields[21].parse::<u64>()? * 4;
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let peak = peak
                .and_then(|rest| rest.split_whitespace().next())
                .context("no VmHWM")?;
            usage.peak_kib += peak.parse::<u64>()?;
        }
        Ok(usage)
    }

    /// The CPU time since `before`; memory as it is now.
    pub fn since(self, before: &Self) -> Self {
        Self {
            cpu_ticks: self.cpu_ticks - before.cpu_ticks,
            ..self
        }
    }

    pub fn resident_mib(&self) -> f64 {
        self.resident_kib as f64 / 1_024.0
    }

    pub fn peak_mib(&self) -> f64 {
        self.peak_kib as f64 / 1_024.0
    }

    /// Hundredths of one processor over so long; a tick is a hundredth of a second.
    pub fn cpu_percent(&self, over: Duration) -> f64 {
        self.cpu_ticks as f64 / over.as_secs_f64()
    }

    /// Microseconds of CPU for each of `count` requests.
    pub fn cpu_us_each(&self, count: u64) -> f64 {
        (self.cpu_ticks * 10_000) as f64 / count.max(1) as f64
    }
}

//! What was measured.

use super::Plan;
use crate::usage::Usage;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Outcome {
    pub scenario: &'static str,
    pub connections: u32,
    /// Calls a second that were asked for; none: as many as were answered.
    pub rate: Option<f64>,
    pub calls: u64,
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    pub refused: u64,
    /// Of the servers named.
    pub cpu_us_each: f64,
    pub resident_mib: f64,
    pub peak_mib: f64,
}

impl Outcome {
    pub(super) fn new(plan: &Plan, delays: &Histogram<u64>, took: Duration, refused: u64, usage: Usage) -> Self {
        let calls = delays.len();
        let ms = |us: u64| us as f64 / 1_000.0;
        Self {
            scenario: plan.scenario.name(),
            connections: plan.connections,
            rate: plan.rate,
            calls,
            per_second: calls as f64 / took.as_secs_f64(),
            p50_ms: ms(delays.value_at_quantile(0.5)),
            p99_ms: ms(delays.value_at_quantile(0.99)),
            max_ms: ms(delays.max()),
            refused,
            cpu_us_each: usage.cpu_us_each(calls),
            resident_mib: usage.resident_mib(),
            peak_mib: usage.peak_mib(),
        }
    }

    pub fn json(&self) -> Value {
        json!({
            "scenario": self.scenario, "connections": self.connections, "rate": self.rate, "calls": self.calls,
            "per_second": self.per_second.round(), "p50_ms": self.p50_ms, "p99_ms": self.p99_ms, "max_ms": self.max_ms,
            "refused": self.refused, "server_cpu_us_per_call": self.cpu_us_each,
            "server_resident_mib": self.resident_mib.round(), "server_peak_mib": self.peak_mib.round(),
        })
    }

    pub const HEAD: &str = "      calls/s    p50 ms    p99 ms    max ms   refused   CPU us/call  memory MiB  peak MiB";

    /// Its figures under [`Self::HEAD`].
    pub fn row(&self) -> String {
        format!(
            "{:>13.0} {:>9.2} {:>9.2} {:>9.1} {:>9} {:>13.1} {:>11.0} {:>9.0}",
            self.per_second,
            self.p50_ms,
            self.p99_ms,
            self.max_ms,
            self.refused,
            self.cpu_us_each,
            self.resident_mib,
            self.peak_mib
        )
    }
}

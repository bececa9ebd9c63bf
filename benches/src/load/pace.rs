//! When the next call of a connection is due.

use std::time::Duration;
use tokio::time::Instant;

pub(super) enum Pace {
    AsAnswersCome,
    Every { next: Instant, period: Duration },
}

impl Pace {
    /// Of one of so many connections that share a rate and take turns.
    pub(super) fn new(rate: Option<f64>, number: u32, connections: u32) -> Self {
        let Some(rate) = rate else { return Self::AsAnswersCome };
        let period = Duration::from_secs_f64(f64::from(connections) / rate);
        let next = Instant::now() + period * number / connections;
        Self::Every { next, period }
    }

    /// Waits until a call is due; the moment from which its delay counts. For one that could not be sent in time, because the last
    /// answer was late, that is when it was due. One that was waited for counts from when it is sent: the timer wakes up to a
    /// millisecond late, which is no delay of the server's.
    pub(super) async fn next(&mut self) -> Instant {
        match self {
            Self::AsAnswersCome => Instant::now(),
            Self::Every { next, period } => {
                let due = *next;
                *next += *period;
                if due < Instant::now() {
                    return due;
                }
                tokio::time::sleep_until(due).await;
                Instant::now()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_that_waits_for_a_late_answer_counts_from_when_it_was_due() {
        let begun = Instant::now();
        let mut pace = Pace::new(Some(100.0), 0, 1);
        assert_eq!(pace.next().await - begun, Duration::ZERO);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(pace.next().await - begun, Duration::from_millis(10));
        assert_eq!(pace.next().await - begun, Duration::from_millis(20));
    }

    #[tokio::test(start_paused = true)]
    async fn connections_take_turns() {
        let begun = Instant::now();
        let mut third = Pace::new(Some(100.0), 2, 4);
        assert_eq!(third.next().await - begun, Duration::from_millis(20));
        assert_eq!(third.next().await - begun, Duration::from_millis(60));
    }
}

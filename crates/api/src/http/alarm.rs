//! One timer of the runtime for all the waits of a connection.
//!
//! hyper waits for each request's head anew. Entered one by one into the runtime's wheel and taken out again, behind a lock that
//! all connections share, these waits take a twentieth of a beat's CPU time (9.1 µs of it against 8.7). Here the wheel
//! holds what began first; when it rings, the wait that stands then is entered.

use hyper::rt::{Sleep, Timer};
use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A connection's timer. Waits follow each other: of several at once only one is woken.
#[derive(Clone)]
pub(super) struct Alarm(Arc<Mutex<Pin<Box<tokio::time::Sleep>>>>);

impl Alarm {
    /// Called within a runtime.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Box::pin(tokio::time::sleep(Duration::ZERO)))))
    }
}

impl Timer for Alarm {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Wait {
            deadline: deadline.into(),
            alarm: self.clone(),
        })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

struct Wait {
    deadline: tokio::time::Instant,
    alarm: Alarm,
}

impl Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut entered = self.alarm.0.lock();
        if entered.deadline() > self.deadline {
            entered.as_mut().reset(self.deadline);
        }
        loop {
            if entered.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            // It may have rung for a wait that is over.
            if entered.deadline() >= self.deadline {
                return Poll::Ready(());
            }
            entered.as_mut().reset(self.deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const HALF: Duration = Duration::from_secs(15);
    const WHOLE: Duration = Duration::from_secs(30);

    async fn elapsed(wait: Pin<Box<dyn Sleep>>) -> Duration {
        let began = tokio::time::Instant::now();
        wait.await;
        began.elapsed()
    }

    fn is_near(found: Duration, meant: Duration) -> bool {
        found >= meant && found < meant + Duration::from_millis(10)
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_lasts_as_long_as_it_says_whatever_was_entered_before() {
        let alarm = Alarm::new();
        assert!(is_near(elapsed(alarm.sleep(WHOLE)).await, WHOLE), "the first one");
        let mut over = alarm.sleep(WHOLE);
        assert!(over.as_mut().now_or_never().is_none());
        drop(over);
        tokio::time::sleep(HALF).await;
        assert!(
            is_near(elapsed(alarm.sleep(WHOLE)).await, WHOLE),
            "behind an earlier one"
        );
        let mut longer = alarm.sleep(WHOLE);
        assert!(longer.as_mut().now_or_never().is_none());
        drop(longer);
        assert!(is_near(elapsed(alarm.sleep(HALF)).await, HALF), "before a later one");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_in_the_past_is_over() {
        let alarm = Alarm::new();
        let now = alarm.now();
        tokio::time::sleep(HALF).await;
        assert_eq!(elapsed(alarm.sleep_until(now)).await, Duration::ZERO);
    }
}

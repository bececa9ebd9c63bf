//! The end of the day: a list of steps, in order, each with a deadline.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// One step of a graceful stop.
pub struct Step {
    name: &'static str,
    deadline: Duration,
    work: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Step {
    pub fn new(name: &'static str, deadline: Duration, work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            name,
            deadline,
            work: Box::pin(work),
        }
    }
}

/// How long each step may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    pub grpc: Duration,
    pub http: Duration,
    pub push: Duration,
    pub ephemeral: Duration,
    pub leadership: Duration,
    pub log: Duration,
    pub tasks: Duration,
}

/// The parts of a node as far as stopping goes. Deadlines are kept by the steps; a part may be told its own.
pub trait Parts: Clone + Send + Sync + 'static {
    /// Answers "not ready" and tells the others not to hold this node responsible for anything new. From here on the end
    /// of a client's connection takes nothing of it from the lists: it is on its way to another member.
    fn stop_being_ready(&self) -> impl Future<Output = ()> + Send;
    /// Asks gRPC clients to go to other members, while all doors still answer.
    fn move_grpc_clients(&self) -> impl Future<Output = ()> + Send;
    /// Takes no more connections at any door and finishes the requests under way.
    fn stop_accepting(&self) -> impl Future<Output = ()> + Send;
    /// Sends the pushes that are due.
    fn drain_pushes(&self) -> impl Future<Output = ()> + Send;
    /// Sends the copies that are due to the other members, and keeps the warm copy.
    fn drain_copies(&self) -> impl Future<Output = ()> + Send;
    fn hand_over_leadership(&self) -> impl Future<Output = ()> + Send;
    /// Stops taking part in consensus and syncs the log.
    fn close_log(&self) -> impl Future<Output = ()> + Send;
    /// Ends all tasks, the peer server among them: until here the other members are answered.
    fn end_tasks(&self) -> impl Future<Output = ()> + Send;
}

/// The steps in their order. What is taken must reach the others before this node goes silent: therefore doors first, then
/// what they filled, then the log, then the rest.
pub fn steps<P: Parts>(parts: &P, deadlines: Deadlines) -> Vec<Step> {
    macro_rules! step {
        ($name:literal, $deadline:expr, $method:ident) => {{
            let parts = parts.clone();
            Step::new($name, $deadline, async move { parts.$method().await })
        }};
    }
    vec![
        step!("stop being ready", Duration::from_secs(1), stop_being_ready),
        step!("move gRPC clients", deadlines.grpc, move_grpc_clients),
        step!("stop accepting", deadlines.http, stop_accepting),
        step!("drain pushes", deadlines.push, drain_pushes),
        step!("drain copies", deadlines.ephemeral, drain_copies),
        step!("hand over leadership", deadlines.leadership, hand_over_leadership),
        step!("close the log", deadlines.log, close_log),
        step!("end tasks", deadlines.tasks, end_tasks),
    ]
}

/// Takes the steps one after the other. A step that is not done in time is left behind, not waited for; says which were.
pub async fn take(steps: Vec<Step>) -> Vec<&'static str> {
    let mut late = Vec::new();
    for step in steps {
        let begun = tokio::time::Instant::now();
        let in_time = tokio::time::timeout(step.deadline, step.work).await.is_ok();
        let took_ms = begun.elapsed().as_millis() as u64;
        if in_time {
            tracing::info!(step = step.name, took_ms, "shutdown step");
        } else {
            tracing::warn!(step = step.name, took_ms, "shutdown step not done in time, going on");
            late.push(step.name);
        }
    }
    late
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// Writes down what it is asked; the step named in `stuck` never ends.
    #[derive(Clone, Default)]
    struct Noted {
        asked: Arc<Mutex<Vec<&'static str>>>,
        stuck: Option<&'static str>,
    }

    impl Noted {
        async fn note(&self, name: &'static str) {
            self.asked.lock().unwrap().push(name);
            if self.stuck == Some(name) {
                std::future::pending::<()>().await;
            }
        }
    }

    impl Parts for Noted {
        async fn stop_being_ready(&self) {
            self.note("ready").await;
        }
        async fn move_grpc_clients(&self) {
            self.note("grpc").await;
        }
        async fn stop_accepting(&self) {
            self.note("doors").await;
        }
        async fn drain_pushes(&self) {
            self.note("push").await;
        }
        async fn drain_copies(&self) {
            self.note("copies").await;
        }
        async fn hand_over_leadership(&self) {
            self.note("leader").await;
        }
        async fn close_log(&self) {
            self.note("log").await;
        }
        async fn end_tasks(&self) {
            self.note("tasks").await;
        }
    }

    const ORDER: [&str; 8] = ["ready", "grpc", "doors", "push", "copies", "leader", "log", "tasks"];

    fn deadlines() -> Deadlines {
        let second = Duration::from_secs(1);
        Deadlines {
            grpc: second,
            http: second,
            push: second,
            ephemeral: second,
            leadership: second,
            log: second,
            tasks: second,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn clients_are_moved_while_the_doors_are_open_and_nobody_is_released() {
        let parts = Noted {
            stuck: Some("grpc"),
            ..Noted::default()
        };
        assert_eq!(take(steps(&parts, deadlines())).await, ["move gRPC clients"]);
        assert_eq!(parts.asked.lock().unwrap()[..3], ["ready", "grpc", "doors"]);
    }

    #[tokio::test(start_paused = true)]
    async fn doors_close_before_what_they_filled_is_sent_and_the_log_comes_after_both() {
        let parts = Noted::default();
        assert!(take(steps(&parts, deadlines())).await.is_empty());
        assert_eq!(*parts.asked.lock().unwrap(), ORDER);
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_hangs_is_left_at_its_deadline_and_the_others_are_taken() {
        let parts = Noted {
            stuck: Some("push"),
            ..Noted::default()
        };
        assert_eq!(take(steps(&parts, deadlines())).await, ["drain pushes"]);
        assert_eq!(*parts.asked.lock().unwrap(), ORDER);
    }
}

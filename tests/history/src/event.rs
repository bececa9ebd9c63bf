//! What is recorded.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Microseconds since the history began.
pub type Time = u64;

/// What an instance carries besides its address. Writers make them unlike each other, so that a reader knows whose it saw.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Value {
    pub weight: u32,
    /// The metadata entry `tag`.
    pub tag: u64,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {})", self.weight, self.tag)
    }
}

/// Instances of one service by `ip:port`.
pub type List = BTreeMap<String, Value>;

/// The fields that are replaced; the others stay.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Edit {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<u64>,
}

impl Edit {
    pub fn apply(&self, to: Value) -> Value {
        Value {
            weight: self.weight.unwrap_or(to.weight),
            tag: self.tag.unwrap_or(to.tag),
        }
    }
}

/// What a client asks for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Adds or replaces.
    Register { instance: String, value: Value },
    /// One that is not there is well.
    Deregister { instance: String },
    /// Changes an instance that is there; done, it was there. A refusal because it is not there may come from a local view.
    Edit { instance: String, edit: Edit },
    /// Lists a service with all that was acknowledged before.
    StrongRead,
    /// Lists a service as the node has it.
    LocalRead,
}

impl Operation {
    /// The instance that a write is about.
    pub fn instance(&self) -> Option<&str> {
        match self {
            Operation::Register { instance, .. }
            | Operation::Deregister { instance }
            | Operation::Edit { instance, .. } => Some(instance),
            Operation::StrongRead | Operation::LocalRead => None,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operation::Register { instance, value } => write!(f, "register {instance} {value}"),
            Operation::Deregister { instance } => write!(f, "deregister {instance}"),
            Operation::Edit { instance, edit } => {
                write!(f, "edit {instance}")?;
                if let Some(weight) = edit.weight {
                    write!(f, " weight={weight}")?;
                }
                if let Some(tag) = edit.tag {
                    write!(f, " tag={tag}")?;
                }
                Ok(())
            }
            Operation::StrongRead => f.write_str("strong read"),
            Operation::LocalRead => f.write_str("local read"),
        }
    }
}

/// What became of it, as far as the client knows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done,
    /// A read, and what it saw.
    Saw(List),
    /// It was not done and never will be: the server said words that mean that and nothing else.
    Refused(String),
    /// No answer, or one that leaves it open: it may take effect at any time from the call on, or never.
    Unknown(String),
}

/// One call of one client at one node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Call {
    pub client: u32,
    pub node: u64,
    pub service: String,
    pub operation: Operation,
    pub invoked_us: Time,
    pub returned_us: Time,
    pub outcome: Outcome,
}

impl Call {
    /// What a read saw.
    pub fn seen(&self) -> Option<&List> {
        match &self.outcome {
            Outcome::Saw(list) => Some(list),
            _ => None,
        }
    }

    pub fn is_refused(&self) -> bool {
        matches!(self.outcome, Outcome::Refused(_))
    }

    pub fn is_done(&self) -> bool {
        matches!(self.outcome, Outcome::Done | Outcome::Saw(_))
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |us: Time| us as f64 / 1_000.0;
        write!(
            f,
            "[{:.3}..{:.3} ms] client {} at node {}: {}: {} -> ",
            ms(self.invoked_us),
            ms(self.returned_us),
            self.client,
            self.node,
            self.service,
            self.operation
        )?;
        match &self.outcome {
            Outcome::Done => f.write_str("done"),
            Outcome::Refused(why) => write!(f, "refused: {why}"),
            Outcome::Unknown(why) => write!(f, "unknown: {why}"),
            Outcome::Saw(list) => {
                f.write_str("saw")?;
                for (instance, value) in list.iter().take(20) {
                    write!(f, " {instance}={value}")?;
                }
                if list.len() > 20 {
                    write!(f, " and {} more", list.len() - 20)?;
                }
                Ok(())
            }
        }
    }
}

/// A list that a subscriber was sent, or polled.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Heard {
    pub subscriber: u32,
    /// One subscription at one run of one node: a subscriber that goes to another node, or to the same one after its restart,
    /// counts this up.
    pub session: u32,
    pub node: u64,
    pub service: String,
    pub at_us: Time,
    /// The server's own stamp of the list; 0 if it was polled, and its place in time says nothing.
    pub stamp: u64,
    pub list: List,
}

/// One line of a history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// What was run and with which seed: once, first.
    Run {
        workload: String,
        nemeses: Vec<String>,
        seed: u64,
        seconds: u64,
    },
    Call(Call),
    Heard(Heard),
    /// The publisher of an ephemeral instance began, after its first acknowledged registration, to beat at a node, or moved to
    /// it. It lives from here on.
    Lives {
        service: String,
        instance: String,
        node: u64,
        at_us: Time,
    },
    /// Nobody beats for it any more, and will not again: an address lives once.
    Silent {
        service: String,
        instance: String,
        /// The last beat that was answered; from here on nobody promises anything.
        last_beat_us: Time,
        /// The last one that may have arrived.
        at_us: Time,
    },
    /// Something was done to the cluster.
    Fault {
        what: String,
        /// The nodes it strikes.
        nodes: Vec<u64>,
        at_us: Time,
    },
    /// The machine itself stood still until now, and the nodes with it.
    Stalled {
        at_us: Time,
        for_us: Time,
    },
    /// It was taken back: all nodes run and reach each other again.
    Healed {
        at_us: Time,
    },
    /// All nodes run, reach each other and say that they agree; nobody writes any more. Reads from here on are final.
    Settled {
        at_us: Time,
    },
    /// What one node says in the end.
    Final {
        node: u64,
        at_us: Time,
        digest: String,
        applied_index: u64,
    },
}

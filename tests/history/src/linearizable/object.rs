//! A service's list, or one instance of it, and the calls upon it.

use crate::{Call, Edit, Operation, Outcome, Time, Value};
use std::collections::HashSet;

/// What a write does to one instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Write {
    Set(Value),
    Clear,
    /// Of an instance that is not there: nothing.
    Edit(Edit),
}

impl Write {
    pub(super) fn apply(self, to: Option<Value>) -> Option<Value> {
        match self {
            Write::Set(value) => Some(value),
            Write::Clear => None,
            Write::Edit(edit) => to.map(|value| edit.apply(value)),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Act {
    Write {
        key: usize,
        write: Write,
    },
    /// The whole list, by key.
    Read(Vec<Option<Value>>),
}

/// A call of known outcome.
#[derive(Clone, Debug)]
pub(super) struct Sure {
    pub(super) invoked: Time,
    pub(super) returned: Time,
    pub(super) act: Act,
    /// Its place among the calls, to be told.
    pub(super) call: usize,
}

/// A write of unknown outcome.
#[derive(Clone, Debug)]
pub(super) struct Maybe {
    pub(super) invoked: Time,
    pub(super) key: usize,
    pub(super) write: Write,
}

/// What is searched.
#[derive(Debug)]
pub(super) struct Object {
    /// The instances, by the number that stands for them.
    pub(super) keys: Vec<String>,
    /// By invocation.
    pub(super) sure: Vec<Sure>,
    /// By invocation.
    pub(super) maybe: Vec<Maybe>,
    /// Their places, by key.
    pub(super) maybe_of: Vec<Vec<usize>>,
}

impl Object {
    pub(super) fn of_service(calls: &[&Call]) -> Self {
        let mut keys = HashSet::new();
        for call in calls {
            keys.extend(call.operation.instance().map(str::to_owned));
            if call.operation == Operation::StrongRead {
                keys.extend(call.seen().into_iter().flat_map(|list| list.keys().cloned()));
            }
        }
        let mut keys: Vec<_> = keys.into_iter().collect();
        keys.sort_unstable();
        Self::of(calls, keys)
    }

    pub(super) fn of_instance(calls: &[&Call], instance: &str) -> Self {
        Self::of(calls, vec![instance.to_owned()])
    }

    fn of(calls: &[&Call], keys: Vec<String>) -> Self {
        let mut object = Self {
            keys,
            sure: Vec::new(),
            maybe: Vec::new(),
            maybe_of: Vec::new(),
        };
        for (number, call) in calls.iter().enumerate() {
            object.take(number, call);
        }
        object.sure.sort_by_key(|sure| (sure.invoked, sure.returned));
        object.maybe.sort_by_key(|maybe| maybe.invoked);
        object.maybe_of = vec![Vec::new(); object.keys.len()];
        for (number, maybe) in object.maybe.iter().enumerate() {
            object.maybe_of[maybe.key].push(number);
        }
        object
    }

    fn take(&mut self, number: usize, call: &Call) {
        let sure = |act| Sure {
            invoked: call.invoked_us,
            returned: call.returned_us.max(call.invoked_us),
            act,
            call: number,
        };
        let write = match &call.operation {
            Operation::Register { value, .. } => Write::Set(*value),
            Operation::Deregister { .. } => Write::Clear,
            // one that sets nothing says too little to be worth a rule
            Operation::Edit { edit, .. } if *edit == Edit::default() => return,
            Operation::Edit { edit, .. } => Write::Edit(*edit),
            Operation::StrongRead => {
                if let Some(list) = call.seen() {
                    let seen: Vec<_> = self.keys.iter().map(|key| list.get(key).copied()).collect();
                    self.sure.push(sure(Act::Read(seen)));
                }
                return;
            }
            Operation::LocalRead => return,
        };
        let Some(key) = call
            .operation
            .instance()
            .and_then(|instance| self.keys.iter().position(|key| key == instance))
        else {
            return;
        };
        match call.outcome {
            Outcome::Done | Outcome::Saw(_) => self.sure.push(sure(Act::Write { key, write })),
            Outcome::Unknown(_) => self.maybe.push(Maybe {
                invoked: call.invoked_us,
                key,
                write,
            }),
            Outcome::Refused(_) => {}
        }
    }

    pub(super) fn reads(&self) -> usize {
        let is_read = |sure: &&Sure| matches!(sure.act, Act::Read(_));
        self.sure.iter().filter(is_read).count()
    }
}

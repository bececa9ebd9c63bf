//! A state machine in memory, for tests: it keeps every command in order.

use crate::machine::{Applied, Entry, Frozen, LogPosition, StateMachine};
use bytes::Bytes;
use muster_model::MemberId;
use parking_lot::Mutex;
use std::io::{self, Read, Write};
use std::sync::Arc;

/// Answers each command with its index and the number of commands before it.
#[derive(Clone, Default)]
pub struct Journal(Arc<Mutex<Content>>);

#[derive(Clone, Default)]
struct Content {
    applied: Option<Applied>,
    commands: Vec<Bytes>,
    /// How often it was replaced by a snapshot.
    restored: usize,
    fails: bool,
}

impl Journal {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn commands(&self) -> Vec<Bytes> {
        self.0.lock().commands.clone()
    }

    pub fn restored(&self) -> usize {
        self.0.lock().restored
    }

    /// Applying fails from now on.
    pub fn fail(&self) {
        self.0.lock().fails = true;
    }
}

impl StateMachine for Journal {
    fn applied(&self) -> Option<Applied> {
        self.0.lock().applied.clone()
    }

    fn apply(&self, entries: Vec<Entry>, applied: Applied) -> io::Result<Vec<Bytes>> {
        let mut content = self.0.lock();
        if content.fails {
            return Err(io::Error::other("the journal is torn"));
        }
        assert!(
            content
                .applied
                .as_ref()
                .is_none_or(|before| before.position < applied.position)
        );
        content.applied = Some(applied);
        let answers = entries
            .into_iter()
            .map(|entry| {
                let answer = format!("{}:{}", entry.index, content.commands.len());
                content.commands.push(entry.command);
                answer.into()
            })
            .collect();
        Ok(answers)
    }

    fn freeze(&self) -> Box<dyn Frozen> {
        Box::new(FrozenJournal(self.0.lock().clone()))
    }

    fn restore(&self, source: &mut dyn Read, applied: Applied) -> io::Result<()> {
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes)?;
        let mut commands = Vec::new();
        let mut rest = bytes.as_slice();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*length) as usize;
            let command = after.get(..length).ok_or(io::ErrorKind::InvalidData)?;
            commands.push(Bytes::copy_from_slice(command));
            rest = &after[length..];
        }
        let mut content = self.0.lock();
        content.commands = commands;
        content.applied = Some(applied);
        content.restored += 1;
        Ok(())
    }
}

struct FrozenJournal(Content);

impl Frozen for FrozenJournal {
    fn applied(&self) -> Option<Applied> {
        self.0.applied.clone()
    }

    fn write_to(self: Box<Self>, sink: &mut dyn Write) -> io::Result<()> {
        for command in &self.0.commands {
            sink.write_all(&(command.len() as u32).to_le_bytes())?;
            sink.write_all(command)?;
        }
        Ok(())
    }
}

/// A position for tests of state machines.
pub fn position(index: u64) -> LogPosition {
    LogPosition {
        term: 1,
        leader: MemberId(1),
        index,
    }
}

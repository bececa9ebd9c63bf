//! A history, and the file it is kept in.

use crate::{Call, Event, Heard};
use anyhow::Context;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

/// Events in the order in which they ended.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct History {
    pub events: Vec<Event>,
}

impl History {
    /// Reads JSON lines.
    ///
    /// # Errors
    /// The disk's, or a line that is no event, with its number.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        let mut events = Vec::new();
        for (number, line) in BufReader::new(file).lines().enumerate() {
            let event = serde_json::from_str(&line?);
            events.push(event.with_context(|| format!("{}:{}", path.display(), number + 1))?);
        }
        Ok(Self { events })
    }

    /// Writes JSON lines.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let mut file = BufWriter::new(file);
        for event in &self.events {
            serde_json::to_writer(&mut file, event)?;
            file.write_all(b"\n")?;
        }
        Ok(file.flush()?)
    }

    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.events.iter().filter_map(|event| match event {
            Event::Call(call) => Some(call),
            _ => None,
        })
    }

    pub fn heard(&self) -> impl Iterator<Item = &Heard> {
        self.events.iter().filter_map(|event| match event {
            Event::Heard(heard) => Some(heard),
            _ => None,
        })
    }
}

impl FromIterator<Event> for History {
    fn from_iter<T: IntoIterator<Item = Event>>(events: T) -> Self {
        Self {
            events: events.into_iter().collect(),
        }
    }
}

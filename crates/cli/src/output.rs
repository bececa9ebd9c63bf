//! Tables and JSON on standard output.

use crate::Format;
use serde::Serialize;
use std::io::{self, Write};

/// Where answers go.
pub(crate) struct Output {
    pub(crate) format: Format,
    to: Box<dyn Write + Send>,
}

impl Output {
    pub(crate) fn to_stdout(format: Format) -> Self {
        Self {
            format,
            to: Box::new(io::stdout()),
        }
    }

    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.to, "{text}")?;
        self.to.flush()
    }

    /// The answer as one JSON document.
    pub(crate) fn json(&mut self, answer: &impl Serialize) -> anyhow::Result<()> {
        Ok(self.line(&serde_json::to_string_pretty(answer)?)?)
    }

    /// One JSON document on one line, for streams.
    pub(crate) fn json_line(&mut self, answer: &impl Serialize) -> anyhow::Result<()> {
        Ok(self.line(&serde_json::to_string(answer)?)?)
    }

    pub(crate) fn table(&mut self, table: &Table) -> anyhow::Result<()> {
        Ok(self.line(&table.render())?)
    }

    /// What a command that has no answer did.
    pub(crate) fn done(&mut self, sentence: &str) -> anyhow::Result<()> {
        match self.format {
            Format::Table => Ok(self.line(sentence)?),
            Format::Json => self.json(&serde_json::json!({ "ok": true })),
        }
    }
}

/// Columns under a header, each as wide as its longest text.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        Self {
            rows: vec![header.iter().map(|text| (*text).to_owned()).collect()],
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.rows[0].len());
        self.rows.push(cells);
    }

    pub(crate) fn render(&self) -> String {
        let width_of = |column: usize| {
            let lengths = self.rows.iter().map(|row| row[column].chars().count());
            lengths.max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.rows[0].len()).map(width_of).collect();
        let line_of = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.rows.iter().map(line_of).collect::<Vec<_>>().join("\n")
    }
}

pub(crate) fn yes_or_no(yes: bool) -> String {
    (if yes { "yes" } else { "no" }).to_owned()
}

pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

pub(crate) fn pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let texts: Vec<_> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
    if texts.is_empty() {
        "-".to_owned()
    } else {
        texts.join(",")
    }
}

pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// An error and its causes as one line.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    format!("{error:#}").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_text() {
        let mut table = Table::new(&["NAME", "N"]);
        table.row(vec!["a".into(), "10".into()]);
        table.row(vec!["längere".into(), "1".into()]);
        assert_eq!(table.render(), "NAME     N\na        10\nlängere  1");
    }

    #[test]
    fn an_error_is_one_line() {
        assert_eq!(sentence(&anyhow::anyhow!("a\nb").context("c")), "c: a b");
    }
}

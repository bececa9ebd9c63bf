//! The table of what every client did.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

pub(super) struct Row {
    pub(super) client: String,
    pub(super) version: String,
    pub(super) step: String,
    pub(super) result: String,
    pub(super) ms: Option<f64>,
    pub(super) detail: String,
}

#[derive(Default)]
pub(super) struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Takes a client's line, and shows at once how the step went.
    pub(super) fn take(&mut self, line: &Value) {
        let text = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        self.push(Row {
            client: text("client"),
            version: text("version"),
            step: text("step"),
            result: text("result"),
            ms: line.get("ms").and_then(Value::as_f64),
            detail: text("detail"),
        });
    }

    pub(super) fn push(&mut self, row: Row) {
        println!("  {}", line(&row));
        self.rows.push(row);
    }

    /// Adds a row for each step that the client has to show and did not.
    pub(super) fn demand(&mut self, client: &str, version: &str, steps: &[&str]) {
        for step in steps {
            if !self
                .rows
                .iter()
                .any(|row| row.client == client && row.version == version && row.step == *step)
            {
                self.push(Row {
                    client: client.to_owned(),
                    version: version.to_owned(),
                    step: (*step).to_owned(),
                    result: "missing".to_owned(),
                    ms: None,
                    detail: String::new(),
                });
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn bad(&self) -> usize {
        self.rows.iter().filter(|row| row.result != "ok").count()
    }

    /// By client; sorting is stable, so a client's steps keep the order in which they came.
    fn sorted(&self) -> Vec<&Row> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by(|a, b| (&a.client, &a.version).cmp(&(&b.client, &b.version)));
        rows
    }

    /// The same table for a page.
    pub(super) fn write_markdown(&self, path: &Path) -> Result<()> {
        let mut page =
            String::from("| client | version | step | result | ms | seen |\n| --- | --- | --- | --- | ---: | --- |\n");
        for row in self.sorted() {
            let ms = row.ms.map_or_else(String::new, |ms| format!("{ms:.1}"));
            let detail = row.detail.replace('|', "\\|").replace('\n', " ");
            writeln!(
                page,
                "| {} | {} | {} | {} | {ms} | {detail} |",
                row.client, row.version, row.step, row.result
            )?;
        }
        fs::write(path, page).with_context(|| format!("cannot write {}", path.display()))
    }

    pub(super) fn print(&self) {
        println!(
            "\n{:8} {:16} {:31} {:7} {:>9}  detail",
            "client", "version", "step", "result", "ms"
        );
        for row in self.sorted() {
            println!("{}", line(row));
        }
        println!();
    }

    /// Those that are not well, once more: they are what a reader looks for at the end of a long table.
    pub(super) fn print_bad(&self) {
        for row in self.sorted().into_iter().filter(|row| row.result != "ok") {
            println!("{}", line(row));
        }
    }
}

fn line(row: &Row) -> String {
    let ms = row.ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
    format!(
        "{:8} {:16} {:31} {:7} {ms:>9}  {}",
        row.client, row.version, row.step, row.result, row.detail
    )
}

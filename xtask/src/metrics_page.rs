//! `docs/metrics.md`, read off the crates' `metrics.rs`: name and help stand beside each other there.

use anyhow::Context;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const PREFIX: &str = "muster_";
const HEAD: &str = "\
<!-- Written by `cargo xtask docs` from the crates' metrics.rs; edit there. -->
# Metrics

Served at `/metrics` of every node in Prometheus's text format. The unit stands in the name. Labels come from small closed
sets, never from names of services or addresses. A labelled metric shows once it has been counted for the first time.
";

/// A metric as its crate declares it.
#[derive(Debug, PartialEq, Eq)]
struct Metric {
    name: String,
    kind: &'static str,
    help: String,
}

/// The page, over all crates under `crates`.
///
/// # Errors
/// A file cannot be read; a metric has no help.
pub(crate) fn page(crates: &Path) -> anyhow::Result<String> {
    let mut by_crate: BTreeMap<String, Vec<Metric>> = BTreeMap::new();
    for file in metrics_files(crates)? {
        let name = file
            .strip_prefix(crates)?
            .components()
            .next()
            .context("a crate's folder")?;
        let source = std::fs::read_to_string(&file)?;
        let found = metrics_in(&source).with_context(|| file.display().to_string())?;
        by_crate
            .entry(name.as_os_str().to_string_lossy().into_owned())
            .or_default()
            .extend(found);
    }
    let mut page = HEAD.to_owned();
    for (name, mut metrics) in by_crate {
        metrics.sort_by(|a, b| a.name.cmp(&b.name));
        let _ = writeln!(page, "\n## {name}\n\n| metric | kind | meaning |\n| --- | --- | --- |");
        for metric in metrics {
            let _ = writeln!(
                page,
                "| `{}` | {} | {} |",
                metric.name,
                metric.kind,
                metric.help.replace('|', "\\|")
            );
        }
    }
    Ok(page)
}

fn metrics_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name == "metrics.rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Each text that begins with the prefix is a name; the next text is its help; the kind is told by what stands before and
/// between (`IntCounterVec`, `register_histogram!`, `HistogramOpts`).
fn metrics_in(source: &str) -> anyhow::Result<Vec<Metric>> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut metrics = Vec::new();
    let texts = texts_of(source);
    let mut declared_from = 0;
    let mut index = 0;
    while index < texts.len() {
        let (begin, _, text) = &texts[index];
        let is_name = text.starts_with(PREFIX)
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !is_name {
            index += 1;
            continue;
        }
        let (_, end, help) = texts.get(index + 1).with_context(|| format!("{text} has no help"))?;
        metrics.push(Metric {
            name: text.clone(),
            kind: kind_in(&source[declared_from..*begin], text),
            help: help.trim_end_matches('.').to_owned(),
        });
        declared_from = *end;
        index += 2;
    }
    Ok(metrics)
}

/// The last word of a kind before the name; a name that counts is a counter where only a helper's name stands there.
fn kind_in(before: &str, name: &str) -> &'static str {
    let lower = before.to_ascii_lowercase();
    let kinds = ["histogram", "counter", "gauge"];
    let last = kinds
        .into_iter()
        .filter_map(|kind| Some((lower.rfind(kind)?, kind)))
        .max();
    match last {
        Some((_, kind)) => kind,
        None if name.ends_with("_total") => "counter",
        None => "gauge",
    }
}

/// The string literals of a source text with where they begin and end; comments are skipped.
fn texts_of(source: &str) -> Vec<(usize, usize, String)> {
    let mut texts = Vec::new();
    let mut characters = source.char_indices().peekable();
    while let Some((begin, character)) = characters.next() {
        match character {
            '/' if characters.peek().is_some_and(|(_, next)| *next == '/') => {
                while characters.next_if(|(_, next)| *next != '\n').is_some() {}
            }
            '"' => {
                let mut text = String::new();
                let mut end = source.len();
                while let Some((at, character)) = characters.next() {
                    match character {
                        '"' => {
                            end = at + 1;
                            break;
                        }
                        '\\' => match characters.next() {
                            // The text goes on on the next line, without that line's indentation.
                            Some((_, '\n')) => while characters.next_if(|(_, next)| next.is_whitespace()).is_some() {},
                            Some((_, escaped)) => text.push(escaped),
                            None => {}
                        },
                        other => text.push(other),
                    }
                }
                texts.push((begin, end, text));
            }
            _ => {}
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_help_and_kind_are_read_off_a_declaration() {
        let source = r#"
            /// Not "muster_a_comment".
            static A: LazyLock<IntCounterVec> = LazyLock::new(|| {
                register_int_counter_vec!("muster_a_total", "What is \
                    counted.", &["outcome"]).expect("once")
            });
            static B: LazyLock<Histogram> = LazyLock::new(|| {
                let options = HistogramOpts::new("muster_b_seconds", "A \"wait\"").buckets(vec![1.0]);
                Histogram::with_opts(options).expect("once")
            });
            static C: LazyLock<IntGauge> = LazyLock::new(|| gauge("muster_c", "Now"));
        "#;
        let metrics = metrics_in(source).unwrap();
        let shown: Vec<_> = metrics
            .iter()
            .map(|m| (m.name.as_str(), m.kind, m.help.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("muster_a_total", "counter", "What is counted"),
                ("muster_b_seconds", "histogram", "A \"wait\""),
                ("muster_c", "gauge", "Now")
            ]
        );
    }

    #[test]
    fn a_metric_without_help_is_an_error() {
        assert!(metrics_in(r#"gauge("muster_c")"#).is_err());
    }
}

//! What a scene held, and its figures.

use hdrhistogram::Histogram;
use serde_json::json;
use std::fmt::Write;

/// Something that must be so.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    what: &'static str,
    is_kept: bool,
    seen: String,
}

/// The outcome of one scene.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    scene: &'static str,
    /// The command that repeats it.
    pub(crate) repeat: String,
    holds: Vec<Hold>,
    figures: Vec<(String, String)>,
}

impl Report {
    pub(crate) fn new(scene: &'static str) -> Self {
        Self {
            scene,
            repeat: String::new(),
            holds: Vec::new(),
            figures: Vec::new(),
        }
    }

    /// Notes whether `what` is so, and what was seen of it.
    pub(crate) fn hold(&mut self, what: &'static str, is_kept: bool, seen: impl Into<String>) {
        let seen = seen.into();
        self.holds.push(Hold { what, is_kept, seen });
    }

    pub(crate) fn figure(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.figures.push((name.into(), value.into()));
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.holds.iter().all(|hold| hold.is_kept)
    }

    /// For the terminal.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("\n{}\n", self.scene);
        let width = self.figures.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in &self.figures {
            let _ = writeln!(text, "  {name:<width$}  {value}");
        }
        for hold in &self.holds {
            let kept = if hold.is_kept { "held  " } else { "BROKEN" };
            let _ = writeln!(text, "  {kept}  {}: {}", hold.what, hold.seen);
        }
        if !self.is_kept() {
            let _ = writeln!(text, "  repeat: {}", self.repeat);
        }
        text
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        let holds = self.holds.iter();
        let holds: Vec<_> = holds
            .map(|hold| json!({"what": hold.what, "held": hold.is_kept, "seen": hold.seen}))
            .collect();
        let figures: serde_json::Map<_, _> = self
            .figures
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        json!({"scene": self.scene, "held": self.is_kept(), "holds": holds, "figures": figures, "repeat": self.repeat})
    }

    /// A row of the table in the README.
    pub(crate) fn markdown(&self) -> String {
        let figures: Vec<_> = self
            .figures
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        let broken: Vec<_> = self
            .holds
            .iter()
            .filter(|hold| !hold.is_kept)
            .map(|hold| format!("**{}: {}**", hold.what, hold.seen))
            .collect();
        let holds = match broken.is_empty() {
            true => format!("all {} held", self.holds.len()),
            false => format!("broken: {}", broken.join("; ")),
        };
        let row = format!(
            "| `{}` | {} | {holds} | `{}` |",
            self.scene,
            figures.join("; "),
            self.repeat
        );
        row.replace('\n', " ")
    }
}

/// Half, 99 of 100, and the longest, in milliseconds.
pub(crate) fn quantiles(micros: &Histogram<u64>) -> String {
    if micros.is_empty() {
        return "none".to_owned();
    }
    let ms = |quantile| micros.value_at_quantile(quantile) as f64 / 1_000.0;
    format!("{:.1} / {:.1} / {:.0} ms", ms(0.5), ms(0.99), ms(1.0))
}

/// Kibibytes as mebibytes.
pub(crate) fn mib(kib: f64) -> String {
    format!("{:.1} MiB", kib / 1_024.0)
}

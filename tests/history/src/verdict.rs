//! What a checker says.

use std::fmt;

/// How many violations of one rule are told; the rest is counted.
const SHOWN_MAX: usize = 10;

/// What a checker says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    Holds,
    /// What breaks the rule, in words.
    Broken(Vec<String>),
    /// The search was given up; neither is known.
    Undecided(String),
}

impl Verdict {
    /// Holds when nothing was found.
    pub fn of(found: Vec<String>) -> Self {
        if found.is_empty() {
            Verdict::Holds
        } else {
            Verdict::Broken(found)
        }
    }

    pub fn is_broken(&self) -> bool {
        matches!(self, Verdict::Broken(_))
    }
}

/// A rule, how much was held against it, and the verdict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checked {
    pub rule: String,
    /// How many observations could have broken it; a rule that was held against nothing proves nothing.
    pub looked_at: usize,
    pub verdict: Verdict,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, looked_at, .. } = self;
        match &self.verdict {
            Verdict::Holds => write!(f, "holds      {rule} ({looked_at})"),
            Verdict::Undecided(why) => write!(f, "UNDECIDED  {rule} ({looked_at}): {why}"),
            Verdict::Broken(found) => {
                write!(f, "BROKEN     {rule} ({looked_at}): {} times", found.len())?;
                for one in found.iter().take(SHOWN_MAX) {
                    write!(f, "\n           - {}", one.replace('\n', "\n             "))?;
                }
                if found.len() > SHOWN_MAX {
                    write!(f, "\n           - and {} more", found.len() - SHOWN_MAX)?;
                }
                Ok(())
            }
        }
    }
}

/// All that was checked of one history.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    pub checked: Vec<Checked>,
}

impl Report {
    pub fn add(&mut self, rule: impl Into<String>, looked_at: usize, verdict: Verdict) {
        self.checked.push(Checked {
            rule: rule.into(),
            looked_at,
            verdict,
        });
    }

    /// Nothing is broken; something may be undecided.
    pub fn holds(&self) -> bool {
        !self.checked.iter().any(|checked| checked.verdict.is_broken())
    }

    pub fn undecided(&self) -> usize {
        let undecided = |checked: &&Checked| matches!(checked.verdict, Verdict::Undecided(_));
        self.checked.iter().filter(undecided).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for checked in &self.checked {
            writeln!(f, "{checked}")?;
        }
        Ok(())
    }
}

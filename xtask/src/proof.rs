//! `cargo xtask proof --short|--long [NAME ...]`: everything that tries to break the promises, one suite after the other.
//!
//! The short one is part of CI; the long one is for a night. Each suite is a command of its own, and prints what it found and how to
//! repeat it.

use crate::steps::{Step, run_all};
use anyhow::{bail, ensure};

/// One way of trying to break the promises.
struct Suite {
    name: &'static str,
    /// The words after `cargo xtask` in the short run; none: it has no part in that.
    short: &'static [&'static str],
    /// Likewise in the long one.
    long: &'static [&'static str],
}

const SUITES: &[Suite] = &[
    Suite {
        name: "sim",
        // A build of its own, optimised; `cargo test` plays short seeds of each world.
        short: &[],
        long: &["sim", "--seeds", "10000"],
    },
    Suite {
        name: "histories",
        short: &["histories", "--short"],
        long: &["histories", "--release", "--seconds", "30", "--rounds", "10"],
    },
    Suite {
        name: "power",
        short: &["power", "--seconds", "60"],
        long: &["power", "--rounds", "1000", "--release"],
    },
    Suite {
        name: "overload",
        // Builds the server with optimisations first, and wants a machine of its own.
        short: &[],
        long: &["overload", "--minutes", "60"],
    },
    Suite {
        name: "fuzz",
        // Builds everything a second time; what it has found is replayed by `cargo test`.
        short: &[],
        long: &["fuzz", "--seconds", "1800"],
    },
    Suite {
        name: "mutate",
        short: &["mutate", "--check"],
        long: &["mutate"],
    },
];

/// # Errors
/// A suite that failed; the others run nevertheless.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let (options, names): (Vec<&String>, Vec<&String>) = arguments.iter().partition(|word| word.starts_with("--"));
    let long = match options.as_slice() {
        [option] if *option == "--short" => false,
        [option] if *option == "--long" => true,
        _ => bail!("say --short or --long; suites: {}", known().join(", ")),
    };
    for name in &names {
        ensure!(
            known().contains(&name.as_str()),
            "no suite is called {name}; there are {}",
            known().join(", ")
        );
    }
    let chosen = SUITES
        .iter()
        .filter(|suite| names.is_empty() || names.iter().any(|name| *name == suite.name));
    let steps = chosen.filter_map(|suite| {
        let given = if long { suite.long } else { suite.short };
        let words: Vec<&str> = std::iter::once("xtask").chain(given.iter().copied()).collect();
        (!given.is_empty()).then(|| Step::cargo(suite.name, &words))
    });
    run_all(steps.collect(), false)
}

fn known() -> Vec<&'static str> {
    SUITES.iter().map(|suite| suite.name).collect()
}

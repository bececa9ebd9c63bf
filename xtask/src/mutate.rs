//! `cargo xtask mutate [NAME ...]`: breaks our own rules, one at a time, in a copy of the workspace, and sees that a test fails.
//!
//! Each file of `tests/mutations` is one broken rule ([`Mutation`]): where, which text stands there, what it is made to say, and
//! the test that has to notice. A rule counts as caught when the code still compiles, and that test fails. `--check` only sees
//! that every file still fits the code; it is part of `cargo xtask verify`. With `--sim` it is the simulation that has to
//! notice, within a hundred seeds; rules of what is not in it (doors, wires) it cannot.

use crate::cargo::program;
use crate::{root, sim};
use anyhow::{Context, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

const FOLDER: &str = "tests/mutations";
const INSTEAD: &str = "--- instead of";
const SAYS: &str = "--- says";
const OPTIONS: [&str; 2] = ["--check", "--sim"];
/// Of the simulation, for one broken rule.
const SEEDS: u64 = 100;
/// The first one builds all that the workspace needs.
const BUILD_SECONDS_MAX: &str = "1200";
const TEST_SECONDS_MAX: &str = "300";

/// A rule and how it is broken.
#[derive(Debug)]
struct Mutation {
    name: String,
    promise: String,
    rule: String,
    file: PathBuf,
    package: String,
    test: String,
    instead: String,
    says: String,
}

/// What became of a broken rule.
enum Fate {
    /// The test failed, as it should; of the simulation, what it said.
    Caught(String),
    /// The test passed: nobody would have noticed.
    Missed,
    /// It does not compile, or the test is not there.
    Unfit(String),
}

/// # Errors
/// A file that does not fit the code, and a broken rule that no test noticed.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    let (check, simulated) = (has("--check"), has("--sim"));
    let names: Vec<_> = arguments
        .iter()
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let unknown = arguments
        .iter()
        .find(|argument| argument.starts_with("--") && !OPTIONS.contains(&argument.as_str()));
    ensure!(unknown.is_none(), "no option {unknown:?}; there are {OPTIONS:?}");
    let mut mutations = read_all()?;
    for name in &names {
        ensure!(
            mutations.iter().any(|it| it.name == **name),
            "no mutation is called {name}"
        );
    }
    mutations.retain(|it| names.is_empty() || names.contains(&&it.name));
    for mutation in &mutations {
        mutation.fits(&root())?;
    }
    if check {
        println!("{} mutations fit the code", mutations.len());
        return Ok(());
    }
    let tree = copy_of_the_workspace()?;
    let mut bad = Vec::new();
    println!("{:<9} {:>6}  {:<44} caught by", "", "s", "broken rule");
    for mutation in &mutations {
        #[allow(
            clippy::disallowed_methods,
            reason = "a program for the terminal says how long things take"
        )]
        let begun = Instant::now();
        let test = match simulated {
            true => "the simulation".to_owned(),
            false => format!("{}::{}", mutation.package, mutation.test),
        };
        let (word, by) = match mutation.play(&tree, simulated)? {
            Fate::Caught(said) if said.is_empty() => ("caught", test),
            Fate::Caught(said) => ("caught", said),
            Fate::Missed => ("MISSED", format!("{test} did not notice")),
            Fate::Unfit(why) => ("UNFIT", why),
        };
        let rule = format!("{} {}", mutation.promise, mutation.rule);
        println!("{word:<9} {:>6.1}  {rule:<44} {by}", begun.elapsed().as_secs_f64());
        if word != "caught" {
            bad.push(mutation.name.clone());
        }
    }
    if !bad.is_empty() {
        bail!(
            "not caught: {} (repeat: cargo xtask mutate {})",
            bad.join(", "),
            bad.join(" ")
        );
    }
    println!("all {} were caught", mutations.len());
    Ok(())
}

fn read_all() -> anyhow::Result<Vec<Mutation>> {
    let folder = root().join(FOLDER);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .with_context(|| folder.display().to_string())?
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files.iter().map(|file| Mutation::read(file)).collect()
}

impl Mutation {
    fn read(file: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(file)?;
        Self::parse(&text, file).with_context(|| file.display().to_string())
    }

    fn parse(text: &str, file: &Path) -> anyhow::Result<Self> {
        let (head, rest) = text
            .split_once(&format!("{INSTEAD}\n"))
            .context("no `--- instead of`")?;
        let (instead, says) = rest.split_once(&format!("{SAYS}\n")).context("no `--- says`")?;
        let mut lines = head.lines();
        let (promise, rule) = lines
            .next()
            .and_then(|line| line.split_once(": "))
            .context("no `G1: rule`")?;
        let mut line = |key: &str| {
            let line = lines.next().unwrap_or_default();
            line.strip_prefix(key)
                .map(str::trim)
                .with_context(|| format!("no `{key}`"))
        };
        let place = line("in:")?;
        let (package, test) = line("caught by:")?
            .split_once("::")
            .context("`caught by: crate::test`")?;
        Ok(Self {
            name: file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            promise: promise.to_owned(),
            rule: rule.to_owned(),
            file: place.into(),
            package: package.to_owned(),
            test: test.to_owned(),
            instead: instead.to_owned(),
            says: says.to_owned(),
        })
    }

    /// The text stands in its file, once.
    fn fits(&self, tree: &Path) -> anyhow::Result<String> {
        let file = tree.join(&self.file);
        let text = fs::read_to_string(&file).with_context(|| format!("{}: {}", self.name, file.display()))?;
        let times = text.matches(&self.instead).count();
        ensure!(
            times == 1,
            "{}: its text stands {times} times in {}",
            self.name,
            self.file.display()
        );
        Ok(text)
    }

    /// Breaks the rule, runs the test or the simulation, puts the rule back.
    fn play(&self, tree: &Path, simulated: bool) -> anyhow::Result<Fate> {
        let whole = self.fits(tree)?;
        let file = tree.join(&self.file);
        fs::write(&file, whole.replacen(&self.instead, &self.says, 1))?;
        let fate = match simulated {
            true => simulated_fate(tree),
            false => self.fate(tree),
        };
        fs::write(&file, whole)?;
        fate
    }

    fn fate(&self, tree: &Path) -> anyhow::Result<Fate> {
        let package = format!("muster-{}", self.package);
        let built = cargo(tree, BUILD_SECONDS_MAX, &["test", "--package", &package, "--no-run"])?;
        if !built.status.success() {
            return Ok(Fate::Unfit(String::from_utf8_lossy(&built.stderr).into_owned()));
        }
        let ran = cargo(
            tree,
            TEST_SECONDS_MAX,
            &["test", "--package", &package, "--no-fail-fast", "--", &self.test],
        )?;
        let said = String::from_utf8_lossy(&ran.stdout);
        let of_test = |end: &str| said.lines().any(|line| line.contains(&self.test) && line.contains(end));
        Ok(if of_test("... FAILED") || of_test("has been running") {
            Fate::Caught(String::new())
        } else if of_test("... ok") {
            Fate::Missed
        } else {
            Fate::Unfit(format!("there is no test {}, or it did not end:\n{said}", self.test))
        })
    }
}

fn simulated_fate(tree: &Path) -> anyhow::Result<Fate> {
    let built = cargo(
        tree,
        BUILD_SECONDS_MAX,
        &["build", "--profile", "sim", "--package", "muster-sim"],
    )?;
    if !built.status.success() {
        return Ok(Fate::Unfit(String::from_utf8_lossy(&built.stderr).into_owned()));
    }
    let program = build_folder().join("sim/muster-sim");
    Ok(sim::first_broken(&program, SEEDS)?.map_or(Fate::Missed, Fate::Caught))
}

fn build_folder() -> PathBuf {
    root().join("target/mutate/build")
}

/// A broken rule may leave a test waiting for ever; `timeout` ends it, which is a failure as well.
fn cargo(tree: &Path, seconds_max: &str, arguments: &[&str]) -> anyhow::Result<Output> {
    Command::new("timeout")
        .arg(seconds_max)
        .arg(program())
        .args(arguments)
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", build_folder())
        .env("CARGO_TERM_COLOR", "never")
        // A shrunken counterexample is not to be kept: the rule was broken on purpose.
        .env("PROPTEST_FAILURE_PERSISTENCE", "off")
        .output()
        .context("cannot run cargo")
}

/// What git knows of the workspace, as it lies here now, under `target/mutate`.
fn copy_of_the_workspace() -> anyhow::Result<PathBuf> {
    let tree = root().join("target/mutate/tree");
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .context("cannot run git")?;
    ensure!(listed.status.success(), "git does not list the files");
    for file in listed.stdout.split(|byte| *byte == 0).filter(|file| !file.is_empty()) {
        let file = std::str::from_utf8(file)?;
        let (from, to) = (root().join(file), tree.join(file));
        let Ok(bytes) = fs::read(&from) else { continue };
        // What is the same keeps its time, so that cargo builds only what changed.
        if fs::read(&to).is_ok_and(|there| there == bytes) {
            continue;
        }
        fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
        fs::write(&to, bytes)?;
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutation_fits_the_code() {
        let mutations = read_all().unwrap();
        assert!(mutations.len() >= 12, "{}", mutations.len());
        for mutation in mutations {
            mutation.fits(&root()).unwrap();
            assert_ne!(mutation.instead, mutation.says, "{}", mutation.name);
        }
    }

    #[test]
    fn a_mutation_is_read_to_the_letter() {
        let text = "G1: rule\nin: a/b.rs\ncaught by: storage::a_test\n--- instead of\n    one\n--- says\n";
        let mutation = Mutation::parse(text, Path::new("x/name.txt")).unwrap();
        assert_eq!((mutation.name.as_str(), mutation.package.as_str()), ("name", "storage"));
        assert_eq!((mutation.instead.as_str(), mutation.says.as_str()), ("    one\n", ""));
    }
}

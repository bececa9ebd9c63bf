//! Coverage-guided fuzzing: `cargo xtask fuzz`.
//!
//! One program holds all targets (`fuzz/`). It is built with libFuzzer, whose counters `fuzz/instrument` has rustc put into
//! our own crates; that needs a C++ compiler and no other tool. Each target then runs over its corpus, `--jobs` at a time.
//! What finds new ways through the code is kept below `target/fuzz`; `--minimize` takes of it what the repository keeps.

use crate::cargo::cargo;
use crate::root;
use anyhow::{Context, bail, ensure};
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

const USAGE: &str = "cargo xtask fuzz [TARGET] [FILE...] [--seconds 60] [--total-seconds N] [--jobs 2] [--minimize]
  no TARGET         all of them, each for so many seconds, so many at a time
  TARGET FILE       runs the target over these inputs and nothing else
  --total-seconds   all of them share this time, which the build is no part of
  --minimize        takes into fuzz/corpus the inputs that are needed to reach all that was reached, and those that are called
                    found-…, and no others";

/// An input that takes this long hangs.
const HANGS_AFTER_SECONDS: u32 = 20;
/// Beside what each target allows itself: libFuzzer's own tables and corpus.
const MEMORY_MIB_MAX: u32 = 2_048;
/// What the repository keeps of a target's corpus, smallest first: all targets together stay some hundred kB, and `cargo test` runs
/// over them in seconds.
const CORPUS_BYTES_MAX: u64 = 16 * 1_024;
/// Inputs that broke a promise once begin with this, and stay.
const FOUND: &str = "found-";
const SHOWN_BYTES_MAX: usize = 400;

struct Arguments {
    target: Option<String>,
    files: Vec<String>,
    time: Time,
    jobs: usize,
    minimize: bool,
}

/// How long targets run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Time {
    Each { seconds: u32 },
    Shared { seconds: u32 },
}

impl Time {
    /// What the next target gets, of which there are so many that have not begun, so long after the first has.
    fn share(self, gone_seconds: u32, waiting: usize, jobs: usize) -> u32 {
        match self {
            Time::Each { seconds } => seconds,
            Time::Shared { seconds } => {
                let left = seconds.saturating_sub(gone_seconds) as usize;
                // Less than a second is none to libFuzzer, and none means for ever.
                (left * jobs / waiting.max(1)).clamp(1, left.max(1)) as u32
            }
        }
    }
}

impl Arguments {
    fn parse(arguments: &[String]) -> anyhow::Result<Self> {
        let mut parsed = Self {
            target: None,
            files: Vec::new(),
            time: Time::Each { seconds: 60 },
            jobs: 2,
            minimize: false,
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || {
                rest.next()
                    .with_context(|| format!("{argument} wants a number\n{USAGE}"))
            };
            match argument.as_str() {
                "--seconds" | "--total-seconds" => {
                    let seconds = value()?.parse().context(argument.clone())?;
                    ensure!(seconds > 0, "nothing would run\n{USAGE}");
                    parsed.time = match argument.as_str() {
                        "--seconds" => Time::Each { seconds },
                        _ => Time::Shared { seconds },
                    };
                }
                "--jobs" => parsed.jobs = value()?.parse().context("--jobs")?,
                "--minimize" => parsed.minimize = true,
                flag if flag.starts_with('-') => bail!("no flag {flag}\n{USAGE}"),
                name if parsed.target.is_none() => parsed.target = Some(name.to_owned()),
                file => parsed.files.push(file.to_owned()),
            }
        }
        ensure!(parsed.jobs > 0, "nothing would run\n{USAGE}");
        Ok(parsed)
    }
}

/// The built program, and where it works.
struct Fuzzer {
    program: PathBuf,
    /// `target/fuzz`.
    folder: PathBuf,
    scratch: Scratch,
}

/// A folder for files that targets write, in memory where the system has such a place; gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let in_memory = PathBuf::from("/dev/shm");
        let parent = if in_memory.is_dir() {
            in_memory
        } else {
            std::env::temp_dir()
        };
        let folder = parent.join(format!("muster-fuzz-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("xtask: {} is left: {error}", self.0.display());
        }
    }
}

struct Target {
    name: String,
    input_bytes_max: u32,
}

/// What became of one target's run.
struct Outcome {
    seconds: u64,
    executions: u64,
    per_second: u64,
    /// Edges reached, of our own crates.
    coverage: u64,
    corpus: u64,
    memory_mib: u64,
    failure: Option<String>,
}

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let arguments = Arguments::parse(arguments)?;
    let fuzzer = Fuzzer::build()?;
    let mut targets = fuzzer.targets()?;
    if let Some(name) = &arguments.target {
        let all: Vec<_> = targets.iter().map(|target| target.name.clone()).collect();
        targets.retain(|target| target.name == *name);
        ensure!(!targets.is_empty(), "no target {name:?}; there are {}", all.join(", "));
    }
    match targets.as_slice() {
        [target] if !arguments.files.is_empty() => fuzzer.repeat(target, &arguments.files),
        _ if arguments.minimize => targets.iter().try_for_each(|target| fuzzer.minimize(target)),
        _ => fuzzer.fuzz_all(targets, arguments.time, arguments.jobs),
    }
}

impl Fuzzer {
    fn build() -> anyhow::Result<Self> {
        let folder = root().join("target/fuzz");
        let begun = now();
        let status = cargo()
            .args(["build", "--locked", "--package", "muster-fuzz", "--bin", "muster-fuzz"])
            .args(["--features", "engine", "--profile", "fuzz", "--target-dir"])
            .arg(&folder)
            .env("RUSTC_WORKSPACE_WRAPPER", root().join("fuzz/instrument"))
            .status()
            .context("cargo build")?;
        ensure!(
            status.success(),
            "the targets could not be built; a C++ compiler is needed"
        );
        println!("built in {} s", begun.elapsed().as_secs());
        Ok(Self {
            program: folder.join("fuzz/muster-fuzz"),
            folder,
            scratch: Scratch::new()?,
        })
    }

    fn targets(&self) -> anyhow::Result<Vec<Target>> {
        let output = Command::new(&self.program).arg("--list").output().context("--list")?;
        let text = String::from_utf8(output.stdout).context("--list")?;
        let target = |line: &str| {
            let mut columns = line.split('\t');
            Some(Target {
                name: columns.next()?.to_owned(),
                input_bytes_max: columns.next()?.parse().ok()?,
            })
        };
        let targets: Option<Vec<_>> = text.lines().map(target).collect();
        targets
            .filter(|targets| !targets.is_empty())
            .context("the program lists no targets")
    }

    fn command(&self, target: &Target) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg(format!("--target={}", target.name))
            .arg(format!("-max_len={}", target.input_bytes_max))
            // Without this no input is longer than the longest seed for the first hundred thousand runs.
            .arg("-len_control=0")
            .arg(format!("-timeout={HANGS_AFTER_SECONDS}"))
            .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
            .arg(format!(
                "-artifact_prefix={}/findings/{}-",
                self.folder.display(),
                target.name
            ))
            .env("TMPDIR", &self.scratch.0)
            .env("RUST_BACKTRACE", "1")
            .current_dir(root());
        command
    }

    fn corpus(target: &Target) -> PathBuf {
        root().join("fuzz/corpus").join(&target.name)
    }

    /// Where a target's run keeps what it finds worth keeping.
    fn grown(&self, target: &Target) -> PathBuf {
        self.folder.join("corpus").join(&target.name)
    }

    fn repeat(&self, target: &Target, files: &[String]) -> anyhow::Result<()> {
        let status = self.command(target).args(files).status().context(target.name.clone())?;
        ensure!(status.success(), "{} breaks a promise", target.name);
        println!("{} keeps its promises", target.name);
        Ok(())
    }

    fn fuzz_all(&self, targets: Vec<Target>, time: Time, jobs: usize) -> anyhow::Result<()> {
        match time {
            Time::Each { seconds } => println!("{} targets, {seconds} s each, {jobs} at a time", targets.len()),
            Time::Shared { seconds } => println!("{} targets, {seconds} s in all, {jobs} at a time", targets.len()),
        }
        println!(
            "{:16} {:>7} {:>12} {:>8} {:>7} {:>7} {:>6}",
            "target", "seconds", "executions", "per s", "edges", "corpus", "MiB"
        );
        let waiting = Mutex::new(VecDeque::from(targets));
        let failures = Mutex::new(Vec::new());
        let begun = now();
        let next = || {
            let mut waiting = waiting.lock().expect("nobody panics with it");
            let gone_seconds = begun.elapsed().as_secs_f32().ceil() as u32;
            let seconds = time.share(gone_seconds, waiting.len(), jobs);
            waiting.pop_front().map(|target| (target, seconds))
        };
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| {
                    while let Some((target, seconds)) = next() {
                        let failure = match self.fuzz(&target, seconds) {
                            Ok(outcome) => outcome.print(&target),
                            Err(error) => Some(format!("{}: {error:#}", target.name)),
                        };
                        failures.lock().expect("nobody panics with it").extend(failure);
                    }
                });
            }
        });
        let failures = failures.into_inner().expect("nobody panics with it");
        println!("{} s in all", begun.elapsed().as_secs());
        failures.iter().for_each(|failure| println!("\n{failure}"));
        ensure!(failures.is_empty(), "{} targets break their promises", failures.len());
        Ok(())
    }

    fn fuzz(&self, target: &Target, seconds: u32) -> anyhow::Result<Outcome> {
        let (grown, logs) = (self.grown(target), self.folder.join("logs"));
        for folder in [&grown, &logs, &self.folder.join("findings")] {
            fs::create_dir_all(folder)?;
        }
        let path = logs.join(format!("{}.log", target.name));
        let log = fs::File::create(&path)?;
        let begun = now();
        let status = self
            .command(target)
            .args([format!("-max_total_time={seconds}"), "-print_final_stats=1".to_owned()])
            .args([grown, Self::corpus(target)])
            .stdout(Stdio::from(log.try_clone()?))
            .stderr(Stdio::from(log))
            .status()?;
        let log = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        let mut outcome = Outcome::read(&log);
        outcome.seconds = begun.elapsed().as_secs();
        if !status.success() {
            outcome.failure = Some(failure(target, &log, &path));
        }
        Ok(outcome)
    }

    /// libFuzzer's merge keeps, smallest first, what reaches something that nothing before it has reached.
    fn minimize(&self, target: &Target) -> anyhow::Result<()> {
        let (corpus, grown) = (Self::corpus(target), self.grown(target));
        let merged = self.folder.join("merged").join(&target.name);
        if merged.exists() {
            fs::remove_dir_all(&merged)?;
        }
        for folder in [&merged, &grown, &corpus] {
            fs::create_dir_all(folder)?;
        }
        let output = self
            .command(target)
            .arg("-merge=1")
            .args([&merged, &corpus, &grown])
            .output()?;
        ensure!(
            output.status.success(),
            "{}: merging failed:\n{}",
            target.name,
            String::from_utf8_lossy(&output.stderr)
        );
        let mut inputs = Vec::new();
        for entry in fs::read_dir(&merged)? {
            let entry = entry?;
            inputs.push((entry.metadata()?.len(), entry.path()));
        }
        inputs.sort();
        let found = inputs.len();
        let mut room = CORPUS_BYTES_MAX;
        inputs.retain(|(bytes, _)| {
            let fits = *bytes <= room;
            room -= if fits { *bytes } else { 0 };
            fits
        });
        forget_all_but_found(&corpus)?;
        for (_, path) in &inputs {
            fs::copy(path, corpus.join(path.file_name().context("an input has a name")?))?;
        }
        let bytes = CORPUS_BYTES_MAX - room;
        println!(
            "{:16} {:>5} inputs of {found}, {bytes} bytes",
            target.name,
            inputs.len()
        );
        Ok(())
    }
}

impl Outcome {
    /// What libFuzzer says at its end, and in its last line of progress.
    fn read(log: &str) -> Self {
        let stat = |name: &str| {
            let line = log
                .lines()
                .rev()
                .find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name));
            line.and_then(|rest| rest.trim_start_matches(':').trim().parse().ok())
                .unwrap_or(0)
        };
        let progress = log
            .lines()
            .rev()
            .find(|line| line.starts_with('#') && line.contains(" cov: "));
        let shown = |name: &str| {
            let mut words = progress.unwrap_or_default().split_whitespace();
            words.find(|word| *word == name)?;
            words.next()?.split('/').next()?.parse().ok()
        };
        Self {
            seconds: 0,
            executions: stat("number_of_executed_units"),
            per_second: stat("average_exec_per_sec"),
            coverage: shown("cov:").unwrap_or(0),
            corpus: shown("corp:").unwrap_or(0),
            memory_mib: stat("peak_rss_mb"),
            failure: None,
        }
    }

    fn print(self, target: &Target) -> Option<String> {
        println!(
            "{:16} {:>7} {:>12} {:>8} {:>7} {:>7} {:>6}{}",
            target.name,
            self.seconds,
            self.executions,
            self.per_second,
            self.coverage,
            self.corpus,
            self.memory_mib,
            if self.failure.is_some() { "  FAILED" } else { "" }
        );
        self.failure
    }
}

fn forget_all_but_found(corpus: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(corpus)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(FOUND) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// What broke, by which input, and how it is repeated.
fn failure(target: &Target, log: &str, path: &Path) -> String {
    let what: Vec<&str> = log
        .lines()
        .skip_while(|line| !line.contains("panicked at") && !line.starts_with("==") && !line.contains("ERROR"))
        .take(8)
        .collect();
    let found = log
        .lines()
        .rev()
        .find_map(|line| line.split_once("Test unit written to "));
    let Some((_, input)) = found else {
        return format!(
            "{}: ended badly; see {}\n{}",
            target.name,
            path.display(),
            what.join("\n")
        );
    };
    let shown = fs::read(input).unwrap_or_default();
    let shown = shown[..shown.len().min(SHOWN_BYTES_MAX)].escape_ascii().to_string();
    format!(
        "{}: {}\ninput: {shown}\nrepeat: cargo xtask fuzz {} {input}",
        target.name,
        what.join("\n"),
        target.name
    )
}

#[allow(clippy::disallowed_methods, reason = "a command times itself")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_a_run_are_those_of_its_last_lines() {
        let log = "#2\tINITED cov: 5 ft: 6 corp: 1/1b\n#4096\tpulse  cov: 1234 ft: 5678 corp: 90/12Kb lim: 4096 exec/s: 99\nDone 5000 runs\nstat::number_of_executed_units: 5000\nstat::average_exec_per_sec:     83\nstat::peak_rss_mb:              61\n";
        let read = Outcome::read(log);
        let figures = (
            read.executions,
            read.per_second,
            read.coverage,
            read.corpus,
            read.memory_mib,
        );
        assert_eq!(figures, (5_000, 83, 1_234, 90, 61));
    }

    #[test]
    fn targets_that_share_their_time_use_it_up_and_no_more() {
        let shared = Time::Shared { seconds: 180 };
        for (targets, jobs, overhead_seconds) in [(21, 2, 0), (21, 1, 1), (3, 4, 0), (500, 2, 0)] {
            // Each job's end so far.
            let mut ends = vec![0_u32; jobs];
            for waiting in (1..=targets).rev() {
                let next = ends.iter_mut().min().expect("there is a job");
                *next += shared.share(*next, waiting, jobs) + overhead_seconds;
            }
            let end = ends.into_iter().max().expect("there is a job");
            let late = if targets == 500 { 250 } else { 180 + overhead_seconds };
            assert!((170..=late).contains(&end), "{targets} targets end after {end} s");
        }
        assert_eq!(Time::Each { seconds: 60 }.share(1_000, 3, 2), 60);
    }

    #[test]
    fn what_was_found_once_is_kept_when_a_corpus_is_made_smaller() {
        let corpus = std::env::temp_dir().join(format!("muster-xtask-corpus-{}", std::process::id()));
        fs::create_dir_all(&corpus).unwrap();
        for name in ["found-length", "seed-00", "0a1b"] {
            fs::write(corpus.join(name), name).unwrap();
        }
        forget_all_but_found(&corpus).unwrap();
        let left: Vec<_> = fs::read_dir(&corpus)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        fs::remove_dir_all(&corpus).unwrap();
        assert_eq!(left, ["found-length"]);
    }

    #[test]
    fn a_failure_names_its_input_and_the_command_that_repeats_it() {
        let target = Target {
            name: "udp".to_owned(),
            input_bytes_max: 1,
        };
        let log = "#1 READ\nthread 'main' panicked at crates/wire/src/udp.rs:7:9:\nlonger\nartifact_prefix='x'; Test unit written to /findings/udp-crash-1\n";
        let text = failure(&target, log, Path::new("/logs/udp.log"));
        assert!(text.contains("panicked at crates/wire/src/udp.rs:7:9"), "{text}");
        assert!(
            text.ends_with("repeat: cargo xtask fuzz udp /findings/udp-crash-1"),
            "{text}"
        );
    }
}

//! Every kept input, without any tool for fuzzing: what was found once stays found.

use muster_fuzz::{TARGETS, Target, seeds};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

// One test, for the memory is counted over the whole process.
#[test]
fn every_target_keeps_its_promises_over_its_seeds_and_its_corpus() {
    let mut broken = Vec::new();
    for target in TARGETS {
        let folder = corpus().join(target.name);
        let mut inputs: Vec<_> = files(&folder)
            .into_iter()
            .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
            .collect();
        assert!(!inputs.is_empty(), "{} has a corpus", target.name);
        let seeds = seeds::of(target.name).into_iter().enumerate();
        inputs.extend(seeds.map(|(number, seed)| (format!("seed {number} of {}", target.name), seed)));
        for (name, input) in inputs {
            if catch_unwind(AssertUnwindSafe(|| target.run(&input))).is_err() {
                broken.push(format!("{name}; repeat: cargo xtask fuzz {} FILE", target.name));
            }
        }
    }
    assert!(broken.is_empty(), "promises broken by {broken:#?}");
}

#[test]
fn every_corpus_is_a_targets_and_small() {
    let mut bytes = 0;
    for folder in files(&corpus()) {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let target = Target::named(&name).unwrap_or_else(|| panic!("no target {name}"));
        for file in files(&folder) {
            let length = fs::metadata(&file).unwrap().len();
            assert!(length <= target.input_bytes_max as u64, "{} is not run", file.display());
            bytes += length;
        }
    }
    assert!(
        bytes <= 1_500_000,
        "{bytes} bytes; merge them: cargo xtask fuzz --minimize"
    );
}

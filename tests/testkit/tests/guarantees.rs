//! The page that promises names tests; here it is held to that.

use std::fs;
use std::path::{Path, PathBuf};

/// `crate::test` in backticks.
fn named(page: &str) -> Vec<(&str, &str)> {
    let plain = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let tokens = page.split('`').skip(1).step_by(2);
    let pairs = tokens.filter_map(|token| token.split_once("::"));
    pairs.filter(|(owner, test)| plain(owner) && plain(test)).collect()
}

fn sources(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|it| it == "rs") {
            into.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_test_that_the_guarantees_name_exists() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/guarantees.md")).unwrap();
    // fenced blocks hold commands; their backticks come in threes and would shift the pairs
    let prose: String = page.split("```").step_by(2).collect();
    let named = named(&prose);
    assert!(named.len() > 100, "the page names {} tests", named.len());
    let mut missing = Vec::new();
    for (owner, test) in named {
        let mut text = String::new();
        for place in ["crates", "tests"] {
            for part in ["src", "tests"] {
                sources(&root.join(place).join(owner).join(part), &mut text);
            }
        }
        if !text.contains(&format!("fn {test}(")) {
            missing.push(format!("{owner}::{test}"));
        }
    }
    assert!(missing.is_empty(), "named and not there: {missing:#?}");
}

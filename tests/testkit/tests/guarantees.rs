//! The pages that promise name tests; here they are held to that.

use std::collections::BTreeMap;
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

/// What a page names and is not there.
fn missing(page: &str, at_least: usize) -> Vec<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs").join(page)).unwrap();
    // fenced blocks hold commands; their backticks come in threes and would shift the pairs
    let prose: String = page.split("```").step_by(2).collect();
    let named = named(&prose);
    assert!(named.len() > at_least, "the page names {} tests", named.len());
    let mut texts: BTreeMap<&str, String> = BTreeMap::new();
    let missing = named.into_iter().filter(|(owner, test)| {
        let text = texts.entry(owner).or_insert_with(|| {
            let mut text = String::new();
            for place in ["crates", "tests"] {
                for part in ["src", "tests"] {
                    sources(&root.join(place).join(owner).join(part), &mut text);
                }
            }
            text
        });
        !text.contains(&format!("fn {test}("))
    });
    missing.map(|(owner, test)| format!("{owner}::{test}")).collect()
}

#[test]
fn every_test_that_the_guarantees_name_exists() {
    assert_eq!(missing("guarantees.md", 100), [""; 0]);
}

#[test]
fn every_test_that_the_page_of_what_others_suffered_names_exists() {
    assert_eq!(missing("beaten.md", 25), [""; 0]);
}

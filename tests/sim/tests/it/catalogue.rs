//! The pages that list what other systems got wrong name tests that exist, and all of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]

use std::collections::BTreeSet;
use std::fs;

use crate::teeth::{root, sources};

/// The pages whose rows name tests in their last cell.
const PAGES: [&str; 2] = ["docs/raft.md", "docs/scenarios.md"];

/// The names of all tests in these folders, and perhaps of a few other functions.
fn tests_in(folders: &[&str]) -> BTreeSet<String> {
    let texts = folders.iter().flat_map(|folder| sources(&root().join(folder)));
    let mut found = BTreeSet::new();
    for (_, text) in texts {
        let text = text.replace("#[tokio::test]", "#[test]");
        let after_attribute = text.split("#[test]").skip(1);
        let names = after_attribute.filter_map(|rest| rest.split("fn ").nth(1));
        found.extend(names.map(|rest| rest.split('(').next().unwrap().to_owned()));
    }
    found
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn is_of_catalogue(name: &str) -> bool {
    name.starts_with("rel_") || name.starts_with("ref_")
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[test]
fn every_test_that_a_page_names_exists() {
    let tests = tests_in(&["tests/sim/tests", "tests/tests", "raft-core", "raft-net", "kv-store"]);
    let mut count = 0;
    for page in PAGES {
        let text = fs::read_to_string(root().join(page)).unwrap();
        for row in text.lines().filter(|line| line.starts_with('|')) {
            let last = row.trim_matches('|').rsplit(" | ").next().unwrap();
            for name in quoted(last) {
                // A script, or the beginning of several names, or a test.
                if name.ends_with(".txt") {
                    let script = root().join("tests/scripts").join(name);
                    assert!(script.exists(), "{page} names the script {name}");
                } else if is_name(name) && (is_of_catalogue(name) || 3 < name.split('_').count()) {
                    let is_there = tests.range(name.to_owned()..).next().is_some_and(|found| {
                        found == name || found.starts_with(&format!("{name}_"))
                    });
                    assert!(is_there, "{page} names the test {name}");
                    count += 1;
                }
            }
        }
    }
    assert!(200 < count, "the pages name {count} tests");
}

#[test]
fn every_test_of_the_catalogue_stands_on_a_page() {
    let pages = PAGES.map(|page| fs::read_to_string(root().join(page)).unwrap());
    let named: BTreeSet<&str> = pages.iter().flat_map(|page| quoted(page)).collect();
    let tests = tests_in(&["tests/sim/tests"]);
    for test in tests.iter().filter(|name| is_of_catalogue(name)) {
        assert!(named.contains(test.as_str()), "no page names {test}");
    }
}

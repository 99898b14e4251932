//! The table of guards is about guards and tests that exist.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use sim::teeth::guards;

/// Every file of ours in a folder and below.
pub(super) fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

pub(super) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
fn every_guard_stands_in_the_code_and_in_the_table() {
    let asked: BTreeSet<String> = sources(&root().join("raft-core/src"))
        .iter()
        .flat_map(|(_, text)| text.split("is_removed(\"").skip(1).map(str::to_owned))
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect();
    let guards = guards();
    let listed: BTreeSet<String> = guards.iter().map(|guard| guard.name.to_owned()).collect();
    assert_eq!(listed.len(), guards.len(), "each guard has one row");
    assert_eq!(asked, listed);
}

#[test]
fn every_guard_is_missed_by_something_that_exists() {
    let mut tests: BTreeMap<String, String> = BTreeMap::new();
    for (place, text) in sources(&root().join("tests/sim/tests/it")) {
        tests.entry(place).or_default().push_str(&text);
    }
    for (_, text) in sources(&root().join("raft-core/src")) {
        tests.entry("raft_core".to_owned()).or_default().push_str(&text);
    }
    for guard in guards() {
        assert!(guard.is_simulated || !guard.tests.is_empty(), "nothing misses {}", guard.name);
        for test in guard.tests {
            let text = tests.get(test.place);
            let text = text.unwrap_or_else(|| panic!("there are no tests {}", test.place));
            let name = test.name.rsplit("::").next().unwrap();
            assert!(text.contains(&format!("fn {name}()")), "{name} is a test of {}", test.place);
        }
    }
}

#[test]
fn the_guards_cover_scenarios_known_bugs_and_every_invariant() {
    let guards = guards();
    let scenarios: BTreeSet<&str> =
        guards.iter().flat_map(|guard| guard.scenarios.clone()).collect();
    assert!(25 <= scenarios.len(), "{scenarios:?}");
    let known = guards.iter().filter(|guard| !guard.seen_in.is_empty()).count();
    assert!(15 <= known, "{known} guards against bugs of others");
    let shown: BTreeSet<&str> =
        guards.iter().flat_map(|guard| &guard.shows).map(|shown| shown.invariant).collect();
    let text = fs::read_to_string(root().join("docs/simulator.md")).unwrap();
    let checked = text.lines().filter(|line| line.starts_with("| I") || line.starts_with("| L"));
    let checked = checked.filter(|line| !line.contains("joins when"));
    let invariants: BTreeSet<&str> =
        checked.flat_map(|line| line.split('|').nth(1).unwrap().trim().split(", ")).collect();
    assert!(invariants.contains("I1") && invariants.contains("L1"));
    for invariant in invariants {
        assert!(shown.contains(invariant), "no guard shows {invariant}");
    }
}

//! The guards that can be taken away, and what must notice it: the table of `docs/teeth.md`.

use std::collections::BTreeSet;

/// The only place where the guards are listed.
const TABLE: &str = include_str!("../../../docs/teeth.md");

/// A guard of `raft-core` that a build with `--cfg kvorum_teeth` can do without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// As in `is_removed`, and in the environment variable `KVORUM_TEETH`.
    pub name: &'static str,
    /// The scenarios of `docs/raft.md` that it belongs to.
    pub scenarios: BTreeSet<&'static str>,
    /// What happens without it.
    pub without: &'static str,
    /// Where such a bug was seen, if it was.
    pub seen_in: &'static str,
    /// Each of them must fail.
    pub tests: Vec<NamedTest>,
    /// Whether some seed of the simulator must fail too.
    pub is_simulated: bool,
    /// What must be said by something that fails.
    pub shows: Vec<Shown>,
}

/// The place of the tests inside the crate whose guards these are.
const INSIDE: &str = "raft_core";

/// A test and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedTest {
    /// A file of `tests/sim/tests/it`, or `raft_core` for the tests inside that crate.
    pub place: &'static str,
    /// The test in it.
    pub name: &'static str,
}

impl NamedTest {
    /// The program that holds it, by its name.
    #[must_use]
    pub fn program(&self) -> &'static str {
        if self.place == INSIDE { INSIDE } else { "it" }
    }

    /// Its name within that program.
    #[must_use]
    pub fn path(&self) -> String {
        if self.place == INSIDE {
            self.name.to_owned()
        } else {
            format!("{}::{}", self.place, self.name)
        }
    }
}

/// An invariant that is broken, and how that is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// One of `I1`, `I2` and so on, or `L1`.
    pub invariant: &'static str,
    /// The words of the failure that tell it.
    pub words: &'static str,
}

/// The guards in the order of the table.
///
/// Panics: if the table is not as its head says.
#[must_use]
pub fn guards() -> Vec<Guard> {
    TABLE.lines().filter(|line| line.starts_with("| `")).map(guard).collect()
}

fn guard(row: &'static str) -> Guard {
    let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
    let [name, scenarios, without, seen_in, caught_by, shows] = cells[..] else {
        panic!("a row has six cells: {row}");
    };
    let is_simulated = caught_by.split(", ").any(|by| by == "simulator");
    let tests = caught_by.split(", ").filter(|by| *by != "simulator").map(named_test).collect();
    Guard {
        name: name.trim_matches('`'),
        scenarios: listed(scenarios).collect(),
        without,
        seen_in,
        tests,
        is_simulated,
        shows: listed(shows).map(shown).collect(),
    }
}

fn listed(cell: &'static str) -> impl Iterator<Item = &'static str> {
    cell.split(", ").filter(|part| !part.is_empty())
}

fn named_test(by: &'static str) -> NamedTest {
    let named = by.trim_matches('`').split_once("::");
    let (place, name) = named.unwrap_or_else(|| panic!("{by} names a place and a test"));
    NamedTest { place, name }
}

fn shown(cell: &'static str) -> Shown {
    let (invariant, words) = cell.split_once(' ').unwrap_or((cell, cell));
    Shown { invariant, words: words.trim_matches('`') }
}

/// Whether `words` stand in a text, not as the beginning of a longer number.
#[must_use]
pub fn says(text: &str, words: &str) -> bool {
    text.match_indices(words).any(|(at, _)| {
        let after = text[at + words.len()..].chars().next();
        !after.is_some_and(|c| c.is_ascii_digit())
    })
}

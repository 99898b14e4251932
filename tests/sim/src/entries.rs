//! Entries as a leader would have written them.

use raft_core::entry::{Draft, Entries, EntryKind, SessionStamp, Stamp};
use raft_core::types::{Index, Term};

/// A round of commands that has no place in the log yet.
#[must_use]
pub fn draft(commands: &[&str]) -> Draft {
    let mut draft = Draft::default();
    for command in commands {
        draft.push(EntryKind::Command, &SessionStamp::default(), command.as_bytes());
    }
    draft
}

/// Commands as a leader of `term` put them into its log from `first` on.
///
/// Panics: if there is none.
#[must_use]
pub fn entries(term: u64, first: u64, commands: &[&str]) -> Entries {
    let (term, first) = (Term(term), Index(first));
    draft(commands).stamp(&Stamp {
        term,
        first,
        log_time: 0,
        feature_level: raft_core::entry::FEATURE_LEVEL,
        wall_time: 0,
        seed: 0,
    })
}

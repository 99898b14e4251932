//! The newest entries of a log, for those who draw it.

use std::fmt::Write as _;

use raft_core::consensus::log::{RaftLog, Slice};
use raft_core::entry::EntryKind;
use raft_core::types::Index;

/// Entries that are shown at most.
const ENTRIES_MAX: u64 = 64;

/// The newest entries that are in memory, oldest first: index, term, kind and length in bytes of
/// each, apart by blanks, and the entries by semicolons.
pub(crate) fn newest(log: &RaftLog) -> String {
    let mut shown = String::new();
    let end = log.last().index.next();
    let oldest = Index(end.0.saturating_sub(ENTRIES_MAX));
    let start = oldest.max(log.tail_first()).max(log.base().index.next());
    if end <= start {
        return shown;
    }
    let Slice::InMemory(runs) = log.slice(&(start..end), usize::MAX) else { return shown };
    for entry in runs.iter().flat_map(|run| run.iter()) {
        let (id, kind) = (entry.id(), name(entry.kind()));
        let semicolon = if shown.is_empty() { "" } else { ";" };
        // A String takes everything.
        let _ = write!(shown, "{semicolon}{} {} {kind} {}", id.index, id.term, entry.bytes().len());
    }
    shown
}

/// The word for a kind.
fn name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Noop => "empty",
        EntryKind::Command => "command",
        EntryKind::Bind => "bind",
        EntryKind::Change => "change",
        EntryKind::Configure => "configure",
    }
}

//! A dump for people: one line for each thing, indented by what it belongs to.

use std::fmt;
use std::io::{self, Write};

use raft_core::entry::{EntryKind, SessionStamp};
use raft_core::hard_state::{HardState, Standing};
use raft_core::wal::dump::{BatchItem, EntryItem, Item, SegmentItem, SlotItem, Verdict};

/// Writes an item as a line.
pub(super) fn write(item: &Item, output: &mut impl Write) -> io::Result<()> {
    match item {
        Item::Slot { place, content: None } => {
            writeln!(output, "hard-state slot {place}: does not verify")
        }
        Item::Slot { place, content: Some(slot) } => {
            let SlotItem { batch, synced_through, segment, hard_state } = slot;
            writeln!(
                output,
                "hard-state slot {place}: {}, batch {batch}, synced through {synced_through}, \
                 newest segment {segment}",
                Promise(hard_state)
            )
        }
        Item::Segment { file, header: None } => writeln!(output, "{file}: does not verify"),
        Item::Segment { file, header: Some(header) } => {
            let SegmentItem { length, first_batch, prev, begins_log, hard_state, .. } = header;
            let begins = if *begins_log { ", the log begins anew" } else { "" };
            writeln!(
                output,
                "{file}: {length} bytes, behind entry {prev}, first batch {first_batch}, {}, \
                 configuration of {} bytes{begins}",
                Promise(hard_state),
                header.configuration.len()
            )
        }
        Item::Batch(BatchItem { number, offset, length, entries, hard_state }) => writeln!(
            output,
            "  batch {number} at byte {offset}: {length} bytes, entries: {entries}, {}",
            Promise(hard_state)
        ),
        Item::Entry(entry) => {
            let EntryItem { id, kind, payload_bytes, session, log_time, is_replaced } = entry;
            let replaced = if *is_replaced { ", replaced" } else { "" };
            writeln!(
                output,
                "    entry {id} {}: {payload_bytes} bytes, log time {log_time} us{}{replaced}",
                kind_name(*kind),
                Session(session)
            )
        }
        Item::Verdict(verdict) => write_verdict(verdict, output),
    }
}

/// The word for a kind of entry.
pub(super) fn kind_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Noop => "no-op",
        EntryKind::Command => "command",
        EntryKind::Bind => "bind",
        EntryKind::Change => "change",
        EntryKind::Configure => "configure",
    }
}

/// The word for a standing.
pub(super) fn standing_name(standing: Standing) -> &'static str {
    match standing {
        Standing::Full => "full",
        Standing::Unbound => "unbound",
        Standing::Quarantined => "quarantined",
    }
}

fn write_verdict(verdict: &Verdict, output: &mut impl Write) -> io::Result<()> {
    match verdict {
        Verdict::Absent => writeln!(output, "there is no log"),
        Verdict::Whole { base, last } => {
            writeln!(output, "the log is whole, behind entry {base} up to entry {last}")
        }
        Verdict::Torn { file, offset, length, last } => writeln!(
            output,
            "the log ends with {length} bytes in {file} at byte {offset} that were not written to \
             their end, the last entry is {last}"
        ),
        Verdict::Damaged(damage) => writeln!(output, "{damage}"),
    }
}

/// A hard state in words.
struct Promise<'a>(&'a HardState);

impl fmt::Display for Promise<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HardState { term, vote, commit_index, standing } = self.0;
        let vote = vote.map_or("nobody".to_owned(), |node| format!("node {node}"));
        let standing = standing_name(*standing);
        write!(f, "term {term}, vote for {vote}, commit {commit_index}, {standing}")
    }
}

/// The session of an entry, if it has one.
struct Session<'a>(&'a SessionStamp);

impl fmt::Display for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.is_session() {
            return Ok(());
        }
        let SessionStamp { client, serial, acknowledged } = self.0;
        let (issued_at, random) = (client.issued_at, client.random);
        write!(f, ", client {issued_at}-{random:016x} serial {serial} after {acknowledged}")
    }
}

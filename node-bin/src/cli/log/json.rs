//! A dump for programs: one JSON document per line, told apart by `type`.

use std::fmt::Write as _;
use std::io::{self, Write};

use raft_core::entry::SessionStamp;
use raft_core::hard_state::HardState;
use raft_core::types::{EntryId, NodeId};
use raft_core::wal::dump::{BatchItem, EntryItem, Item, SegmentItem, SlotItem, Verdict};
use serde_json::{Value, json};

use super::text::{kind_name, standing_name};

/// Writes an item as a document on a line of its own.
pub(super) fn write(item: &Item, output: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *output, &document(item))?;
    output.write_all(b"\n")
}

fn document(item: &Item) -> Value {
    match item {
        Item::Slot { place, content } => {
            json!({ "type": "slot", "slot": place, "content": content.as_ref().map(slot) })
        }
        Item::Segment { file, header: None } => {
            json!({ "type": "segment", "file": file, "verified": false })
        }
        Item::Segment { file, header: Some(header) } => segment(file, header),
        Item::Batch(BatchItem { number, offset, length, entries, hard_state }) => json!({
            "type": "batch",
            "number": number,
            "offset": offset,
            "bytes": length,
            "entries": entries,
            "hard_state": promise(hard_state),
        }),
        Item::Entry(EntryItem { id, kind, payload_bytes, session, log_time, is_replaced }) => {
            json!({
                "type": "entry",
                "term": id.term.0,
                "index": id.index.0,
                "kind": kind_name(*kind),
                "payload_bytes": payload_bytes,
                "session": session_of(session),
                "log_time_us": log_time,
                "replaced": is_replaced,
            })
        }
        Item::Verdict(verdict) => verdict_of(verdict),
    }
}

fn slot(SlotItem { batch, synced_through, segment, hard_state }: &SlotItem) -> Value {
    json!({
        "batch": batch,
        "synced_through": synced_through,
        "segment": segment,
        "hard_state": promise(hard_state),
    })
}

fn segment(file: &str, header: &SegmentItem) -> Value {
    let SegmentItem { incarnation, length, first_batch, prev, begins_log, .. } = header;
    json!({
        "type": "segment",
        "file": file,
        "verified": true,
        "incarnation": format!("{:016x}", incarnation.0),
        "bytes": length,
        "first_batch": first_batch,
        "prev": entry_id(prev),
        "begins_log": begins_log,
        "hard_state": promise(&header.hard_state),
        "configuration_base16": base16(&header.configuration),
    })
}

fn promise(HardState { term, vote, commit_index, standing }: &HardState) -> Value {
    json!({
        "term": term.0,
        "vote": vote.map(NodeId::number),
        "commit_index": commit_index.0,
        "standing": standing_name(*standing),
    })
}

fn session_of(session: &SessionStamp) -> Value {
    if !session.is_session() {
        return Value::Null;
    }
    // As text, for many programs read numbers of 64 bits inexactly.
    let random = format!("{:016x}", session.client.random);
    json!({
        "issued_at_us": session.client.issued_at,
        "random": random,
        "serial": session.serial,
        "acknowledged": session.acknowledged,
    })
}

fn verdict_of(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Absent => json!({ "type": "verdict", "verdict": "absent" }),
        Verdict::Whole { base, last } => json!({
            "type": "verdict",
            "verdict": "whole",
            "base": entry_id(base),
            "last": entry_id(last),
        }),
        Verdict::Torn { file, offset, length, last } => json!({
            "type": "verdict",
            "verdict": "torn",
            "file": file,
            "offset": offset,
            "bytes": length,
            "last": entry_id(last),
        }),
        Verdict::Damaged(damage) => json!({
            "type": "verdict",
            "verdict": "damaged",
            "file": damage.file,
            "offset": damage.offset,
            "last": entry_id(&damage.lost_after),
        }),
    }
}

fn entry_id(id: &EntryId) -> Value {
    json!({ "term": id.term.0, "index": id.index.0 })
}

fn base16(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("text takes more text");
        text
    })
}

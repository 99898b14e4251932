//! What everything that exists takes in memory: counted as it changes, and the same on every node,
//! whether it was put there or loaded from a snapshot.

use super::record::Record;
use super::version::VersionRef;

/// What a key or an item that exists takes beside its name and its newest version: its record, and
/// its places in the index and in the order. Units: bytes.
const RECORD_OVERHEAD_BYTES: u64 = 96;

/// What a record adds to the live bytes, about; nothing if it does not exist. Units: bytes.
pub(super) fn live_bytes(record: &Record) -> u64 {
    let newest = &record.newest;
    live(record.key.as_bytes().len(), newest.is_gone(), newest.cost_bytes())
}

/// The same for a record of so long a key with this newest version.
pub(crate) fn live_bytes_of(key_bytes: usize, newest: VersionRef<'_>) -> u64 {
    live(key_bytes, newest.is_gone(), newest.cost_bytes())
}

fn live(key_bytes: usize, is_gone: bool, cost_bytes: u64) -> u64 {
    if is_gone { 0 } else { RECORD_OVERHEAD_BYTES + key_bytes as u64 + cost_bytes }
}

//! Commands that come next, shown to the state machine before they are applied.
//!
//! A state is larger than any cache, so most of what a command costs is waiting for memory.
//! Loads that do not depend on each other are waited for together.

use crate::entry::Entries;
use crate::replica::state_machine::StateMachine;

/// Commands that are shown at once: beyond about so many loads a processor has no room.
const FORESEEN_MAX: usize = 32;

/// Shows the machine the next entries from the one with this number on, if they are several.
/// Returns how many they are.
pub(super) fn foresee<S: StateMachine>(machine: &S, entries: &Entries, from: usize) -> usize {
    let first = entries.first_index().plus(from as u64);
    let mut payloads = [&b""[..]; FORESEEN_MAX];
    let count = payloads.len().min(entries.len() - from);
    for (number, payload) in payloads[..count].iter_mut().enumerate() {
        let entry = entries.get(first.plus(number as u64)).expect("it is among them");
        *payload = entry.payload();
    }
    if 1 < count {
        machine.foresee(&payloads[..count]);
    }
    count
}

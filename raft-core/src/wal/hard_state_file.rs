//! The second copy of the hard state, and the mark: the file `hard-state` with two slots.
//!
//! A slot with a new promise is written and synced before the batch that carries it, so the
//! newer of the two slots always holds the newest promise that anyone may have seen, even if
//! the whole log is lost. A mark is a slot that is written without a sync; it says through
//! which batch the log is synced, and stands in another file than what it vouches for.
//!
//! Only a synced slot changes which one is next, so the other slot is always whole and holds
//! the newest synced promise. The slots lie in different pages: tearing one leaves the other.
//!
//! Layout of one slot (at 0 and at 4096), little-endian:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | CRC32C of bytes 4..80, seeded with the slot's offset |
//! | 4 | 4 | `KVHS` |
//! | 8 | 1 | format version (1) |
//! | 9 | 7 | reserved (0) |
//! | 16 | 8 | incarnation of the data directory |
//! | 24 | 8 | number of the batch that carries the same hard state |
//! | 32 | 8 | synced through: the newest batch that was synced when the slot was written |
//! | 40 | 8 | number of the newest segment, 0 before the first |
//! | 48 | 32 | hard state: term, vote (0 none), commit index, standing (1 byte), 7 reserved |

use bytes::{Buf, BufMut};

use crate::hard_state::{HardState, Standing};
use crate::teeth::is_removed;
use crate::types::{Incarnation, Index, NodeId, Term};
use crate::wal::disk::{Disk, DiskError};
use crate::wal::error::{OpenError, WalError};

/// The name of the file.
pub(super) const HARD_STATE_FILE: &str = "hard-state";

/// What the file is called until it is complete.
pub(super) const HARD_STATE_FILE_NEW: &str = "hard-state.new";

/// Distance of the two slots: the largest unit that a write may tear.
const SLOT_SPACING: u64 = 4096;

/// The length of the file.
pub(super) const HARD_STATE_BYTES: u64 = 2 * SLOT_SPACING;

const SLOT_BYTES: usize = 80;
const MAGIC: [u8; 4] = *b"KVHS";
const FORMAT: u8 = 1;

/// A hard state and the batch that carries it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// The batch that carries it, which may not be written yet.
    pub(super) number: u64,
    /// The newest batch that was synced.
    pub(super) synced_through: u64,
    /// The newest segment that was in use.
    pub(super) segment: u64,
    pub(super) hard_state: HardState,
}

/// What the file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slots {
    /// There is no such file.
    Absent,
    /// `None` for a slot that is torn or rotten.
    Found([Option<Slot>; 2]),
}

impl Slots {
    /// Reads both slots.
    pub(super) fn load<D: Disk>(disk: &mut D, incarnation: Incarnation) -> Result<Self, OpenError> {
        let mut slots = [None, None];
        for (slot, offset) in slots.iter_mut().zip([0, SLOT_SPACING]) {
            let mut bytes = [0; SLOT_BYTES];
            let read = disk
                .read(HARD_STATE_FILE, offset, &mut bytes)
                .map_err(OpenError::disk("read", HARD_STATE_FILE))?;
            if let Some((found, decoded)) = decode(&bytes[..read], offset)? {
                if found != incarnation {
                    return Err(OpenError::Foreign { file: HARD_STATE_FILE.to_owned(), found });
                }
                *slot = Some(decoded);
            }
        }
        Ok(Self::Found(slots))
    }

    /// The directory that the file was written in, if a slot can be read.
    pub(super) fn incarnation<D: Disk>(disk: &mut D) -> Result<Option<Incarnation>, OpenError> {
        for offset in [0, SLOT_SPACING] {
            let mut bytes = [0; SLOT_BYTES];
            let read = disk
                .read(HARD_STATE_FILE, offset, &mut bytes)
                .map_err(OpenError::disk("read", HARD_STATE_FILE))?;
            if let Some((found, _)) = decode(&bytes[..read], offset)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The slots that can be read.
    pub(super) fn readable(&self) -> impl Iterator<Item = Slot> {
        match self {
            Self::Absent => [None, None],
            Self::Found(slots) => *slots,
        }
        .into_iter()
        .flatten()
    }

    /// The slot with the newest promise.
    pub(super) fn newest(&self) -> Option<Slot> {
        self.readable().max_by_key(|slot| slot.number)
    }

    /// Whether both slots are there.
    pub(super) fn are_whole(&self) -> bool {
        self.readable().count() == 2
    }
}

/// Writes the file; knows which slot is next.
#[derive(Debug)]
pub(super) struct HardStateFile {
    incarnation: Incarnation,
    next_offset: u64,
}

impl HardStateFile {
    /// Goes on after `slots`: the unreadable or else the older one is written next.
    pub(super) fn resume(incarnation: Incarnation, slots: &Slots) -> Self {
        let second_is_next = match slots {
            Slots::Found([Some(first), Some(second)]) => second.number < first.number,
            Slots::Found([first, second]) => first.is_some() && second.is_none(),
            Slots::Absent => false,
        };
        let next_offset = if second_is_next { SLOT_SPACING } else { 0 };
        Self { incarnation, next_offset }
    }

    /// Replaces the whole file by one with `slot` in both places, all or nothing.
    pub(super) fn replace<D: Disk>(
        disk: &mut D,
        incarnation: Incarnation,
        slot: &Slot,
    ) -> Result<Self, OpenError> {
        let mut write = || -> Result<(), DiskError> {
            disk.create(HARD_STATE_FILE_NEW, HARD_STATE_BYTES)?;
            for offset in [0, SLOT_SPACING] {
                disk.write(HARD_STATE_FILE_NEW, offset, &encode(slot, offset, incarnation))?;
            }
            disk.sync(HARD_STATE_FILE_NEW)?;
            disk.rename(HARD_STATE_FILE_NEW, HARD_STATE_FILE)
        };
        write().map_err(OpenError::disk("write", HARD_STATE_FILE))?;
        Ok(Self { incarnation, next_offset: 0 })
    }

    /// Writes and syncs the older slot. Errors: always a Fault.
    pub(super) fn promise<D: Disk>(&mut self, disk: &mut D, slot: &Slot) -> Result<(), WalError> {
        self.mark(disk, slot)?;
        disk.sync(HARD_STATE_FILE).map_err(WalError::fault("sync", HARD_STATE_FILE))?;
        self.next_offset = SLOT_SPACING - self.next_offset;
        Ok(())
    }

    /// Writes the older slot, which must not promise anything new. Errors: always a Fault.
    pub(super) fn mark<D: Disk>(&mut self, disk: &mut D, slot: &Slot) -> Result<(), WalError> {
        let bytes = encode(slot, self.next_offset, self.incarnation);
        disk.write(HARD_STATE_FILE, self.next_offset, &bytes)
            .map_err(WalError::fault("write", HARD_STATE_FILE))
    }
}

fn encode(slot: &Slot, offset: u64, incarnation: Incarnation) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SLOT_BYTES);
    bytes.put_u32_le(0);
    bytes.put_slice(&MAGIC);
    bytes.put_u8(FORMAT);
    bytes.put_bytes(0, 7);
    bytes.put_u64_le(incarnation.0);
    bytes.put_u64_le(slot.number);
    bytes.put_u64_le(slot.synced_through);
    bytes.put_u64_le(slot.segment);
    put_hard_state(&mut bytes, &slot.hard_state);
    assert!(bytes.len() == SLOT_BYTES, "the layout of a slot holds");
    let crc = checksum(&bytes, offset);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// A slot and the directory that it was written in.
///
/// Errors: only for a slot that is whole but of another version; damage is `None`.
fn decode(bytes: &[u8], offset: u64) -> Result<Option<(Incarnation, Slot)>, OpenError> {
    if bytes.len() < SLOT_BYTES {
        return Ok(None);
    }
    let mut rest = bytes;
    let is_whole =
        rest.get_u32_le() == checksum(bytes, offset) || is_removed("hard-states-are-checked");
    if !is_whole || rest[..4] != MAGIC {
        return Ok(None);
    }
    rest.advance(4);
    let format = rest.get_u8();
    if format != FORMAT {
        let file = HARD_STATE_FILE.to_owned();
        return Err(OpenError::Format { file, found: format });
    }
    rest.advance(7);
    let incarnation = Incarnation(rest.get_u64_le());
    let (number, synced_through) = (rest.get_u64_le(), rest.get_u64_le());
    let segment = rest.get_u64_le();
    let hard_state = get_hard_state(rest);
    Ok(hard_state
        .map(|hard_state| (incarnation, Slot { number, synced_through, segment, hard_state })))
}

fn checksum(slot: &[u8], offset: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&offset.to_le_bytes()), &slot[4..])
}

/// Writes the 32 bytes that stand for a hard state in every header.
pub(super) fn put_hard_state(into: &mut Vec<u8>, hard_state: &HardState) {
    // Taken apart, so that a new field cannot be forgotten here.
    let HardState { term, vote, commit_index, standing } = *hard_state;
    into.put_u64_le(term.0);
    into.put_u64_le(vote.map_or(0, NodeId::number));
    into.put_u64_le(commit_index.0);
    into.put_u8(match standing {
        Standing::Full => 0,
        Standing::Unbound => 1,
        Standing::Quarantined => 2,
    });
    into.put_bytes(0, 7);
}

/// Reads what [`put_hard_state`] wrote; `None` if the standing is none that we know.
pub(super) fn get_hard_state(mut bytes: &[u8]) -> Option<HardState> {
    let (term, vote) = (Term(bytes.get_u64_le()), NodeId::new(bytes.get_u64_le()));
    let commit_index = Index(bytes.get_u64_le());
    let standing = match bytes.get_u8() {
        0 => Standing::Full,
        1 => Standing::Unbound,
        2 => Standing::Quarantined,
        _ => return None,
    };
    Some(HardState { term, vote, commit_index, standing })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::memory_disk::MemoryDisk;

    #[test]
    fn marks_leave_the_slot_of_the_newest_synced_promise_alone() {
        let (mut disk, ours) = (MemoryDisk::default(), Incarnation(7));
        let slot = |number, term| Slot {
            number,
            synced_through: number - 1,
            segment: 1,
            hard_state: HardState { term: Term(term), ..HardState::default() },
        };
        let mut file = HardStateFile::replace(&mut disk, ours, &slot(1, 1)).unwrap();
        for number in [2, 6, 10] {
            file.promise(&mut disk, &slot(number, number)).unwrap();
            for mark in 1..3 {
                file.mark(&mut disk, &slot(number + mark, number)).unwrap();
            }
            let Slots::Found(slots) = Slots::load(&mut disk, ours).unwrap() else {
                panic!("the file is there")
            };
            assert!(slots.contains(&Some(slot(number, number))), "{slots:?}");
            assert!(slots.contains(&Some(slot(number + 2, number))), "{slots:?}");
        }
        let slots = Slots::load(&mut disk, ours).unwrap();
        assert_eq!(slots.newest(), Some(slot(12, 10)));
        assert!(slots.are_whole());
        // After a restart the older one is next too.
        let mut file = HardStateFile::resume(ours, &slots);
        file.promise(&mut disk, &slot(13, 13)).unwrap();
        let slots = Slots::load(&mut disk, ours).unwrap();
        let mut numbers: Vec<u64> = slots.readable().map(|slot| slot.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [12, 13]);
    }
}

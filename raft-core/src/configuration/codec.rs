//! Configurations and changes as bytes.
//!
//! A configuration, little-endian: a version (1), the next id (8 bytes), the number of members
//! (2 bytes), and for each member its id (8 bytes), its sets (1 byte: 1 voter, 2 outgoing voter,
//! 4 learner, 8 kept learner), the length of its address (1 byte) and the address. Sets of any
//! other number are of a later version and refused.

use bytes::{Buf, BufMut};

use super::{ADDRESS_BYTES_MAX, Change, Configuration};
use crate::types::NodeId;

const VERSION: u8 = 1;
const VOTER: u8 = 1;
const OUTGOING: u8 = 2;
const LEARNER: u8 = 4;
const KEPT: u8 = 8;

pub(super) fn encode(configuration: &Configuration) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.put_u64_le(configuration.next_id);
    let count = u16::try_from(configuration.members.len());
    bytes.put_u16_le(count.expect("members are fewer than MEMBERS_MAX"));
    for (id, address) in &configuration.members {
        let flag = |set: &std::collections::BTreeSet<NodeId>, flag| {
            if set.contains(id) { flag } else { 0 }
        };
        bytes.put_u64_le(id.number());
        let voters = flag(&configuration.voters, VOTER) | flag(&configuration.outgoing, OUTGOING);
        let learners = flag(&configuration.learners, LEARNER) | flag(&configuration.kept, KEPT);
        bytes.put_u8(voters | learners);
        put_text(&mut bytes, address);
    }
    bytes
}

pub(super) fn decode(mut bytes: &[u8]) -> Option<Configuration> {
    if take_u8(&mut bytes)? != VERSION {
        return None;
    }
    let mut configuration = Configuration { next_id: take_u64(&mut bytes)?, ..Default::default() };
    for _ in 0..take_u16(&mut bytes)? {
        let id = NodeId::new(take_u64(&mut bytes)?)?;
        let sets = take_u8(&mut bytes)?;
        if sets & !(VOTER | OUTGOING | LEARNER | KEPT) != 0 {
            return None;
        }
        let Configuration { voters, outgoing, learners, kept, .. } = &mut configuration;
        for (flag, set) in
            [(VOTER, voters), (OUTGOING, outgoing), (LEARNER, learners), (KEPT, kept)]
        {
            if sets & flag != 0 {
                set.insert(id);
            }
        }
        configuration.members.insert(id, take_text(&mut bytes)?);
    }
    (bytes.is_empty() && configuration.is_sound()).then_some(configuration)
}

/// A change: its lists one after the other, each with its length (2 bytes) before it.
pub(super) fn encode_change(change: &Change) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    put_count(&mut bytes, change.add.len());
    change.add.iter().for_each(|address| put_text(&mut bytes, address));
    for ids in [&change.promote, &change.demote, &change.remove] {
        put_count(&mut bytes, ids.len());
        ids.iter().for_each(|id| bytes.put_u64_le(id.number()));
    }
    put_count(&mut bytes, change.readdress.len());
    for (id, address) in &change.readdress {
        bytes.put_u64_le(id.number());
        put_text(&mut bytes, address);
    }
    bytes
}

pub(super) fn decode_change(mut bytes: &[u8]) -> Option<Change> {
    if take_u8(&mut bytes)? != VERSION {
        return None;
    }
    let mut change = Change::default();
    for _ in 0..take_u16(&mut bytes)? {
        change.add.push(take_text(&mut bytes)?);
    }
    for ids in [&mut change.promote, &mut change.demote, &mut change.remove] {
        for _ in 0..take_u16(&mut bytes)? {
            ids.insert(NodeId::new(take_u64(&mut bytes)?)?);
        }
    }
    for _ in 0..take_u16(&mut bytes)? {
        let id = NodeId::new(take_u64(&mut bytes)?)?;
        change.readdress.insert(id, take_text(&mut bytes)?);
    }
    bytes.is_empty().then_some(change)
}

fn put_count(bytes: &mut Vec<u8>, count: usize) {
    bytes.put_u16_le(u16::try_from(count).unwrap_or(u16::MAX));
}

/// Texts that are too long are refused before they get here; what is left is cut.
fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let text = &text.as_bytes()[..text.len().min(ADDRESS_BYTES_MAX)];
    bytes.put_u8(u8::try_from(text.len()).expect("an address fits a byte's length"));
    bytes.put_slice(text);
}

pub(super) fn take_u8(bytes: &mut &[u8]) -> Option<u8> {
    bytes.try_get_u8().ok()
}

fn take_u16(bytes: &mut &[u8]) -> Option<u16> {
    bytes.try_get_u16_le().ok()
}

pub(super) fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    bytes.try_get_u64_le().ok()
}

fn take_text(bytes: &mut &[u8]) -> Option<String> {
    let length = usize::from(take_u8(bytes)?);
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    String::from_utf8(text.to_vec()).ok()
}

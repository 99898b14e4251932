//! Bind entries: which incarnation answers for a node id.
//!
//! The payload is a row of pairs, each 8 bytes of node id and 8 bytes of incarnation,
//! little-endian.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut};

use crate::types::{Incarnation, NodeId};

/// The payload of an entry that makes these bindings.
#[must_use]
pub fn encode(bindings: &BTreeMap<NodeId, Incarnation>) -> Vec<u8> {
    let mut payload = Vec::with_capacity(bindings.len() * 16);
    for (node, incarnation) in bindings {
        payload.put_u64_le(node.number());
        payload.put_u64_le(incarnation.0);
    }
    payload
}

/// The bindings in a payload. A pair whose id is 0 is skipped: no leader writes one.
#[must_use]
pub fn decode(mut payload: &[u8]) -> BTreeMap<NodeId, Incarnation> {
    let mut bindings = BTreeMap::new();
    while 16 <= payload.len() {
        let (node, incarnation) = (payload.get_u64_le(), payload.get_u64_le());
        if let Some(node) = NodeId::new(node) {
            bindings.insert(node, Incarnation(incarnation));
        }
    }
    bindings
}

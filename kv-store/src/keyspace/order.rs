//! The places of records in the order of their keys.
//!
//! Rows of places, each row behind the first key that it is for. Keys are not repeated here but
//! for one per row: whoever searches a row looks at the records.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::key::Key;

/// Places in a row, at most; a longer one is halved.
const ROW_PLACES_MAX: usize = 128;

/// The bytes of the key at a place.
pub(crate) trait Keys {
    /// The key of the record at this place, of which there must be one.
    fn key(&self, place: u32) -> &Key;
}

/// Every place, in the order of the keys.
///
/// Invariant: the first row is for every key from the empty one on; no other row is empty.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    rows: BTreeMap<Key, Vec<u32>>,
}

impl Default for Order {
    fn default() -> Self {
        Self { rows: BTreeMap::from([(Key::new(b""), Vec::new())]) }
    }
}

impl Order {
    /// Adds a place whose key is not there yet.
    pub(crate) fn insert(&mut self, keys: &impl Keys, place: u32) {
        let key = keys.key(place);
        let (_, row) =
            self.rows.range_mut::<Key, _>(..=key).next_back().expect("the first row is for all");
        let at = row.partition_point(|&other| keys.key(other) < key);
        row.insert(at, place);
        if row.len() <= ROW_PLACES_MAX {
            return;
        }
        // Keys that come in order leave full rows behind.
        let half = if at + 1 == row.len() { row.len() - 1 } else { row.len() / 2 };
        let rest = row.split_off(half);
        row.shrink_to_fit();
        self.rows.insert(keys.key(rest[0]).clone(), rest);
    }

    /// Removes a place, which must be there.
    pub(crate) fn remove(&mut self, keys: &impl Keys, place: u32) {
        let key = keys.key(place);
        let (first, row) =
            self.rows.range_mut::<Key, _>(..=key).next_back().expect("the first row is for all");
        let at = row.partition_point(|&other| keys.key(other) < key);
        assert_eq!(row.get(at), Some(&place), "the key is in its row");
        row.remove(at);
        if row.is_empty() && !first.as_bytes().is_empty() {
            let first = first.clone();
            self.rows.remove(&first);
        }
    }

    /// Every place from this key on, in order.
    pub(crate) fn from<'o, K: Keys>(
        &'o self,
        keys: &K,
        from: &[u8],
    ) -> impl Iterator<Item = u32> + use<'o, K> {
        let up_to = (Bound::Unbounded, Bound::Included(from));
        let rows = self.rows.range::<[u8], _>(up_to).next_back();
        let (first, row) = rows.expect("the first row is for all");
        let at = row.partition_point(|&place| keys.key(place).as_bytes() < from);
        let rest = self.rows.range::<Key, _>((Bound::Excluded(first), Bound::Unbounded));
        row[at..].iter().chain(rest.flat_map(|(_, row)| row)).copied()
    }
}

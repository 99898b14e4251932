//! The places of records in the order of their keys.
//!
//! Rows of places, each row behind the first key that it is for. Keys are not repeated here but
//! for one per row: whoever searches a row looks at the records.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::key::Key;

/// Places in a row, at most; a longer one is halved.
const ROW_PLACES_MAX: usize = 128;

/// Places of a row that are looked at together. A row has fewer than its square.
const PLACES_SEEN: usize = 12;

const _: () = assert!(ROW_PLACES_MAX < PLACES_SEEN * PLACES_SEEN);

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
        let at = position(row, |place| keys.key(place), |other| other < key);
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
        let at = position(row, |place| keys.key(place), |other| other < key);
        assert_eq!(row.get(at), Some(&place), "the key is in its row");
        row.remove(at);
        if row.is_empty() && !first.as_bytes().is_empty() {
            let first = first.clone();
            self.rows.remove(&first);
        }
    }

    /// Every place from this key on, in order and row by row.
    pub(crate) fn rows_from<'o, K: Keys>(
        &'o self,
        keys: &K,
        from: &[u8],
    ) -> impl Iterator<Item = &'o [u32]> + use<'o, K> {
        let up_to = (Bound::Unbounded, Bound::Included(from));
        let rows = self.rows.range::<[u8], _>(up_to).next_back();
        let (first, row) = rows.expect("the first row is for all");
        let at = position(row, |place| keys.key(place), |key| key.as_bytes() < from);
        // Most ranges end in the row in which they begin.
        let rest = std::iter::once_with(move || {
            self.rows.range::<Key, _>((Bound::Excluded(first), Bound::Unbounded))
        });
        std::iter::once(&row[at..]).chain(rest.flatten().map(|(_, row)| row.as_slice()))
    }
}

/// How many places of a row, which are ordered by it, have a key that is before something.
///
/// Each look at a key is likely to wait for memory. Looks that do not wait for each other take
/// little longer than one of them, so that two rounds of a few are faster than halving.
fn position<'k>(
    row: &[u32],
    key_at: impl Fn(u32) -> &'k Key,
    is_before: impl Fn(&Key) -> bool,
) -> usize {
    let before = |from: usize, step: usize| {
        let mut seen = [None; PLACES_SEEN];
        for (seen, &place) in seen.iter_mut().zip(row[from..].iter().step_by(step)) {
            let key = key_at(place);
            // Fetches it.
            std::hint::black_box(key.is_inline());
            *seen = Some(key);
        }
        seen.iter().flatten().take_while(|key| is_before(key)).count()
    };
    let step = row.len().div_ceil(PLACES_SEEN).max(1);
    let begun = before(0, step);
    let from = begun.saturating_sub(1) * step;
    if step == 1 { begun } else { from + before(from, 1) }
}

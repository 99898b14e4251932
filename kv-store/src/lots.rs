//! Lots: what is drawn follows from a seed and from the names in their order alone.

use bytes::BytesMut;

use crate::command::{Answer, Collection, Item, KeyRange, Kind, List, No};
use crate::keyspace::NEWEST;
use crate::lasting::At;
use crate::page::{Page, key_value, room_for_items};
use crate::store::Store;

/// Numbers that look random (Steele 2014, SplitMix64).
struct Lots(u64);

impl Lots {
    /// The next number below `bound`, which is not zero.
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        let scaled = (u128::from(word) * bound as u128) >> 64;
        usize::try_from(scaled).expect("it is below the bound")
    }
}

/// Draws some of so many, each as likely as any other (Fisher and Yates). All of them, in their
/// order, if there are no more and none may come again.
fn draw(seed: u64, count: usize, of: usize, repeats: bool) -> Vec<usize> {
    let mut lots = Lots(seed);
    if of == 0 {
        return Vec::new();
    }
    if repeats {
        return (0..count).map(|_| lots.below(of)).collect();
    }
    let mut places: Vec<usize> = (0..of).collect();
    if count < of {
        for place in 0..count {
            places.swap(place, place + lots.below(of - place));
        }
        places.truncate(count);
    }
    places
}

impl Store {
    /// All items of a key, in the order of their names.
    fn all_items(&self, key: &[u8]) -> Vec<Item<'_>> {
        let mut items = Vec::new();
        self.keyspace.visit_items(key, b"", NEWEST, |name, content| {
            items.push(Item { name, value: content.value });
            true
        });
        items
    }

    /// Fields or members that are drawn by lot, as many as an answer may hold.
    pub(crate) fn sample(
        &self,
        (of, key): (Collection, &[u8]),
        count: u64,
        repeats: bool,
        seed: u64,
    ) -> Result<Answer<'_>, No> {
        self.check_kind(key, of.kind(), NEWEST)?;
        let all = self.all_items(key);
        let drawn = draw(seed, usize::try_from(count).unwrap_or(usize::MAX), all.len(), repeats);
        let mut has_room = room_for_items(0);
        let (total, mut items) = (drawn.len(), List::new());
        for item in drawn.into_iter().map(|place| all[place]).take_while(|item| has_room(item)) {
            items.push(item);
        }
        let (more, count) = (items.len() < total, all.len() as u64);
        Ok(Answer::Items { revision: self.revision_so_far(), items, more, count })
    }

    /// Removes members that are drawn by lot, as many as an answer may hold.
    pub(crate) fn take(
        &mut self,
        at: At,
        key: &[u8],
        count: u64,
        out: &mut BytesMut,
    ) -> Result<(), No> {
        self.check_kind(key, Kind::Set, NEWEST)?;
        let all = self.all_items(key);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let drawn = draw(at.seed, count, all.len(), false);
        let mut has_room = room_for_items(0);
        let taken = drawn.into_iter().map(|place| all[place]).take_while(|item| has_room(item));
        let taken: Vec<Vec<u8>> = taken.map(|item| item.name.to_vec()).collect();
        let left = (all.len() - taken.len()) as u64;
        for name in &taken {
            self.keyspace.remove_item(self.revision + 1, key, name);
        }
        let items = taken.iter().map(|name| Item { name, value: b"" }).collect();
        let revision = self.revision_so_far();
        Answer::Items { revision, items, more: false, count: left }.encode(out);
        Ok(())
    }

    /// A key that is drawn by lot.
    pub(crate) fn any_key(&self, seed: u64) -> Answer<'_> {
        let (everything, mut total) = (KeyRange::prefix(b""), 0);
        self.keyspace.visit(&everything, NEWEST, |_, _, _| total += 1);
        let mut page = Page::new(1);
        let mut left = if total == 0 { 0 } else { Lots(seed).below(total) };
        self.keyspace.walk(&everything, |key, mod_revision, content| {
            if left == 0 {
                let shown = key_value(key, mod_revision, content);
                page.offer(crate::command::KeyValue { value: b"", ..shown });
                return false;
            }
            left -= 1;
            true
        });
        let Page { kvs, more, .. } = page;
        let count = kvs.len() as u64;
        Answer::Range { revision: self.revision_so_far(), kvs, more, count }
    }

    /// The keys of a range without their values, and not beyond the limit.
    pub(crate) fn keys<'s>(&'s self, range: &KeyRange<'s>, limit: u64) -> Answer<'s> {
        let mut page = Page::new(limit);
        self.keyspace.walk(range, |key, mod_revision, content| {
            let shown = key_value(key, mod_revision, content);
            page.offer(crate::command::KeyValue { value: b"", ..shown });
            !page.more
        });
        let Page { kvs, more, .. } = page;
        let count = kvs.len() as u64;
        Answer::Range { revision: self.revision_so_far(), kvs, more, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lots_are_fair_and_none_comes_twice() {
        let mut found = [0; 5];
        for seed in 0..10_000 {
            let drawn = draw(seed, 2, 5, false);
            assert!(drawn.len() == 2 && drawn[0] != drawn[1], "{drawn:?}");
            drawn.into_iter().for_each(|place| found[place] += 1);
        }
        assert!(found.iter().all(|count| (3_800..4_200).contains(count)), "{found:?}");
        assert_eq!(draw(1, 9, 3, false), [0, 1, 2]);
        assert_eq!(draw(1, 9, 3, true).len(), 9);
        assert!(draw(1, 9, 0, true).is_empty());
    }
}

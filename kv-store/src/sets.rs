//! Sets together: what is in all of them, in any, or in the first alone.

use std::collections::BTreeSet;

use crate::command::{Answer, Combination, Item, KeyRange, Kind, List, Name, No};
use crate::keyspace::{NEWEST, Tenure};
use crate::page::room_for_items;
use crate::store::Store;

impl Store {
    /// The members of the combination, as many as an answer may hold.
    pub(crate) fn combined(&self, how: Combination, keys: &[Name<'_>]) -> Result<Answer<'_>, No> {
        let members = self.combine(how, keys)?;
        let mut has_room = room_for_items(0);
        let (count, mut items) = (members.len() as u64, List::new());
        let all = members.into_iter().map(|name| Item { name, value: b"" });
        all.take_while(|item| has_room(item)).for_each(|item| items.push(item));
        let more = (items.len() as u64) < count;
        Ok(Answer::Items { revision: self.revision_so_far(), items, more, count })
    }

    /// Makes a key the set of the combination; returns how many members it has.
    ///
    /// Errors: `WrongType`.
    pub(crate) fn store_combined(
        &mut self,
        to: &[u8],
        how: Combination,
        keys: &[Name<'_>],
    ) -> Result<u64, No> {
        let members: Vec<Vec<u8>> =
            self.combine(how, keys)?.into_iter().map(<[u8]>::to_vec).collect();
        let revision = self.revision + 1;
        self.keyspace.remove(revision, &KeyRange::single(to), |_| ());
        for name in &members {
            let stays = Tenure::default();
            self.keyspace.put_item(revision, (to, Kind::Set), (name, b""), stays);
        }
        Ok(members.len() as u64)
    }

    fn combine(&self, how: Combination, keys: &[Name<'_>]) -> Result<BTreeSet<&[u8]>, No> {
        keys.iter().try_for_each(|key| self.check_kind(key.0, Kind::Set, NEWEST))?;
        let mut members = BTreeSet::new();
        let Some((first, others)) = keys.split_first() else { return Ok(members) };
        let whole = if how == Combination::Union { keys } else { std::slice::from_ref(first) };
        for key in whole {
            self.keyspace.visit_items(key.0, b"", NEWEST, |name, _| {
                members.insert(name);
                true
            });
        }
        let has = |key: &Name<'_>, name: &[u8]| self.keyspace.item(key.0, name, NEWEST).is_some();
        match how {
            Combination::Union => {}
            Combination::Intersection => {
                members.retain(|name| others.iter().all(|key| has(key, name)));
            }
            Combination::Difference => {
                members.retain(|name| !others.iter().any(|key| has(key, name)));
            }
        }
        Ok(members)
    }
}

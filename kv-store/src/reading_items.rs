//! Questions about the items of hashes and sets.

use crate::command::{ANSWER_BYTES_MAX, Answer, Collection, Item, Kind, List, Name, No};
use crate::page::room_for_items;
use crate::store::Store;

impl Store {
    /// The values of fields.
    pub(crate) fn fields(
        &self,
        key: &[u8],
        names: &[Name<'_>],
        revision: u64,
    ) -> Result<Answer<'_>, No> {
        let at = self.readable(revision)?;
        self.check_kind(key, Kind::Hash, at)?;
        let (mut values, mut bytes) = (List::new(), 0);
        for Name(name) in names {
            let found = self.keyspace.item(key, name, at).map(|(_, content)| Name(content.value));
            bytes += found.map_or(0, |value| value.0.len());
            values.push(found);
        }
        if ANSWER_BYTES_MAX < bytes {
            return Err(No::TooLong { limit: ANSWER_BYTES_MAX as u64 });
        }
        Ok(Answer::Values { revision: self.revision_so_far(), values })
    }

    /// Whether fields or members exist.
    pub(crate) fn has(
        &self,
        of: Collection,
        key: &[u8],
        names: &[Name<'_>],
        revision: u64,
    ) -> Result<Answer<'static>, No> {
        let at = self.readable(revision)?;
        self.check_kind(key, of.kind(), at)?;
        let has = names.iter().map(|Name(name)| self.keyspace.item(key, name, at).is_some());
        Ok(Answer::Has { revision: self.revision_so_far(), has: has.collect() })
    }

    /// Fields or members from a name on, as many as an answer may hold.
    pub(crate) fn items(
        &self,
        (of, key): (Collection, &[u8]),
        from: &[u8],
        limit: u64,
        revision: u64,
    ) -> Result<Answer<'_>, No> {
        let at = self.readable(revision)?;
        self.check_kind(key, of.kind(), at)?;
        let (mut items, mut more) = (List::new(), false);
        let mut has_room = room_for_items(limit);
        self.keyspace.visit_items(key, from, at, |name, content| {
            let item = Item { name, value: content.value };
            more = !has_room(&item);
            if !more {
                items.push(item);
            }
            !more
        });
        let count = self.keyspace.get(key, at).map_or(0, |(_, content)| content.items);
        Ok(Answer::Items { revision: self.revision_so_far(), items, more, count })
    }

    /// How many fields or members there are.
    pub(crate) fn length(
        &self,
        of: Collection,
        key: &[u8],
        revision: u64,
    ) -> Result<Answer<'static>, No> {
        let at = self.readable(revision)?;
        self.check_kind(key, of.kind(), at)?;
        let count = self.keyspace.get(key, at).map_or(0, |(_, content)| content.items);
        Ok(Answer::Length { revision: self.revision_so_far(), count })
    }
}

//! Hashes and sets, and numbers in strings and fields.
//!
//! Invariant: a hash or set that exists has an item; the key moves with each change of one.

use crate::command::{Collection, Item, Kind, Name, No};
use crate::keyspace::{NEWEST, Tenure};
use crate::store::Store;

impl Store {
    /// Sets fields; returns how many of them are new.
    ///
    /// Errors: `WrongType`.
    pub(crate) fn set_fields(&mut self, key: &[u8], items: &[Item<'_>]) -> Result<u64, No> {
        self.expect_kind(key, Kind::Hash)?;
        let revision = self.revision + 1;
        let mut added = 0;
        for Item { name, value } in items {
            // What is set anew stays for ever (Redis: HSET).
            let stays = Tenure::default();
            let owner = (key, Kind::Hash);
            added += u64::from(self.keyspace.put_item(revision, owner, (name, value), stays));
        }
        Ok(added)
    }

    /// Adds members; returns how many of them are new. One that is there already is no change.
    ///
    /// Errors: `WrongType`.
    pub(crate) fn add_members(&mut self, key: &[u8], members: &[Name<'_>]) -> Result<u64, No> {
        self.expect_kind(key, Kind::Set)?;
        let revision = self.revision + 1;
        let mut added = 0;
        for Name(name) in members {
            if self.keyspace.item(key, name, NEWEST).is_none() {
                let stays = Tenure::default();
                self.keyspace.put_item(revision, (key, Kind::Set), (name, b""), stays);
                added += 1;
            }
        }
        Ok(added)
    }

    /// Removes fields or members; returns how many of them there were. A collection without
    /// items vanishes.
    ///
    /// Errors: `WrongType`.
    pub(crate) fn remove_items(
        &mut self,
        of: Collection,
        key: &[u8],
        names: &[Name<'_>],
    ) -> Result<u64, No> {
        self.expect_kind(key, of.kind())?;
        let revision = self.revision + 1;
        let mut removed = 0;
        for Name(name) in names {
            removed += u64::from(self.keyspace.remove_item(revision, key, name));
        }
        Ok(removed)
    }

    /// Adds to the number that a string, or a field of a hash, spells in decimal; what does not
    /// exist is 0. Returns the sum.
    ///
    /// Errors: `WrongType`, `NotANumber`, `Overflow`.
    pub(crate) fn increment(
        &mut self,
        key: &[u8],
        field: Option<&[u8]>,
        by: i64,
    ) -> Result<i64, No> {
        let revision = self.revision + 1;
        self.expect_kind(key, if field.is_some() { Kind::Hash } else { Kind::String })?;
        let found = match field {
            Some(field) => self.keyspace.item(key, field, NEWEST).map(|(_, item)| item.value),
            None => self.keyspace.get(key, NEWEST).map(|(_, content)| content.value),
        };
        let number = found.map_or(Some(0), number_of).ok_or(No::NotANumber)?;
        let sum = number.checked_add(by).ok_or(No::Overflow)?;
        let text = sum.to_string();
        match field {
            Some(field) => {
                let (item, tenure) =
                    ((field, text.as_bytes()), self.keyspace.item_tenure(key, field));
                self.keyspace.put_item(revision, (key, Kind::Hash), item, tenure);
            }
            None => {
                let tenure = self.keyspace.tenure(key);
                self.keyspace.put(revision, key, text.as_bytes(), tenure);
            }
        }
        Ok(sum)
    }

    /// Lets a key through that is of this kind or does not exist.
    fn expect_kind(&self, key: &[u8], kind: Kind) -> Result<(), No> {
        self.check_kind(key, kind, NEWEST)
    }

    /// As `expect_kind`, at a revision.
    pub(crate) fn check_kind(&self, key: &[u8], kind: Kind, revision: u64) -> Result<(), No> {
        match self.keyspace.get(key, revision) {
            Some((_, content)) if content.kind != kind => {
                Err(No::WrongType { found: content.kind })
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// The number that bytes spell, in the one form that it is written in: no sign but a minus, no
/// blanks, no zeros before it.
fn number_of(text: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == text).then_some(number)
}

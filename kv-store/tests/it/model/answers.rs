//! What the model answers to queries.

use std::rc::Rc;

use bytes::BytesMut;
use kv_store::command::{
    Answer, Attributes, Direction, Item, KeyValue, Kind, Name, No, OrderBy, Query, Selection, Show,
};

use super::{Model, Row, Rows, encoded, pair, rows_in};

/// The row of a key, which is of this kind or does not exist.
pub(super) fn of_kind<'r>(
    rows: &'r Rows,
    key: &[u8],
    kind: Kind,
) -> Result<Option<&'r Rc<Row>>, No> {
    match rows.get(key) {
        Some(row) if row.kind != kind => Err(No::WrongType { found: row.kind }),
        found => Ok(found),
    }
}

/// How long something stays yet that ends then.
fn remaining(ends_at: u64, log_time: u64) -> u64 {
    ends_at.saturating_sub(log_time).div_ceil(1_000)
}

impl Model {
    /// Answers a query that is asked at this log time.
    pub(crate) fn answer(&self, query: &Query<'_>, log_time: u64) -> BytesMut {
        let revision = self.so_far();
        let answered = match query {
            Query::Range { range, limit } => {
                self.select(&Selection { limit: *limit, ..Selection::of(*range) })
            }
            Query::Select(selection) => self.select(selection),
            Query::History { key, since, limit } => self.history(key, *since, *limit),
            Query::Fields { key, names, revision: at } => {
                self.items(key, Kind::Hash, *at).map(|items| {
                    let value = |name: &Name<'_>| items?.get(name.0).map(|row| Name(&row.value));
                    Answer::Values { revision, values: names.iter().map(value).collect() }
                })
            }
            Query::Has { of, key, names, revision: at } => {
                self.items(key, of.kind(), *at).map(|items| {
                    let has = |name: &Name<'_>| items.is_some_and(|it| it.contains_key(name.0));
                    Answer::Has { revision, has: names.iter().map(has).collect() }
                })
            }
            Query::Items { of, key, from, limit, revision: at } => {
                self.items(key, of.kind(), *at).map(|items| {
                    let limit = if *limit == 0 { usize::MAX } else { as_count(*limit) };
                    let all = items.into_iter().flatten().filter(|(name, _)| *from <= &name[..]);
                    let all: Vec<Item<'_>> =
                        all.map(|(name, row)| Item { name, value: &row.value }).collect();
                    let (more, count) = (limit < all.len(), items.map_or(0, Rows::len) as u64);
                    let items = all.into_iter().take(limit).collect();
                    Answer::Items { revision, items, more, count }
                })
            }
            Query::Length { of, key, revision: at } => self
                .items(key, of.kind(), *at)
                .map(|items| Answer::Length { revision, count: items.map_or(0, Rows::len) as u64 }),
            Query::Lease { id, from } => return self.lease(*id, from, log_time),
            Query::Hashes { .. } => unreachable!("hashes are a node's own"),
            Query::Auth { query } => return self.ask_auth(query),
            Query::Leases { from } => {
                let ids = self.leases.keys().filter(|id| from <= *id).copied().collect();
                Ok(Answer::Leases { revision, ids, more: false })
            }
            Query::Transaction(transaction) => return self.ask(log_time, transaction),
            Query::Keys { range, limit } => Ok(self.keys(range, *limit)),
            Query::AnyKey { seed } => Ok(self.any_key(*seed)),
            Query::Sample { of, key, count, repeats, seed } => {
                self.sample((key, of.kind()), *count, *repeats, *seed)
            }
            Query::Combined { how, keys } => {
                return self.combined(*how, keys).map_or_else(
                    |why| self.no(why),
                    |names| {
                        let items = names.iter().map(|name| Item { name, value: b"" });
                        let (items, count) = (items.collect(), names.len() as u64);
                        encoded(&Answer::Items { revision, items, more: false, count })
                    },
                );
            }
            Query::Remaining { key, field } => {
                self.remaining(key, field.map(|name| name.0), log_time)
            }
        };
        answered.map_or_else(|why| self.no(why), |answer| encoded(&answer))
    }

    /// The state at a revision; 0 is now.
    fn readable(&self, revision: u64) -> Result<&Rows, No> {
        let (newest, oldest) = (self.revision(), self.compacted);
        match revision {
            0 => Ok(&self.next),
            revision if revision < oldest => Err(No::Compacted { oldest }),
            revision if newest < revision => Err(No::Future { newest }),
            revision => Ok(&self.states[as_count(revision) - 1]),
        }
    }

    fn items(&self, key: &[u8], kind: Kind, revision: u64) -> Result<Option<&Rows>, No> {
        let row = of_kind(self.readable(revision)?, key, kind)?;
        Ok(row.map(|row| &row.items))
    }

    fn select(&self, selection: &Selection<'_>) -> Result<Answer<'_>, No> {
        let rows = rows_in(self.readable(selection.revision)?, &selection.range);
        let mut kvs: Vec<KeyValue<'_>> = rows.map(|(key, row)| pair(key, row)).collect();
        let count = kvs.len() as u64;
        let (least, most) = (selection.filter, |max| if max == 0 { u64::MAX } else { max });
        kvs.retain(|kv| {
            (least.mod_revision_min..=most(least.mod_revision_max)).contains(&kv.mod_revision)
                && (least.create_revision_min..=most(least.create_revision_max))
                    .contains(&kv.create_revision)
        });
        let is_reverse = selection.order.direction == Direction::Descending;
        kvs.sort_by(|a, b| {
            let order = match selection.order.by {
                OrderBy::Key => a.key.cmp(b.key),
                OrderBy::Version => a.version.cmp(&b.version),
                OrderBy::CreateRevision => a.create_revision.cmp(&b.create_revision),
                OrderBy::ModRevision => a.mod_revision.cmp(&b.mod_revision),
                OrderBy::Value => a.value.cmp(b.value),
            };
            if is_reverse { order.reverse() } else { order }
        });
        match selection.show {
            Show::Pairs => {}
            Show::Keys => kvs.iter_mut().for_each(|kv| kv.value = b""),
            Show::Count => kvs.clear(),
        }
        Ok(self.page(kvs, selection.limit, count))
    }

    fn page<'r>(&self, mut kvs: Vec<KeyValue<'r>>, limit: u64, count: u64) -> Answer<'r> {
        let more = limit != 0 && as_count(limit) < kvs.len();
        if more {
            kvs.truncate(as_count(limit));
        }
        Answer::Range { revision: self.so_far(), kvs: kvs.into_iter().collect(), more, count }
    }

    fn history<'r>(&'r self, key: &'r [u8], since: u64, limit: u64) -> Result<Answer<'r>, No> {
        self.readable(since)?;
        let oldest = self.compacted.max(1);
        let base = self.states[as_count(oldest) - 1].get(key);
        let base = base.filter(|row| since == 0 && row.mod_revision < oldest);
        let mut kvs: Vec<KeyValue<'_>> = base.map(|row| pair(key, row)).into_iter().collect();
        let mut push = |revision, row: Option<&'r Rc<Row>>| {
            let attributes = Attributes::default();
            let (value, create_revision, version) = (&b""[..], 0, 0);
            let gone = KeyValue {
                key,
                value,
                create_revision,
                mod_revision: revision,
                version,
                attributes,
            };
            kvs.push(row.map_or(gone, |row| pair(key, row)));
        };
        let changes = self.changes_since(since);
        changes
            .filter(|change| *change.key == *key && change.item.is_none())
            .for_each(|change| push(change.revision, change.after.as_ref()));
        if self.touched.contains(&(key.into(), None)) {
            push(self.making(), self.next.get(key));
        }
        let count = kvs.len() as u64;
        Ok(self.page(kvs, limit, count))
    }

    fn lease(&self, id: u64, from: &[u8], log_time: u64) -> BytesMut {
        let Some(&(ttl_ms, ends_at)) = self.leases.get(&id) else {
            return self.no(No::LeaseUnknown { id });
        };
        let (revision, remaining_ms) = (self.so_far(), remaining(ends_at, log_time));
        let keys = self.keys_of_lease(id);
        let keys = keys.iter().filter(|key| from <= &key[..]).map(|key| Name(key)).collect();
        encoded(&Answer::Lease { revision, ttl_ms, remaining_ms, keys, more: false })
    }

    fn remaining(
        &self,
        key: &[u8],
        field: Option<&[u8]>,
        log_time: u64,
    ) -> Result<Answer<'static>, No> {
        let row = match field {
            Some(field) => {
                of_kind(&self.next, key, Kind::Hash)?.and_then(|row| row.items.get(field))
            }
            None => self.next.get(key),
        };
        let ends = row.into_iter().flat_map(|row| {
            let of_lease = self.leases.get(&row.ends.0).map(|lease| lease.1);
            of_lease.into_iter().chain(Some(row.ends.1).filter(|ends_at| *ends_at != 0))
        });
        let remaining_ms = ends.min().map(|ends_at| remaining(ends_at, log_time));
        Ok(Answer::Remaining { revision: self.so_far(), exists: row.is_some(), remaining_ms })
    }
}

fn as_count(number: u64) -> usize {
    usize::try_from(number).expect("a count fits")
}

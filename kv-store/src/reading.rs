//! Questions to the store, at its newest revision or at an earlier one.

use std::cmp::Ordering;

use crate::command::{
    Answer, Attributes, Direction, KeyRange, KeyValue, No, Order, OrderBy, Query, Selection, Show,
};
use crate::keyspace::NEWEST;
use crate::page::{Page, key_value};
use crate::store::Store;

impl Store {
    /// Answers a question that is asked at this log time.
    pub(crate) fn answer<'s>(&'s self, query: &Query<'s>, log_time: u64) -> Answer<'s> {
        match query {
            Query::Range { range, limit } => self.range(range, *limit),
            Query::Select(selection) => self.select(selection),
            Query::History { key, since, limit } => self.history(key, *since, *limit),
            Query::Fields { key, names, revision } => {
                self.or_no(self.fields(key, names, *revision))
            }
            Query::Has { of, key, names, revision } => {
                self.or_no(self.has(*of, key, names, *revision))
            }
            Query::Items { of, key, from, limit, revision } => {
                self.or_no(self.items((*of, key), from, *limit, *revision))
            }
            Query::Length { of, key, revision } => self.or_no(self.length(*of, key, *revision)),
            Query::Lease { id, from } => self.lease(*id, from, log_time),
            Query::Hashes { from } => self.hashes(*from),
            Query::Leases { from } => self.list_leases(*from),
            Query::Remaining { key, field } => {
                self.or_no(self.remaining(key, field.map(|name| name.0), log_time))
            }
            Query::Transaction(_) => self.or_no(Err(No::NotInTransaction)),
            Query::Keys { range, limit } => self.keys(range, *limit),
            Query::AnyKey { seed } => self.any_key(*seed),
            Query::Sample { of, key, count, repeats, seed } => {
                self.or_no(self.sample((*of, key), *count, *repeats, *seed))
            }
            Query::Combined { how, keys } => self.or_no(self.combined(*how, keys)),
            Query::Auth { query } => self.ask_auth(query),
        }
    }

    fn hashes(&self, from: u64) -> Answer<'static> {
        let (revision, newest) = (self.revision, self.hash.value());
        Answer::Hashes { revision, newest, hashes: self.trail.from(from).collect() }
    }

    fn or_no<'s>(&self, answer: Result<Answer<'s>, No>) -> Answer<'s> {
        answer.unwrap_or_else(|why| Answer::No { revision: self.revision_so_far(), why })
    }

    fn range<'s>(&'s self, range: &KeyRange<'s>, limit: u64) -> Answer<'s> {
        let (mut page, mut count) = (Page::new(limit), 0);
        self.keyspace.visit(range, NEWEST, |key, mod_revision, content| {
            count += 1;
            page.offer(key_value(key, mod_revision, content));
        });
        let Page { kvs, more, .. } = page;
        Answer::Range { revision: self.revision_so_far(), kvs, more, count }
    }

    fn select<'s>(&'s self, selection: &Selection<'s>) -> Answer<'s> {
        let Selection { range, revision, limit, order, filter, show } = selection;
        let at = match self.readable(*revision) {
            Ok(at) => at,
            Err(why) => return Answer::No { revision: self.revision_so_far(), why },
        };
        let (mut page, mut count, mut found) = (Page::new(*limit), 0, Vec::new());
        let is_sorted = order.by == OrderBy::Key && order.direction == Direction::Ascending;
        self.keyspace.visit(range, at, |key, mod_revision, content| {
            count += 1;
            if *show == Show::Count || !filter.lets_through(mod_revision, content.create_revision) {
                return;
            }
            let kv = key_value(key, mod_revision, content);
            if is_sorted {
                page.offer(shown(kv, *show));
            } else {
                found.push(kv);
            }
        });
        // What is equal stays in the order of the keys.
        found.sort_by(|one, other| compare(*order, one, other));
        found.into_iter().for_each(|kv| page.offer(shown(kv, *show)));
        let Page { kvs, more, .. } = page;
        Answer::Range { revision: self.revision_so_far(), kvs, more, count }
    }

    /// Every version of a key that can be read or that a watch would show.
    fn history<'s>(&'s self, key: &[u8], since: u64, limit: u64) -> Answer<'s> {
        let revision = self.revision_so_far();
        if since != 0
            && let Err(why) = self.readable(since)
        {
            return Answer::No { revision, why };
        }
        let mut page = Page::new(limit);
        let first = match self.keyspace.version_at(key, self.compacted) {
            // What is there at the compaction revision may be older.
            Some(base) if since == 0 && !base.is_gone() => base.mod_revision,
            Some(_) | None => since.max(self.compacted),
        };
        let count = self.keyspace.count_since(key, first);
        for (key, version) in self.keyspace.versions_since(key, first) {
            page.offer(version.content().map_or(
                KeyValue {
                    key,
                    value: b"",
                    create_revision: 0,
                    mod_revision: version.mod_revision,
                    version: 0,
                    attributes: Attributes::default(),
                },
                |content| key_value(key, version.mod_revision, content),
            ));
            // A key may have a million versions.
            if page.more {
                break;
            }
        }
        let Page { kvs, more, .. } = page;
        Answer::Range { revision, kvs, more, count }
    }

    /// Which revision is meant, if it can be read.
    pub(crate) fn readable(&self, revision: u64) -> Result<u64, No> {
        match revision {
            0 => Ok(NEWEST),
            revision if revision < self.compacted => Err(No::Compacted { oldest: self.compacted }),
            revision if self.revision < revision => Err(No::Future { newest: self.revision }),
            revision => Ok(revision),
        }
    }
}

fn shown(kv: KeyValue<'_>, show: Show) -> KeyValue<'_> {
    match show {
        Show::Pairs => kv,
        Show::Keys | Show::Count => KeyValue { value: b"", ..kv },
    }
}

fn compare(order: Order, one: &KeyValue<'_>, other: &KeyValue<'_>) -> Ordering {
    let ascending = match order.by {
        OrderBy::Key => one.key.cmp(other.key),
        OrderBy::Version => one.version.cmp(&other.version),
        OrderBy::CreateRevision => one.create_revision.cmp(&other.create_revision),
        OrderBy::ModRevision => one.mod_revision.cmp(&other.mod_revision),
        OrderBy::Value => one.value.cmp(other.value),
    };
    match order.direction {
        Direction::Ascending => ascending,
        Direction::Descending => ascending.reverse(),
    }
}

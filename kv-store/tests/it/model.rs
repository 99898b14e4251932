//! The store so simple that one sees it is right: the whole state at every revision.

use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::BytesMut;
use kv_store::command::{
    Answer, Attributes, Command, Direction, Item, KeyRange, KeyValue, Kind, Name, No, OrderBy,
    Query, RangeEnd, Selection, Show,
};

/// A key at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) value: Vec<u8>,
    pub(crate) create_revision: u64,
    pub(crate) mod_revision: u64,
    pub(crate) version: u64,
    pub(crate) kind: Kind,
    /// Fields or members.
    pub(crate) items: Items,
}

type Items = BTreeMap<Rc<[u8]>, Rc<Row>>;

type State = BTreeMap<Rc<[u8]>, Rc<Row>>;

/// What became of a key, or of an item of one, in a revision: its row before and after.
pub(crate) type Change = (u64, (Rc<[u8]>, Option<Rc<[u8]>>), Option<Rc<Row>>, Option<Rc<Row>>);

/// Every state that there was.
pub(crate) struct Model {
    /// The state at revision 1, at revision 2, and so on.
    states: Vec<State>,
    pub(crate) compacted: u64,
    /// What the command that is being executed makes.
    next: State,
}

impl Default for Model {
    fn default() -> Self {
        Self { states: vec![State::new()], compacted: 0, next: State::new() }
    }
}

/// As etcd defines its ranges: a first key and the key at which it ends, if any.
fn etcd_range(range: &KeyRange<'_>) -> (Vec<u8>, Option<Vec<u8>>) {
    let from = range.from.to_vec();
    let end = match range.end {
        RangeEnd::Single => Some([range.from, &[0]].concat()),
        RangeEnd::HalfOpen(to) => Some(to.to_vec()),
        RangeEnd::From => None,
        RangeEnd::Prefix => {
            let mut end = from.clone();
            while end.last() == Some(&0xff) {
                end.pop();
            }
            if let Some(byte) = end.last_mut() {
                *byte += 1;
            }
            Some(end).filter(|end| !end.is_empty())
        }
    };
    (from, end)
}

fn is_in(key: &[u8], (from, end): &(Vec<u8>, Option<Vec<u8>>)) -> bool {
    from.as_slice() <= key && end.as_ref().is_none_or(|end| key < end.as_slice())
}

fn pair<'r>(key: &'r [u8], row: &'r Row) -> KeyValue<'r> {
    KeyValue {
        key,
        value: &row.value,
        create_revision: row.create_revision,
        mod_revision: row.mod_revision,
        version: row.version,
        attributes: Attributes { kind: row.kind, lease: 0 },
    }
}

impl Model {
    pub(crate) fn revision(&self) -> u64 {
        self.states.len() as u64
    }

    fn at(&self, revision: u64) -> &State {
        &self.states[usize::try_from(revision).expect("a count fits") - 1]
    }

    fn newest(&self) -> &State {
        self.at(self.revision())
    }

    /// Executes a command and gives the answer's bytes.
    pub(crate) fn execute(&mut self, command: &Command<'_>) -> BytesMut {
        self.next = self.newest().clone();
        let mut bytes = BytesMut::new();
        match command {
            Command::Put { key, value } => {
                self.put(key, value);
                self.commit();
                Answer::Put { revision: self.revision() }.encode(&mut bytes);
            }
            Command::PutWith { key, value, options } => {
                let before = self.newest().get(*key).cloned();
                self.put(key, value);
                self.commit();
                let previous = before.as_ref().filter(|_| options.returns_previous);
                let previous = previous.map(|row| pair(key, row));
                Answer::PutOver { revision: self.revision(), previous }.encode(&mut bytes);
            }
            Command::Delete { ranges } => {
                let count = self.delete(ranges).len() as u64;
                self.commit();
                Answer::Deleted { count, revision: self.revision() }.encode(&mut bytes);
            }
            Command::DeleteReturning { ranges } => {
                let gone = self.delete(ranges);
                self.commit();
                let (count, revision) = (gone.len() as u64, self.revision());
                let kvs = gone.iter().map(|(key, row)| pair(key, row)).collect();
                Answer::DeletedKeys { count, revision, kvs, more: false }.encode(&mut bytes);
            }
            Command::Compact { revision } => self.compact(*revision).encode(&mut bytes),
            Command::SetFields { key, fields } => {
                let pairs: Vec<_> = fields.iter().map(|item| (item.name, item.value)).collect();
                self.set_items(key, Kind::Hash, &pairs).encode(&mut bytes);
            }
            Command::AddMembers { key, members } => {
                let pairs: Vec<_> = members.iter().map(|name| (name.0, &b""[..])).collect();
                self.set_items(key, Kind::Set, &pairs).encode(&mut bytes);
            }
            Command::RemoveItems { of, key, names } => {
                self.remove_items(key, of.kind(), names).encode(&mut bytes);
            }
            Command::Increment { key, field, by } => {
                self.increment(key, field.map(|name| name.0), *by).encode(&mut bytes);
            }
            Command::GrantLease { .. }
            | Command::RevokeLease { .. }
            | Command::RenewLeases { .. }
            | Command::Expire { .. }
            | Command::RemoveEnded => unreachable!("`lasting.rs` has what does not last"),
            Command::Transaction { .. } => unreachable!("transactions have tests of their own"),
        }
        bytes
    }

    /// The row of a key, if it is of this kind or does not exist.
    fn of_kind(
        &self,
        key: &[u8],
        kind: Kind,
        revision: u64,
    ) -> Result<Option<&Row>, Answer<'static>> {
        let found = self.at(revision).get(key).map(|row| &**row);
        match found.filter(|row| row.kind != kind) {
            Some(row) => Err(self.no(No::WrongType { found: row.kind })),
            None => Ok(found),
        }
    }

    fn no(&self, why: No) -> Answer<'static> {
        Answer::No { revision: self.revision(), why }
    }

    fn set_items(&mut self, key: &[u8], kind: Kind, pairs: &[(&[u8], &[u8])]) -> Answer<'static> {
        let before = match self.of_kind(key, kind, self.revision()) {
            Ok(before) => before.map(|row| row.items.clone()).unwrap_or_default(),
            Err(answer) => return answer,
        };
        let (mut items, mod_revision) = (before.clone(), self.revision() + 1);
        for (name, value) in pairs {
            if kind == Kind::Set && items.contains_key(*name) {
                continue;
            }
            let old = before.get(*name);
            let (create_revision, version) =
                old.map_or((mod_revision, 1), |row| (row.create_revision, row.version + 1));
            let row = Row {
                value: value.to_vec(),
                create_revision,
                mod_revision,
                version,
                kind: Kind::String,
                items: Items::new(),
            };
            items.insert((*name).into(), Rc::new(row));
        }
        let count = (items.len() - before.len()) as u64;
        self.become_items(key, kind, &before, items);
        Answer::Changed { count, revision: self.revision() }
    }

    fn remove_items(&mut self, key: &[u8], kind: Kind, names: &[Name<'_>]) -> Answer<'static> {
        let before = match self.of_kind(key, kind, self.revision()) {
            Ok(before) => before.map(|row| row.items.clone()).unwrap_or_default(),
            Err(answer) => return answer,
        };
        let mut items = before.clone();
        let count = names.iter().filter(|name| items.remove(name.0).is_some()).count() as u64;
        self.become_items(key, kind, &before, items);
        Answer::Changed { count, revision: self.revision() }
    }

    fn become_items(&mut self, key: &[u8], kind: Kind, before: &Items, items: Items) {
        if *before == items {
            return;
        }
        if items.is_empty() {
            self.next.remove(key);
        } else {
            self.set(key, b"", kind, items);
        }
        self.commit();
    }

    fn increment(&mut self, key: &[u8], field: Option<&[u8]>, by: i64) -> Answer<'static> {
        let kind = if field.is_some() { Kind::Hash } else { Kind::String };
        let old = match self.of_kind(key, kind, self.revision()) {
            Ok(row) => match field {
                Some(field) => {
                    row.and_then(|row| row.items.get(field)).map(|row| row.value.clone())
                }
                None => row.map(|row| row.value.clone()),
            },
            Err(answer) => return answer,
        };
        let text = String::from_utf8_lossy(old.as_deref().unwrap_or(b"0")).into_owned();
        let Some(number) = text.parse::<i64>().ok().filter(|number| number.to_string() == text)
        else {
            return self.no(No::NotANumber);
        };
        let Some(number) = number.checked_add(by) else { return self.no(No::Overflow) };
        let sum = number.to_string();
        match field {
            Some(field) => {
                self.set_items(key, Kind::Hash, &[(field, sum.as_bytes())]);
            }
            None => {
                self.put(key, sum.as_bytes());
                self.commit();
            }
        }
        Answer::Number { number, revision: self.revision() }
    }

    fn commit(&mut self) {
        if self.next != *self.newest() {
            self.states.push(std::mem::take(&mut self.next));
        }
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.set(key, value, Kind::String, Items::new());
    }

    fn set(&mut self, key: &[u8], value: &[u8], kind: Kind, items: Items) {
        let mod_revision = self.revision() + 1;
        let before = self.newest().get(key);
        let (create_revision, version) =
            before.map_or((mod_revision, 1), |row| (row.create_revision, row.version + 1));
        let value = value.to_vec();
        let row = Row { value, create_revision, mod_revision, version, kind, items };
        self.next.insert(key.into(), Rc::new(row));
    }

    fn delete(&mut self, ranges: &[KeyRange<'_>]) -> Vec<(Rc<[u8]>, Rc<Row>)> {
        let mut gone = Vec::new();
        for range in ranges {
            let range = etcd_range(range);
            self.next.retain(|key, row| {
                let is_gone = is_in(key, &range);
                if is_gone {
                    gone.push((key.clone(), row.clone()));
                }
                !is_gone
            });
        }
        gone
    }

    fn compact(&mut self, compacted: u64) -> Answer<'static> {
        let revision = self.revision();
        if compacted <= self.compacted {
            return Answer::No { revision, why: No::Compacted { oldest: self.compacted } };
        }
        if revision < compacted {
            return Answer::No { revision, why: No::Future { newest: revision } };
        }
        self.compacted = compacted;
        Answer::Done { revision }
    }

    /// Answers a query.
    pub(crate) fn answer(&self, query: &Query<'_>) -> BytesMut {
        let mut bytes = BytesMut::new();
        match query {
            Query::Range { range, limit } => {
                let selection = Selection { limit: *limit, ..Selection::of(*range) };
                self.select(&selection).encode(&mut bytes);
            }
            Query::Select(selection) => self.select(selection).encode(&mut bytes),
            Query::History { key, since, limit } => {
                self.history(key, *since, *limit).encode(&mut bytes);
            }
            Query::Fields { key, names, revision } => {
                let items = self.items_at(key, Kind::Hash, *revision);
                let value = |items: &'_ Items, name: &Name<'_>| items.get(name.0).cloned();
                match items {
                    Ok(items) => {
                        let rows: Vec<_> = names.iter().map(|name| value(&items, name)).collect();
                        let values =
                            rows.iter().map(|row| row.as_ref().map(|row| Name(&row.value)));
                        let revision = self.revision();
                        Answer::Values { revision, values: values.collect() }.encode(&mut bytes);
                    }
                    Err(answer) => answer.encode(&mut bytes),
                }
            }
            Query::Has { of, key, names, revision } => {
                let has = self.items_at(key, of.kind(), *revision).map(|items| Answer::Has {
                    revision: self.revision(),
                    has: names.iter().map(|name| items.contains_key(name.0)).collect(),
                });
                has.unwrap_or_else(|answer| answer).encode(&mut bytes);
            }
            Query::Items { of, key, from, limit, revision } => {
                match self.items_at(key, of.kind(), *revision) {
                    Ok(items) => {
                        let all = items.iter().filter(|(name, _)| *from <= &name[..]);
                        let all: Vec<_> =
                            all.map(|(name, row)| Item { name, value: &row.value }).collect();
                        let limit = if *limit == 0 { 10_000 } else { *limit };
                        let limit = usize::try_from(limit).expect("a count fits");
                        let shown = all.len().min(limit);
                        let (more, count) = (shown < all.len(), items.len() as u64);
                        let items = all[..shown].iter().copied().collect();
                        let revision = self.revision();
                        Answer::Items { revision, items, more, count }.encode(&mut bytes);
                    }
                    Err(answer) => answer.encode(&mut bytes),
                }
            }
            Query::Length { of, key, revision } => {
                let length = self.items_at(key, of.kind(), *revision).map(|items| Answer::Length {
                    revision: self.revision(),
                    count: items.len() as u64,
                });
                length.unwrap_or_else(|answer| answer).encode(&mut bytes);
            }
            Query::Lease { .. } | Query::Leases { .. } | Query::Remaining { .. } => {
                unreachable!("`lasting.rs` has what does not last")
            }
        }
        bytes
    }

    fn items_at(&self, key: &[u8], kind: Kind, revision: u64) -> Result<Items, Answer<'static>> {
        let revision = self.readable(revision)?;
        let row = self.of_kind(key, kind, revision)?;
        Ok(row.map(|row| row.items.clone()).unwrap_or_default())
    }

    fn readable(&self, revision: u64) -> Result<u64, Answer<'static>> {
        let (newest, oldest) = (self.revision(), self.compacted);
        let no = |why| Answer::No { revision: newest, why };
        match revision {
            0 => Ok(newest),
            revision if revision < oldest => Err(no(No::Compacted { oldest })),
            revision if newest < revision => Err(no(No::Future { newest })),
            revision => Ok(revision),
        }
    }

    fn select(&self, selection: &Selection<'_>) -> Answer<'_> {
        let revision = match self.readable(selection.revision) {
            Ok(revision) => revision,
            Err(answer) => return answer,
        };
        let range = etcd_range(&selection.range);
        let state = self.at(revision);
        let mut kvs: Vec<KeyValue<'_>> = state
            .iter()
            .filter(|(key, _)| is_in(key, &range))
            .map(|(key, row)| pair(key, row))
            .collect();
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
        self.page(kvs, selection.limit, count)
    }

    fn page<'r>(&self, mut kvs: Vec<KeyValue<'r>>, limit: u64, count: u64) -> Answer<'r> {
        let limit = usize::try_from(limit).expect("a count fits");
        let more = limit != 0 && limit < kvs.len();
        if more {
            kvs.truncate(limit);
        }
        Answer::Range { revision: self.revision(), kvs: kvs.into_iter().collect(), more, count }
    }

    fn history<'r>(&'r self, key: &'r [u8], since: u64, limit: u64) -> Answer<'r> {
        if since != 0
            && let Err(answer) = self.readable(since)
        {
            return answer;
        }
        let mut kvs = Vec::new();
        let oldest = self.compacted.max(1);
        if since == 0
            && let Some(row) = self.at(oldest).get(key).filter(|row| row.mod_revision < oldest)
        {
            kvs.push(pair(key, row));
        }
        for (revision, (changed, item), _, after) in self.changes_since(since) {
            if *changed == *key && item.is_none() {
                let gone = KeyValue {
                    key,
                    value: b"",
                    create_revision: 0,
                    mod_revision: revision,
                    version: 0,
                    attributes: Attributes::default(),
                };
                // The row lies in the states, too.
                kvs.push(after.map_or(gone, |_| pair(key, &self.at(revision)[key])));
            }
        }
        let count = kvs.len() as u64;
        self.page(kvs, limit, count)
    }

    /// What changed from a revision on that is not compacted.
    pub(crate) fn changes_since(&self, since: u64) -> Vec<Change> {
        let mut changes = Vec::new();
        for revision in since.max(self.compacted).max(2)..=self.revision() {
            let (before, after) = (self.at(revision - 1), self.at(revision));
            let mut keys: Vec<&Rc<[u8]>> = before.keys().chain(after.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys.into_iter().filter(|key| before.get(*key) != after.get(*key)) {
                let previous = before.get(key).filter(|_| self.compacted < revision);
                let subject = (key.clone(), None);
                changes.push((revision, subject, previous.cloned(), after.get(key).cloned()));
                let items =
                    |state: &State| state.get(key).map(|row| row.items.clone()).unwrap_or_default();
                let (before, after) = (items(before), items(after));
                let mut names: Vec<&Rc<[u8]>> = before.keys().chain(after.keys()).collect();
                names.sort_unstable();
                names.dedup();
                for name in names.into_iter().filter(|name| before.get(*name) != after.get(*name)) {
                    let previous = before.get(name).filter(|_| self.compacted < revision);
                    let subject = (key.clone(), Some(name.clone()));
                    changes.push((revision, subject, previous.cloned(), after.get(name).cloned()));
                }
            }
        }
        changes
    }

    /// A row as the store's events show it.
    pub(crate) fn shown<'r>(key: &'r [u8], row: Option<&'r Rc<Row>>) -> Option<KeyValue<'r>> {
        row.map(|row| pair(key, row))
    }
}

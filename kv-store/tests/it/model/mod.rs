//! The store so simple that one sees it is right: the whole state at every revision, and a list
//! of all changes.

mod answers;
mod auth;
mod edits;
mod transactions;

use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::BytesMut;
use kv_store::command::{
    Answer, Attributes, Command, Existing, KeyRange, KeyValue, Kind, List, No, PutOptions, RangeEnd,
};

/// A key, or an item of one, at one revision.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) value: Vec<u8>,
    pub(crate) create_revision: u64,
    pub(crate) mod_revision: u64,
    pub(crate) version: u64,
    pub(crate) kind: Kind,
    /// Fields or members.
    pub(crate) items: Rows,
    ends: Ends,
}

/// The lease of a key and its own end, 0 for none.
type Ends = (u64, u64);

const STAYS: Ends = (0, 0);

type Rows = BTreeMap<Shared, Rc<Row>>;

type Shared = Rc<[u8]>;

/// A key, or an item of one.
type Subject = (Shared, Option<Shared>);

/// What became of a key, or of an item of one, in a revision.
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) key: Rc<[u8]>,
    pub(crate) item: Option<Rc<[u8]>>,
    pub(crate) before: Option<Rc<Row>>,
    pub(crate) after: Option<Rc<Row>>,
}

/// Everything that there was.
pub(crate) struct Model {
    /// The state at revision 1, at revision 2, and so on.
    states: Vec<Rows>,
    changes: Vec<Change>,
    pub(crate) compacted: u64,
    /// Time to live and end of each lease.
    pub(crate) leases: BTreeMap<u64, (u64, u64)>,
    /// What the command that is being executed makes; between commands the newest state.
    next: Rows,
    /// Keys and items that it has changed, in the order in which it changed them first.
    touched: Vec<Subject>,
    auth: auth::Auth,
    index: u64,
    log_time: u64,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            states: vec![Rows::new()],
            changes: Vec::new(),
            compacted: 0,
            leases: BTreeMap::new(),
            next: Rows::new(),
            touched: Vec::new(),
            auth: auth::Auth::default(),
            index: 0,
            log_time: 0,
        }
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

fn rows_in<'r>(
    rows: &'r Rows,
    range: &KeyRange<'_>,
) -> impl Iterator<Item = (&'r Rc<[u8]>, &'r Rc<Row>)> + use<'r> {
    let (from, end) = etcd_range(range);
    let is_in = move |key: &[u8]| {
        from.as_slice() <= key && end.as_ref().is_none_or(|end| key < end.as_slice())
    };
    rows.iter().filter(move |(key, _)| is_in(key))
}

fn pair<'r>(key: &'r [u8], row: &'r Row) -> KeyValue<'r> {
    KeyValue {
        key,
        value: &row.value,
        create_revision: row.create_revision,
        mod_revision: row.mod_revision,
        version: row.version,
        attributes: Attributes { kind: row.kind, lease: row.ends.0 },
    }
}

/// When something ends that begins to last so long now.
fn end_of(log_time: u64, ttl_ms: u64) -> u64 {
    (log_time + ttl_ms * 1_000).max(1)
}

fn encoded(answer: &Answer<'_>) -> BytesMut {
    let mut bytes = BytesMut::new();
    answer.encode(&mut bytes);
    bytes
}

impl Model {
    pub(crate) fn revision(&self) -> u64 {
        self.states.len() as u64
    }

    /// The revision that comes into being.
    fn making(&self) -> u64 {
        self.revision() + 1
    }

    /// The revision of what can be read.
    fn so_far(&self) -> u64 {
        if self.touched.is_empty() { self.revision() } else { self.making() }
    }

    /// Executes a command as the next entry and gives the answer's bytes.
    pub(crate) fn execute(&mut self, log_time: u64, command: &Command<'_>) -> BytesMut {
        (self.index, self.log_time) = (self.index + 1, log_time);
        let answer = match command {
            Command::Compact { revision } => encoded(&self.compact(*revision)),
            Command::GrantLease { id, ttl_ms } => encoded(&self.grant(*id, *ttl_ms)),
            Command::RevokeLease { id } => encoded(&self.revoke(*id)),
            Command::RenewLeases { ids } => encoded(&self.renew(ids)),
            Command::RemoveEnded => encoded(&self.remove_ended()),
            Command::Transaction { on_no, transaction } => self.transact(*on_no, transaction),
            Command::Auth { change } => self.change_auth(change),
            command => self.change(command).unwrap_or_else(|why| self.no(why)),
        };
        self.commit();
        answer
    }

    fn no(&self, why: No) -> BytesMut {
        encoded(&Answer::No { revision: self.so_far(), why })
    }

    fn commit(&mut self) {
        if self.touched.is_empty() {
            return;
        }
        let revision = self.making();
        let at = |rows: &Rows, (key, item): &Subject| {
            let row = rows.get(key)?;
            item.as_ref().map_or(Some(row), |item| row.items.get(item)).cloned()
        };
        let newest = self.states.last().expect("there is a first state");
        for subject in std::mem::take(&mut self.touched) {
            let (before, after) = (at(newest, &subject), at(&self.next, &subject));
            let (key, item) = subject;
            self.changes.push(Change { revision, key, item, before, after });
        }
        self.states.push(self.next.clone());
    }

    /// Takes back what was done since the last commit.
    fn undo(&mut self) {
        self.touched.clear();
        self.next = self.states.last().expect("there is a first state").clone();
    }

    /// Changes keys and gives the answer's bytes.
    fn change(&mut self, command: &Command<'_>) -> Result<BytesMut, No> {
        let counted = match command {
            Command::Put { key, value } => {
                self.put(key, value, STAYS);
                return Ok(encoded(&Answer::Put { revision: self.so_far() }));
            }
            Command::PutWith { key, value, options } => return self.put_with(key, value, *options),
            Command::Delete { ranges } => {
                let count = self.delete(ranges).len() as u64;
                return Ok(encoded(&Answer::Deleted { count, revision: self.so_far() }));
            }
            Command::DeleteReturning { ranges } => {
                let gone = self.delete(ranges);
                let (count, revision) = (gone.len() as u64, self.so_far());
                let kvs = gone.iter().map(|(key, row)| pair(key, row)).collect();
                return Ok(encoded(&Answer::DeletedKeys { count, revision, kvs, more: false }));
            }
            Command::SetFields { key, fields } => {
                self.of_kind(key, Kind::Hash)?;
                let set = |field: &kv_store::command::Item<'_>| {
                    self.put_item((key, Kind::Hash), field.name, field.value, 0)
                };
                fields.iter().map(set).filter(|is_new| *is_new).count()
            }
            Command::AddMembers { key, members } => {
                self.of_kind(key, Kind::Set)?;
                let has = |model: &Self, name: &[u8]| {
                    model.next.get(*key).is_some_and(|row| row.items.contains_key(name))
                };
                let add = |name: &kv_store::command::Name<'_>| {
                    !has(self, name.0) && self.put_item((key, Kind::Set), name.0, b"", 0)
                };
                members.iter().map(add).filter(|is_new| *is_new).count()
            }
            Command::RemoveItems { of, key, names } => {
                self.of_kind(key, of.kind())?;
                names.iter().filter(|name| self.remove_item(key, name.0)).count()
            }
            Command::Increment { key, field, by } => {
                let number = self.increment(key, field.map(|name| name.0), *by)?;
                return Ok(encoded(&Answer::Number { number, revision: self.so_far() }));
            }
            Command::Expire { key, field, ttl_ms } => {
                self.expire(key, field.map(|name| name.0), *ttl_ms)?
            }
            Command::Edit { key, field, edit } => {
                return self.edit(key, field.map(|name| name.0), edit);
            }
            Command::Rename { from, to } => self.rename(from, to),
            Command::Take { key, count } => return self.take(key, *count),
            Command::StoreCombined { to, how, keys } => {
                return self.store_combined(to, *how, keys);
            }
            _ => return Err(No::NotInTransaction),
        };
        Ok(encoded(&Answer::Changed { count: counted as u64, revision: self.so_far() }))
    }

    /// The row of a key, which is of this kind or does not exist.
    fn of_kind(&self, key: &[u8], kind: Kind) -> Result<Option<&Rc<Row>>, No> {
        answers::of_kind(&self.next, key, kind)
    }

    fn ends(&self, key: &[u8]) -> Ends {
        self.next.get(key).map_or(STAYS, |row| row.ends)
    }

    fn put(&mut self, key: &[u8], value: &[u8], ends: Ends) {
        self.touch_all(key);
        self.set((key, Kind::String), value, Rows::new(), ends);
    }

    fn touch(&mut self, key: &[u8], item: Option<&[u8]>) {
        let subject = (key.into(), item.map(Into::into));
        if !self.touched.contains(&subject) {
            self.touched.push(subject);
        }
    }

    /// Touches a key, then its items.
    fn touch_all(&mut self, key: &[u8]) {
        let names: Vec<Rc<[u8]>> =
            self.next.get(key).map(|row| row.items.keys().cloned().collect()).unwrap_or_default();
        self.touch(key, None);
        names.iter().for_each(|name| self.touch(key, Some(name)));
    }

    fn set(&mut self, (key, kind): (&[u8], Kind), value: &[u8], items: Rows, ends: Ends) {
        let row = self.revised(self.next.get(key), (kind, ends), value, items);
        self.next.insert(key.into(), Rc::new(row));
        self.touch(key, None);
    }

    /// The row behind another one. Several changes in one revision are one version.
    fn revised(
        &self,
        old: Option<&Rc<Row>>,
        (kind, ends): (Kind, Ends),
        value: &[u8],
        items: Rows,
    ) -> Row {
        let making = self.making();
        let (create_revision, version) = match old {
            Some(row) if row.mod_revision == making => (row.create_revision, row.version),
            Some(row) => (row.create_revision, row.version + 1),
            None => (making, 1),
        };
        let value = value.to_vec();
        Row { value, create_revision, mod_revision: making, version, kind, items, ends }
    }

    /// Sets an item; returns whether it is new.
    fn put_item(
        &mut self,
        (key, kind): (&[u8], Kind),
        name: &[u8],
        value: &[u8],
        ends_at: u64,
    ) -> bool {
        let mut items = self.next.get(key).map(|row| row.items.clone()).unwrap_or_default();
        let old = items.get(name);
        let is_new = old.is_none();
        let row = self.revised(old, (Kind::String, (0, ends_at)), value, Rows::new());
        items.insert(name.into(), Rc::new(row));
        self.touch(key, None);
        self.touch(key, Some(name));
        self.set((key, kind), b"", items, self.ends(key));
        is_new
    }

    /// Removes an item, and with the last one the key; returns whether there was one.
    fn remove_item(&mut self, key: &[u8], name: &[u8]) -> bool {
        let Some(row) = self.next.get(key).cloned() else { return false };
        let mut items = row.items.clone();
        if items.remove(name).is_none() {
            return false;
        }
        self.touch(key, None);
        self.touch(key, Some(name));
        if items.is_empty() {
            self.remove(key);
        } else {
            self.set((key, row.kind), b"", items, row.ends);
        }
        true
    }

    fn remove(&mut self, key: &[u8]) {
        self.touch_all(key);
        self.next.remove(key);
    }

    fn delete(&mut self, ranges: &[KeyRange<'_>]) -> Vec<(Rc<[u8]>, Rc<Row>)> {
        let mut gone = Vec::new();
        for range in ranges {
            let found: Vec<_> =
                rows_in(&self.next, range).map(|(key, row)| (key.clone(), row.clone())).collect();
            found.iter().for_each(|(key, _)| self.remove(key));
            gone.extend(found);
        }
        gone
    }

    fn put_with(&mut self, key: &[u8], value: &[u8], options: PutOptions) -> Result<BytesMut, No> {
        let PutOptions { returns_previous, lease, ttl_ms, keeps_end, existing } = options;
        if !keeps_end && lease != 0 && !self.leases.contains_key(&lease) {
            return Err(No::LeaseUnknown { id: lease });
        }
        let ends_at = if ttl_ms == 0 { 0 } else { end_of(self.log_time, ttl_ms) };
        let ends = if keeps_end { self.ends(key) } else { (lease, ends_at) };
        let before = self.next.get(key).filter(|_| returns_previous).cloned();
        let found = self.next.get(key).cloned();
        let value = match existing {
            Existing::Any => value.to_vec(),
            Existing::Required | Existing::KeepsValue if found.is_none() => {
                return Err(No::KeyUnknown);
            }
            Existing::Required => value.to_vec(),
            Existing::KeepsValue => pair(key, &found.expect("it was found")).value.to_vec(),
        };
        self.put(key, &value, ends);
        let previous = before.as_ref().map(|row| pair(key, row));
        Ok(encoded(&Answer::PutOver { revision: self.so_far(), previous }))
    }

    fn increment(&mut self, key: &[u8], field: Option<&[u8]>, by: i64) -> Result<i64, No> {
        let row = self.of_kind(key, if field.is_some() { Kind::Hash } else { Kind::String })?;
        let old = match field {
            Some(field) => row.and_then(|row| row.items.get(field)),
            None => row,
        };
        let text = old.map_or("0".to_owned(), |row| String::from_utf8_lossy(&row.value).into());
        let number = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
        let number = number.ok_or(No::NotANumber)?.checked_add(by).ok_or(No::Overflow)?;
        let (ends, sum) = (old.map_or(STAYS, |row| row.ends), number.to_string());
        match field {
            Some(field) => {
                self.put_item((key, Kind::Hash), field, sum.as_bytes(), ends.1);
            }
            None => self.put(key, sum.as_bytes(), ends),
        }
        Ok(number)
    }

    fn expire(&mut self, key: &[u8], field: Option<&[u8]>, ttl_ms: u64) -> Result<usize, No> {
        let ends_at = if ttl_ms == 0 { 0 } else { end_of(self.log_time, ttl_ms) };
        if let Some(field) = field {
            let item = self.of_kind(key, Kind::Hash)?.and_then(|row| row.items.get(field)).cloned();
            let Some(item) = item else { return Ok(0) };
            self.put_item((key, Kind::Hash), field, &item.value, ends_at);
        } else {
            let Some(row) = self.next.get(key).cloned() else { return Ok(0) };
            self.set((key, row.kind), &row.value, row.items.clone(), (row.ends.0, ends_at));
        }
        Ok(1)
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

    fn grant(&mut self, id: u64, ttl_ms: u64) -> Answer<'static> {
        let revision = self.revision();
        if self.leases.contains_key(&id) {
            return Answer::No { revision, why: No::LeaseExists { id } };
        }
        let free = (self.index..).find(|id| !self.leases.contains_key(id));
        let id = if id == 0 { free.expect("there are many numbers") } else { id };
        self.leases.insert(id, (ttl_ms, end_of(self.log_time, ttl_ms)));
        Answer::Granted { revision, id, ttl_ms }
    }

    fn revoke(&mut self, id: u64) -> Answer<'static> {
        if self.leases.remove(&id).is_none() {
            return Answer::No { revision: self.revision(), why: No::LeaseUnknown { id } };
        }
        let keys = self.keys_of_lease(id);
        keys.iter().for_each(|key| self.remove(key));
        Answer::Deleted { count: keys.len() as u64, revision: self.so_far() }
    }

    fn keys_of_lease(&self, id: u64) -> Vec<Rc<[u8]>> {
        self.next.iter().filter(|(_, row)| row.ends.0 == id).map(|(key, _)| key.clone()).collect()
    }

    fn renew(&mut self, ids: &[u64]) -> Answer<'static> {
        let mut ttls_ms = List::new();
        for id in ids {
            let lease = self.leases.get_mut(id);
            ttls_ms.push(lease.map_or(0, |(ttl_ms, ends_at)| {
                *ends_at = end_of(self.log_time, *ttl_ms);
                *ttl_ms
            }));
        }
        Answer::Renewed { revision: self.revision(), ttls_ms }
    }

    /// Fewer than a thousand end at once here, so that all of them go.
    fn remove_ended(&mut self) -> Answer<'static> {
        let log_time = self.log_time;
        let has_ended = |ends_at: u64| ends_at != 0 && ends_at <= log_time;
        let leases = self.leases.iter().filter(|(_, lease)| has_ended(lease.1));
        let mut leases: Vec<(u64, u64)> = leases.map(|(id, lease)| (lease.1, *id)).collect();
        leases.sort_unstable();
        for (_, id) in leases {
            self.leases.remove(&id);
            self.keys_of_lease(id).iter().for_each(|key| self.remove(key));
        }
        let ended = self.next.iter().flat_map(|(key, row)| {
            let items = row.items.iter().filter(|(_, item)| has_ended(item.ends.1));
            let items = items.map(move |(name, _)| (key.clone(), Some(name.clone())));
            let itself = has_ended(row.ends.1).then(|| (key.clone(), None));
            itself.into_iter().chain(items)
        });
        let ended: Vec<Subject> = ended.collect();
        for (key, item) in &ended {
            match item {
                Some(name) => drop(self.remove_item(key, name)),
                None => self.remove(key),
            }
        }
        Answer::Done { revision: self.so_far() }
    }

    /// What changed from a revision on that is not compacted. At the compaction revision itself
    /// nothing before it is known.
    pub(crate) fn changes_since(&self, since: u64) -> impl Iterator<Item = &Change> {
        let first = since.max(self.compacted);
        let begin = self.changes.partition_point(|change| change.revision < first);
        self.changes[begin..].iter()
    }

    /// A row as the store's events show it.
    pub(crate) fn shown<'r>(key: &'r [u8], row: Option<&'r Rc<Row>>) -> Option<KeyValue<'r>> {
        row.map(|row| pair(key, row))
    }
}

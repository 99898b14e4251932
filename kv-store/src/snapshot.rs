//! A snapshot of the store as bytes: a begin, marks, leases, roles and users, every key in order
//! with its versions and its items with theirs, in which order they changed where that is
//! another one, what a restore has staged, an end.
//!
//! Layout, little-endian; `docs/snapshot.md` has the tables. Only what can be read is there:
//! what compaction has hidden is not, whether or not it was forgotten already, so that nodes
//! with the same state write the same bytes. The end repeats the begin, so that a part of
//! another snapshot is noticed.

use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, BytesMut};
use raft_core::replica::LoadError;
use raft_core::replica::pinned::Slice;

use crate::auth::{Auth, Role, User};
use crate::keyspace::{Keyspace, Passed, Sequence, Standing, Subject, VersionRef, Walked};
use crate::leases::{Lease, Leases};
use crate::restoring::{Origin, STAGED_HEAD_BYTES, StagedHead, Staging};
use crate::retention::{Mark, Marks};
use crate::store::Store;

pub(crate) const BEGIN: u8 = 1;
pub(crate) const KEY: u8 = 2;
pub(crate) const END: u8 = 3;
pub(crate) const MARK: u8 = 4;
pub(crate) const VERSION: u8 = 5;
pub(crate) const ITEM: u8 = 6;
pub(crate) const LEASE: u8 = 7;
pub(crate) const SEQUENCE: u8 = 8;
pub(crate) const AUTH: u8 = 9;
pub(crate) const ROLE: u8 = 10;
pub(crate) const USER: u8 = 11;
pub(crate) const STAGED: u8 = 12;

/// What a lease takes in a snapshot. Units: bytes.
pub(crate) const LEASE_BYTES: usize = 1 + 3 * 8;

/// Ranks in one record of a sequence, at most; a longer sequence has several.
const RANKS_MAX: usize = 4_096;

pub(crate) const FORMAT: u8 = 3;

/// The formats of programs that kept no history, and not the order of a revision's changes.
const FORMAT_WITHOUT_HISTORY: u8 = 1;
const FORMAT_WITHOUT_SEQUENCES: u8 = 2;

/// The number of staged tables that were loaded, beside a store that was loaded, too.
pub(crate) const STAGED_NUMBER: u64 = 1;

/// What is said of the whole store, at both ends of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) revision: u64,
    pub(crate) compacted: u64,
    pub(crate) hash: u64,
}

/// A pinned state of which a part may have been read.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    totals: Totals,
    marks: Option<Marks>,
    /// `None` when it was read, or nobody has ever changed it.
    auth: Option<Arc<Auth>>,
    progress: Progress,
    records: u64,
    /// By which the tables are found, also when others took their place.
    tables_number: u64,
    staged: Option<StagedReading>,
}

/// What a restore had staged, of which a part may have been read.
#[derive(Clone, Debug)]
struct StagedReading {
    head: StagedHead,
    tables_number: u64,
    /// Behind this key and item nothing was staged yet.
    last: Option<(Vec<u8>, Option<Vec<u8>>)>,
    has_begun: bool,
    passed: Option<Passed>,
    is_done: bool,
}

/// How far reading is behind the leases.
#[derive(Clone, Debug)]
enum Progress {
    /// Versions are read; the last one was this.
    Versions(Option<Passed>),
    /// Sequences are read, from a revision on.
    Sequences(u64),
    /// A sequence is read, from a rank on.
    Ranks(Sequence, usize),
}

impl Reading {
    /// The present state of a store, of which nothing was read; its leases are pinned as well.
    pub(crate) fn of(store: &Store) -> Self {
        let (revision, compacted) = (store.revision, store.compacted);
        let totals = Totals { revision, compacted, hash: store.hash.value() };
        let progress = Progress::Versions(None);
        let auth = Some(&store.auth).filter(|auth| ***auth != Auth::default()).cloned();
        Self {
            totals,
            marks: Some(store.marks.clone()),
            auth,
            progress,
            records: 0,
            tables_number: store.tables_number,
            staged: store.staging.as_deref().map(StagedReading::of),
        }
    }

    /// By which number the keys and leases are found.
    pub(crate) fn tables_number(&self) -> u64 {
        self.tables_number
    }

    /// By which number what was staged is found, if there is something.
    pub(crate) fn staged_number(&self) -> Option<u64> {
        self.staged.as_ref().map(|staged| staged.tables_number)
    }

    /// Whether these tables are shown.
    pub(crate) fn shows(&self, number: u64) -> bool {
        self.tables_number == number || self.staged_number() == Some(number)
    }

    /// What was before this revision is not shown.
    pub(crate) fn compacted(&self) -> u64 {
        self.totals.compacted
    }

    /// Appends the next part up to about `end`; returns whether more follow of keys and leases.
    pub(crate) fn next_part(
        &mut self,
        (keyspace, leases): (&Keyspace, &mut Leases),
        end: usize,
        part: &mut BytesMut,
    ) -> bool {
        if let Some(marks) = self.marks.take() {
            part.put_u8(BEGIN);
            part.put_u8(FORMAT);
            put_totals(part, &self.totals);
            marks.iter().for_each(|mark| put_mark(part, mark));
        }
        let is_full = leases.next_slice(|id, lease| {
            put_lease(part, id, lease);
            self.records += 1;
            if end <= part.len() { Slice::Ends } else { Slice::GoesOn }
        });
        if is_full {
            return true;
        }
        if let Some(auth) = self.auth.take() {
            self.records += put_auth(part, &auth);
        }
        self.next_versions(keyspace, end, part) || self.next_sequences(keyspace, end, part)
    }

    /// Appends what was staged up to about `end`; returns whether more follow of it.
    pub(crate) fn next_staged(
        &mut self,
        tables: (&Keyspace, &mut Leases),
        end: usize,
        part: &mut BytesMut,
    ) -> bool {
        let Some(staged) = self.staged.as_mut().filter(|staged| !staged.is_done) else {
            return false;
        };
        let more = staged.next_part(tables, end, part, &mut self.records);
        staged.is_done = !more;
        more
    }

    /// Appends the end.
    pub(crate) fn end(&self, part: &mut BytesMut) {
        part.put_u8(END);
        put_totals(part, &self.totals);
        part.put_u64_le(self.records);
    }

    /// Appends versions up to about `end`; returns whether that is enough.
    fn next_versions(&mut self, keyspace: &Keyspace, end: usize, part: &mut BytesMut) -> bool {
        let Progress::Versions(passed) = &mut self.progress else { return false };
        let Totals { revision, compacted, .. } = self.totals;
        let (records, before, mut last) = (&mut self.records, passed.take(), None);
        let between = (compacted, revision);
        let more = keyspace.versions(between, before.as_ref(), |subject, standing, version| {
            *records += 1;
            put_version(part, subject, standing, version);
            let is_full = end <= part.len();
            if is_full {
                let (key, item) = (subject.key.to_vec(), subject.item.map(<[u8]>::to_vec));
                last = Some(Passed { key, item, mod_revision: version.mod_revision });
            }
            is_full
        });
        self.progress =
            if more { Progress::Versions(last) } else { Progress::Sequences(compacted) };
        more
    }

    /// Appends sequences up to about `end`, or looks for them for long enough; returns whether
    /// there may be more.
    fn next_sequences(&mut self, keyspace: &Keyspace, end: usize, part: &mut BytesMut) -> bool {
        let mut looked_at = 0;
        loop {
            match &mut self.progress {
                Progress::Versions(_) => return true,
                Progress::Sequences(from) => {
                    match keyspace.next_sequence(*from, self.totals.revision, &mut looked_at) {
                        Walked::To(sequence) => self.progress = Progress::Ranks(sequence, 0),
                        Walked::Before(next) => {
                            *from = next;
                            // A part has a byte at least.
                            if !part.is_empty() {
                                return true;
                            }
                            looked_at = 0;
                        }
                        Walked::End => return false,
                    }
                }
                Progress::Ranks(Sequence { revision, ranks }, at) => {
                    let next = (*at + RANKS_MAX).min(ranks.len());
                    put_ranks(part, *revision, &ranks[*at..next]);
                    self.records += 1;
                    *at = next;
                    if next == ranks.len() {
                        self.progress = Progress::Sequences(*revision + 1);
                    }
                    if end <= part.len() {
                        return true;
                    }
                }
            }
        }
    }
}

impl StagedReading {
    fn of(staging: &Staging) -> Self {
        Self {
            head: staging.head,
            tables_number: staging.tables.number,
            last: staging.last_subject(),
            has_begun: false,
            passed: None,
            is_done: false,
        }
    }

    fn next_part(
        &mut self,
        (keyspace, leases): (&Keyspace, &mut Leases),
        end: usize,
        part: &mut BytesMut,
        records: &mut u64,
    ) -> bool {
        if !self.has_begun {
            self.has_begun = true;
            part.put_u8(STAGED);
            self.head.encode(part);
            *records += 1;
        }
        let is_full = leases.next_slice(|id, lease| {
            put_lease(part, id, lease);
            *records += 1;
            if end <= part.len() { Slice::Ends } else { Slice::GoesOn }
        });
        if is_full {
            return true;
        }
        let Some((last_key, last_item)) = &self.last else { return false };
        let last = (&last_key[..], last_item.as_deref());
        // Whatever became of the keys since, this is what was staged.
        let newest = self.head.newest_revision();
        let (before, mut passed) = (self.passed.take(), None);
        keyspace.versions((newest, newest), before.as_ref(), |subject, standing, version| {
            if last < (subject.key, subject.item) {
                return true;
            }
            *records += 1;
            put_version(part, subject, standing, version);
            let is_full = end <= part.len();
            if is_full {
                let (key, item) = (subject.key.to_vec(), subject.item.map(<[u8]>::to_vec));
                passed = Some(Passed { key, item, mod_revision: version.mod_revision });
            }
            is_full
        });
        self.passed = passed;
        self.passed.is_some()
    }
}

fn put_totals(part: &mut BytesMut, totals: &Totals) {
    part.put_u64_le(totals.revision);
    part.put_u64_le(totals.compacted);
    part.put_u64_le(totals.hash);
}

fn put_mark(part: &mut BytesMut, mark: Mark) {
    part.put_u8(MARK);
    part.put_u64_le(mark.log_time);
    part.put_u64_le(mark.revision);
}

fn put_lease(part: &mut BytesMut, id: u64, lease: Lease) {
    part.put_u8(LEASE);
    part.put_u64_le(id);
    part.put_u64_le(lease.ttl_ms);
    part.put_u64_le(lease.ends_at);
}

/// Appends all of it, which is short enough for one part; returns how many records it has.
fn put_auth(part: &mut BytesMut, auth: &Auth) -> u64 {
    part.put_u8(AUTH);
    part.put_u64_le(auth.revision);
    for (name, role) in &auth.roles {
        put_name(part, ROLE, name);
        role.encode(part);
    }
    for (name, user) in &auth.users {
        put_name(part, USER, name);
        user.encode(part);
    }
    1 + (auth.roles.len() + auth.users.len()) as u64
}

fn put_name(part: &mut BytesMut, kind: u8, name: &str) {
    part.put_u8(kind);
    part.put_u32_le(u32::try_from(name.len()).expect("names are short"));
    part.extend_from_slice(name.as_bytes());
}

fn put_ranks(part: &mut BytesMut, revision: u64, ranks: &[u32]) {
    part.put_u8(SEQUENCE);
    part.put_u64_le(revision);
    part.put_u32_le(u32::try_from(ranks.len()).expect("a record has few"));
    ranks.iter().for_each(|rank| part.put_u32_le(*rank));
}

fn put_version(
    part: &mut BytesMut,
    subject: Subject<'_>,
    standing: Standing,
    version: VersionRef<'_>,
) {
    let (kind, name) = subject.item.map_or((KEY, subject.key), |item| (ITEM, item));
    let length = |bytes: &[u8]| {
        u32::try_from(bytes.len()).expect("keys and values are shorter than an entry")
    };
    match standing {
        Standing::First => {
            part.put_u8(kind);
            part.put_u32_le(length(name));
        }
        Standing::Further => part.put_u8(VERSION),
    }
    part.put_u32_le(length(version.bytes()));
    part.put_u64_le(version.mod_revision);
    if standing == Standing::First {
        part.extend_from_slice(name);
    }
    part.extend_from_slice(version.bytes());
}

/// How far a snapshot has been loaded.
#[derive(Clone, Debug, Default)]
pub(crate) enum Loading {
    /// Nothing was loaded.
    #[default]
    Nothing,
    /// The begin has come.
    Content(Loaded),
    /// The end has come.
    Complete(Totals, Vec<Sequence>),
}

/// What has come so far.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    totals: Totals,
    /// Where the last key lies.
    last: Option<u32>,
    /// Where the last of its items lies.
    last_item: Option<u32>,
    /// The last lease.
    last_lease: Option<u64>,
    /// Whether there is something of roles and users.
    has_auth: bool,
    /// In the order of their revisions.
    sequences: Vec<Sequence>,
    records: u64,
}

/// Where it goes.
#[derive(Debug)]
pub(crate) struct Target<'s> {
    pub(crate) keyspace: &'s mut Keyspace,
    pub(crate) marks: &'s mut Marks,
    pub(crate) leases: &'s mut Leases,
    pub(crate) auth: &'s mut Auth,
    pub(crate) staging: &'s mut Option<Box<Staging>>,
}

impl Loading {
    /// Takes in the next part.
    ///
    /// Errors: `LoadError` for bytes that `Reading` cannot have made.
    pub(crate) fn load(
        &mut self,
        mut part: &[u8],
        mut target: Target<'_>,
    ) -> Result<(), LoadError> {
        while let Some((&kind, rest)) = part.split_first() {
            part = rest;
            *self = match (&mut *self, kind) {
                (Self::Nothing, BEGIN) => Self::Content(begin(&mut part)?),
                (Self::Nothing, _) => {
                    return Err(LoadError::because("it does not start with its begin"));
                }
                (Self::Content(_), BEGIN) => return Err(LoadError::because("it begins twice")),
                (Self::Content(loaded), END) => {
                    let totals = loaded.end(&mut part)?;
                    Self::Complete(totals, std::mem::take(&mut loaded.sequences))
                }
                (Self::Content(loaded), kind) => {
                    loaded.record(kind, &mut part, &mut target)?;
                    continue;
                }
                (Self::Complete(..), _) => {
                    return Err(LoadError::because("something follows its end"));
                }
            };
        }
        Ok(())
    }

    /// What is said of the whole, and in which order some revisions were made.
    ///
    /// Errors: `LoadError` if the end has not come.
    pub(crate) fn finish(self) -> Result<(Totals, Vec<Sequence>), LoadError> {
        match self {
            Self::Complete(totals, sequences) => Ok((totals, sequences)),
            Self::Nothing | Self::Content(_) => Err(LoadError::because("its end is missing")),
        }
    }
}

fn begin(part: &mut &[u8]) -> Result<Loaded, LoadError> {
    match take(part, 1)?[0] {
        FORMAT => {}
        FORMAT_WITHOUT_HISTORY => {
            return Err(LoadError::because(
                "its format 1 is of a program that kept no history; read the data out with that \
                 program and put it into a new cluster",
            ));
        }
        FORMAT_WITHOUT_SEQUENCES => {
            return Err(LoadError::because(
                "its format 2 is of a development version that kept neither users nor the order \
                 of a revision's changes; read the data out with that program and put it into a \
                 new cluster",
            ));
        }
        format => {
            return Err(LoadError::because(format!("its format {format} is not known here")));
        }
    }
    let totals = take_totals(part)?;
    if totals.revision < totals.compacted || totals.revision == 0 {
        return Err(LoadError::because("it was compacted above its revision"));
    }
    Ok(Loaded {
        totals,
        last: None,
        last_item: None,
        last_lease: None,
        has_auth: false,
        sequences: Vec::new(),
        records: 0,
    })
}

impl Loaded {
    fn record(
        &mut self,
        kind: u8,
        part: &mut &[u8],
        Target { keyspace, marks, leases, auth, staging }: &mut Target<'_>,
    ) -> Result<(), LoadError> {
        if let Some(staging) = staging {
            self.records += 1;
            return staging.take_record(kind, part, Origin::Snapshot);
        }
        match kind {
            STAGED => {
                let head = StagedHead::decode(take(part, STAGED_HEAD_BYTES)?);
                let numbers = (STAGED_NUMBER, keyspace.hash_seed());
                **staging = Some(Box::new(Staging::new(head, numbers)));
            }
            MARK if self.records == 0 => return self.take_mark(part, marks),
            LEASE if self.last.is_none() && !self.has_auth => {
                let mut bytes = take(part, LEASE_BYTES - 1)?;
                let (id, ttl_ms) = (bytes.get_u64_le(), bytes.get_u64_le());
                let lease = Lease { ttl_ms, ends_at: bytes.get_u64_le() };
                if self.last_lease.unwrap_or(0) >= id {
                    return Err(LoadError::because("its leases are not in order"));
                }
                self.last_lease = Some(id);
                leases.set(id, lease);
            }
            AUTH if self.last.is_none() && !self.has_auth => {
                auth.revision = take(part, 8)?.get_u64_le();
                self.has_auth = true;
            }
            ROLE | USER if self.last.is_none() && self.has_auth => take_auth(kind, part, auth)?,
            SEQUENCE => self.take_ranks(part)?,
            _ if !self.sequences.is_empty() => {
                return Err(LoadError::because("something stands behind its sequences"));
            }
            KEY => {
                let (key, version) = self.take_first(part)?;
                self.last = Some(keyspace.load_key(self.last, key, version)?);
                self.last_item = None;
            }
            ITEM => {
                let (name, version) = self.take_first(part)?;
                let owner = self.last.ok_or_else(|| LoadError::because("an item has no key"))?;
                let item = keyspace.load_item((owner, self.last_item), name, version)?;
                self.last_item = Some(item);
            }
            VERSION => {
                let (version_bytes, mod_revision) = take_head(part)?;
                let version = self.version(mod_revision, take(part, version_bytes)?)?;
                if mod_revision <= self.totals.compacted {
                    return Err(LoadError::because("it has a version that cannot be read"));
                }
                let last = self.last.ok_or_else(|| LoadError::because("a version has no key"))?;
                keyspace.load_version((last, self.last_item), version)?;
            }
            other => {
                return Err(LoadError::because(format!("no record has the kind {other} here")));
            }
        }
        self.records += 1;
        Ok(())
    }

    fn take_mark(&self, part: &mut &[u8], marks: &mut Marks) -> Result<(), LoadError> {
        let mut bytes = take(part, 16)?;
        let (log_time, revision) = (bytes.get_u64_le(), bytes.get_u64_le());
        let is_next = revision < self.totals.revision && marks.push(Mark { log_time, revision });
        is_next.then_some(()).ok_or_else(|| LoadError::because("its marks are not in order"))
    }

    /// A sequence, or more of the one before.
    fn take_ranks(&mut self, part: &mut &[u8]) -> Result<(), LoadError> {
        let mut head = take(part, 12)?;
        let (revision, count) = (head.get_u64_le(), head.get_u32_le() as usize);
        let (ranks, _) = take(part, 4 * count)?.as_chunks();
        let ranks = ranks.iter().map(|rank| u32::from_le_bytes(*rank));
        match self.sequences.last_mut() {
            Some(last) if last.revision == revision => last.ranks.extend(ranks),
            Some(last) if revision < last.revision => {
                return Err(LoadError::because("its sequences are not in order"));
            }
            Some(_) | None => {
                self.sequences.push(Sequence { revision, ranks: ranks.collect() });
            }
        }
        Ok(())
    }

    /// A name with its first version.
    fn take_first<'p>(&self, part: &mut &'p [u8]) -> Result<(&'p [u8], VersionRef<'p>), LoadError> {
        let name_bytes = take(part, 4)?.get_u32_le() as usize;
        let (version_bytes, mod_revision) = take_head(part)?;
        let name = take(part, name_bytes)?;
        let version = self.version(mod_revision, take(part, version_bytes)?)?;
        if version.is_gone() && mod_revision < self.totals.compacted {
            return Err(LoadError::because("it has a key that cannot be read"));
        }
        Ok((name, version))
    }

    fn version<'p>(&self, mod_revision: u64, bytes: &'p [u8]) -> Result<VersionRef<'p>, LoadError> {
        VersionRef::from_bytes(mod_revision, bytes)
            .filter(|_| 0 < mod_revision && mod_revision <= self.totals.revision)
            .ok_or_else(|| LoadError::because("a key has impossible revisions"))
    }

    fn end(&self, part: &mut &[u8]) -> Result<Totals, LoadError> {
        let totals = take_totals(part)?;
        let records = take(part, 8)?.get_u64_le();
        if totals != self.totals || records != self.records {
            return Err(LoadError::because("its end does not go with its begin"));
        }
        Ok(totals)
    }
}

/// A role or a user.
fn take_auth(kind: u8, part: &mut &[u8], auth: &mut Auth) -> Result<(), LoadError> {
    let name_bytes = take(part, 4)?.get_u32_le() as usize;
    let name = std::str::from_utf8(take(part, name_bytes)?);
    let name = name.map_err(|_| LoadError::because("a name is no text"))?.to_owned();
    let is_loaded = if kind == ROLE {
        Role::decode(part).is_some_and(|role| auth.load_role(name, role))
    } else {
        User::decode(part).is_some_and(|user| auth.load_user(name, user))
    };
    is_loaded
        .then_some(())
        .ok_or_else(|| LoadError::because("a role or a user is out of order, or cut short"))
}

pub(crate) fn take_totals(part: &mut &[u8]) -> Result<Totals, LoadError> {
    let mut bytes = take(part, 24)?;
    let (revision, compacted) = (bytes.get_u64_le(), bytes.get_u64_le());
    Ok(Totals { revision, compacted, hash: bytes.get_u64_le() })
}

pub(crate) fn take_head(part: &mut &[u8]) -> Result<(usize, u64), LoadError> {
    let mut bytes = take(part, 12)?;
    Ok((bytes.get_u32_le() as usize, bytes.get_u64_le()))
}

pub(crate) fn take<'p>(part: &mut &'p [u8], bytes: usize) -> Result<&'p [u8], LoadError> {
    let taken = part.split_off(..bytes);
    taken.ok_or_else(|| LoadError::because("a record is cut short"))
}

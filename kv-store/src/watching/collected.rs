//! The changes of a few revisions for one group of watches, in pieces that can be sent.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::stream::{NIL, Record};
use super::{CHANGE_BYTES_MAX, PUSH_BYTES_MAX, REVISION_BYTES_MAX};

/// MessagePack's head of an array whose length takes four bytes.
const ARRAY: u8 = 0xdd;
const ARRAY_HEAD_BYTES: usize = 5;

/// What a group is shown.
#[derive(Debug)]
pub(super) struct Collected {
    pub(super) group: u32,
    pieces: Vec<Piece>,
    /// What the last revision takes. Units: bytes.
    revision_bytes: usize,
    /// The revision that shows more than can be sent, if there is one; it is the last one.
    huge: Option<u64>,
}

/// Changes that are sent at once: an array, of which the head is written in the end.
#[derive(Debug)]
struct Piece {
    bytes: BytesMut,
    count: u32,
    /// Its revisions, each with the place of its first change here, in bytes and in changes.
    revisions: Vec<(u64, usize, u32)>,
    is_cut: bool,
}

/// What is sent at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parcel {
    pub(super) bytes: Bytes,
    pub(super) is_cut: bool,
}

/// What a group is shown, ready to be sent.
#[derive(Debug)]
pub(super) struct Collection {
    /// The first revision in it, the one that cannot be sent included.
    pub(super) first: u64,
    pub(super) huge: Option<u64>,
    pieces: Vec<Whole>,
}

#[derive(Debug)]
struct Whole {
    parcel: Parcel,
    count: u32,
    revisions: Vec<(u64, usize, u32)>,
}

impl Collected {
    pub(super) fn new(group: u32) -> Self {
        Self { group, pieces: Vec::new(), revision_bytes: 0, huge: None }
    }

    /// Adds a change, which is not before those that are here.
    pub(super) fn add(&mut self, record: &Record<'_>, has_previous: bool) {
        if self.huge.is_some() {
            return;
        }
        let previous = if has_previous { record.previous } else { NIL };
        let bytes = record.change.len() + previous.len();
        let is_same = self.pieces.last().is_some_and(|it| it.last() == record.revision);
        self.revision_bytes = if is_same { self.revision_bytes + bytes } else { bytes };
        if REVISION_BYTES_MAX < self.revision_bytes || CHANGE_BYTES_MAX < bytes {
            self.give_up(record.revision);
            return;
        }
        let fits = |piece: &&mut Piece| piece.bytes.len() + bytes <= PUSH_BYTES_MAX;
        if self.pieces.last_mut().filter(fits).is_none() {
            if let Some(full) = self.pieces.last_mut() {
                full.is_cut = is_same;
            }
            self.pieces.push(Piece::new());
        }
        let piece = self.pieces.last_mut().expect("there is one now");
        piece.add(record, previous);
    }

    /// Takes back what is here of a revision that is too large. No other one follows, because
    /// so much is never read at once.
    fn give_up(&mut self, revision: u64) {
        self.huge = Some(revision);
        while let Some(piece) = self.pieces.last_mut().filter(|it| it.last() == revision) {
            let (_, at, before) = piece.revisions.pop().expect("it has the revision");
            if before == 0 {
                self.pieces.pop();
            } else {
                piece.bytes.truncate(at);
                piece.count = before;
            }
        }
        if let Some(last) = self.pieces.last_mut() {
            last.is_cut = false;
        }
    }

    pub(super) fn finish(self) -> Collection {
        let first = self.pieces.first().map(|piece| piece.revisions[0].0).or(self.huge);
        Collection {
            first: first.expect("something was collected"),
            huge: self.huge,
            pieces: self.pieces.into_iter().map(Piece::finish).collect(),
        }
    }
}

impl Collection {
    /// What is sent to a watch to which everything from a revision on is new.
    pub(super) fn parcels(&self, from: u64) -> impl Iterator<Item = Parcel> {
        self.pieces.iter().filter_map(move |piece| {
            let is_new = |(revision, ..): &&(u64, usize, u32)| from <= *revision;
            let &(_, at, before) = piece.revisions.iter().find(is_new)?;
            if before == 0 {
                return Some(piece.parcel.clone());
            }
            // A watch that came in between has a piece of its own.
            let mut bytes = BytesMut::with_capacity(piece.parcel.bytes.len());
            bytes.put_bytes(0, ARRAY_HEAD_BYTES);
            bytes.extend_from_slice(&piece.parcel.bytes[at..]);
            write_head(&mut bytes, piece.count - before);
            Some(Parcel { bytes: bytes.freeze(), is_cut: piece.parcel.is_cut })
        })
    }
}

impl Piece {
    fn new() -> Self {
        let mut bytes = BytesMut::new();
        bytes.put_bytes(0, ARRAY_HEAD_BYTES);
        Self { bytes, count: 0, revisions: Vec::new(), is_cut: false }
    }

    /// The last revision; none is 0.
    fn last(&self) -> u64 {
        self.revisions.last().map_or(0, |(revision, ..)| *revision)
    }

    fn add(&mut self, record: &Record<'_>, previous: &[u8]) {
        if self.last() != record.revision {
            self.revisions.push((record.revision, self.bytes.len(), self.count));
        }
        self.bytes.extend_from_slice(record.change);
        self.bytes.extend_from_slice(previous);
        self.count += 1;
    }

    fn finish(mut self) -> Whole {
        write_head(&mut self.bytes, self.count);
        let Self { bytes, count, revisions, is_cut } = self;
        Whole { parcel: Parcel { bytes: bytes.freeze(), is_cut }, count, revisions }
    }
}

fn write_head(bytes: &mut BytesMut, count: u32) {
    let mut to = &mut bytes[..ARRAY_HEAD_BYTES];
    to.put_u8(ARRAY);
    to.put_u32(count);
}

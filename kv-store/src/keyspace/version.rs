//! One version of a key: when it came, and what it holds.
//!
//! What it holds is one block of bytes, a head and the value behind it. The head stands for
//! itself: no other version is needed to read it. The same bytes are in snapshots
//! (`docs/snapshot.md`):
//! - what the key is (1 byte): 0 a string, 1 a hash, 2 a set; with 16 added if it has a lease,
//!   and with 32 added if it has an end;
//! - the version's number, as a number of variable length;
//! - how many revisions lie between the create and the mod revision, likewise;
//! - of a hash or a set how many items it has, likewise;
//! - the lease, if it has one, likewise;
//! - the log time of its end, if it has one, likewise;
//! - the value of a string.
//!
//! A number of variable length has seven bits in each byte, the lowest first; the highest bit
//! says that more follow.

use super::heap::{Heap, Spot};
use crate::command::Kind;

/// The longest head. Units: bytes.
const HEAD_BYTES_MAX: usize = 1 + 5 * NUMBER_BYTES_MAX;

/// Marks of the first byte.
const HAS_LEASE: u8 = 16;
const HAS_END: u8 = 32;

/// The longest number of variable length. Units: bytes.
const NUMBER_BYTES_MAX: usize = 10;

/// What a version costs in memory beside its bytes: its place among the others of its key, its
/// place in the order of changes, and what the allocator takes. Units: bytes.
pub(crate) const VERSION_OVERHEAD_BYTES: u64 = 48;

/// A key from one revision until its next version, as a record has it: what it holds lies in the
/// heap of its keyspace.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) mod_revision: u64,
    /// Nowhere if the key does not exist.
    spot: Spot,
}

/// A version to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VersionRef<'b> {
    pub(crate) mod_revision: u64,
    /// Empty if the key does not exist.
    bytes: &'b [u8],
}

/// A version outside a keyspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    mod_revision: u64,
    bytes: Box<[u8]>,
}

/// How long a key or an item stays if nobody does anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tenure {
    /// It goes with this lease; 0 is none.
    pub(crate) lease: u64,
    /// It goes at this log time; 0 is never. Units: microseconds.
    pub(crate) ends_at: u64,
}

/// What a key holds in one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content<'v> {
    /// The revision at which the key came into being.
    pub(crate) create_revision: u64,
    /// How many versions the key has had since then, this one included.
    pub(crate) version: u64,
    pub(crate) kind: Kind,
    /// The value of a string, a field or a member; empty for a hash or a set.
    pub(crate) value: &'v [u8],
    /// How many items a hash or a set has; 0 for anything else.
    pub(crate) items: u64,
    pub(crate) tenure: Tenure,
}

impl Held {
    /// A version that exists, and is kept in the heap.
    ///
    /// Panics: if the key came into being after this version of it.
    pub(super) fn new(heap: &mut Heap, mod_revision: u64, content: &Content<'_>) -> Self {
        let head = Head::of(mod_revision, content);
        Self { mod_revision, spot: heap.add(head.bytes(), content.value) }
    }

    /// A version that is kept in the heap from now on.
    pub(super) fn of(heap: &mut Heap, version: VersionRef<'_>) -> Self {
        Self { mod_revision: version.mod_revision, spot: heap.add(version.bytes, b"") }
    }

    /// The version of a key that was removed.
    pub(super) const fn gone(mod_revision: u64) -> Self {
        Self { mod_revision, spot: Spot::NOWHERE }
    }

    /// Moves what the heap keeps of it out of a page that is half empty.
    pub(super) fn tidy(&mut self, heap: &mut Heap) {
        heap.tidy(&mut self.spot);
    }

    /// Gives back what the heap keeps of it.
    pub(super) fn drop_from(self, heap: &mut Heap) {
        heap.remove(&self.spot);
    }

    /// The version to be read.
    pub(super) fn read<'h>(&self, heap: &'h Heap) -> VersionRef<'h> {
        VersionRef { mod_revision: self.mod_revision, bytes: heap.get(&self.spot) }
    }

    /// Whether the key does not exist in this version.
    pub(super) fn is_gone(&self) -> bool {
        self.spot.length() == 0
    }

    /// What the version takes in memory, about. Units: bytes.
    pub(super) fn cost_bytes(&self) -> u64 {
        cost_bytes(self.spot.length())
    }
}

impl Version {
    /// A version that exists.
    ///
    /// Panics: if the key came into being after this version of it.
    pub(crate) fn new(mod_revision: u64, content: &Content<'_>) -> Self {
        let bytes = [Head::of(mod_revision, content).bytes(), content.value].concat();
        Self { mod_revision, bytes: bytes.into_boxed_slice() }
    }

    /// The version to be read.
    pub(crate) fn read(&self) -> VersionRef<'_> {
        VersionRef { mod_revision: self.mod_revision, bytes: &self.bytes }
    }
}

impl<'b> VersionRef<'b> {
    /// The version with these bytes, if there can be such a one.
    pub(crate) fn from_bytes(mod_revision: u64, bytes: &'b [u8]) -> Option<Self> {
        if !bytes.is_empty() {
            parse(mod_revision, bytes)?;
        }
        Some(Self { mod_revision, bytes })
    }

    /// The same version with bytes of its own.
    pub(crate) fn to_owned(self) -> Version {
        Version { mod_revision: self.mod_revision, bytes: self.bytes.into() }
    }

    /// Whether the key does not exist in this version.
    pub(crate) fn is_gone(self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether the key is a hash or a set in this version.
    pub(crate) fn is_collection(self) -> bool {
        let string = code_of(Kind::String);
        self.bytes.first().is_some_and(|code| code & !(HAS_LEASE | HAS_END) != string)
    }

    /// How long the key stays.
    pub(crate) fn tenure(self) -> Tenure {
        // Most keys stay for ever, and saying so must cost nothing.
        match self.bytes.first() {
            Some(code) if code & (HAS_LEASE | HAS_END) != 0 => {
                self.content().map_or(Tenure::default(), |content| content.tenure)
            }
            Some(_) | None => Tenure::default(),
        }
    }

    /// What the key holds; `None` if it does not exist.
    pub(crate) fn content(self) -> Option<Content<'b>> {
        if self.is_gone() {
            return None;
        }
        Some(parse(self.mod_revision, self.bytes).expect("a version is written as it is read"))
    }

    /// Head and value, or nothing.
    pub(crate) fn bytes(self) -> &'b [u8] {
        self.bytes
    }

    /// What the version takes in memory, about. Units: bytes.
    pub(crate) fn cost_bytes(self) -> u64 {
        cost_bytes(self.bytes.len())
    }
}

fn cost_bytes(length: usize) -> u64 {
    VERSION_OVERHEAD_BYTES + length as u64
}

/// What stands before the value.
struct Head {
    bytes: [u8; HEAD_BYTES_MAX],
    end: usize,
}

impl Head {
    fn of(mod_revision: u64, content: &Content<'_>) -> Self {
        assert!(content.create_revision <= mod_revision, "a key is made before it is changed");
        assert!(content.kind == Kind::String || content.value.is_empty(), "only strings have one");
        let (mut bytes, mut end) = ([0; HEAD_BYTES_MAX], 1);
        let Tenure { lease, ends_at } = content.tenure;
        let marks = if lease == 0 { 0 } else { HAS_LEASE } | if ends_at == 0 { 0 } else { HAS_END };
        bytes[0] = code_of(content.kind) | marks;
        push_number(&mut bytes, &mut end, content.version);
        push_number(&mut bytes, &mut end, mod_revision - content.create_revision);
        if content.kind != Kind::String {
            push_number(&mut bytes, &mut end, content.items);
        }
        for number in [lease, ends_at] {
            if number != 0 {
                push_number(&mut bytes, &mut end, number);
            }
        }
        Self { bytes, end }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.end]
    }
}

fn push_number(bytes: &mut [u8; HEAD_BYTES_MAX], end: &mut usize, mut number: u64) {
    loop {
        let low = u8::try_from(number & 0x7f).expect("seven bits");
        number >>= 7;
        bytes[*end] = if number == 0 { low } else { low | 0x80 };
        *end += 1;
        if number == 0 {
            return;
        }
    }
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..NUMBER_BYTES_MAX {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let low = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        let shifted = low << (7 * place);
        if shifted >> (7 * place) != low {
            return None;
        }
        number |= shifted;
        if byte & 0x80 == 0 {
            // One number has one form, so that equal versions are equal bytes.
            return (byte != 0 || place == 0).then_some(number);
        }
    }
    None
}

fn code_of(kind: Kind) -> u8 {
    match kind {
        Kind::String => 0,
        Kind::Hash => 1,
        Kind::Set => 2,
    }
}

fn parse(mod_revision: u64, bytes: &[u8]) -> Option<Content<'_>> {
    let (&code, mut rest) = bytes.split_first()?;
    let kind = match code & !(HAS_LEASE | HAS_END) {
        0 => Kind::String,
        1 => Kind::Hash,
        2 => Kind::Set,
        _ => return None,
    };
    let version = take_number(&mut rest)?;
    let create_revision = mod_revision.checked_sub(take_number(&mut rest)?)?;
    if version == 0 {
        return None;
    }
    let items = if kind == Kind::String { 0 } else { take_number(&mut rest)? };
    let tenure = parse_tenure(code, &mut rest)?;
    // A collection without items does not exist, and nothing follows its head.
    let is_possible = kind == Kind::String || (0 < items && rest.is_empty());
    let content = Content { create_revision, version, kind, value: rest, items, tenure };
    is_possible.then_some(content)
}

fn parse_tenure(code: u8, rest: &mut &[u8]) -> Option<Tenure> {
    let mut number = |mark| {
        if code & mark == 0 {
            return Some(0);
        }
        // What is marked is there, so that equal versions are equal bytes.
        take_number(rest).filter(|&number| number != 0)
    };
    Some(Tenure { lease: number(HAS_LEASE)?, ends_at: number(HAS_END)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_they_were_written() {
        let numbers = [1, 2, 0x7f, 0x80, 0x3fff, 0x4000, 1 << 62, u64::MAX];
        for version in numbers {
            for create_revision in numbers {
                for value in [&b""[..], b"v", &[0x80; 300]] {
                    let (kind, items) = (Kind::String, 0);
                    let tenure = Tenure { lease: create_revision, ends_at: version & 0x7f };
                    let content = Content { create_revision, version, kind, value, items, tenure };
                    let written = Version::new(u64::MAX, &content);
                    assert_eq!(written.read().content(), Some(content));
                    assert!(!written.read().is_collection());
                    let read = VersionRef::from_bytes(u64::MAX, &written.bytes);
                    assert_eq!(read.map(VersionRef::to_owned), Some(written.clone()));
                    let mut heap = Heap::default();
                    let held = Held::new(&mut heap, u64::MAX, &content);
                    assert_eq!(held.read(&heap), written.read());
                    assert_eq!(held.cost_bytes(), written.read().cost_bytes());
                }
            }
        }
        for kind in [Kind::Hash, Kind::Set] {
            for items in numbers {
                let tenure = Tenure { lease: items & 0x7f, ends_at: items };
                let value = b"";
                let content =
                    Content { create_revision: 3, version: 2, kind, value, items, tenure };
                let written = Version::new(9, &content);
                let read = written.read();
                assert_eq!(read.content(), Some(content));
                assert_eq!(read.tenure(), tenure);
                assert!(read.is_collection());
                assert_eq!(VersionRef::from_bytes(9, read.bytes()), Some(read));
            }
        }
        let heap = Heap::default();
        let gone = Held::gone(7);
        assert_eq!(gone.read(&heap).content(), None);
        assert_eq!(VersionRef::from_bytes(7, b""), Some(gone.read(&heap)));
    }

    #[test]
    fn bytes_that_no_version_has_are_refused() {
        let refused: [&[u8]; 15] = [
            &[16, 1, 0],
            &[16, 1, 0, 0],
            &[48, 1, 0, 5],
            &[64, 1, 0],
            &[3, 1, 0],
            &[1, 1, 0],
            &[1, 1, 0, 0],
            &[2, 1, 0, 1, 0],
            &[0],
            &[0, 1],
            &[0, 0, 0],
            &[0, 0x80],
            &[0, 0x81, 0x00, 0],
            &[0, 1, 8],
            &[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0],
        ];
        for bytes in refused {
            assert_eq!(VersionRef::from_bytes(7, bytes), None, "{bytes:?}");
        }
        assert!(VersionRef::from_bytes(7, &[0, 1, 7]).is_some());
    }
}

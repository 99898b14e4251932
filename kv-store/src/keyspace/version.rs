//! One version of a key: when it came, and what it holds.
//!
//! What it holds is one block of bytes, a head and the value behind it, so that a version costs
//! one allocation. The head stands for itself: no other version is needed to read it. The same
//! bytes are in snapshots (`docs/snapshot.md`):
//! - what the key is (1 byte): 0 a string, 1 a hash, 2 a set;
//! - the version's number, as a number of variable length;
//! - how many revisions lie between the create and the mod revision, likewise;
//! - the value; of a hash or a set how many items it has, as a number of variable length.
//!
//! A number of variable length has seven bits in each byte, the lowest first; the highest bit
//! says that more follow.

use crate::command::Kind;

/// The longest head. Units: bytes.
const HEAD_BYTES_MAX: usize = 1 + 3 * NUMBER_BYTES_MAX;

/// The longest number of variable length. Units: bytes.
const NUMBER_BYTES_MAX: usize = 10;

/// What a version costs in memory beside its bytes: its place among the others of its key, its
/// place in the order of changes, and what the allocator takes. Units: bytes.
pub(crate) const VERSION_OVERHEAD_BYTES: u64 = 48;

/// A key from one revision until its next version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) mod_revision: u64,
    /// Empty if the key does not exist.
    bytes: Box<[u8]>,
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
}

impl Version {
    /// A version that exists.
    ///
    /// Panics: if the key came into being after this version of it.
    pub(crate) fn new(mod_revision: u64, content: &Content<'_>) -> Self {
        assert!(content.create_revision <= mod_revision, "a key is made before it is changed");
        assert!(content.kind == Kind::String || content.value.is_empty(), "only strings have one");
        let mut head = [0; HEAD_BYTES_MAX];
        head[0] = code_of(content.kind);
        let mut end = 1;
        push_number(&mut head, &mut end, content.version);
        push_number(&mut head, &mut end, mod_revision - content.create_revision);
        if content.kind != Kind::String {
            push_number(&mut head, &mut end, content.items);
        }
        let mut bytes = Vec::with_capacity(end + content.value.len());
        bytes.extend_from_slice(&head[..end]);
        bytes.extend_from_slice(content.value);
        Self { mod_revision, bytes: bytes.into_boxed_slice() }
    }

    /// The version of a key that was removed.
    pub(crate) fn gone(mod_revision: u64) -> Self {
        Self { mod_revision, bytes: Box::default() }
    }

    /// The version with these bytes, if there can be such a one.
    pub(crate) fn from_bytes(mod_revision: u64, bytes: &[u8]) -> Option<Self> {
        if !bytes.is_empty() {
            parse(mod_revision, bytes)?;
        }
        Some(Self { mod_revision, bytes: bytes.into() })
    }

    /// Whether the key does not exist in this version.
    pub(crate) fn is_gone(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What the key holds; `None` if it does not exist.
    pub(crate) fn content(&self) -> Option<Content<'_>> {
        if self.is_gone() {
            return None;
        }
        Some(parse(self.mod_revision, &self.bytes).expect("a version is written as it is read"))
    }

    /// Head and value, or nothing.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the version takes in memory, about. Units: bytes.
    pub(crate) fn cost_bytes(&self) -> u64 {
        VERSION_OVERHEAD_BYTES + self.bytes.len() as u64
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
    let kind = match code {
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
    if kind == Kind::String {
        return Some(Content { create_revision, version, kind, value: rest, items: 0 });
    }
    // A collection without items does not exist, and nothing follows the number of them.
    let items = take_number(&mut rest)?;
    let is_possible = 0 < items && rest.is_empty();
    is_possible.then_some(Content { create_revision, version, kind, value: b"", items })
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
                    let kind = Kind::String;
                    let content = Content { create_revision, version, kind, value, items: 0 };
                    let written = Version::new(u64::MAX, &content);
                    assert_eq!(written.content(), Some(content));
                    let read = Version::from_bytes(u64::MAX, written.bytes());
                    assert_eq!(read, Some(written));
                }
            }
        }
        for kind in [Kind::Hash, Kind::Set] {
            for items in numbers {
                let content = Content { create_revision: 3, version: 2, kind, value: b"", items };
                let written = Version::new(9, &content);
                assert_eq!(written.content(), Some(content));
                assert_eq!(Version::from_bytes(9, written.bytes()), Some(written));
            }
        }
        assert_eq!(Version::gone(7).content(), None);
        assert_eq!(Version::from_bytes(7, b""), Some(Version::gone(7)));
    }

    #[test]
    fn bytes_that_no_version_has_are_refused() {
        let refused: [&[u8]; 11] = [
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
            assert_eq!(Version::from_bytes(7, bytes), None, "{bytes:?}");
        }
        assert!(Version::from_bytes(7, &[0, 1, 7]).is_some());
    }
}

//! A key as the ordered map holds it: short ones in place, long ones on the heap.
//!
//! Most keys are short. In place they need no allocation, and comparing two of them reads
//! neither memory elsewhere nor byte by byte.

use std::borrow::Borrow;
use std::cmp::Ordering;

/// The longest key that is held in place. With it a key takes 24 bytes, as much as a vector.
const INLINE_BYTES_MAX: usize = 22;

/// A key, ordered as its bytes are.
#[derive(Clone, Debug)]
pub(crate) struct Key(Form);

#[derive(Clone, Debug)]
enum Form {
    /// Invariant: bytes from `length` on are zero.
    Inline {
        length: u8,
        bytes: [u8; INLINE_BYTES_MAX],
    },
    Boxed(Box<[u8]>),
}

const _: () = assert!(size_of::<Key>() == 24);

impl Key {
    /// The key with these bytes, if it needs no allocation.
    pub(crate) fn inline(key: &[u8]) -> Option<Self> {
        if INLINE_BYTES_MAX < key.len() {
            return None;
        }
        let length = u8::try_from(key.len()).expect("an inline key is short");
        let mut bytes = [0; INLINE_BYTES_MAX];
        bytes[..key.len()].copy_from_slice(key);
        Some(Self(Form::Inline { length, bytes }))
    }

    /// The key with these bytes.
    pub(crate) fn new(key: &[u8]) -> Self {
        Self::inline(key).unwrap_or_else(|| Self(Form::Boxed(key.into())))
    }

    /// Whether the key is held in place.
    pub(crate) fn is_inline(&self) -> bool {
        matches!(self.0, Form::Inline { .. })
    }

    /// The bytes of the key.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Inline { length, bytes } => &bytes[..usize::from(*length)],
            Form::Boxed(bytes) => bytes,
        }
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (
                Form::Inline { length, bytes },
                Form::Inline { length: other_length, bytes: other_bytes },
            ) => words(bytes).cmp(&words(other_bytes)).then(length.cmp(other_length)),
            (Form::Inline { .. }, Form::Boxed(_)) | (Form::Boxed(_), _) => {
                self.as_bytes().cmp(other.as_bytes())
            }
        }
    }
}

/// The bytes as numbers that are ordered as the bytes are. The last two overlap, which the
/// order does not see: bytes that lie in both are equal when the last number is compared.
fn words(bytes: &[u8; INLINE_BYTES_MAX]) -> [u64; 3] {
    let (&first, rest) = bytes.split_first_chunk().expect("an inline key has 22 bytes");
    let &second = rest.first_chunk().expect("an inline key has 22 bytes");
    let &last = bytes.last_chunk().expect("an inline key has 22 bytes");
    [u64::from_be_bytes(first), u64::from_be_bytes(second), u64::from_be_bytes(last)]
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Key {}

/// A key is found by its bytes, since it is ordered as they are.
impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_as_their_bytes() {
        let mut all = vec![Vec::new()];
        for length in [1, 2, 7, 8, 9, 14, 15, 16, 17, 21, 22, 23, 24, 40] {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let base = vec![byte; length];
                for at in [0, length / 2, length - 1] {
                    for other in [0, 0x7f, 0xff] {
                        let mut bytes = base.clone();
                        bytes[at] = other;
                        all.push(bytes);
                    }
                }
            }
        }
        for a in &all {
            assert_eq!(Key::new(a).as_bytes(), a);
            for b in &all {
                assert_eq!(Key::new(a).cmp(&Key::new(b)), a.cmp(b), "{a:?} against {b:?}");
                assert_eq!(Key::new(a) == Key::new(b), a == b, "{a:?} against {b:?}");
            }
        }
    }
}

//! The commonest messages, read and written without the general codec, which is slower.
//!
//! Whatever is not exactly of the plain form is `None` here and left to the codec.

use bytes::BytesMut;

use super::{Answer, KeyRange, KeyValue, Query, RangeEnd};

/// A map of one pair whose key is a text of one letter: how every message begins.
const MESSAGE: [u8; 2] = [0x81, 0xa1];

/// Arrays of up to 15 elements.
const SHORT_ARRAY: u8 = 0x90;

const BIN_8: u8 = 0xc4;
const BIN_16: u8 = 0xc5;
const BIN_32: u8 = 0xc6;

/// Numbers by how many bits follow; up to 127 they stand for themselves.
const UINT_8: u8 = 0xcc;
const UINT_16: u8 = 0xcd;
const UINT_32: u8 = 0xce;
const UINT_64: u8 = 0xcf;
const UINT_8_MIN: u8 = 0x80;

/// How the answer to a put begins.
const PUT_ANSWER: [u8; 4] = [MESSAGE[0], MESSAGE[1], b'p', SHORT_ARRAY | 1];

/// How a put begins.
const PUT: [u8; 4] = [MESSAGE[0], MESSAGE[1], b'p', SHORT_ARRAY | 2];

/// How a question for a range begins: the name, and of two fields the range, which has two.
const RANGE: [u8; 5] = [MESSAGE[0], MESSAGE[1], b'r', SHORT_ARRAY | 2, SHORT_ARRAY | 2];

/// The end of a range that is one key: a text of one letter.
const SINGLE: [u8; 2] = [0xa1, b's'];

/// How the answer to it begins.
const RANGE_ANSWER: [u8; 4] = [MESSAGE[0], MESSAGE[1], b'r', SHORT_ARRAY | 4];

/// A pair of which nothing else is to be said.
const PAIR: u8 = SHORT_ARRAY | 5;

/// Longer arrays.
const ARRAY_16: u8 = 0xdc;
const ARRAY_32: u8 = 0xdd;

const FALSE: u8 = 0xc2;
const TRUE: u8 = 0xc3;

/// The longest row of bytes between keys and values: three numbers, and what the next pair
/// begins with. Units: bytes.
const MARKS_BYTES_MAX: usize = 48;

/// Bytes that are not of keys and values, put together before they are appended.
struct Marks {
    bytes: [u8; MARKS_BYTES_MAX],
    end: usize,
}

impl Marks {
    fn of(begin: &[u8]) -> Self {
        let mut marks = Self { bytes: [0; MARKS_BYTES_MAX], end: 0 };
        marks.push(begin);
        marks
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// In the shortest form, as the codec has numbers.
    fn number(&mut self, number: u64) {
        if let Ok(small) = u8::try_from(number) {
            if UINT_8_MIN <= small {
                self.push(&[UINT_8]);
            }
            self.push(&[small]);
        } else if let Ok(number) = u16::try_from(number) {
            self.push(&[UINT_16]);
            self.push(&number.to_be_bytes());
        } else if let Ok(number) = u32::try_from(number) {
            self.push(&[UINT_32]);
            self.push(&number.to_be_bytes());
        } else {
            self.push(&[UINT_64]);
            self.push(&number.to_be_bytes());
        }
    }

    fn bin_length(&mut self, length: usize) {
        if let Ok(length) = u8::try_from(length) {
            self.push(&[BIN_8, length]);
        } else if let Ok(length) = u16::try_from(length) {
            self.push(&[BIN_16]);
            self.push(&length.to_be_bytes());
        } else {
            self.push(&[BIN_32]);
            self.push(&length_32(length));
        }
    }

    fn array_length(&mut self, length: usize) {
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(length), _) if length < 16 => self.push(&[SHORT_ARRAY | length]),
            (_, Ok(length)) => {
                self.push(&[ARRAY_16]);
                self.push(&length.to_be_bytes());
            }
            (_, Err(_)) => {
                self.push(&[ARRAY_32]);
                self.push(&length_32(length));
            }
        }
    }

    /// Appends them, and then bytes of which they say the length; they are empty afterwards.
    fn bin(&mut self, content: &[u8], bytes: &mut BytesMut) {
        self.bin_length(content.len());
        self.append(bytes);
        bytes.extend_from_slice(content);
        self.end = 0;
    }

    fn append(&self, bytes: &mut BytesMut) {
        bytes.extend_from_slice(&self.bytes[..self.end]);
    }
}

fn length_32(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("messages are far below 4 GiB").to_be_bytes()
}

/// The key and the value of a plain put.
pub(super) fn put(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut fields = bytes.strip_prefix(&PUT)?;
    let both = (bin(&mut fields)?, bin(&mut fields)?);
    fields.is_empty().then_some(both)
}

/// The first field of a message, if it is bytes as keys are.
pub(super) fn first_key(bytes: &[u8]) -> Option<&[u8]> {
    let (&[_letter, array], mut fields) = bytes.strip_prefix(&MESSAGE)?.split_first_chunk()?;
    if array & 0xf0 == SHORT_ARRAY { bin(&mut fields) } else { None }
}

/// Appends a put, as the codec does.
pub(super) fn encode_put(key: &[u8], value: &[u8], bytes: &mut BytesMut) {
    let mut marks = Marks::of(&PUT);
    marks.bin(key, bytes);
    marks.bin(value, bytes);
}

/// The question for one key, and the most keys that are wanted.
pub(super) fn single(bytes: &[u8]) -> Option<Query<'_>> {
    let mut fields = bytes.strip_prefix(&RANGE)?;
    let range = KeyRange::single(bin(&mut fields)?);
    fields = fields.strip_prefix(&SINGLE)?;
    let limit = number(&mut fields)?;
    fields.is_empty().then_some(Query::Range { range, limit })
}

/// Appends a question as the codec does, and answers no if it is not for one key.
pub(super) fn encode_single(query: &Query<'_>, bytes: &mut BytesMut) -> bool {
    let Query::Range { range: KeyRange { from, end: RangeEnd::Single }, limit } = query else {
        return false;
    };
    let mut marks = Marks::of(&RANGE);
    marks.bin(from, bytes);
    marks.push(&SINGLE);
    marks.number(*limit);
    marks.append(bytes);
    true
}

/// Appends the answer to a put, as the codec does.
pub(super) fn encode_put_answer(revision: u64, bytes: &mut BytesMut) {
    let mut marks = Marks::of(&PUT_ANSWER);
    marks.number(revision);
    marks.append(bytes);
}

/// The revision that is the answer to a put.
pub(super) fn put_answer(bytes: &[u8]) -> Option<u64> {
    let mut fields = bytes.strip_prefix(&PUT_ANSWER)?;
    let revision = number(&mut fields)?;
    fields.is_empty().then_some(revision)
}

/// Appends pairs as the codec does, and answers no if these are none, or something else is to be
/// said of one.
pub(super) fn encode_pairs(answer: &Answer<'_>, bytes: &mut BytesMut) -> bool {
    let Answer::Range { revision, kvs, more, count } = answer else { return false };
    if !kvs.iter().all(|kv| kv.attributes.are_plain()) {
        return false;
    }
    let mut marks = Marks::of(&RANGE_ANSWER);
    marks.number(*revision);
    marks.array_length(kvs.len());
    for KeyValue { key, value, create_revision, mod_revision, version, .. } in &**kvs {
        marks.push(&[PAIR]);
        marks.bin(key, bytes);
        marks.bin(value, bytes);
        marks.number(*create_revision);
        marks.number(*mod_revision);
        marks.number(*version);
    }
    marks.push(&[if *more { TRUE } else { FALSE }]);
    marks.number(*count);
    marks.append(bytes);
    true
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let (&marker, rest) = bytes.split_first()?;
    let (number, rest) = match marker {
        ..UINT_8_MIN => (u64::from(marker), rest),
        UINT_8 => rest.split_first().map(|(&number, rest)| (u64::from(number), rest))?,
        UINT_16 => {
            let (&number, rest) = rest.split_first_chunk()?;
            (u64::from(u16::from_be_bytes(number)), rest)
        }
        UINT_32 => {
            let (&number, rest) = rest.split_first_chunk()?;
            (u64::from(u32::from_be_bytes(number)), rest)
        }
        UINT_64 => {
            let (&number, rest) = rest.split_first_chunk()?;
            (u64::from_be_bytes(number), rest)
        }
        _ => return None,
    };
    *bytes = rest;
    Some(number)
}

fn bin<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (&marker, rest) = bytes.split_first()?;
    let (length, rest) = match marker {
        BIN_8 => rest.split_first().map(|(&length, rest)| (usize::from(length), rest))?,
        BIN_16 => {
            let (&length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(length)), rest)
        }
        BIN_32 => {
            let (&length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u32::from_be_bytes(length)).ok()?, rest)
        }
        _ => return None,
    };
    let (taken, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::command::{Attributes, Command, codec};

    fn encoded(command: &Command<'_>) -> BytesMut {
        let (mut bytes, mut general) = (BytesMut::new(), BytesMut::new());
        command.encode(&mut bytes);
        codec::encode(command, &mut general);
        assert_eq!(bytes, general);
        bytes
    }

    fn asked(query: &Query<'_>) -> BytesMut {
        let (mut bytes, mut general) = (BytesMut::new(), BytesMut::new());
        query.encode(&mut bytes);
        codec::encode(query, &mut general);
        assert_eq!(bytes, general);
        bytes
    }

    #[test]
    fn questions_for_one_key_are_written_and_read_as_the_codec_does() {
        for length in [0, 1, 31, 255, 256, 65_535, 65_536] {
            for limit in [0, 1, 127, 128, 255, 256, 65_536, u64::MAX] {
                let key = vec![7; length];
                let query = Query::Range { range: KeyRange::single(&key), limit };
                let bytes = asked(&query);
                assert_eq!(single(&bytes), Some(query.clone()));
                assert_eq!(codec::decode(&bytes), Ok(query));
            }
        }
        let whole = asked(&Query::Range { range: KeyRange::single(b"a key"), limit: 300 });
        (0..whole.len()).for_each(|length| assert_eq!(single(&whole[..length]), None));
        assert_eq!(single(&[&whole[..], b"x"].concat()), None);
        for end in [RangeEnd::Prefix, RangeEnd::From, RangeEnd::HalfOpen(b"b")] {
            let range = KeyRange { from: b"a", end };
            assert_eq!(single(&asked(&Query::Range { range, limit: 1 })), None);
        }
    }

    #[test]
    fn pairs_are_written_as_the_codec_writes_them() {
        let lengths = [0, 1, 255, 256, 65_536];
        let values: Vec<Vec<u8>> = lengths.iter().map(|&length| vec![9; length]).collect();
        for count in [0, 1, 2, 15, 16, 100, 65_535, 65_536] {
            let pair = |number: u64| KeyValue {
                key: b"key",
                value: if count < 200 {
                    &values[usize::try_from(number % 5).unwrap()]
                } else {
                    b""
                },
                create_revision: number,
                mod_revision: number << (number % 50),
                version: u64::MAX >> (number % 64),
                attributes: Attributes::default(),
            };
            for more in [false, true] {
                let kvs = (0..count).map(pair).collect();
                let answer = Answer::Range { revision: count << 7, kvs, more, count };
                let (mut plain, mut general) = (BytesMut::new(), BytesMut::new());
                assert!(encode_pairs(&answer, &mut plain));
                codec::encode(&answer, &mut general);
                assert!(plain == general, "{count} pairs");
            }
        }
        let attributes = Attributes { lease: 7, ..Attributes::default() };
        let (key, value) = (&b"k"[..], &b"v"[..]);
        let (create_revision, mod_revision, version) = (2, 3, 2);
        let other = KeyValue { key, value, create_revision, mod_revision, version, attributes };
        let kvs = [other].into_iter().collect();
        let answer = Answer::Range { revision: 3, kvs, more: false, count: 1 };
        let mut bytes = BytesMut::new();
        assert!(!encode_pairs(&answer, &mut bytes) && bytes.is_empty());
    }

    #[test]
    fn puts_are_read_as_the_codec_reads_them() {
        let lengths = [0, 1, 31, 32, 255, 256, 65_535, 65_536, 70_000];
        for key_length in lengths {
            for value_length in lengths {
                let (key, value) = (vec![7; key_length], vec![9; value_length]);
                let bytes = encoded(&Command::Put { key: &key, value: &value });
                assert_eq!(put(&bytes), Some((&key[..], &value[..])));
                assert_eq!(first_key(&bytes), Some(&key[..]));
                assert_eq!(codec::decode(&bytes), Ok(Command::Put { key: &key, value: &value }));
            }
        }
    }

    #[test]
    fn answers_to_puts_are_written_and_read_as_the_codec_does() {
        let ends = [0, 7, 8, 15, 16, 31, 32, 63].map(|bits| 1u64 << bits);
        let around = ends.iter().flat_map(|&end| [end - 1, end, end + 1]);
        for revision in around.chain([u64::MAX]) {
            let (mut plain, mut general) = (BytesMut::new(), BytesMut::new());
            encode_put_answer(revision, &mut plain);
            codec::encode(&Answer::Put { revision }, &mut general);
            assert_eq!(plain, general);
            assert_eq!(put_answer(&plain), Some(revision));
            for length in 0..plain.len() {
                assert_eq!(put_answer(&plain[..length]), None);
            }
            assert_eq!(put_answer(&[&plain[..], b"x"].concat()), None);
        }
        assert_eq!(put_answer(&[0x81, 0xa1, b'p', 0x91, 0xd0, 1]), None);
    }

    #[test]
    fn whatever_is_not_exactly_a_put_is_left_to_the_codec() {
        let whole = encoded(&Command::Put { key: b"a key", value: b"a value" });
        for length in 0..whole.len() {
            assert_eq!(put(&whole[..length]), None, "{length} bytes");
        }
        assert_eq!(put(&[&whole[..], b"x"].concat()), None);
        for at in 0..whole.len() {
            for byte in 0..=u8::MAX {
                let mut bytes = whole.clone();
                bytes[at] = byte;
                if let Some((key, value)) = put(&bytes) {
                    assert_eq!(codec::decode(&bytes), Ok(Command::Put { key, value }));
                }
                let _ = first_key(&bytes);
            }
        }
        let delete =
            encoded(&Command::Delete { ranges: [KeyRange::single(b"k")].into_iter().collect() });
        assert_eq!((put(&delete), first_key(&delete)), (None, None));
    }
}

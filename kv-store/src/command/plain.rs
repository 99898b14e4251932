//! The commonest messages, read and written without the general codec, which is slower.
//!
//! Whatever is not exactly of the plain form is `None` here and left to the codec.

use bytes::{BufMut as _, BytesMut};

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

/// The key and the value of a plain put.
pub(super) fn put(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut fields = bytes.strip_prefix(&[MESSAGE[0], MESSAGE[1], b'p', SHORT_ARRAY | 2])?;
    let both = (bin(&mut fields)?, bin(&mut fields)?);
    fields.is_empty().then_some(both)
}

/// The first field of a message, if it is bytes as keys are.
pub(super) fn first_key(bytes: &[u8]) -> Option<&[u8]> {
    let (&[_letter, array], mut fields) = bytes.strip_prefix(&MESSAGE)?.split_first_chunk()?;
    if array & 0xf0 == SHORT_ARRAY { bin(&mut fields) } else { None }
}

/// Appends the answer to a put, as the codec does.
pub(super) fn encode_put_answer(revision: u64, bytes: &mut BytesMut) {
    bytes.extend_from_slice(&PUT_ANSWER);
    if let Ok(small) = u8::try_from(revision) {
        if UINT_8_MIN <= small {
            bytes.put_u8(UINT_8);
        }
        bytes.put_u8(small);
    } else if let Ok(number) = u16::try_from(revision) {
        bytes.put_u8(UINT_16);
        bytes.put_u16(number);
    } else if let Ok(number) = u32::try_from(revision) {
        bytes.put_u8(UINT_32);
        bytes.put_u32(number);
    } else {
        bytes.put_u8(UINT_64);
        bytes.put_u64(revision);
    }
}

/// The revision that is the answer to a put.
pub(super) fn put_answer(bytes: &[u8]) -> Option<u64> {
    match bytes.strip_prefix(&PUT_ANSWER)? {
        &[small] if small < UINT_8_MIN => Some(u64::from(small)),
        &[UINT_8, number] => Some(u64::from(number)),
        [UINT_16, number @ ..] => Some(u64::from(u16::from_be_bytes(number.try_into().ok()?))),
        [UINT_32, number @ ..] => Some(u64::from(u32::from_be_bytes(number.try_into().ok()?))),
        [UINT_64, number @ ..] => Some(u64::from_be_bytes(number.try_into().ok()?)),
        _ => None,
    }
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
    use crate::command::{Answer, Command, KeyRange, codec};

    fn encoded(command: &Command<'_>) -> BytesMut {
        let mut bytes = BytesMut::new();
        command.encode(&mut bytes);
        bytes
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

//! The requests and responses that come by the thousand, read and written without the general
//! codec, which takes several times as long.
//!
//! Whatever is not exactly of the plain form is `None` here and left to the codec, so nothing
//! is understood that the codec would not, and both write the same bytes.

use bytes::{BufMut as _, BytesMut};
use raft_core::entry::{ClientId, SessionStamp};

use super::{Op, Reply, Request, Response};
use crate::frame::{CLIENT_FRAME_BYTES_MAX, PREFIX_BYTES};

/// An array of the two fields that requests and responses have.
const MESSAGE: u8 = 0x92;

/// A map of one pair whose key is a text of one letter: which request or reply it is.
const NAME: [u8; 2] = [0x81, 0xa1];

/// The names.
const WRITE: u8 = b'w';
const READ: u8 = b'r';
const ANSWER: u8 = b'a';

/// Arrays of so many elements.
const TWO: u8 = 0x92;
const THREE: u8 = 0x93;

/// Bytes by how long their length is.
const BIN_8: u8 = 0xc4;
const BIN_16: u8 = 0xc5;
const BIN_32: u8 = 0xc6;

/// Numbers by how many bits follow; up to 127 they stand for themselves.
const UINT_8: u8 = 0xcc;
const UINT_16: u8 = 0xcd;
const UINT_32: u8 = 0xce;
const UINT_64: u8 = 0xcf;
const UINT_8_MIN: u8 = 0x80;

/// What an answer takes beside its bytes, at most. Units: bytes.
const ANSWER_OVERHEAD_BYTES: usize = PREFIX_BYTES + 1 + 9 + NAME.len() + 1 + 5;

/// Reads a write or a linearizable read.
pub(super) fn request(content: &[u8]) -> Option<Request<'_>> {
    let (id, name, mut fields) = head(content)?;
    let op = match name {
        WRITE => {
            fields = fields.strip_prefix(&[THREE])?;
            let session = session(&mut fields)?;
            let timeout_ms = number(&mut fields)?;
            Op::Write { session, timeout_ms, body: bin(&mut fields)? }
        }
        READ => {
            fields = fields.strip_prefix(&[TWO])?;
            let timeout_ms = number(&mut fields)?;
            Op::Read { timeout_ms, body: bin(&mut fields)? }
        }
        _ => return None,
    };
    fields.is_empty().then_some(Request { id, op })
}

/// Reads the state machine's answer.
pub(super) fn response(content: &[u8]) -> Option<Response<'_>> {
    let (id, name, mut fields) = head(content)?;
    if name != ANSWER {
        return None;
    }
    let body = bin(&mut fields)?;
    fields.is_empty().then_some(Response { id, reply: Reply::Answer(body) })
}

/// Appends the state machine's answer as a frame; answers no, and appends nothing, if it may
/// be too long for one.
pub(super) fn put_answer(output: &mut BytesMut, id: u64, body: &[u8]) -> bool {
    if CLIENT_FRAME_BYTES_MAX < ANSWER_OVERHEAD_BYTES + body.len() {
        return false;
    }
    let (mut head, mut end) = ([0; ANSWER_OVERHEAD_BYTES], PREFIX_BYTES);
    let mut push = |bytes: &[u8]| {
        head[end..end + bytes.len()].copy_from_slice(bytes);
        end += bytes.len();
    };
    push(&[MESSAGE]);
    push_number(&mut push, id);
    push(&NAME);
    push(&[ANSWER]);
    push_length(&mut push, body.len());
    let size_bytes = u32::try_from(end - PREFIX_BYTES + body.len()).expect("it fits a frame");
    head[..PREFIX_BYTES].copy_from_slice(&size_bytes.to_be_bytes());
    output.reserve(end + body.len());
    output.put_slice(&head[..end]);
    output.put_slice(body);
    true
}

/// The id and the name of a message, and the rest.
fn head(content: &[u8]) -> Option<(u64, u8, &[u8])> {
    let mut rest = content.strip_prefix(&[MESSAGE])?;
    let id = number(&mut rest)?;
    let (&name, rest) = rest.strip_prefix(&NAME)?.split_first()?;
    Some((id, name, rest))
}

fn session(fields: &mut &[u8]) -> Option<SessionStamp> {
    *fields = fields.strip_prefix(&[THREE, TWO])?;
    let client = ClientId { issued_at: number(fields)?, random: number(fields)? };
    Some(SessionStamp { client, serial: number(fields)?, acknowledged: number(fields)? })
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

/// In the shortest form, as the codec writes numbers.
fn push_number(push: &mut impl FnMut(&[u8]), number: u64) {
    if let Ok(small) = u8::try_from(number) {
        if UINT_8_MIN <= small {
            push(&[UINT_8]);
        }
        push(&[small]);
    } else if let Ok(number) = u16::try_from(number) {
        push(&[UINT_16]);
        push(&number.to_be_bytes());
    } else if let Ok(number) = u32::try_from(number) {
        push(&[UINT_32]);
        push(&number.to_be_bytes());
    } else {
        push(&[UINT_64]);
        push(&number.to_be_bytes());
    }
}

fn push_length(push: &mut impl FnMut(&[u8]), length: usize) {
    if let Ok(length) = u8::try_from(length) {
        push(&[BIN_8, length]);
    } else if let Ok(length) = u16::try_from(length) {
        push(&[BIN_16]);
        push(&length.to_be_bytes());
    } else {
        push(&[BIN_32]);
        push(&u32::try_from(length).expect("it fits a frame").to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame;

    const NUMBERS: [u64; 12] = [
        0,
        1,
        0x7f,
        0x80,
        0xff,
        0x100,
        0xffff,
        0x1_0000,
        0xffff_ffff,
        0x1_0000_0000,
        u64::MAX - 1,
        u64::MAX,
    ];

    fn bodies() -> [Vec<u8>; 7] {
        [0, 1, 31, 255, 256, 65_535, 65_536].map(|length| vec![7; length])
    }

    fn content<T: serde::Serialize>(message: &T) -> BytesMut {
        let mut output = BytesMut::new();
        frame::put(&mut output, usize::MAX, message).unwrap();
        output.split_off(PREFIX_BYTES)
    }

    #[test]
    fn what_comes_often_is_read_as_the_codec_reads_it() {
        for body in &bodies() {
            for (at, &id) in NUMBERS.iter().enumerate() {
                let [issued_at, random, serial, acknowledged, timeout_ms] =
                    [1, 2, 3, 5, 7].map(|step| NUMBERS[(at * step + step) % NUMBERS.len()]);
                let client = ClientId { issued_at, random };
                let session = SessionStamp { client, serial, acknowledged };
                for op in [Op::Write { session, timeout_ms, body }, Op::Read { timeout_ms, body }] {
                    let asked = Request { id, op };
                    let content = content(&asked);
                    assert_eq!(request(&content).as_ref(), Some(&asked));
                    assert_eq!(frame::read::<Request<'_>>(&content).unwrap(), asked);
                }
                let told = Response { id, reply: Reply::Answer(body) };
                assert_eq!(response(&content(&told)), Some(told));
            }
        }
    }

    #[test]
    fn answers_are_the_bytes_that_the_codec_writes() {
        for body in &bodies() {
            for id in NUMBERS {
                let (mut plain, mut coded) = (BytesMut::from("before"), BytesMut::from("before"));
                assert!(put_answer(&mut plain, id, body));
                let told = Response { id, reply: Reply::Answer(body) };
                frame::put(&mut coded, CLIENT_FRAME_BYTES_MAX, &told).unwrap();
                assert_eq!(plain, coded);
            }
        }
        let mut output = BytesMut::new();
        assert!(!put_answer(&mut output, 1, &vec![0; CLIENT_FRAME_BYTES_MAX]));
        assert!(output.is_empty());
    }

    #[test]
    fn what_is_cut_or_goes_on_or_is_something_else_is_left_to_the_codec() {
        let session = SessionStamp::default();
        let whole =
            content(&Request { id: 3, op: Op::Write { session, timeout_ms: 4, body: b"b" } });
        for cut in 0..whole.len() {
            assert_eq!(request(&whole[..cut]), None, "{cut}");
        }
        assert_eq!(request(&[&whole[..], b"\0"].concat()), None);
        assert_eq!(request(&content(&Request { id: 3, op: Op::Status })), None);
        assert_eq!(request(&content(&Request { id: 3, op: Op::ReadLocally { body: b"b" } })), None);
        let told = content(&Response { id: 3, reply: Reply::Answer(b"b") });
        for cut in 0..told.len() {
            assert_eq!(response(&told[..cut]), None, "{cut}");
        }
        assert_eq!(response(&content(&Response { id: 3, reply: Reply::Published(1) })), None);
    }
}

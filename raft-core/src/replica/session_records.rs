//! The session table as bytes in a snapshot: a begin, each session with its answers, an end.
//!
//! Layout, little-endian; `docs/snapshot.md` has the tables:
//! - begin: kind (1), version (1), whether a session was evicted (0 or 1), when the youngest
//!   such was issued, count of sessions.
//! - session: kind (2), client, acknowledged serial, index and log time of the last use, count
//!   of answers. As many answers and gaps follow, in the order of their serials.
//! - answer: kind (3), length, bytes.
//! - gap: kind (4), for a serial whose command has not arrived.
//! - end: kind (5), count of sessions.

use bytes::{Buf as _, BufMut as _, BytesMut};

use crate::entry::ClientId;
use crate::replica::session::Use;
use crate::replica::state_machine::LoadError;
use crate::types::Index;

const BEGIN: u8 = 1;
const SESSION: u8 = 2;
const ANSWER: u8 = 3;
const GAP: u8 = 4;
const END: u8 = 5;

const FORMAT: u8 = 2;

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record<'p> {
    Begin(Begin),
    Session(SessionHead),
    /// `None` for a gap.
    Answer(Option<&'p [u8]>),
    End {
        session_count: u64,
    },
}

/// What is said of the whole table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begin {
    pub(crate) youngest_evicted: Option<u64>,
    pub(crate) session_count: u64,
}

/// A session without its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionHead {
    pub(crate) client: ClientId,
    pub(crate) acknowledged: u64,
    pub(crate) last_use: Use,
    pub(crate) answer_count: u32,
}

/// Appends a record.
pub(crate) fn put(part: &mut BytesMut, record: &Record<'_>) {
    match record {
        Record::Begin(Begin { youngest_evicted, session_count }) => {
            part.put_u8(BEGIN);
            part.put_u8(FORMAT);
            part.put_u8(u8::from(youngest_evicted.is_some()));
            part.put_u64_le(youngest_evicted.unwrap_or(0));
            part.put_u64_le(*session_count);
        }
        Record::Session(head) => {
            part.put_u8(SESSION);
            part.put_u64_le(head.client.issued_at);
            part.put_u64_le(head.client.random);
            part.put_u64_le(head.acknowledged);
            part.put_u64_le(head.last_use.index.0);
            part.put_u64_le(head.last_use.log_time);
            part.put_u32_le(head.answer_count);
        }
        Record::Answer(Some(answer)) => {
            part.put_u8(ANSWER);
            part.put_u32_le(u32::try_from(answer.len()).expect("an answer is below 4 GiB"));
            part.put_slice(answer);
        }
        Record::Answer(None) => part.put_u8(GAP),
        Record::End { session_count } => {
            part.put_u8(END);
            part.put_u64_le(*session_count);
        }
    }
}

/// Takes the next record from the beginning of `part`; `None` if nothing is left.
///
/// Errors: `LoadError` for bytes that are no record.
pub(crate) fn next<'p>(part: &mut &'p [u8]) -> Result<Option<Record<'p>>, LoadError> {
    let Some(&kind) = part.first() else { return Ok(None) };
    part.advance(1);
    let record = match kind {
        BEGIN => Record::Begin(take_begin(part)?),
        SESSION => {
            let mut head = take(part, 44)?;
            let client = ClientId { issued_at: head.get_u64_le(), random: head.get_u64_le() };
            let acknowledged = head.get_u64_le();
            let index = Index(head.get_u64_le());
            let last_use = Use { index, log_time: head.get_u64_le() };
            let answer_count = head.get_u32_le();
            Record::Session(SessionHead { client, acknowledged, last_use, answer_count })
        }
        ANSWER => {
            let length = take(part, 4)?.get_u32_le();
            Record::Answer(Some(take(part, length as usize)?))
        }
        GAP => Record::Answer(None),
        END => Record::End { session_count: take(part, 8)?.get_u64_le() },
        other => {
            return Err(LoadError::because(format!("no record of sessions has the kind {other}")));
        }
    };
    Ok(Some(record))
}

fn take_begin(part: &mut &[u8]) -> Result<Begin, LoadError> {
    let mut begin = take(part, 1 + 1 + 8 + 8)?;
    let format = begin.get_u8();
    if format != FORMAT {
        let why = format!("the format {format} of its sessions is not known here");
        return Err(LoadError::because(why));
    }
    let youngest_evicted = match (begin.get_u8(), begin.get_u64_le()) {
        (0, 0) => None,
        (1, issued_at) => Some(issued_at),
        _ => return Err(LoadError::because("its sessions begin with a wrong mark")),
    };
    Ok(Begin { youngest_evicted, session_count: begin.get_u64_le() })
}

fn take<'p>(part: &mut &'p [u8], bytes: usize) -> Result<&'p [u8], LoadError> {
    let taken = part.split_off(..bytes);
    taken.ok_or_else(|| LoadError::because("a record of its sessions is cut short"))
}

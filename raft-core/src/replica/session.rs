//! What is remembered of one client: the answers above what it has acknowledged.

use std::collections::VecDeque;

use crate::entry::ClientId;
use crate::replica::recency::{Kind, Place};
use crate::replica::session_limits::SESSION_BYTES_MIN;
use crate::replica::session_records::SessionHead;
use crate::types::Index;

/// Answers up to this many bytes are kept inside the table itself.
const INLINE_BYTES: usize = 30;

/// What a serial in the window counts for beside an answer that is longer. Units: bytes.
const SERIAL_BYTES: u64 = 32;

const _: () = assert!(size_of::<Option<StoredAnswer>>() as u64 <= SERIAL_BYTES);

/// A window of more than this gives memory back when it has become far smaller.
const SMALL_WINDOW: usize = 64;

/// When a command of a session was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) index: Index,
    /// Units: microseconds.
    pub(crate) log_time: u64,
}

/// One session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) acknowledged: u64,
    /// The answers to `acknowledged + 1` and on; `None` where the command has not arrived.
    answers: VecDeque<Option<StoredAnswer>>,
    /// Bytes of the answers that are not inside the table.
    long_bytes: u64,
    pub(crate) last_use: Use,
    /// Where it stands in the order of use, which is no part of the state.
    pub(crate) place: Place,
}

impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        let Self { acknowledged, answers, long_bytes, last_use, place: _ } = self;
        *acknowledged == other.acknowledged
            && *answers == other.answers
            && *long_bytes == other.long_bytes
            && *last_use == other.last_use
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum StoredAnswer {
    Inline(u8, [u8; INLINE_BYTES]),
    Boxed(Box<[u8]>),
}

impl StoredAnswer {
    fn new(answer: &[u8]) -> Self {
        let mut bytes = [0; INLINE_BYTES];
        match (u8::try_from(answer.len()), bytes.get_mut(..answer.len())) {
            (Ok(length), Some(place)) => {
                place.copy_from_slice(answer);
                Self::Inline(length, bytes)
            }
            _ => Self::Boxed(answer.into()),
        }
    }

    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Inline(length, bytes) => &bytes[..usize::from(*length)],
            Self::Boxed(bytes) => bytes,
        }
    }

    fn long_bytes(&self) -> u64 {
        match self {
            Self::Inline(..) => 0,
            Self::Boxed(bytes) => bytes.len() as u64,
        }
    }
}

impl Session {
    pub(crate) fn new(acknowledged: u64, last_use: Use, place: Place) -> Self {
        Self { acknowledged, answers: VecDeque::new(), long_bytes: 0, last_use, place }
    }

    /// What its window takes. Units: bytes.
    pub(crate) fn window_bytes(&self) -> u64 {
        self.answers.len() as u64 * SERIAL_BYTES + self.long_bytes
    }

    /// What it counts for in the table. Units: bytes.
    pub(crate) fn counted_bytes(&self) -> u64 {
        self.window_bytes().max(SESSION_BYTES_MIN)
    }

    /// Whether its client has written once, as far as is known here.
    pub(crate) fn kind(&self) -> Kind {
        let has_one = self.acknowledged == 0 && self.answers.len() <= 1;
        if has_one { Kind::Single } else { Kind::Lasting }
    }

    /// The answer to the command at `place` behind what is acknowledged, if it was executed.
    pub(crate) fn answer(&self, place: usize) -> Option<&[u8]> {
        self.answers.get(place)?.as_ref().map(StoredAnswer::as_slice)
    }

    /// Whether the command with this serial was executed, as far as is known here.
    pub(crate) fn has_executed(&self, serial: u64) -> bool {
        match serial.checked_sub(self.acknowledged + 1) {
            Some(place) => usize::try_from(place).is_ok_and(|place| self.answer(place).is_some()),
            None => true,
        }
    }

    /// Forgets the answers that the client has.
    pub(crate) fn acknowledge(&mut self, up_to: u64) {
        if up_to <= self.acknowledged {
            return;
        }
        let gone = usize::try_from(up_to - self.acknowledged).unwrap_or(usize::MAX);
        for answer in self.answers.drain(..gone.min(self.answers.len())) {
            self.long_bytes -= answer.map_or(0, |answer| answer.long_bytes());
        }
        self.acknowledged = up_to;
        let capacity = self.answers.capacity();
        if SMALL_WINDOW < capacity && self.answers.len() < capacity / 4 {
            self.answers.shrink_to(capacity / 2);
        }
    }

    /// Makes room for the answer at `place`.
    pub(crate) fn reach(&mut self, place: usize) {
        if self.answers.len() <= place {
            self.answers.resize(place + 1, None);
        }
    }

    /// Remembers the answer to the command with this serial.
    ///
    /// Panics: if there is one, or no room was made.
    pub(crate) fn store(&mut self, serial: u64, answer: &[u8]) {
        let place = usize::try_from(serial - self.acknowledged - 1);
        let place = &mut self.answers[place.expect("the window is small")];
        assert!(place.is_none(), "I19 a command is executed once");
        let answer = StoredAnswer::new(answer);
        self.long_bytes += answer.long_bytes();
        *place = Some(answer);
    }
}

/// In a snapshot.
impl Session {
    /// What stands before its answers.
    pub(crate) fn head(&self, client: ClientId) -> SessionHead {
        let answer_count = u32::try_from(self.answers.len()).expect("the window is small");
        let Self { acknowledged, last_use, .. } = *self;
        SessionHead { client, acknowledged, last_use, answer_count }
    }

    /// The answers and gaps, in the order of their serials.
    pub(crate) fn answers(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.answers.iter().map(|answer| answer.as_ref().map(StoredAnswer::as_slice))
    }

    /// Adds the next answer or gap.
    pub(crate) fn push(&mut self, answer: Option<&[u8]>) {
        let answer = answer.map(StoredAnswer::new);
        self.long_bytes += answer.as_ref().map_or(0, StoredAnswer::long_bytes);
        self.answers.push_back(answer);
    }
}

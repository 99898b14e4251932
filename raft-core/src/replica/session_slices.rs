//! The session table in a snapshot: read in parts as it was at one moment, and loaded.

use std::collections::VecDeque;

use bytes::BytesMut;

use crate::entry::ClientId;
use crate::replica::pinned::Slice;
use crate::replica::recency::Kind;
use crate::replica::session::{Session, Use};
use crate::replica::session_records::{self as records, Begin, Record, SessionHead};
use crate::replica::sessions::Sessions;
use crate::replica::state_machine::LoadError;

/// A pinned table of which a part may have been read.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    begin: Begin,
    has_begun: bool,
    /// The answers of the session at which the last part was full.
    rest: VecDeque<Option<Box<[u8]>>>,
}

/// A table that is being loaded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loading {
    session_count: u64,
    /// Of the last session.
    answers_left: u32,
    is_complete: bool,
}

/// Part of a snapshot, by the rules of [`StateMachine`](crate::replica::StateMachine).
impl Sessions {
    /// Makes the present table the one that `read_pinned` shows.
    pub(crate) fn pin(&mut self) {
        let session_count = self.table.len() as u64;
        let begin = Begin { youngest_evicted: self.youngest_evicted, session_count };
        self.before.pin();
        self.reading = Some(Reading { begin, has_begun: false, rest: VecDeque::new() });
    }

    /// Appends the next part of the pinned table, at least one record and then about
    /// `bytes_max` bytes; answers whether more parts follow. A part may end between two
    /// answers of one session.
    ///
    /// Panics: if nothing is pinned.
    pub(crate) fn read_pinned(&mut self, bytes_max: usize, part: &mut BytesMut) -> bool {
        let reading = self.reading.as_mut().expect("sessions are pinned before they are read");
        let end = part.len() + bytes_max.max(1);
        if !reading.has_begun {
            reading.has_begun = true;
            records::put(part, &Record::Begin(reading.begin));
        }
        while part.len() < end
            && let Some(answer) = reading.rest.pop_front()
        {
            put_answer(part, answer.as_deref());
        }
        if !reading.rest.is_empty() {
            return true;
        }
        let more = self.before.next_slice(&self.table, |client, session| {
            records::put(part, &Record::Session(session.head(*client)));
            let mut answers = session.answers();
            while part.len() < end
                && let Some(answer) = answers.next()
            {
                put_answer(part, answer);
            }
            reading.rest.extend(answers.map(|answer| answer.map(Box::from)));
            if part.len() < end { Slice::GoesOn } else { Slice::Ends }
        });
        if !more {
            let session_count = reading.begin.session_count;
            records::put(part, &Record::End { session_count });
        }
        more
    }

    /// Ends reading, at its end or before.
    pub(crate) fn unpin(&mut self) {
        self.before.unpin();
        self.reading = None;
    }

    /// Takes in the next part; only for a table that was empty before the first one.
    ///
    /// Errors: `LoadError` for anything that `read_pinned` cannot have made; the table is of
    /// no use then.
    pub(crate) fn load(&mut self, mut part: &[u8]) -> Result<(), LoadError> {
        while let Some(record) = records::next(&mut part)? {
            let Some(loading) = &mut self.loading else {
                let Record::Begin(begin) = record else {
                    return Err(LoadError::because("its sessions do not start with their begin"));
                };
                let Begin { youngest_evicted, session_count } = begin;
                self.youngest_evicted = youngest_evicted;
                self.loading = Some(Loading { session_count, answers_left: 0, is_complete: false });
                continue;
            };
            loading.advance(&record, self.table.len() as u64)?;
            match record {
                Record::Session(head) => {
                    if self.table.last_key_value().is_some_and(|(last, _)| head.client <= *last) {
                        return Err(LoadError::because("its sessions are not in order"));
                    }
                    let SessionHead { client, acknowledged, last_use, answer_count: _ } = head;
                    // Where it stands is known when all are there.
                    let place = self.recency.add(client, Kind::Single);
                    self.table.insert(client, Session::new(acknowledged, last_use, place));
                }
                Record::Answer(answer) => {
                    let mut last = self.table.last_entry().expect("an answer has a session");
                    last.get_mut().push(answer);
                }
                Record::Begin(_) | Record::End { .. } => {}
            }
        }
        Ok(())
    }

    /// Puts the sessions in the order of their last use, and counts them.
    fn put_in_order(&mut self) {
        let mut all: Vec<(Use, ClientId)> =
            self.table.iter().map(|(client, session)| (session.last_use, *client)).collect();
        all.sort_unstable_by_key(|(last_use, client)| (last_use.index, *client));
        for (_, client) in all {
            let session = self.table.get(&client).expect("it was just seen");
            self.recency.touch(session.place, session.kind());
        }
        self.counted_bytes = self.table.values().map(Session::counted_bytes).sum();
    }

    /// Checks that every part has arrived; from here on the table equals the pinned one.
    ///
    /// Errors: `LoadError` if parts are missing.
    pub(crate) fn finish_load(&mut self) -> Result<(), LoadError> {
        match self.loading.take() {
            Some(Loading { is_complete: true, .. }) => {
                self.put_in_order();
                Ok(())
            }
            Some(_) | None => Err(LoadError::because("the end of its sessions is missing")),
        }
    }
}

impl Loading {
    /// Notes the next record, which must be one that can stand behind `loaded_count` sessions.
    fn advance(&mut self, record: &Record<'_>, loaded_count: u64) -> Result<(), LoadError> {
        let wrong = || LoadError::because("the records of its sessions do not go together");
        if self.is_complete {
            return Err(wrong());
        }
        match record {
            Record::Session(head) if self.answers_left == 0 => {
                self.answers_left = head.answer_count;
            }
            Record::Answer(_) => {
                self.answers_left = self.answers_left.checked_sub(1).ok_or_else(wrong)?;
            }
            Record::End { session_count } => {
                let counts = [*session_count, self.session_count];
                self.is_complete = self.answers_left == 0 && counts == [loaded_count; 2];
                return if self.is_complete { Ok(()) } else { Err(wrong()) };
            }
            Record::Begin(_) | Record::Session(_) => return Err(wrong()),
        }
        Ok(())
    }
}

fn put_answer(part: &mut BytesMut, answer: Option<&[u8]>) {
    records::put(part, &Record::Answer(answer));
}

#[cfg(test)]
mod tests;

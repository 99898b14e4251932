//! The client and the past: reads at earlier revisions, histories, what a write replaced.

use bytes::Bytes;
use kv_store::command::{Answer, Command, KeyRange, Query, Selection};

use crate::client::{
    Client, Deleted, KeyValue, Page, decode, decode_page, encode_command, encode_query,
};
use crate::error::ClientError;
use crate::requests::Work;
use crate::typed::{Said, Typed};

impl Client {
    /// The keys that a selection asks for, in one page: where [`Page::more`] is set, the caller
    /// should narrow the selection or go on behind the last key
    /// ([`KeyRange::after`]) at the revision of this page.
    ///
    /// Errors: `DecidedNo` if the revision was compacted or has not come yet; otherwise as
    /// [`Client::get`].
    pub async fn select(&self, selection: Selection<'_>) -> Result<Page, ClientError> {
        decode_page(&self.ask(Work::Read(encode_query(&Query::Select(selection)))).await?)
    }

    /// The versions of a key, the oldest one first; one of version 0 is a removal. From revision
    /// `since` on; 0 is the oldest one that can be read, with the version that it shows.
    ///
    /// Errors: as [`Client::select`].
    pub async fn history(&self, key: &[u8], since: u64) -> Result<Page, ClientError> {
        let query = Query::History { key, since, limit: 0 };
        decode_page(&self.ask(Work::Read(encode_query(&query))).await?)
    }

    /// As [`Client::delete`], and returns what was removed, range by range and as far as an
    /// answer can hold it.
    ///
    /// Errors: as [`Client::delete`].
    pub async fn take(
        &self,
        ranges: &[KeyRange<'_>],
    ) -> Result<(Deleted, Vec<KeyValue>), ClientError> {
        let ranges = ranges.iter().copied().collect();
        let body = encode_command(&Command::DeleteReturning { ranges });
        let answer = self.ask(Work::Write(body)).await?;
        match decode(&answer)? {
            Answer::DeletedKeys { count, revision, kvs, more: _ } => {
                let kvs = kvs.iter().map(|kv| KeyValue::owned(&answer, kv)).collect();
                Ok((Deleted { count, revision }, kvs))
            }
            other => Err(self.no_answer_to_a_write(&other)),
        }
    }

    /// Carries out a command on hashes, sets or numbers that was typed.
    ///
    /// Errors: `DecidedNo` for a wrong type and what is no number; otherwise as [`Client::put`]
    /// or [`Client::get`].
    pub async fn carry_out(&self, typed: &Typed) -> Result<Said, ClientError> {
        self.carry_out_encoded(typed).await.map(|(said, _)| said)
    }

    /// As `carry_out`, with the encoded answer.
    pub(crate) async fn carry_out_encoded(
        &self,
        typed: &Typed,
    ) -> Result<(Said, Bytes), ClientError> {
        let body = typed.body.clone();
        let work = if typed.is_write { Work::Write(body) } else { Work::Read(body) };
        let answer = self.ask(work).await?;
        match typed.said(&answer) {
            Err(ClientError::Unknown) => Err(self.answer_of_another_kind()),
            said => Ok((said?, answer)),
        }
    }

    /// Makes everything before a revision unreadable, for ever; returns the revision of the
    /// store.
    ///
    /// Errors: `DecidedNo` if that is so already, or if the revision has not come yet;
    /// otherwise as [`Client::put`].
    pub async fn compact(&self, revision: u64) -> Result<u64, ClientError> {
        let body = encode_command(&Command::Compact { revision });
        let answer = self.ask(Work::Write(body)).await?;
        match decode(&answer)? {
            Answer::Done { revision } => Ok(revision),
            other => Err(self.no_answer_to_a_write(&other)),
        }
    }
}

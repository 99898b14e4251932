//! One watch of the node, for one request.

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use kv_store::command::{Interest, KeyRange, No, Query, Selection, Show};
use kv_store::watching::{End, Word};
use raft_core::replica::event::Refusal;
use tokio::sync::mpsc;

use super::super::super::etcd::{Behind, Open};
use super::node;
use super::refused::Refused;
use crate::api::{StreamOrder, StreamOrders, StreamWord};

/// A watch that has begun. It ends when this is dropped.
pub(super) struct Watcher {
    open: Open,
    words: mpsc::UnboundedReceiver<StreamWord>,
    /// Which watch of the stream it is: another one when its client has been slow.
    number: u64,
    interest: Bytes,
    /// It shows everything after this revision.
    pub(super) begun_after: u64,
    /// Whether the node is to be told that what it has sent is read.
    owes_word: bool,
}

/// What a watch says.
pub(super) enum Heard {
    /// Changes, encoded; if `is_cut`, those of the last revision go on.
    Changed { changes: Bytes, is_cut: bool },
    /// Everything up to this revision has been said.
    Mark(u64),
}

/// Why a watch is over.
pub(super) enum Over {
    Ended(End),
    Overloaded,
    Stopped,
    Malformed(String),
}

impl Over {
    /// The same for a client that has not been answered yet.
    pub(super) fn refused(&self) -> Refused {
        match self {
            Self::Ended(End::Compacted { oldest }) => {
                let why = format!(
                    "the revision has been compacted, the oldest one is {oldest}; read the keys \
                     again, and go on after the revision of that answer"
                );
                Refused::new(StatusCode::GONE, why)
            }
            Self::Ended(End::TooLarge { .. }) => {
                Refused::new(StatusCode::PAYLOAD_TOO_LARGE, self.text())
            }
            Self::Ended(End::NotHere { .. }) => Refused::of_refusal(Refusal::Fenced, false),
            Self::Overloaded => Refused::of_refusal(Refusal::Overloaded, false),
            Self::Stopped | Self::Ended(End::Unwatched | End::Slow { .. }) => Refused::stopped(),
            Self::Malformed(why) => Refused::bad(why.as_str()),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Ended(end) => end.to_string(),
            Self::Overloaded => "this node has too many watches".to_owned(),
            Self::Stopped => "this node is stopping".to_owned(),
            Self::Malformed(why) => why.clone(),
        }
    }
}

impl Watcher {
    /// Watches keys from behind a revision, or from now on.
    ///
    /// Errors: as `Over`, and if the revision was compacted.
    pub(super) async fn begin(
        behind: &Behind,
        range: &KeyRange<'_>,
        after: Option<u64>,
        previous: bool,
    ) -> Result<Self, Refused> {
        let start = after.map_or(0, |after| after.saturating_add(1));
        if start != 0 {
            check_start(behind, range, start).await?;
        }
        let mut interest = BytesMut::new();
        Interest { previous, ..Interest::of(*range) }.encode(&mut interest);
        let (stream, words) = behind.open_stream().await.map_err(|_| Refused::stopped())?;
        let open = Open { behind: behind.clone(), stream };
        let (number, interest, begun_after) = (0, interest.freeze(), 0);
        let mut watcher = Self { open, words, number, interest, begun_after, owes_word: false };
        watcher.watch(start);
        watcher.begun_after = watcher.begun().await.map_err(|over| over.refused())?;
        Ok(watcher)
    }

    fn watch(&mut self, start: u64) {
        self.number += 1;
        let (watch, interest) = (self.number, self.interest.clone());
        self.order(vec![StreamOrder::Watch { watch, start, marks: true, interest }], None);
    }

    fn order(&self, orders: Vec<StreamOrder>, unread_bytes: Option<usize>) {
        let stream = self.open.stream;
        self.open.behind.orders.do_send(StreamOrders { stream, orders, unread_bytes });
    }

    /// Waits until it has begun; returns the revision after which it shows everything.
    async fn begun(&mut self) -> Result<u64, Over> {
        loop {
            if let Word::Begun { revision, .. } = self.word().await? {
                return Ok(revision);
            }
        }
    }

    /// Waits for what is said next. Whoever asks has handed on all that was said before.
    pub(super) async fn next(&mut self) -> Result<Heard, Over> {
        loop {
            match self.word().await? {
                Word::Changed { changes, is_cut } => return Ok(Heard::Changed { changes, is_cut }),
                Word::Mark { revision } => return Ok(Heard::Mark(revision)),
                Word::Begun { .. } | Word::Malformed { .. } | Word::Overloaded | Word::Ended(_) => {
                }
            }
        }
    }

    /// The next word to this watch, unless it ends it. One that was slow goes on where it was.
    async fn word(&mut self) -> Result<Word, Over> {
        loop {
            // What waits in the channel is unread too, so it is said when there is nothing.
            if self.owes_word && self.words.is_empty() {
                self.order(Vec::new(), Some(0));
                self.owes_word = false;
            }
            let word = self.words.recv().await.ok_or(Over::Stopped)?;
            self.owes_word = true;
            match word.word {
                _ if word.watch != self.number => {}
                Word::Ended(End::Slow { resume_at }) => self.watch(resume_at),
                Word::Ended(end) => return Err(Over::Ended(end)),
                Word::Malformed { why } => return Err(Over::Malformed(why)),
                Word::Overloaded => return Err(Over::Overloaded),
                other => return Ok(other),
            }
        }
    }
}

/// Asks the node whether it can still show what a revision did; one that is yet to come will be.
async fn check_start(behind: &Behind, range: &KeyRange<'_>, start: u64) -> Result<(), Refused> {
    let selection =
        Selection { revision: start, limit: 1, show: Show::Count, ..Selection::of(*range) };
    let said = node::read(behind, &Query::Select(selection), true).await?;
    match said.decided_no() {
        Some(No::Compacted { oldest }) => Err(Over::Ended(End::Compacted { oldest }).refused()),
        Some(_) | None => Ok(()),
    }
}

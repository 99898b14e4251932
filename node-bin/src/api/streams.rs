//! Streams of watches that doors open: no connection of this actor, and told by a channel that
//! a door's future reads.
//!
//! A stream that is not read is bounded as a connection is: by Watch, which is told what is
//! unread and sends no more beyond its limit.

use actix::{Handler, Message};
use bytes::Bytes;
use kv_store::watching::{Order, Owner, Word};
use raft_core::types::Term;
use tokio::sync::{mpsc, oneshot};

use super::Api;

/// Streams of watches at a time, of all doors. One more is not opened.
const STREAMS_MAX: usize = 10_000;

/// Opens a stream of watches.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct OpenStream {
    /// Takes what its watches are told.
    pub(crate) words: mpsc::UnboundedSender<StreamWord>,
    /// Takes the number of the stream; `None` if there are as many as there may be.
    pub(crate) reply: oneshot::Sender<Option<u64>>,
}

/// A word to a watch of a stream.
#[derive(Clone, Debug)]
pub(crate) struct StreamWord {
    /// The watch, as the stream calls it.
    pub(crate) watch: u64,
    pub(crate) word: Word,
    /// The node's term, as far as answers have shown it.
    pub(crate) term: Term,
}

/// What a stream wants of its watches, and how much of what it was told it has not handed on.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct StreamOrders {
    pub(crate) stream: u64,
    pub(crate) orders: Vec<StreamOrder>,
    /// Units: bytes.
    pub(crate) unread_bytes: Option<usize>,
}

/// What a stream wants of one of its watches.
#[derive(Debug)]
pub(crate) enum StreamOrder {
    /// That it begins.
    Watch {
        watch: u64,
        /// The first revision that is to be shown; 0 is whatever comes next.
        start: u64,
        /// Whether it is to be told from time to time how far it is.
        marks: bool,
        /// What it is about, encoded.
        interest: Bytes,
    },
    /// That it ends.
    Unwatch(u64),
    /// How far it is.
    Mark(u64),
}

/// Ends a stream with all its watches.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct CloseStream {
    pub(crate) stream: u64,
}

/// A stream as Api keeps it.
#[derive(Debug)]
pub(super) struct Stream {
    words: mpsc::UnboundedSender<StreamWord>,
}

impl Api {
    /// Tells a word to a stream; gives it back if the owner is none.
    pub(super) fn tell_stream(&mut self, owner: Owner, word: Word) -> Option<Word> {
        let Some(stream) = self.streams.get(&owner.connection) else { return Some(word) };
        // A stream that is gone says so by itself.
        let _ = stream.words.send(StreamWord { watch: owner.watch, word, term: self.term });
        None
    }
}

impl Api {
    /// Forgets streams that nobody hears any more and whose end was not told, because whoever
    /// asked went before it knew that there was one.
    fn forget_closed_streams(&mut self) {
        let is_closed = |(_, stream): &(&u64, &Stream)| stream.words.is_closed();
        let closed: Vec<u64> = self.streams.iter().filter(is_closed).map(|(id, _)| *id).collect();
        for stream in closed {
            self.streams.remove(&stream);
            self.orders.orders.push(Order::Leave { connection: stream });
        }
        self.tell_watch();
    }
}

impl Handler<OpenStream> for Api {
    type Result = ();

    fn handle(&mut self, OpenStream { words, reply }: OpenStream, _: &mut Self::Context) {
        if STREAMS_MAX <= self.streams.len() {
            self.forget_closed_streams();
        }
        if STREAMS_MAX <= self.streams.len() {
            // Whoever asked may be gone.
            let _ = reply.send(None);
            return;
        }
        self.newest_connection += 1;
        let stream = self.newest_connection;
        if reply.send(Some(stream)).is_ok() {
            self.streams.insert(stream, Stream { words });
        }
    }
}

impl Handler<StreamOrders> for Api {
    type Result = ();

    fn handle(&mut self, told: StreamOrders, _: &mut Self::Context) {
        let StreamOrders { stream, orders, unread_bytes } = told;
        if !self.streams.contains_key(&stream) {
            return;
        }
        let owner = |watch| Owner { connection: stream, watch };
        self.orders.unread.extend(unread_bytes.map(|bytes| (stream, bytes)));
        self.orders.orders.extend(orders.into_iter().map(|order| match order {
            StreamOrder::Watch { watch, start, marks, interest } => {
                Order::Watch { owner: owner(watch), start, marks, interest }
            }
            StreamOrder::Unwatch(watch) => Order::Unwatch(owner(watch)),
            StreamOrder::Mark(watch) => Order::Mark(owner(watch)),
        }));
        self.tell_watch();
    }
}

impl Handler<CloseStream> for Api {
    type Result = ();

    fn handle(&mut self, CloseStream { stream }: CloseStream, _: &mut Self::Context) {
        if self.streams.remove(&stream).is_some() {
            self.orders.orders.push(Order::Leave { connection: stream });
            self.tell_watch();
        }
    }
}

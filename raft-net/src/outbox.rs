//! The writing half of a connection, as an actor owns it.
//!
//! A handler appends to the output of each connection that it has something for and flushes it
//! once. If the socket is full, the actor is told by a message when it no longer is: there is
//! no task, channel or timer per connection.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use actix::prelude::*;
use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite;
use tokio::task::coop::unconstrained;

use crate::stream::WriteHalf;

/// An empty output buffer above this capacity is given back. Units: bytes.
const IDLE_BYTES_MAX: usize = 256 * 1024;

/// Says that a connection whose socket was full takes bytes again; its owner should flush it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct Writable {
    /// The number that the outbox was made with.
    pub connection: u64,
}

/// How far a flush came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// The system has every byte.
    Everything,
    /// The socket is full; `Writable` will come.
    Waiting,
}

/// Output that waits for its socket.
pub struct Outbox {
    stream: WriteHalf,
    output: BytesMut,
    limit_bytes: usize,
    waker: Waker,
    needs_flush: bool,
}

impl Outbox {
    /// The outbox of the connection with this number, telling `owner` when to flush again.
    /// Above `limit_bytes` it says so; keeping to the limit is the owner's business.
    #[must_use]
    pub fn new(
        connection: u64,
        stream: WriteHalf,
        limit_bytes: usize,
        owner: Recipient<Writable>,
    ) -> Self {
        let waker = Arc::new(Doorbell { connection, owner }).into();
        Self { stream, output: BytesMut::new(), limit_bytes, waker, needs_flush: false }
    }

    /// Appends bytes; nothing is written before `flush`.
    pub fn push(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Where encoders append, instead of `push`. Whoever takes bytes away here that a flush may
    /// have seen breaks a frame in two.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// How many bytes wait. Units: bytes.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.output.len()
    }

    /// Whether more waits than should: the other end reads too slowly.
    #[must_use]
    pub fn is_over_limit(&self) -> bool {
        self.limit_bytes < self.output.len()
    }

    /// Writes as much as the socket takes now.
    ///
    /// Errors: in the words of the system; the connection is gone and the owner must drop it.
    pub fn flush(&mut self) -> io::Result<Flushed> {
        while !self.output.is_empty() {
            let Self { stream, output, waker, .. } = self;
            match poll_now(waker, |cx| Pin::new(&mut *stream).poll_write(cx, output)) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => output.advance(written),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(Flushed::Waiting),
            }
            self.needs_flush = true;
        }
        if IDLE_BYTES_MAX < self.output.capacity() {
            self.output = BytesMut::new();
        }
        if self.needs_flush {
            let Self { stream, waker, .. } = self;
            match poll_now(waker, |cx| Pin::new(&mut *stream).poll_flush(cx)) {
                Poll::Ready(result) => result?,
                Poll::Pending => return Ok(Flushed::Waiting),
            }
            self.needs_flush = false;
        }
        Ok(Flushed::Everything)
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbox({} of {} bytes)", self.output.len(), self.limit_bytes)
    }
}

/// Polls outside of tokio's budget.
///
/// An actor that flushes many connections in one turn would use the budget up; the poll then
/// answers "pending" and wakes at once, the wake is a message to the actor itself, and the
/// actor drains its mailbox without giving way: it would never end.
fn poll_now<T>(waker: &Waker, poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    pin!(unconstrained(poll_fn(poll))).poll(&mut Context::from_waker(waker))
}

/// A waker that sends a message.
struct Doorbell {
    connection: u64,
    owner: Recipient<Writable>,
}

impl Wake for Doorbell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.owner.do_send(Writable { connection: self.connection });
    }
}

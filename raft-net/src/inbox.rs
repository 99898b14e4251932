//! The reading half of a connection, as an actor owns it.
//!
//! A handler reads when it can use more, and when nothing is there the actor is told by a
//! message as soon as something is: there is no task or channel per connection, and what is not
//! read waits with the sender.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

use actix::prelude::*;
use bytes::BytesMut;
use tokio::io::AsyncReadExt;

use crate::outbox::poll_now;
use crate::stream::ReadHalf;

/// Says that there is something to read on a connection on which there was nothing; its owner
/// should read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct Readable {
    /// The number that the inbox was made with.
    pub connection: u64,
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// So many bytes; there may be more.
    Bytes(usize),
    /// Nothing yet; `Readable` will come.
    Nothing,
    /// The other end says no more.
    End,
}

/// Input that waits in its socket.
pub struct Inbox {
    stream: ReadHalf,
    waker: Waker,
    is_awaited: bool,
}

impl Inbox {
    /// The inbox of the connection with this number, telling `owner` when to read again.
    #[must_use]
    pub fn new(connection: u64, stream: ReadHalf, owner: Recipient<Readable>) -> Self {
        let waker = Arc::new(Doorbell { connection, owner }).into();
        Self { stream, waker, is_awaited: false }
    }

    /// Appends what has arrived to `input`, as far as that has room.
    ///
    /// Errors: in the words of the system; the connection can be read no further.
    pub fn read(&mut self, input: &mut BytesMut) -> io::Result<Arrived> {
        let Self { stream, waker, is_awaited } = self;
        match poll_now(waker, |cx| pin!(stream.read_buf(input)).poll(cx)) {
            Poll::Ready(Ok(0)) => Ok(Arrived::End),
            Poll::Ready(Ok(read)) => Ok(Arrived::Bytes(read)),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => {
                *is_awaited = true;
                Ok(Arrived::Nothing)
            }
        }
    }

    /// Whether the last read found nothing and `Readable` has not come since, so that another
    /// one would find nothing either.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.is_awaited
    }

    /// Takes note that `Readable` has come.
    pub fn rung(&mut self) {
        self.is_awaited = false;
    }

    /// Gives the reading half back; whatever rings for this inbox afterwards is of no concern.
    #[must_use]
    pub fn into_stream(self) -> ReadHalf {
        self.stream
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("is_awaited", &self.is_awaited).finish_non_exhaustive()
    }
}

/// A waker that sends a message.
struct Doorbell {
    connection: u64,
    owner: Recipient<Readable>,
}

impl Wake for Doorbell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.owner.do_send(Readable { connection: self.connection });
    }
}

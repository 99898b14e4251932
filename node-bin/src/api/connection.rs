//! One client connection: its output, and the task that reads its input.

use std::io;
use std::sync::{Arc, Weak};

use actix::{Addr, Message, Recipient};
use actix_rt::task::JoinHandle;
use bytes::BytesMut;
use raft_core::entry::ClientId;
use raft_net::client_protocol::{Hello, Reply, Response};
use raft_net::frame::{Batch, CLIENT_FRAME_BYTES_MAX};
use raft_net::listener::ClientAccepted;
use raft_net::outbox::Outbox;
use raft_net::preface::Greeting;
use raft_net::stream::{ReadHalf, make_room};
use tokio::io::AsyncReadExt;

use super::Api;
use super::unlike::Unlike;

/// Answers that a client has not read. Units: bytes.
const OUTPUT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// With so much waiting a message makes the socket be tried at once. Units: bytes.
const MESSAGES_BYTES: usize = 16 * 1024;

/// How much one read takes at most. Units: bytes.
const READ_BYTES: usize = 64 * 1024;

/// Brings what one read of one connection brought.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(super) struct FromClient {
    pub(super) connection: u64,
    pub(super) frames: Batch,
}

/// Says that a connection can be read no further.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(super) struct ClientEnded {
    pub(super) connection: u64,
    pub(super) why: String,
}

/// A client's connection as Api keeps it.
#[derive(Debug)]
pub(super) struct Connection {
    outbox: Outbox,
    version: u16,
    /// The id that it was given, once it was.
    pub(super) client: Option<ClientId>,
    /// Requests that are not answered yet.
    pub(super) in_flight: usize,
    /// The requests whose answers are not the state machine's; there are few.
    pub(super) unlike: Unlike,
    /// Whether a piece of a snapshot is being read for it.
    pub(super) reads_snapshot: bool,
    /// Whether it has ever had a watch.
    pub(super) has_watches: bool,
    /// Whether Watch is to be told what of its words is still unread.
    pub(super) owes_word: bool,
    /// Whether more waited when it was told a message than the socket took.
    is_behind: bool,
    /// Whether the output has grown since the last flush.
    is_touched: bool,
    /// Is there as long as the connection is.
    here: Arc<()>,
    reader: JoinHandle<()>,
}

impl Connection {
    /// Parts the stream and starts to read.
    pub(super) fn start(connection: u64, accepted: ClientAccepted, api: &Addr<Api>) -> Self {
        let ClientAccepted { version, stream, read, .. } = accepted;
        let (reading, writing) = stream.split();
        let requests = api.clone().recipient();
        let ended: Recipient<ClientEnded> = api.clone().recipient();
        let reader = actix_rt::spawn(async move {
            let why = read_requests(connection, reading, read, &requests).await;
            ended.do_send(ClientEnded { connection, why });
        });
        let owner = api.clone().recipient();
        Self {
            outbox: Outbox::new(connection, writing, OUTPUT_BYTES_MAX, owner),
            version,
            client: None,
            in_flight: 0,
            unlike: Unlike::default(),
            reads_snapshot: false,
            has_watches: false,
            owes_word: false,
            is_behind: false,
            is_touched: false,
            here: Arc::default(),
            reader,
        }
    }

    /// The version that was agreed with the client.
    pub(super) fn version(&self) -> u16 {
        self.version
    }

    /// By which somebody elsewhere sees whether the connection is there.
    pub(super) fn here(&self) -> Weak<()> {
        Arc::downgrade(&self.here)
    }

    /// Says hello.
    pub(super) fn greet(&mut self, hello: Hello) {
        self.client = Some(hello.client);
        Greeting::Hello(hello).encode(self.outbox.output());
    }

    /// Appends a response; returns whether it is the first since the last flush.
    pub(super) fn respond(&mut self, response: &Response<'_>) -> bool {
        if let Err(error) = response.encode(self.outbox.output()) {
            let reply = Reply::Malformed(error.to_string().into());
            let refused = Response { id: response.id, reply };
            refused.encode(self.outbox.output()).expect("a short text fits into a frame");
        }
        !std::mem::replace(&mut self.is_touched, true)
    }

    /// How much it has not read, when it was told a message and that is to be known. Units: bytes.
    pub(super) fn unread_messages(&mut self) -> Option<usize> {
        if self.outbox.queued_bytes() <= MESSAGES_BYTES && !self.is_behind {
            return None;
        }
        // If the connection is gone, the flush at the end of the turn says so.
        let _ = self.outbox.flush();
        let unread_bytes = self.outbox.queued_bytes();
        self.is_behind = 0 < unread_bytes;
        Some(unread_bytes)
    }

    /// The same after a flush, if there was something to be known.
    pub(super) fn unread_messages_left(&mut self) -> Option<usize> {
        if !self.is_behind {
            return None;
        }
        let unread_bytes = self.outbox.queued_bytes();
        self.is_behind = 0 < unread_bytes;
        Some(unread_bytes)
    }

    /// How much it has not read, as of the last flush. Units: bytes.
    pub(super) fn unread_bytes(&self) -> usize {
        self.outbox.queued_bytes()
    }

    /// Writes as much as the socket takes. Returns what is left, in bytes, if Watch is to know.
    ///
    /// Errors: if the connection is gone, or its client reads too slowly.
    pub(super) fn flush(&mut self) -> io::Result<Option<usize>> {
        self.is_touched = false;
        self.outbox.flush()?;
        if self.outbox.is_over_limit() {
            return Err(io::Error::other("the client does not read its answers"));
        }
        let unread_bytes = self.outbox.queued_bytes();
        let is_due = self.owes_word;
        self.owes_word &= 0 < unread_bytes;
        Ok(is_due.then_some(unread_bytes))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Reads frames until the connection ends; one message for each read.
async fn read_requests(
    connection: u64,
    mut stream: ReadHalf,
    mut input: BytesMut,
    requests: &Recipient<FromClient>,
) -> String {
    loop {
        match Batch::cut(&mut input, CLIENT_FRAME_BYTES_MAX) {
            Ok(Some(frames)) => requests.do_send(FromClient { connection, frames }),
            Ok(None) => {}
            Err(error) => return error.to_string(),
        }
        make_room(&mut input, READ_BYTES);
        let room = input.capacity() - input.len();
        match stream.read_buf(&mut input).await {
            Ok(0) => return "closed by the client".to_owned(),
            // More is waiting: let others have their turn first.
            Ok(read) if read == room => tokio::task::yield_now().await,
            Ok(_) => {}
            Err(error) => return error.to_string(),
        }
    }
}

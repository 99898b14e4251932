//! Two clients: a connection that shows every answer as it came, and the one that users have.

use std::io;

use bytes::{Bytes, BytesMut};
use kv_store::command::{Command, Query};
use kvorum_client::{KeyRange, KeyValue, Options};
use raft_core::entry::SessionStamp;
use raft_core::replica::event::{Refusal, SessionRefusal};
use raft_net::client_protocol::playground::Played;
use raft_net::client_protocol::{
    ChangeRefused, Hello, LocalAnswer, NodeStatus, Op, Reply, Request, Response, SnapshotName,
    WatchEnded,
};
use raft_net::frame::{CLIENT_FRAME_BYTES_MAX, Frames};
use raft_net::handshake::{HandshakeError, open_as_client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::wait;

/// How long a request waits at the node. Units: milliseconds.
const TIMEOUT_MS: u64 = 2_000;

/// What a node said to one request, and nothing borrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Answer(Bytes),
    Local { body: Bytes, applied_index: u64, contact_age_ms: Option<u64> },
    Session(SessionRefusal),
    Refused(Refusal),
    Status(Box<NodeStatus>),
    Malformed(String),
    Changed(Vec<u64>),
    ChangeRefused(ChangeRefused),
    Transferred,
    Snapshot(Option<SnapshotName>),
    SnapshotPiece(Option<Bytes>),
    Played(Played),
    Watching(u64),
    Events { is_cut: bool, body: Bytes },
    Mark(u64),
    Ended(WatchEnded),
    Published(u64),
    Subscribed,
    Message { pattern: Option<Bytes>, channel: Bytes, message: Bytes },
}

/// One connection to one node.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) hello: Hello,
    input: BytesMut,
    frames: Frames,
    newest: u64,
}

impl Connection {
    /// Connects and shakes hands.
    pub(crate) async fn open(address: &str) -> Result<Self, HandshakeError> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (hello, input) = open_as_client(&mut stream, 0).await?;
        Ok(Self { stream, hello, input, frames: Frames::new(CLIENT_FRAME_BYTES_MAX), newest: 0 })
    }

    /// Sends a request and returns its id.
    pub(crate) async fn send(&mut self, op: Op<'_>) -> io::Result<u64> {
        self.newest += 1;
        let mut output = BytesMut::new();
        let request = Request { id: self.newest, op };
        request.encode(&mut output).map_err(io::Error::other)?;
        self.stream.write_all(&output).await?;
        Ok(self.newest)
    }

    /// Waits for the next answer, whichever request it is to.
    pub(crate) async fn receive(&mut self) -> io::Result<(u64, Said)> {
        loop {
            if let Some(frame) = self.frames.next(&mut self.input).map_err(io::Error::other)? {
                let Response { id, reply } = Response::decode(&frame).map_err(io::Error::other)?;
                let said = match reply {
                    Reply::Answer(bytes) => Said::Answer(Bytes::copy_from_slice(bytes)),
                    Reply::Local(LocalAnswer { body, applied_index, contact_age_ms }) => {
                        let body = Bytes::copy_from_slice(body);
                        Said::Local { body, applied_index, contact_age_ms }
                    }
                    Reply::Session(refusal) => Said::Session(refusal),
                    Reply::Refused(refusal) => Said::Refused(refusal),
                    Reply::Status(status) => Said::Status(status),
                    Reply::Monitored(_) => {
                        return Err(io::Error::other("nobody asks for values here"));
                    }
                    Reply::Malformed(why) => Said::Malformed(why.into_owned()),
                    Reply::Changed(added) => Said::Changed(added),
                    Reply::ChangeRefused(refused) => Said::ChangeRefused(refused),
                    Reply::Transferred => Said::Transferred,
                    Reply::Snapshot(name) => Said::Snapshot(name.map(|name| *name)),
                    Reply::SnapshotPiece(piece) => {
                        Said::SnapshotPiece(piece.map(Bytes::copy_from_slice))
                    }
                    Reply::Played(played) => Said::Played(*played),
                    Reply::Watching(revision) => Said::Watching(revision),
                    Reply::Events { is_cut, body } => {
                        Said::Events { is_cut, body: Bytes::copy_from_slice(body) }
                    }
                    Reply::Mark(revision) => Said::Mark(revision),
                    Reply::Ended(ended) => Said::Ended(*ended),
                    Reply::Published(count) => Said::Published(count),
                    Reply::Subscribed => Said::Subscribed,
                    Reply::Message { pattern, channel, message } => Said::Message {
                        pattern: pattern.map(Bytes::copy_from_slice),
                        channel: Bytes::copy_from_slice(channel),
                        message: Bytes::copy_from_slice(message),
                    },
                };
                return Ok((id, said));
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// One request and its answer.
    pub(crate) async fn ask(&mut self, op: Op<'_>) -> io::Result<Said> {
        let id = self.send(op).await?;
        let (answered, said) = self.receive().await?;
        assert_eq!(answered, id, "the only request under way is the one that is answered");
        Ok(said)
    }

    /// A put without a session, once.
    pub(crate) async fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<Said> {
        let body = encoded(|bytes| Command::Put { key, value }.encode(bytes));
        let session = SessionStamp::default();
        self.ask(Op::Write { session, timeout_ms: TIMEOUT_MS, body: &body }).await
    }
}

/// What a node says of itself; `None` if it is not there.
pub(crate) async fn status(address: &str) -> Option<NodeStatus> {
    let mut connection = Connection::open(address).await.ok()?;
    match connection.ask(Op::Status).await.ok()? {
        Said::Status(status) => Some(*status),
        other => panic!("a status is answered by {other:?}"),
    }
}

/// The client of our users, which panics when it is refused: in these tests it never is.
#[derive(Clone, Debug)]
pub(crate) struct Client(kvorum_client::Client);

impl Client {
    /// A client of these nodes, tried one after the other.
    pub(crate) async fn connect(endpoints: &[String]) -> Self {
        let options = Options { timeout: wait::DEADLINE };
        let client = kvorum_client::Client::connect(endpoints.to_vec(), options).await;
        Self(client.unwrap_or_else(|error| panic!("{error}")))
    }

    /// Puts a key; returns the revision.
    pub(crate) async fn put(&self, key: &str, value: &str) -> u64 {
        let revision = self.0.put(key.as_bytes(), value.as_bytes()).await;
        revision.unwrap_or_else(|error| panic!("{key} cannot be put: {error}"))
    }

    /// Deletes a key; returns how many there were.
    pub(crate) async fn delete(&self, key: &str) -> u64 {
        let deleted = self.0.delete(&[KeyRange::single(key.as_bytes())]).await;
        deleted.unwrap_or_else(|error| panic!("{key} cannot be deleted: {error}")).count
    }

    /// The value of a key.
    pub(crate) async fn get(&self, key: &str) -> Option<String> {
        Some(String::from_utf8(self.get_bytes(key.as_bytes()).await?).unwrap())
    }

    /// The same of any bytes.
    pub(crate) async fn get_bytes(&self, key: &[u8]) -> Option<Vec<u8>> {
        let found = self.0.get(key).await;
        let found = found.unwrap_or_else(|error| panic!("{key:?} cannot be read: {error}"))?;
        Some(found.value.to_vec())
    }

    /// Every key that begins with `prefix`, and the revision of the store; all of it must fit
    /// into one page.
    pub(crate) async fn prefix(&self, prefix: &str) -> (u64, Vec<KeyValue>) {
        let mut pages = self.0.range(KeyRange::prefix(prefix.as_bytes()));
        let page = pages.next().await.unwrap_or_else(|error| panic!("no range: {error}"));
        let page = page.expect("a range has a page");
        assert!(!page.more, "the range has more than one page");
        (page.revision, page.kvs)
    }
}

/// A message as bytes.
pub(crate) fn encoded(encode: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut bytes = BytesMut::new();
    encode(&mut bytes);
    bytes.freeze()
}

/// The query for one key.
pub(crate) fn get(key: &str) -> Bytes {
    let range = KeyRange::single(key.as_bytes());
    encoded(|bytes| Query::Range { range, limit: 1 }.encode(bytes))
}

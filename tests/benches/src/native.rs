//! As much of a native client as the comparison needs: a command and status one at a time, and many
//! small commands together.

use std::io;

use bytes::BytesMut;
use kv_store::command::Command;
use raft_core::entry::SessionStamp;
use raft_net::client_protocol::{NodeStatus, Op, Reply, Request, Response};
use raft_net::frame::{CLIENT_FRAME_BYTES_MAX, Frames};
use raft_net::{handshake, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::keys::key;

/// How long the node is asked to wait for a leader. The caller's own patience is shorter.
const TIMEOUT_MS: u64 = 10_000;

/// Commands that are under way together where many are asked for.
const IN_FLIGHT: usize = 1_000;

/// A connection to a node of Kvorum.
///
/// A caller that gives up waiting for an answer must drop the connection: the next answer on
/// it would be the one it gave up.
#[derive(Debug)]
pub struct NativeClient {
    stream: TcpStream,
    frames: Frames,
    input: BytesMut,
    last_id: u64,
}

impl NativeClient {
    /// Opens a connection to `host:port`. Has no deadline of its own.
    ///
    /// Errors: if nobody answers there, or not as a node.
    pub async fn connect(address: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream::prepare(&stream)?;
        let (_, input) =
            handshake::open_as_client(&mut stream, 0).await.map_err(io::Error::other)?;
        Ok(Self { stream, frames: Frames::new(CLIENT_FRAME_BYTES_MAX), input, last_id: 0 })
    }

    /// Sets a key, without a session.
    ///
    /// Errors: if the connection ends, or the node refuses.
    pub async fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.write(&Command::Put { key, value }).await
    }

    /// Makes everything before a revision unreadable.
    ///
    /// Errors: as [`NativeClient::put`].
    pub async fn compact(&mut self, revision: u64) -> io::Result<()> {
        self.write(&Command::Compact { revision }).await
    }

    /// Grants leases with these ids.
    ///
    /// Errors: as [`NativeClient::put`].
    pub async fn grant_leases(&mut self, ids: &[u64], ttl_ms: u64) -> io::Result<()> {
        self.each(ids, |id, body| Command::GrantLease { id, ttl_ms }.encode(body)).await
    }

    /// Renews these leases, each by a request of its own.
    ///
    /// Errors: as [`NativeClient::put`].
    pub async fn renew_leases(&mut self, ids: &[u64]) -> io::Result<()> {
        self.each(ids, |id, body| {
            Command::RenewLeases { ids: [id].into_iter().collect() }.encode(body);
        })
        .await
    }

    /// Sets the keys of these numbers, each to the same value and by a request of its own.
    ///
    /// Errors: as [`NativeClient::put`].
    pub async fn put_each(&mut self, numbers: &[u64], value: &[u8]) -> io::Result<()> {
        self.each(numbers, |number, body| Command::Put { key: &key(number), value }.encode(body))
            .await
    }

    /// Asks for a snapshot that covers an entry; returns the entry up to which the newest one
    /// goes, which is to be asked again until it covers it.
    ///
    /// Errors: as [`NativeClient::put`].
    pub async fn snapshot(&mut self, covers: u64) -> io::Result<Option<u64>> {
        let frame = self.ask(Op::Snapshot { covers }).await?;
        match self.answer(&frame)? {
            Reply::Snapshot(name) => Ok(name.map(|name| name.index)),
            other => Err(io::Error::other(format!("a snapshot was answered with {other:?}"))),
        }
    }

    /// A command for each of these, many of them under way at a time.
    async fn each(&mut self, ids: &[u64], encode: impl Fn(u64, &mut BytesMut)) -> io::Result<()> {
        for some in ids.chunks(IN_FLIGHT) {
            let mut output = BytesMut::new();
            for &id in some {
                let mut body = BytesMut::new();
                encode(id, &mut body);
                self.last_id += 1;
                let session = SessionStamp::default();
                let op = Op::Write { session, timeout_ms: TIMEOUT_MS, body: &body };
                Request { id: self.last_id, op }.encode(&mut output).map_err(io::Error::other)?;
            }
            self.stream.write_all(&output).await?;
            for _ in some {
                let frame = self.receive().await?;
                let response = Response::decode(&frame).map_err(io::Error::other)?;
                if !matches!(response.reply, Reply::Answer(_)) {
                    let text = format!("the command was answered with {:?}", response.reply);
                    return Err(io::Error::other(text));
                }
            }
        }
        Ok(())
    }

    async fn write(&mut self, command: &Command<'_>) -> io::Result<()> {
        let mut body = BytesMut::new();
        command.encode(&mut body);
        let session = SessionStamp::default();
        let frame = self.ask(Op::Write { session, timeout_ms: TIMEOUT_MS, body: &body }).await?;
        match self.answer(&frame)? {
            Reply::Answer(_) => Ok(()),
            other => Err(io::Error::other(format!("the command was answered with {other:?}"))),
        }
    }

    /// What the node says of itself.
    ///
    /// Errors: if the connection ends, or the node does not say.
    pub async fn status(&mut self) -> io::Result<NodeStatus> {
        let frame = self.ask(Op::Status).await?;
        match self.answer(&frame)? {
            Reply::Status(status) => Ok(*status),
            other => Err(io::Error::other(format!("status was answered with {other:?}"))),
        }
    }

    async fn ask(&mut self, op: Op<'_>) -> io::Result<BytesMut> {
        self.last_id += 1;
        let mut output = BytesMut::new();
        Request { id: self.last_id, op }.encode(&mut output).map_err(io::Error::other)?;
        self.stream.write_all(&output).await?;
        self.receive().await
    }

    async fn receive(&mut self) -> io::Result<BytesMut> {
        loop {
            if let Some(frame) = self.frames.next(&mut self.input).map_err(io::Error::other)? {
                return Ok(frame);
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn answer<'a>(&self, frame: &'a [u8]) -> io::Result<Reply<'a>> {
        let response = Response::decode(frame).map_err(io::Error::other)?;
        if response.id != self.last_id {
            return Err(io::Error::other("the answer belongs to another request"));
        }
        Ok(response.reply)
    }
}

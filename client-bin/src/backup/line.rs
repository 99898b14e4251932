//! A connection to one node, for requests one after the other that no other node can answer.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kv_store::command::Query;
use raft_net::client_protocol::{NodeStatus, Op, Reply, Request, Response};
use raft_net::frame::{CLIENT_FRAME_BYTES_MAX, Frames};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use crate::client::first_link;
use crate::dial::{Endpoints, Link};
use crate::error::ClientError;

/// How long the node may look for a leader before it is asked for what it has. Units:
/// milliseconds.
const BARRIER_MS_MAX: u64 = 2_000;

pub(super) struct Line {
    link: Link,
    frames: Frames,
    newest_id: u64,
    /// How long each request may take.
    within: Duration,
}

impl Line {
    /// Connects to the first endpoint at which a node answers.
    pub(super) async fn open(endpoints: &[String], within: Duration) -> Result<Self, ClientError> {
        let mut endpoints = Endpoints::new(endpoints.to_vec())?;
        let link = first_link(&mut endpoints, Instant::now() + within).await?;
        Ok(Self { link, frames: Frames::new(CLIENT_FRAME_BYTES_MAX), newest_id: 0, within })
    }

    /// Where the node is.
    pub(super) fn address(&self) -> &str {
        &self.link.address
    }

    /// Asks, and hands the answer's frame on; [`reply`] reads it.
    ///
    /// Errors: `NoQuorum` if none comes in time, or the connection ends.
    pub(super) async fn ask(&mut self, op: Op<'_>) -> Result<Bytes, ClientError> {
        let silent = ClientError::NoQuorum { endpoint: self.link.address.clone(), last: None };
        let within = self.within;
        timeout(within, self.exchange(op)).await.ok().flatten().ok_or(silent)
    }

    async fn exchange(&mut self, op: Op<'_>) -> Option<Bytes> {
        self.newest_id += 1;
        let id = self.newest_id;
        let mut output = BytesMut::new();
        Request { id, op }.encode(&mut output).ok()?;
        self.link.stream.write_all(&output).await.ok()?;
        loop {
            while let Some(frame) = self.frames.next(&mut self.link.input).ok()? {
                let frame = Bytes::from(frame);
                if Response::decode(&frame).ok()?.id == id {
                    return Some(frame);
                }
            }
            if self.link.stream.read_buf(&mut self.link.input).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Waits until the node has everything that was answered before; false if nobody leads.
    pub(super) async fn is_current(&mut self) -> bool {
        let mut query = BytesMut::new();
        Query::Leases { from: u64::MAX }.encode(&mut query);
        let answer = self.ask(Op::Read { timeout_ms: BARRIER_MS_MAX, body: &query }).await;
        answer.is_ok_and(|frame| matches!(reply(&frame), Ok(Reply::Answer(_))))
    }

    pub(super) async fn status(&mut self) -> Result<NodeStatus, ClientError> {
        let frame = self.ask(Op::Status).await?;
        match reply(&frame)? {
            Reply::Status(status) => Ok(*status),
            other => Err(refused(self.address(), &other)),
        }
    }
}

/// The reply in a frame.
pub(super) fn reply(frame: &Bytes) -> Result<Reply<'_>, ClientError> {
    Response::decode(frame).map(|response| response.reply).map_err(|_| ClientError::nonsense())
}

/// What a reply says that is no answer.
pub(super) fn refused(address: &str, reply: &Reply<'_>) -> ClientError {
    match reply {
        Reply::Refused(refusal) => {
            ClientError::NoQuorum { endpoint: address.to_owned(), last: Some(*refusal) }
        }
        Reply::Malformed(text) => ClientError::rejected(text),
        _ => ClientError::nonsense(),
    }
}

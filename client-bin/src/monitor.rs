//! The values by which nodes describe themselves while they run (`docs/monitor.md`).

use std::time::Duration;

use bytes::BytesMut;
use raft_net::client_protocol::{Op, Reply, Request, Response};
use raft_net::frame::{CLIENT_FRAME_BYTES_MAX, Frames};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep, timeout};

use crate::back_off::pause;
use crate::client::first_link;
use crate::dial::{Endpoints, Link};
use crate::error::ClientError;
use crate::exchange::exchange;

pub use raft_net::client_protocol::{
    MonitorAnswer, MonitorEntry, MonitorError, MonitorPart, MonitorRequest, MonitorValue,
};

/// How long a node waits for others, of the time that it has.
const SHARE: u32 = 2;

/// As many connections in a row may end without an answer: a program that does not know the
/// question ends each.
const FAILURES_MAX: u32 = 5;

/// The longest that a node is told to wait for others.
const PATIENCE_MAX: Duration = Duration::from_secs(2);

/// The values at a path and below it, or what came of setting them.
///
/// Errors: as for a get; what a node has to say against it is in its part of the answer.
pub async fn monitor(
    endpoints: &[String],
    request: MonitorRequest,
    within: Duration,
) -> Result<MonitorAnswer, ClientError> {
    let deadline = Instant::now() + within;
    let mut known = Endpoints::new(endpoints.to_vec())?;
    let link = first_link(&mut known, deadline).await?;
    let endpoint = link.address.clone();
    let op = Op::Monitor(Box::new(with_patience(request, within)));
    let left = deadline.saturating_duration_since(Instant::now());
    let silent = || ClientError::NoQuorum { endpoint: endpoint.clone(), last: None };
    timeout(left, exchange(link, op, |reply| Some(read(reply, &endpoint))))
        .await
        .ok()
        .flatten()
        .ok_or_else(silent)?
}

fn with_patience(request: MonitorRequest, within: Duration) -> MonitorRequest {
    let patience = (within / SHARE).min(PATIENCE_MAX);
    let timeout_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX).max(1);
    MonitorRequest { timeout_ms, ..request }
}

fn read(reply: &Reply<'_>, endpoint: &str) -> Result<MonitorAnswer, ClientError> {
    match reply {
        Reply::Monitored(answer) => Ok((**answer).clone()),
        Reply::Refused(refusal) => {
            Err(ClientError::NoQuorum { endpoint: endpoint.to_owned(), last: Some(*refusal) })
        }
        Reply::Malformed(text) => Err(ClientError::rejected(text)),
        _ => Err(ClientError::nonsense()),
    }
}

/// Values that are told again and again, or lines of a log as they come.
///
/// When the connection is lost it goes on through another node; of a log no line that is still
/// there is lost or shown twice by that.
#[derive(Debug)]
pub struct MonitorWatch {
    endpoints: Endpoints,
    request: MonitorRequest,
    patience: Duration,
    open: Option<(Link, Frames)>,
    /// Connections in a row that ended without an answer.
    failures: u32,
}

impl MonitorWatch {
    /// Watches what the request is about, at its interval; nothing is sent before `next`.
    ///
    /// Errors: `Rejected` if an endpoint is no address.
    pub fn new(
        endpoints: &[String],
        request: MonitorRequest,
        patience: Duration,
    ) -> Result<Self, ClientError> {
        let endpoints = Endpoints::new(endpoints.to_vec())?;
        Ok(Self {
            endpoints,
            request: with_patience(request, patience),
            patience,
            open: None,
            failures: 0,
        })
    }

    /// What comes next.
    ///
    /// Errors: as for [`monitor`]; after one the watch is of no more use.
    pub async fn next(&mut self) -> Result<MonitorAnswer, ClientError> {
        loop {
            if self.open.is_none() {
                self.begin().await?;
            }
            match self.hear().await {
                Some(answer) => {
                    let answer = answer?;
                    self.failures = 0;
                    self.note(&answer);
                    return Ok(answer);
                }
                None => {
                    let endpoint = self.open.take().map(|(link, _)| link.address);
                    self.failures += 1;
                    if FAILURES_MAX < self.failures {
                        let endpoint = endpoint.unwrap_or_default();
                        return Err(ClientError::NoQuorum { endpoint, last: None });
                    }
                    sleep(pause(self.failures)).await;
                }
            }
        }
    }

    async fn begin(&mut self) -> Result<(), ClientError> {
        let deadline = Instant::now() + self.patience;
        let mut link = first_link(&mut self.endpoints, deadline).await?;
        let mut output = BytesMut::new();
        let op = Op::Monitor(Box::new(self.request.clone()));
        let request = Request { id: 1, op };
        request.encode(&mut output).map_err(|error| ClientError::rejected(&error.to_string()))?;
        if link.stream.write_all(&output).await.is_err() {
            self.endpoints.failed(&link.address, None, Instant::now());
        }
        self.open = Some((link, Frames::new(CLIENT_FRAME_BYTES_MAX)));
        Ok(())
    }

    /// The next answer on the connection; `None` when it has ended.
    async fn hear(&mut self) -> Option<Result<MonitorAnswer, ClientError>> {
        let (link, frames) = self.open.as_mut()?;
        loop {
            match frames.next(&mut link.input) {
                Ok(Some(frame)) => {
                    let read = Response::decode(&frame)
                        .map_err(|_| ClientError::nonsense())
                        .and_then(|response| read(&response.reply, &link.address));
                    return Some(read);
                }
                Ok(None) => {}
                Err(_) => return None,
            }
            if link.stream.read_buf(&mut link.input).await.unwrap_or(0) == 0 {
                self.endpoints.failed(&link.address, None, Instant::now());
                return None;
            }
        }
    }

    /// Notes how far it is, for another connection.
    fn note(&mut self, answer: &MonitorAnswer) {
        for part in answer.parts.iter().filter(|part| part.lines_seen != 0) {
            self.request.lines_seen.retain(|(id, _)| *id != part.node_id);
            self.request.lines_seen.push((part.node_id, part.lines_seen));
        }
    }
}

//! The requests of a client that are not finished, and what becomes of each.
//!
//! Decides everything and touches no socket and no clock. A write is sent under one serial
//! however often; it is "in doubt" from the moment an attempt ended without saying that nothing
//! was done, and a write in doubt can only end in an answer or in `Unknown`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use raft_core::entry::{ClientId, SessionStamp};
use raft_core::replica::event::{Refusal, SessionRefusal};
use raft_net::client_protocol::{LocalAnswer, Op, Reply, Request, Response};
use raft_net::member_change::MemberChange;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::back_off::pause;
use crate::error::ClientError;
use crate::request_id::RequestId;
use crate::session::Session;

/// Requests of one client that are not finished; further callers wait until one is.
pub(crate) const IN_FLIGHT_MAX: usize = 1024;

/// How long a node may try to serve a request before the client tries another one.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(500);

/// A connection on which requests wait and nothing has arrived for this long is given up:
/// longer than a node takes to say that it cannot serve an attempt.
pub(crate) const SILENCE_MAX: Duration = Duration::from_millis(700);

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// A command.
    Write(Bytes),
    /// A query.
    Read(Bytes),
    /// A query to the state of the node that is asked.
    ReadLocally(Bytes),
    /// A change of the members, made once like a command.
    Change(MemberChange),
    /// A message on a channel, which is told at most once.
    Publish {
        /// The channel.
        channel: Bytes,
        /// The message.
        message: Bytes,
    },
    /// A command that may as well be done twice. It has no session, so that nodes can let it share
    /// an entry of the log with others.
    Repeatable(Bytes),
}

impl Work {
    /// Whether it matters if it is done twice, or after its caller was told that it was not.
    fn has_effects(&self) -> bool {
        match self {
            Self::Write(_) | Self::Change(_) | Self::Publish { .. } => true,
            Self::Read(_) | Self::ReadLocally(_) | Self::Repeatable(_) => false,
        }
    }

    /// What an answer that makes no sense says.
    fn senseless(&self) -> ClientError {
        if self.has_effects() { ClientError::Unknown } else { ClientError::nonsense() }
    }
}

/// What the cluster answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// The state machine's answer.
    Body(Bytes),
    /// The state machine's answer to a local read.
    Local(Bytes, Staleness),
    /// The change is made, and these were added.
    Changed(Vec<u64>),
    /// The message was told to so many at the node.
    Published(u64),
}

/// How old the state may be that a local read was answered from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Staleness {
    /// The last entry of the log that it has applied.
    pub applied_index: u64,
    /// How long ago the node last heard of a leader, or of a majority if it leads itself; `None`
    /// if it never did since it started. What was written later is missing, and of what was
    /// written before perhaps something.
    pub contact_age: Option<Duration>,
}

impl Staleness {
    /// What is true of both.
    pub(crate) fn worse(self, other: Self) -> Self {
        let age = self.contact_age.zip(other.contact_age).map(|(one, two)| one.max(two));
        Self { applied_index: self.applied_index.min(other.applied_index), contact_age: age }
    }
}

/// One request of a caller.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) work: Work,
    /// The name under which it is sent if it has effects; otherwise the client's session has one.
    pub(crate) request_id: Option<RequestId>,
    pub(crate) deadline: Instant,
    /// Takes the answer. The caller may have gone away.
    pub(crate) reply: oneshot::Sender<Result<Answered, ClientError>>,
}

/// What a response says about the connection that it came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// All is well.
    Stay,
    /// This node could not serve a request: another one might.
    TryAnother,
    /// The next connection must bring a new client id.
    NewSession,
}

#[derive(Debug)]
struct Pending {
    work: Work,
    deadline: Instant,
    reply: oneshot::Sender<Result<Answered, ClientError>>,
    /// Once sent, a write keeps its client id and serial.
    stamp: Option<SessionStamp>,
    /// Whether the caller has chosen them.
    is_named: bool,
    in_doubt: bool,
    is_sent: bool,
    attempts: u32,
    /// What the last node said that could not serve it.
    last: Option<Refusal>,
}

/// All requests of a client.
#[derive(Debug)]
pub(crate) struct Requests {
    newest_id: u64,
    pending: BTreeMap<u64, Pending>,
    /// To be sent, in this order.
    due: VecDeque<u64>,
    /// To be sent at this time.
    paused: BTreeSet<(Instant, u64)>,
    deadlines: BTreeSet<(Instant, u64)>,
    sent: usize,
    /// While requests are out: the last sign of life.
    heard_at: Instant,
    session: Session,
    needs_session: bool,
}

impl Requests {
    pub(crate) fn new(client: ClientId, now: Instant) -> Self {
        Self {
            newest_id: 0,
            pending: BTreeMap::new(),
            due: VecDeque::new(),
            paused: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            sent: 0,
            heard_at: now,
            session: Session::new(client),
            needs_session: false,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.pending.len() < IN_FLIGHT_MAX
    }

    /// How many are out on the connection.
    pub(crate) fn sent(&self) -> usize {
        self.sent
    }

    /// Takes a request; it is sent by the next `encode_due`.
    pub(crate) fn submit(&mut self, ask: Ask) {
        self.newest_id += 1;
        let Ask { work, request_id, deadline, reply } = ask;
        let pending = Pending {
            work,
            deadline,
            reply,
            stamp: request_id.map(RequestId::stamp),
            is_named: request_id.is_some(),
            in_doubt: false,
            is_sent: false,
            attempts: 0,
            last: None,
        };
        self.pending.insert(self.newest_id, pending);
        self.deadlines.insert((deadline, self.newest_id));
        self.due.push_back(self.newest_id);
    }

    /// Notes a fresh connection with the client id that its hello brought.
    pub(crate) fn connected(&mut self, client: ClientId, now: Instant) {
        self.heard_at = now;
        if std::mem::take(&mut self.needs_session) {
            self.session = Session::new(client);
        }
    }

    /// Appends every request that is due to `output`. Writes above the session's window wait.
    pub(crate) fn encode_due(&mut self, now: Instant, output: &mut BytesMut) {
        while let Some((at, id)) = self.paused.first().copied()
            && at <= now
        {
            self.paused.remove(&(at, id));
            self.due.push_back(id);
        }
        if self.due.is_empty() {
            return;
        }
        let is_first = self.sent == 0;
        for id in std::mem::take(&mut self.due) {
            let Some(pending) = self.pending.get_mut(&id) else { continue };
            let Some(op) = prepare(pending, &mut self.session, now) else {
                self.due.push_back(id);
                continue;
            };
            let encoded = Request { id, op }.encode(output);
            match encoded {
                Ok(()) => {
                    pending.is_sent = true;
                    self.sent += 1;
                }
                Err(error) => self.finish(id, Err(ClientError::Rejected(error.to_string()))),
            }
        }
        if is_first {
            self.heard_at = now;
        }
    }

    /// Takes a response. `frame` is what it was read from.
    pub(crate) fn answered(
        &mut self,
        response: &Response<'_>,
        frame: &Bytes,
        now: Instant,
    ) -> Advice {
        self.heard_at = now;
        let id = response.id;
        // The caller may have been told already that its time is over.
        let Some(pending) = self.pending.get_mut(&id).filter(|pending| pending.is_sent) else {
            return Advice::Stay;
        };
        let result = match &response.reply {
            Reply::Answer(body) => Ok(Answered::Body(frame.slice_ref(body))),
            Reply::Local(LocalAnswer { body, applied_index, contact_age_ms }) => {
                let staleness = Staleness {
                    applied_index: *applied_index,
                    contact_age: contact_age_ms.map(Duration::from_millis),
                };
                Ok(Answered::Local(frame.slice_ref(body), staleness))
            }
            Reply::Changed(added) => Ok(Answered::Changed(added.clone())),
            Reply::Published(count) => Ok(Answered::Published(*count)),
            Reply::ChangeRefused(refused) => Err(ClientError::ChangeRefused(refused.clone())),
            Reply::Malformed(text) => Err(ClientError::rejected(text)),
            Reply::Refused(Refusal::TooLarge) => {
                Err(ClientError::Rejected("the command is longer than an entry may be".into()))
            }
            Reply::Refused(refusal) => {
                pending.in_doubt |= *refusal == Refusal::Unknown;
                pending.last = Some(*refusal);
                self.retry(id, now);
                return Advice::TryAnother;
            }
            // Its caller chose the name, and is told what became of it.
            Reply::Session(refusal) if pending.is_named => Err(match pending.in_doubt {
                // An earlier attempt of now may have been executed, or be yet.
                true => ClientError::Unknown,
                false => ClientError::Session(*refusal),
            }),
            // It has room as soon as earlier answers are acknowledged, which asking again does.
            Reply::Session(SessionRefusal::WindowExceeded) => {
                self.retry(id, now);
                return Advice::Stay;
            }
            Reply::Session(SessionRefusal::SessionExpired) if !pending.in_doubt => {
                // No earlier attempt can have been executed, and this one was not.
                pending.stamp = None;
                self.needs_session = true;
                self.retry(id, now);
                return Advice::NewSession;
            }
            // Forgotten is not "not executed", and the other words are never true of a serial
            // that is still open here. Nobody asks for a status or a watch under such an id.
            _ => Err(pending.work.senseless()),
        };
        self.finish(id, result);
        Advice::Stay
    }

    /// Notes that the connection is gone: what was out goes out again, messages on channels
    /// apart, and writes among it are in doubt.
    pub(crate) fn lost(&mut self) {
        let mut published = Vec::new();
        for (id, pending) in &mut self.pending {
            if std::mem::take(&mut pending.is_sent) {
                pending.in_doubt = true;
                match pending.work {
                    // Nobody could tell a second one from the first.
                    Work::Publish { .. } => published.push(*id),
                    _ => self.due.push_back(*id),
                }
            }
        }
        self.sent = 0;
        published.into_iter().for_each(|id| self.finish(id, Err(ClientError::Unknown)));
        // In the order in which they were asked for.
        self.due.make_contiguous().sort_unstable();
    }

    /// Finishes every request whose time is over. `absence` says what to tell those of which
    /// nothing is in doubt, given what a node has said to them.
    pub(crate) fn expire(
        &mut self,
        now: Instant,
        absence: impl Fn(Option<Refusal>) -> ClientError,
    ) {
        while let Some((deadline, id)) = self.deadlines.first().copied()
            && deadline <= now
        {
            let pending = self.pending.get(&id).expect("a deadline belongs to a request");
            let is_in_doubt = pending.in_doubt || pending.is_sent;
            let error = if pending.work.has_effects() && is_in_doubt {
                ClientError::Unknown
            } else {
                absence(pending.last)
            };
            self.finish(id, Err(error));
        }
    }

    /// Whether the connection gives no sign of life although it should.
    pub(crate) fn is_silent(&self, now: Instant) -> bool {
        0 < self.sent && self.heard_at + SILENCE_MAX <= now
    }

    /// When something expires next: a request, or the patience with the connection.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let silence = (0 < self.sent).then_some(self.heard_at + SILENCE_MAX);
        let deadline = self.deadlines.first().map(|(at, _)| *at);
        [silence, deadline].into_iter().flatten().min()
    }

    /// When a request that waits is to be sent next.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.paused.first().map(|(at, _)| *at)
    }

    fn retry(&mut self, id: u64, now: Instant) {
        let pending = self.pending.get_mut(&id).expect("a request that is answered is pending");
        pending.is_sent = false;
        pending.attempts += 1;
        self.sent -= 1;
        self.paused.insert((now + pause(pending.attempts), id));
    }

    fn finish(&mut self, id: u64, result: Result<Answered, ClientError>) {
        let Some(pending) = self.pending.remove(&id) else { return };
        self.deadlines.remove(&(pending.deadline, id));
        self.paused.retain(|(_, paused)| *paused != id);
        self.sent -= usize::from(pending.is_sent);
        if let Some(stamp) = pending.stamp.filter(|_| !pending.is_named)
            && stamp.client == self.session.client()
        {
            self.session.close(stamp.serial);
        }
        // A caller that went away does not mind.
        let _ = pending.reply.send(result);
    }
}

/// The operation to send, or nothing if the session's window is full.
fn prepare<'p>(pending: &'p mut Pending, session: &mut Session, now: Instant) -> Option<Op<'p>> {
    let left = pending.deadline.saturating_duration_since(now).min(ATTEMPT_TIMEOUT);
    let timeout_ms = u64::try_from(left.as_millis()).expect("an attempt is short").max(1);
    let stamp = &mut pending.stamp;
    let session = if pending.is_named { None } else { Some(session) };
    Some(match &pending.work {
        Work::Read(body) => Op::Read { timeout_ms, body },
        Work::ReadLocally(body) => Op::ReadLocally { body },
        Work::Publish { channel, message } => Op::Publish { channel, message },
        Work::Repeatable(body) => Op::Write { session: SessionStamp::default(), timeout_ms, body },
        Work::Write(body) => Op::Write { session: stamped(stamp, session)?, timeout_ms, body },
        Work::Change(change) => {
            let session = stamped(stamp, session)?;
            Op::Change { session, timeout_ms, change: Box::new(change.clone()) }
        }
    })
}

/// The session's word on a request with effects, or nothing if its window is full.
fn stamped(
    known: &mut Option<SessionStamp>,
    session: Option<&mut Session>,
) -> Option<SessionStamp> {
    // The caller's name for it stays as it is.
    let Some(session) = session else { return *known };
    let stamp = match *known {
        // A new session has replaced this write's; its old floor is still true.
        Some(stamp) if stamp.client != session.client() => stamp,
        Some(stamp) => session.stamp(stamp.serial),
        None => {
            let serial = session.open()?;
            session.stamp(serial)
        }
    };
    *known = Some(stamp);
    Some(stamp)
}

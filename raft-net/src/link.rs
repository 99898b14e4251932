//! One link to one peer: dial, write, notice the end, dial again.
//!
//! A link writes only; what the peer has to say comes on the links that it opens itself. Its
//! owner is Network, which passes on what the link's tasks report.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::BytesMut;
use raft_core::consensus::message::Envelope;
use raft_core::types::NodeId;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, error, info, warn};

use crate::back_off::{BACK_OFF_MAX, BackOff};
use crate::frame::{Frames, PREFACE_FRAME_BYTES_MAX};
use crate::handshake::{self, Identity, Takes};
use crate::inquiry::{self, Inquiry};
use crate::outbox::{Flushed, Outbox, Writable};
use crate::peer_codec;
use crate::preface::{Greeting, LinkClass};
use crate::publication::Counted;
use crate::stream::{ByteStream, ReadHalf, Transport};
use crate::task::Task;

/// How much may wait for a control link; what does not fit is dropped. Units: bytes.
pub const CONTROL_OUTBOX_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How much may wait for a bulk link; what does not fit is dropped. Units: bytes.
pub const BULK_OUTBOX_BYTES_MAX: usize = 64 * 1024 * 1024;

/// With so much waiting for a bulk link it takes no messages on channels: they are dropped.
/// Units: bytes.
pub const CHANNELS_OUTBOX_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How many failures are told apart.
const COMPLAINTS_MAX: usize = 4;

/// How long one attempt may take to find the address and be connected.
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);

/// How long the handshake may take.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(2);

/// What a link's task reports to the owner of the link.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct LinkMoved {
    /// The link.
    pub(crate) link: u64,
    /// The step that the report belongs to; a report of an earlier one is stale.
    pub(crate) step: u64,
    /// The report.
    pub(crate) what: Moved,
}

/// How a step of a link ended.
pub(crate) enum Moved {
    /// The pause is over.
    RetryDue,
    /// The peer let us in.
    Opened(Opened),
    /// The attempt came to nothing.
    Failed(Failure),
    /// A connection that stood has ended.
    Ended(String),
    /// The peer has thought better of letting us in.
    SentAway(Failure),
}

/// A connection to a peer that let us in.
pub(crate) struct Opened {
    stream: Box<dyn ByteStream>,
    read: BytesMut,
    takes: Takes,
}

/// Why an attempt came to nothing.
pub(crate) struct Failure {
    reason: String,
    needs_a_person: bool,
}

/// What all links of a node have in common.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) identity: Arc<Identity>,
    pub(crate) transport: Transport,
    pub(crate) moved: Recipient<LinkMoved>,
    pub(crate) writable: Recipient<Writable>,
}

/// Where a link leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) peer: NodeId,
    pub(crate) class: LinkClass,
    pub(crate) address: String,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self.class {
            LinkClass::Control => "control",
            LinkClass::Bulk => "bulk",
        };
        write!(f, "n{} at {} ({class})", self.peer, self.address)
    }
}

/// A link.
pub(crate) struct Link {
    id: u64,
    target: Target,
    around: Surroundings,
    step: u64,
    state: State,
    back_off: BackOff,
    /// The failures that were logged since it worked last: the next one is news only if it
    /// differs from them.
    complaints: Vec<String>,
}

/// Each state holds the task that will move the link on.
enum State {
    Waiting { _pause: Task },
    Dialling { _dial: Task },
    Up(Established),
}

struct Established {
    outbox: Outbox,
    since: Instant,
    /// Messages dropped since the outbox was last empty.
    dropped: u64,
    /// The same of messages on channels.
    dropped_publications: u64,
    takes: Takes,
    _watch: Task,
}

impl Link {
    /// A link that dials at once. `id` tells it apart from every other link of the node.
    pub(crate) fn start(id: u64, target: Target, around: Surroundings) -> Self {
        let state = State::Dialling { _dial: dial(id, 0, &target, &around) };
        Self {
            id,
            target,
            around,
            step: 0,
            state,
            back_off: BackOff::random(),
            complaints: Vec::new(),
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Appends an envelope to the outbox. Without a connection, or without room, it is dropped:
    /// Raft repeats what matters.
    pub(crate) fn push(&mut self, envelope: &Envelope) {
        let State::Up(established) = &mut self.state else { return };
        let outbox = &mut established.outbox;
        let queued_bytes = outbox.queued_bytes();
        if let Err(error) = peer_codec::put(outbox.output(), envelope) {
            error!("cannot send {} to {}: {error}", envelope.message.name(), self.target);
            return;
        }
        // Into an empty outbox goes anything, or a long frame would never pass.
        if queued_bytes != 0 && outbox.is_over_limit() {
            outbox.output().truncate(queued_bytes);
            if established.dropped == 0 {
                warn!("{} reads too slowly; dropping messages until it has caught up", self.target);
            }
            established.dropped += 1;
        }
    }

    /// Appends messages on channels, if the peer takes them. Without a connection, or without
    /// room, they are dropped: they are sent at most once.
    pub(crate) fn spread(&mut self, (frame, count): &Counted) {
        let State::Up(established) = &mut self.state else { return };
        if !established.takes.channels {
            return;
        }
        let queued_bytes = established.outbox.queued_bytes();
        if queued_bytes == 0 || queued_bytes + frame.len() <= CHANNELS_OUTBOX_BYTES_MAX {
            established.outbox.push(frame);
            return;
        }
        if established.dropped_publications == 0 {
            warn!("{} reads too slowly; dropping messages on channels", self.target);
        }
        established.dropped_publications += count;
    }

    /// Appends a question or an answer, if the peer knows them. Without a connection, or while
    /// the peer reads too slowly, it is dropped. Returns why it was.
    pub(crate) fn inquire(&mut self, inquiry: &Inquiry) -> Option<&'static str> {
        let State::Up(established) = &mut self.state else {
            return Some("there is no connection to it");
        };
        if !established.takes.monitor {
            return Some("it is of a version that does not know the question");
        }
        if CHANNELS_OUTBOX_BYTES_MAX < established.outbox.queued_bytes() {
            return Some("it reads too slowly");
        }
        if let Err(error) = inquiry::put(established.outbox.output(), inquiry) {
            error!("cannot answer {}: {error}", self.target);
            return Some("the words are too long");
        }
        None
    }

    /// Writes what waits, as far as the socket takes it.
    pub(crate) fn flush(&mut self) {
        let State::Up(established) = &mut self.state else { return };
        match established.outbox.flush() {
            Ok(Flushed::Waiting) => (),
            Ok(Flushed::Everything) => {
                if established.dropped != 0 {
                    let dropped = std::mem::take(&mut established.dropped);
                    info!("{} reads again; {dropped} messages were dropped", self.target);
                }
                if established.dropped_publications != 0 {
                    let dropped = std::mem::take(&mut established.dropped_publications);
                    let target = &self.target;
                    info!("{target} reads again; {dropped} messages on channels were dropped");
                }
            }
            Err(error) => self.end(&error.to_string()),
        }
    }

    /// Follows a report of its own task.
    pub(crate) fn moved(&mut self, step: u64, what: Moved) {
        if step != self.step {
            return;
        }
        match what {
            Moved::RetryDue => self.dial(),
            Moved::Opened(opened) => self.establish(opened),
            Moved::Failed(failure) => self.fail(failure),
            Moved::Ended(reason) => self.end(&reason),
            Moved::SentAway(failure) => self.fail(failure),
        }
    }

    /// Hears that the peer has just connected to this node: it is there, so waiting is over.
    pub(crate) fn peer_is_there(&mut self) {
        match self.state {
            State::Waiting { .. } => self.dial(),
            // An attempt under way is left alone: two nodes that start at the same moment
            // would otherwise cut each other's handshakes short.
            State::Dialling { .. } | State::Up(_) => (),
        }
    }

    /// Whether the last attempt came to nothing and the next one is due later.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    /// Will try at another address from the next attempt on.
    pub(crate) fn turn_to(&mut self, address: String) {
        self.target.address = address;
    }

    fn dial(&mut self) {
        self.step += 1;
        let dial = dial(self.id, self.step, &self.target, &self.around);
        self.state = State::Dialling { _dial: dial };
    }

    fn establish(&mut self, Opened { stream, read, takes }: Opened) {
        self.step += 1;
        info!("connected to {}", self.target);
        let (reading, writing) = stream.split();
        let limit_bytes = match self.target.class {
            LinkClass::Control => CONTROL_OUTBOX_BYTES_MAX,
            LinkClass::Bulk => BULK_OUTBOX_BYTES_MAX,
        };
        // The number of the link, not of the connection: a late `Writable` of an earlier
        // connection makes this one flush once for nothing.
        let outbox = Outbox::new(self.id, writing, limit_bytes, self.around.writable.clone());
        let (link, step, to) = (self.id, self.step, self.around.moved.clone());
        let watch = Task::spawn(async move {
            let what = watch(reading, read).await;
            to.do_send(LinkMoved { link, step, what });
        });
        let since = Instant::now();
        self.state = State::Up(Established {
            outbox,
            since,
            dropped: 0,
            dropped_publications: 0,
            takes,
            _watch: watch,
        });
    }

    fn end(&mut self, reason: &str) {
        info!("lost {}: {reason}", self.target);
        if let State::Up(established) = &self.state {
            // A link that falls as soon as it stands has not worked; without this, two nodes
            // that disagree after the handshake would spin.
            if BACK_OFF_MAX <= established.since.elapsed() {
                self.back_off.reset();
                self.complaints.clear();
            }
        }
        self.pause();
    }

    fn fail(&mut self, failure: Failure) {
        let Failure { reason, needs_a_person } = failure;
        if needs_a_person {
            self.back_off.exhaust();
        }
        let complaint = format!("{} at {}", reason, self.target.address);
        if !self.complaints.contains(&complaint) {
            match (self.target.class, needs_a_person) {
                // The control link says the same.
                (LinkClass::Bulk, _) => debug!("cannot reach {}: {reason}", self.target),
                (LinkClass::Control, true) => warn!("cannot join {}: {reason}", self.target),
                (LinkClass::Control, false) => {
                    info!("cannot reach {}: {reason}; trying again", self.target);
                }
            }
            if self.complaints.len() == COMPLAINTS_MAX {
                self.complaints.remove(0);
            }
            self.complaints.push(complaint);
        }
        self.pause();
    }

    fn pause(&mut self) {
        self.step += 1;
        let (link, step, to) = (self.id, self.step, self.around.moved.clone());
        let delay = self.back_off.next_delay();
        let pause = Task::spawn(async move {
            sleep(delay).await;
            to.do_send(LinkMoved { link, step, what: Moved::RetryDue });
        });
        self.state = State::Waiting { _pause: pause };
    }
}

fn dial(link: u64, step: u64, target: &Target, around: &Surroundings) -> Task {
    let (target, around) = (target.clone(), around.clone());
    Task::spawn(async move {
        let what = match open(&target, &around).await {
            Ok(opened) => Moved::Opened(opened),
            Err(failure) => Moved::Failed(failure),
        };
        around.moved.do_send(LinkMoved { link, step, what });
    })
}

async fn open(target: &Target, around: &Surroundings) -> Result<Opened, Failure> {
    let no_answer = |what: &str| Failure { reason: format!("no {what}"), needs_a_person: false };
    let mut stream = timeout(CONNECT_DEADLINE, around.transport.connect(&target.address))
        .await
        .map_err(|_| no_answer("connection within a second"))?
        .map_err(|error| Failure { reason: error.to_string(), needs_a_person: false })?;
    let handshake = handshake::open(&mut stream, &around.identity, target.peer, target.class);
    let (read, takes) = timeout(HANDSHAKE_DEADLINE, handshake)
        .await
        .map_err(|_| no_answer("answer to the handshake within two seconds"))?
        .map_err(|error| Failure {
            reason: error.to_string(),
            needs_a_person: error.needs_a_person(),
        })?;
    Ok(Opened { stream, read, takes })
}

/// Reads until the peer closes the connection. All that it may say is why it does.
async fn watch(mut stream: ReadHalf, mut read: BytesMut) -> Moved {
    let mut frames = Frames::new(PREFACE_FRAME_BYTES_MAX);
    loop {
        match frames.next(&mut read).map(|frame| frame.map(|it| Greeting::decode(&it))) {
            Ok(None) => (),
            Ok(Some(Ok(Greeting::Refused(refused)))) => {
                let reason = format!("refused by the other end: {refused}");
                return Moved::SentAway(Failure { reason, needs_a_person: true });
            }
            Ok(Some(_)) | Err(_) => {
                return Moved::Ended("it speaks where it should listen".to_owned());
            }
        }
        match stream.read_buf(&mut read).await {
            Ok(0) => return Moved::Ended("closed by the other end".to_owned()),
            Ok(_) => (),
            Err(error) => return Moved::Ended(error.to_string()),
        }
    }
}

//! The native client protocol: requests and responses, matched by id.
//!
//! After its preface a client receives a [`Hello`] and may then send any number of requests
//! without waiting; responses come in any order. What a body says is between the client and
//! the state machine. `docs/wire.md` describes every field for foreign clients.

mod codes;
mod monitor;
mod plain;
pub mod playground;
mod snapshot;
mod status;
mod time_scale;

use std::borrow::Cow;

use bytes::BytesMut;
use raft_core::configuration::ChangeRefusal;
use raft_core::entry::{ClientId, SessionStamp};
use raft_core::replica::event::{Refusal, SessionRefusal};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use self::codes::{refusal_code, session_refusal_code};
pub use self::monitor::{
    MonitorAnswer, MonitorEntry, MonitorError, MonitorPart, MonitorRequest, MonitorValue,
};
use self::playground::{PlayOrder, Played};
pub use self::snapshot::{PIECE_BYTES_MAX, PieceWanted, SnapshotName};
pub use self::status::{KEPT_LEARNER, LEARNER, NodeStatus, OUTGOING, VOTER};
use crate::frame::{self, CLIENT_FRAME_BYTES_MAX, FrameError};
use crate::member_change::MemberChange;

/// A node's answer to a client whose preface it accepts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version that both ends speak from here on.
    pub version: u16,
    /// The cluster.
    pub cluster_id: u64,
    /// The node.
    pub node_id: u64,
    /// A fresh id, never handed out before, for the client's session.
    pub client: ClientId,
    /// The node that leads, as far as this one knows. A hint: every node takes every request.
    pub leader: Option<u64>,
}

/// What a client asks for. Borrows the bodies from the frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request<'a> {
    /// Chosen by the client; the response carries it. Must differ from the ids of the requests
    /// that are not answered yet.
    pub id: u64,
    /// What to do.
    #[serde(borrow)]
    pub op: Op<'a>,
}

/// What a client may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op<'a> {
    /// Replicate a command and answer with what it did.
    #[serde(rename = "w")]
    Write {
        /// Which write of which client it is. Serial 0 is "none": the node uses a session of
        /// its own, and a client that repeats the write may see it happen twice.
        session: SessionStamp,
        /// How long the client waits. Units: milliseconds.
        timeout_ms: u64,
        /// The command.
        #[serde(with = "serde_bytes")]
        body: &'a [u8],
    },
    /// Answer a query from a state that contains every write answered before it was asked.
    #[serde(rename = "r")]
    Read {
        /// How long the client waits. Units: milliseconds.
        timeout_ms: u64,
        /// The query.
        #[serde(with = "serde_bytes")]
        body: &'a [u8],
    },
    /// Describe this node.
    #[serde(rename = "s")]
    Status,
    /// Name the newest snapshot of this node, and see to it that there will be one that covers an
    /// entry, if that is applied here. Asked again and again until there is.
    #[serde(rename = "b")]
    Snapshot {
        /// The index of the entry.
        covers: u64,
    },
    /// Send some bytes of a snapshot; one such request at a time on a connection.
    #[serde(rename = "B")]
    SnapshotPiece(Box<PieceWanted>),
    /// Tell or set values of the monitor, of this node or of others. A watch of them stays open,
    /// under its id, until it is answered with anything but [`Reply::Monitored`].
    #[serde(rename = "mon")]
    Monitor(Box<MonitorRequest>),
    /// Change who is in the cluster.
    #[serde(rename = "c")]
    Change {
        /// Which write of which client it is, as for a write.
        session: SessionStamp,
        /// How long the client waits. Units: milliseconds.
        timeout_ms: u64,
        /// What is to be different. Elsewhere, so that every request is no longer for it.
        change: Box<MemberChange>,
    },
    /// Hand leadership over.
    #[serde(rename = "t")]
    Transfer {
        /// How long the client waits. Units: milliseconds.
        timeout_ms: u64,
        /// To which node; to whichever has most if it is not said.
        to: Option<u64>,
    },
    /// Do something to a cluster, or a node, that may be played with. Elsewhere, so that every
    /// request is no longer for it.
    #[serde(rename = "dv")]
    Play(Box<PlayOrder>),
    /// Answer a query at once from the state of the node that is asked, however old it is.
    #[serde(rename = "l")]
    ReadLocally {
        /// The query.
        #[serde(with = "serde_bytes")]
        body: &'a [u8],
    },
    /// Watch what changes. The request stays open, under its id, until it is answered with
    /// anything but [`Reply::Watching`], [`Reply::Events`] and [`Reply::Mark`].
    #[serde(rename = "W")]
    Watch {
        /// The first revision that is to be shown, which may have passed or be yet to come; 0 is
        /// the one after what the node has applied.
        start: u64,
        /// Whether the node is to say from time to time how far an idle watch is.
        marks: bool,
        /// What is to be shown.
        #[serde(with = "serde_bytes")]
        body: &'a [u8],
    },
    /// End the watch, of whatever kind, or the subscription of this id.
    #[serde(rename = "U")]
    Unwatch,
    /// Say how far the watch of this id is, with everything shown that the node has applied now.
    #[serde(rename = "M")]
    Mark,
    /// Tell a message to whoever is subscribed to a channel now, at any node.
    #[serde(rename = "p")]
    Publish {
        /// The channel.
        #[serde(with = "serde_bytes")]
        channel: &'a [u8],
        /// The message.
        #[serde(with = "serde_bytes")]
        message: &'a [u8],
    },
    /// Be told what is published from now on. The request stays open, under its id, until it is
    /// answered with anything but [`Reply::Subscribed`] and [`Reply::Message`].
    #[serde(rename = "S")]
    Subscribe {
        /// The names of channels.
        #[serde(borrow)]
        channels: Vec<&'a serde_bytes::Bytes>,
        /// Patterns of names, as Redis has them.
        #[serde(borrow)]
        patterns: Vec<&'a serde_bytes::Bytes>,
    },
}

/// A node's answer to one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response<'a> {
    /// The id of the request.
    pub id: u64,
    /// The answer.
    #[serde(borrow)]
    pub reply: Reply<'a>,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply<'a> {
    /// The state machine's answer.
    #[serde(rename = "a")]
    Answer(#[serde(with = "serde_bytes")] &'a [u8]),
    /// The session rules decided that the command is not to be executed.
    #[serde(rename = "x")]
    Session(#[serde(with = "session_refusal_code")] SessionRefusal),
    /// Nothing was decided.
    #[serde(rename = "n")]
    Refused(#[serde(with = "refusal_code")] Refusal),
    /// What the node says of itself.
    #[serde(rename = "s")]
    Status(Box<NodeStatus>),
    /// The newest snapshot of the node; `None` if it has none.
    #[serde(rename = "b")]
    Snapshot(Option<Box<SnapshotName>>),
    /// Bytes of a snapshot; `None` if it is not there any more, or ends before them.
    #[serde(rename = "B")]
    SnapshotPiece(#[serde(borrow, with = "serde_bytes")] Option<&'a [u8]>),
    /// Values of the monitor.
    #[serde(rename = "mon")]
    Monitored(Box<MonitorAnswer>),
    /// The request makes no sense; repeating it will not help. Says why.
    #[serde(rename = "m")]
    Malformed(#[serde(borrow)] Cow<'a, str>),
    /// The change of the members is made: the ids of those who were added, in the order of the
    /// request.
    #[serde(rename = "c")]
    Changed(Vec<u64>),
    /// The cluster decided not to make the change.
    #[serde(rename = "d")]
    ChangeRefused(ChangeRefused),
    /// Somebody else leads now, or whoever was named.
    #[serde(rename = "t")]
    Transferred,
    /// What became of something that was to be played.
    #[serde(rename = "dv")]
    Played(Box<Played>),
    /// The answer to a local read.
    #[serde(rename = "l")]
    Local(#[serde(borrow)] LocalAnswer<'a>),
    /// The watch has begun: it will be shown everything after this revision.
    #[serde(rename = "W")]
    Watching(u64),
    /// What happened, for the watch of this id.
    #[serde(rename = "e")]
    Events {
        /// Whether the next words to the watch go on with the last revision in these.
        is_cut: bool,
        /// The state machine's events, of at least one revision.
        #[serde(with = "serde_bytes")]
        body: &'a [u8],
    },
    /// The watch of this id has been shown everything up to this revision.
    #[serde(rename = "M")]
    Mark(u64),
    /// The watch or the subscription of this id is over. Elsewhere, so that every reply is no
    /// longer for it.
    #[serde(rename = "U")]
    Ended(Box<WatchEnded>),
    /// The message was told to so many subscribers at this node, and sent to the other nodes.
    #[serde(rename = "p")]
    Published(u64),
    /// What is published from now on is told.
    #[serde(rename = "S")]
    Subscribed,
    /// A message, for the subscription of this id.
    #[serde(rename = "P")]
    Message {
        /// The pattern by which it comes; `None` if by the name of its channel.
        #[serde(borrow, with = "serde_bytes")]
        pattern: Option<&'a [u8]>,
        /// The channel.
        #[serde(with = "serde_bytes")]
        channel: &'a [u8],
        /// The message.
        #[serde(with = "serde_bytes")]
        message: &'a [u8],
    },
}

/// Why a watch or a subscription is over. Travels as a map, so that later versions may say more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct WatchEnded {
    /// The number of the reason; a client may meet one that it does not know.
    pub why: u8,
    /// The revision that the reason speaks of, 0 if of none.
    pub revision: u64,
    /// The reason, for people.
    pub text: String,
}

impl WatchEnded {
    /// Its client ended it, or speaks of a watch that is not there.
    pub const UNWATCHED: u8 = 1;
    /// What was to be shown next was compacted; `revision` is the oldest that can be shown.
    pub const COMPACTED: u8 = 2;
    /// The connection has left too much unread; another watch may go on at `revision`.
    pub const SLOW: u8 = 3;
    /// `revision` shows more to this watch than can be sent.
    pub const TOO_LARGE: u8 = 4;
    /// The node cannot serve it now; at another one a watch may go on at `revision`.
    pub const NOT_HERE: u8 = 5;
}

/// The answer to a local read, and how old it may be. Travels as a map, so that later versions
/// may say more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LocalAnswer<'a> {
    /// The state machine's answer.
    #[serde(borrow, with = "serde_bytes")]
    pub body: &'a [u8],
    /// The last entry that the state has applied.
    pub applied_index: u64,
    /// How long ago the node last heard of a leader, or of a majority if it leads itself; `None`
    /// if it never did since it started. Units: milliseconds.
    pub contact_age_ms: Option<u64>,
}

/// Why a change of the members is not made. Decided by the leader in the log, so it is the
/// same on every node, and repeating the request with the same serial cannot change it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRefused {
    /// The number of the reason (`docs/wire.md`); a client may meet one that it does not know.
    pub code: u8,
    /// The node that the reason is about.
    pub about: Option<u64>,
    /// The reason, for people.
    pub text: String,
}

impl From<ChangeRefusal> for ChangeRefused {
    fn from(refusal: ChangeRefusal) -> Self {
        let (code, about) = refusal.code();
        Self { code, about: about.map(|id| id.number()), text: refusal.to_string() }
    }
}

impl<'a> Request<'a> {
    /// Appends the request to `output` as a frame.
    ///
    /// Errors: `FrameError::TooLarge` if the body does not fit; nothing was appended.
    pub fn encode(&self, output: &mut BytesMut) -> Result<(), FrameError> {
        frame::put(output, CLIENT_FRAME_BYTES_MAX, self)
    }

    /// Reads the content of a frame without copying or allocating.
    ///
    /// Errors: `FrameError`; a node should answer `Malformed` where it can tell the id and
    /// close the connection.
    pub fn decode(content: &'a [u8]) -> Result<Self, FrameError> {
        plain::request(content).map_or_else(|| frame::read(content), Ok)
    }
}

impl<'a> Response<'a> {
    /// Appends the response to `output` as a frame; the answer's bytes are copied once.
    ///
    /// Errors: `FrameError::TooLarge` if the answer does not fit into a frame; nothing was
    /// appended, and the node should say so to the client with [`Reply::Malformed`].
    pub fn encode(&self, output: &mut BytesMut) -> Result<(), FrameError> {
        match self.reply {
            Reply::Answer(body) if plain::put_answer(output, self.id, body) => Ok(()),
            _ => frame::put(output, CLIENT_FRAME_BYTES_MAX, self),
        }
    }

    /// Reads the content of a frame; an answer borrows from it.
    ///
    /// Errors: `FrameError`, also for a refusal that only a later version knows; a client
    /// should close the connection.
    pub fn decode(content: &'a [u8]) -> Result<Self, FrameError> {
        plain::response(content).map_or_else(|| frame::read(content), Ok)
    }
}

impl Serialize for LocalAnswer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("body", serde_bytes::Bytes::new(self.body))?;
        map.serialize_entry("applied_index", &self.applied_index)?;
        map.serialize_entry("contact_age_ms", &self.contact_age_ms)?;
        map.end()
    }
}

impl Serialize for WatchEnded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("why", &self.why)?;
        map.serialize_entry("revision", &self.revision)?;
        map.serialize_entry("text", &self.text)?;
        map.end()
    }
}

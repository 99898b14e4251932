//! The preface: what both ends of a connection say before anything else.
//!
//! The first byte of the magic is 0, which no TLS record, HTTP request or Redis command begins
//! with, so one port can serve them all. Everything here travels as maps with the names of
//! their fields: it is read before a version is agreed on, so unknown fields are skipped and
//! missing ones have defaults, for ever.

use std::fmt;

use bytes::BytesMut;
use serde::{Deserialize, Serialize};

use crate::client_protocol::Hello;
use crate::frame::{self, FrameError, PREFACE_FRAME_BYTES_MAX};

/// What every native connection begins with.
pub const MAGIC: [u8; 8] = *b"\0kvorum\n";

/// The highest version of the protocol that this code speaks.
pub const VERSION_MAX: u16 = 1;

/// The lowest version of the protocol that this code speaks: the one before `VERSION_MAX`,
/// from the second one on.
pub const VERSION_MIN: u16 = 1;

/// Who opens the connection, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A client: request and response.
    Client,
    /// A node that will write envelopes and read nothing.
    Peer {
        /// Which of its two links this is.
        link: LinkClass,
    },
}

/// The two links of a node to a peer, so that a megabyte never delays a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkClass {
    /// Heartbeats, votes, appends.
    Control,
    /// Catch-up and snapshots.
    Bulk,
}

/// Sixteen random bytes that make a handshake unlike every other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nonce(#[serde(with = "serde_bytes")] pub [u8; 16]);

impl Nonce {
    /// A fresh one.
    ///
    /// Panics: if the system has no random numbers, without which no node may start.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the system gives random numbers");
        Self(bytes)
    }
}

/// The first frame of a connection, from the end that opened it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preface {
    /// The lowest version that the sender speaks.
    pub version_min: u16,
    /// The highest version that the sender speaks.
    pub version_max: u16,
    /// Who it is.
    pub role: Role,
    /// The cluster that the sender belongs to or wants to talk to; 0 if a client does not care.
    #[serde(default)]
    pub cluster_id: u64,
    /// The sender's node id; 0 for a client.
    #[serde(default)]
    pub node_id: u64,
    /// The node that the sender expects at the other end; 0 if it does not know.
    #[serde(default)]
    pub to: u64,
    /// The sender's incarnation; 0 for a client.
    #[serde(default)]
    pub incarnation: u64,
    /// Whether the sender holds a cluster secret and wants proof that the other end does.
    #[serde(default)]
    pub secret: bool,
    /// For the proofs.
    #[serde(default)]
    pub nonce: Nonce,
    /// Where the sender is reached, for nodes that cannot know it yet; empty for a client, and
    /// if the sender cannot tell.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// The highest feature level that the sender applies; 0 for a client, and from versions that
    /// know only the first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub feature_level: u16,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(level: &u16) -> bool {
    *level == 0
}

impl Preface {
    /// What a client says. `cluster_id` is 0 if any cluster will do.
    #[must_use]
    pub fn client(cluster_id: u64) -> Self {
        Self {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            role: Role::Client,
            cluster_id,
            node_id: 0,
            to: 0,
            incarnation: 0,
            secret: false,
            nonce: Nonce::default(),
            address: String::new(),
            feature_level: 0,
        }
    }

    /// Appends the magic and the preface: the first bytes of a connection.
    pub fn open(&self, output: &mut BytesMut) {
        output.extend_from_slice(&MAGIC);
        put(output, self);
    }

    /// The version that both ends speak, if there is one: the highest common one.
    #[must_use]
    pub fn common_version(&self) -> Option<u16> {
        let version = self.version_max.min(VERSION_MAX);
        (self.version_min.max(VERSION_MIN) <= version).then_some(version)
    }
}

/// The first frame of the end that accepted a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Greeting {
    /// To a peer: go on.
    Welcome(Welcome),
    /// To a client: go on.
    Hello(Hello),
    /// To either: no. The connection ends after it.
    Refused(Refused),
}

impl Greeting {
    /// Appends the greeting as a frame.
    pub fn encode(&self, output: &mut BytesMut) {
        put(output, self);
    }

    /// Reads the content of a frame.
    ///
    /// Errors: `FrameError`; what answers is not a node, or of a version without these words.
    pub fn decode(content: &[u8]) -> Result<Self, FrameError> {
        frame::read(content)
    }
}

/// What a node says to a peer that it lets in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version that both ends speak from here on.
    pub version: u16,
    /// The cluster of the accepting node.
    pub cluster_id: u64,
    /// The accepting node.
    pub node_id: u64,
    /// Its incarnation.
    pub incarnation: u64,
    /// Its half of the randomness.
    pub nonce: Nonce,
    /// Its proof that it holds the cluster secret; empty without one.
    #[serde(default, with = "serde_bytes")]
    pub proof: Vec<u8>,
    /// Whether it takes messages on channels; a program that does not know them does not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub channels: bool,
    /// Whether it takes questions about itself; a program that does not know them does not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub monitor: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(is: &bool) -> bool {
    !is
}

/// The dialling node's proof that it holds the cluster secret; sent only with one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// HMAC-SHA256, 32 bytes.
    #[serde(with = "serde_bytes")]
    pub proof: Vec<u8>,
}

/// Why a connection is not let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The reason, for programs.
    pub why: Why,
    /// The reason, for people.
    pub text: String,
}

impl fmt::Display for Refused {
    /// The text comes from outside, so it is shown on one line and not at any length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.escape_debug().take(REFUSED_TEXT_CHARS_MAX).try_for_each(|c| write!(f, "{c}"))
    }
}

/// How much of another program's words is shown.
const REFUSED_TEXT_CHARS_MAX: usize = 300;

/// The kinds of refusal, each with the number by which it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub enum Why {
    /// The preface makes no sense.
    Malformed,
    /// The other end belongs to another cluster.
    WrongCluster,
    /// Another node than the expected one listens at this address.
    WrongNode,
    /// Both ends have the same node id.
    TwoNodesWithOneId,
    /// The two ends have no version in common.
    NoCommonVersion,
    /// One end has a cluster secret and the other has none.
    SecretMissing,
    /// The cluster secrets differ.
    SecretWrong,
    /// The node takes no more connections of this kind, or none now.
    NotAccepting,
    /// A number that only a later version knows.
    Later(u8),
}

impl From<u8> for Why {
    fn from(code: u8) -> Self {
        match code {
            1 => Self::Malformed,
            2 => Self::WrongCluster,
            3 => Self::WrongNode,
            4 => Self::TwoNodesWithOneId,
            5 => Self::NoCommonVersion,
            6 => Self::SecretMissing,
            7 => Self::SecretWrong,
            8 => Self::NotAccepting,
            code => Self::Later(code),
        }
    }
}

impl From<Why> for u8 {
    fn from(why: Why) -> Self {
        match why {
            Why::Malformed => 1,
            Why::WrongCluster => 2,
            Why::WrongNode => 3,
            Why::TwoNodesWithOneId => 4,
            Why::NoCommonVersion => 5,
            Why::SecretMissing => 6,
            Why::SecretWrong => 7,
            Why::NotAccepting => 8,
            Why::Later(code) => code,
        }
    }
}

/// Appends one of the words of this file as a frame.
pub(crate) fn put<T: Serialize>(output: &mut BytesMut, word: &T) {
    frame::put_named(output, PREFACE_FRAME_BYTES_MAX, word)
        .expect("the words of the preface are far below its limit");
}

//! What nodes ask each other about themselves: a node that is asked about others asks them.
//!
//! Questions and answers travel on bulk links, each way on the link that its sender opened, to
//! nodes whose welcome says that they know them. No log has them and nothing repeats them:
//! whoever asks waits for a while and then does without.

use actix::prelude::*;
use bytes::BytesMut;
use raft_core::types::NodeId;
use serde::{Deserialize, Serialize};

use crate::client_protocol::{MonitorError, MonitorPart, MonitorRequest};
use crate::frame::{self, FrameError, PEER_FRAME_BYTES_MAX};

/// A question or an answer. A map of one short name to its fields, as messages on channels are,
/// where an envelope is an array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inquiry {
    /// A question: the number that the answer is to carry, and what is asked.
    #[serde(rename = "mq")]
    Question(u64, Box<MonitorRequest>),
    /// The answer to the question of this number.
    #[serde(rename = "ma")]
    Answer(u64, Box<MonitorPart>),
}

/// Sends a question or an answer to a peer. What cannot be sent now is dropped; a question is
/// then answered with that.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Inquire {
    /// The peer.
    pub to: NodeId,
    /// What to send.
    pub inquiry: Inquiry,
}

/// Reports what a peer asks or answers.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Inquired {
    /// The peer.
    pub from: NodeId,
    /// What it says.
    pub inquiry: Inquiry,
}

/// What stands for the answer of a peer that cannot be asked.
pub(crate) fn silence(peer: NodeId, why: &str) -> MonitorPart {
    let error = MonitorError { code: MonitorError::SILENT, text: format!("no answer: {why}") };
    MonitorPart { node_id: peer.number(), error: Some(error), ..MonitorPart::default() }
}

/// Appends it to `output` as a frame.
///
/// Errors: `FrameError::TooLarge`, and nothing was appended.
pub fn put(output: &mut BytesMut, inquiry: &Inquiry) -> Result<(), FrameError> {
    frame::put(output, PEER_FRAME_BYTES_MAX, inquiry)
}

/// Whether the content of a frame is one of these: a map of one entry whose name is two letters,
/// the first an m, in MessagePack.
pub(crate) fn is_inquiry(content: &[u8]) -> bool {
    content.starts_with(b"\x81\xa2m")
}

/// Reads the content of a frame.
///
/// Errors: any `FrameError`; the caller must close the connection and say why in the log.
pub fn read(content: &[u8]) -> Result<Inquiry, FrameError> {
    frame::read(content)
}

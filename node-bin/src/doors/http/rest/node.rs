//! How requests reach the store: by messages to Api.

use bytes::{Bytes, BytesMut};
use kv_store::command::{Answer, COMMAND_BYTES_MAX, Command, Limits, No, Query};
use raft_core::entry::SessionStamp;
use raft_core::replica::event::{Refusal, Staleness};

use super::super::super::etcd::Behind;
use super::refused::Refused;
use crate::api::{CallOutcome, Operation};

/// What the store said.
#[derive(Debug)]
pub(in super::super) struct Said {
    bytes: Bytes,
    /// How old it may be, if it is from the node that was asked.
    pub(super) staleness: Option<Staleness>,
}

impl Said {
    /// The answer.
    ///
    /// Errors: what the store decided against.
    pub(in super::super) fn answer(&self) -> Result<Answer<'_>, Refused> {
        match Answer::decode(&self.bytes) {
            Ok(Answer::No { why, .. } | Answer::Undone { why, .. }) => Err(Refused::of_no(&why)),
            Ok(Answer::Malformed { .. }) | Err(_) => Err(Refused::other_answer()),
            Ok(answer) => Ok(answer),
        }
    }

    /// Why the store decided against it, if it did.
    pub(in super::super) fn decided_no(&self) -> Option<No> {
        match Answer::decode(&self.bytes) {
            Ok(Answer::No { why, .. }) => Some(why),
            Ok(_) | Err(_) => None,
        }
    }

    /// Bytes of the answer, without copying them.
    pub(in super::super) fn share(&self, part: &[u8]) -> Bytes {
        self.bytes.slice_ref(part)
    }
}

/// Has a question answered, from everything that was answered before or, if `is_local`, from
/// what this node has.
///
/// Errors: why it is not.
pub(in super::super) async fn read(
    behind: &Behind,
    query: &Query<'_>,
    is_local: bool,
) -> Result<Said, Refused> {
    query.check(&Limits::default()).map_err(|error| Refused::of_limit(&error))?;
    let mut bytes = BytesMut::new();
    query.encode(&mut bytes);
    let query = bytes.freeze();
    let operation =
        if is_local { Operation::ReadLocally { query } } else { Operation::Read { query } };
    ask(behind, operation, false).await
}

/// Has a command replicated.
///
/// Errors: why it is not, or that nobody knows.
pub(in super::super) async fn write(
    behind: &Behind,
    command: &Command<'_>,
    session: SessionStamp,
) -> Result<Said, Refused> {
    command.check(&Limits::default()).map_err(|error| Refused::of_limit(&error))?;
    let mut bytes = BytesMut::new();
    command.encode(&mut bytes);
    if COMMAND_BYTES_MAX < bytes.len() {
        return Err(Refused::of_refusal(Refusal::TooLarge, true));
    }
    let operation = Operation::Write { command: bytes.freeze(), session };
    ask(behind, operation, true).await
}

async fn ask(behind: &Behind, operation: Operation, is_write: bool) -> Result<Said, Refused> {
    // A write that was given to a node that then ended may have taken effect.
    let ended = || {
        let refusal = if is_write { Refusal::Unknown } else { Refusal::Stopping };
        Refused::of_refusal(refusal, is_write)
    };
    match behind.call(operation).await.map_err(|_| ended())?.outcome {
        CallOutcome::Answered(bytes) => Ok(Said { bytes, staleness: None }),
        CallOutcome::AnsweredLocally(bytes, staleness) => {
            Ok(Said { bytes, staleness: Some(staleness) })
        }
        CallOutcome::Session(refusal) => Err(Refused::of_session(refusal)),
        CallOutcome::Refused(refusal) => Err(Refused::of_refusal(refusal, is_write)),
        CallOutcome::Described(_) => Err(ended()),
    }
}

//! The requests that clients ask all the time and that one question to the store answers: read
//! and answered without a task, many of a connection at a time.
//!
//! Nothing here asks anybody: requests and answers are translated.

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use prost::Message;
use raft_core::entry::SessionStamp;
use raft_core::replica::event::Outcome;
use raft_net::etcd::etcdserverpb::{PutRequest, RangeRequest, TxnRequest};
use tonic::Status;

use super::keys::{self, Said, check_range, question};
use super::node::Behind;
use super::{error, led, service, txn, unary};
use crate::api::{AnswerBatch, Asked};

/// A method of that kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frequent {
    /// Of one key.
    Range,
    Put,
    Txn,
}

/// Answers shorter than this share a buffer. Units: bytes.
const SHORT_BYTES: usize = 1024;

/// The length of such a buffer, and so what an answer that nobody reads may keep. Units: bytes.
const SHARED_BYTES: usize = 4 * 1024;

/// What a request of gRPC is told when the node has ended.
pub(crate) fn stopped() -> Status {
    error::STOPPED.into()
}

impl Frequent {
    /// The method that a request of gRPC is for, if it is one of these, with the write that it
    /// is; `None` also of what is to be looked at by itself.
    pub(crate) fn of(head: &Parts) -> Option<(Self, SessionStamp)> {
        let method = match head.uri.path() {
            "/etcdserverpb.KV/Put" => Self::Put,
            "/etcdserverpb.KV/Range" => Self::Range,
            "/etcdserverpb.KV/Txn" => Self::Txn,
            _ => return None,
        };
        if led::is_wanted(&head.headers) {
            return None;
        }
        service::session(&head.headers).ok().map(|session| (method, session))
    }

    /// Whether it does nothing but look.
    pub(crate) fn is_read(self) -> bool {
        matches!(self, Self::Range)
    }

    /// Writes what the store is asked behind what is there, and says how; `None` if it takes more
    /// than one question.
    ///
    /// Errors: in etcd's words; then nothing is written.
    pub(crate) fn ask(
        self,
        message: Bytes,
        session: SessionStamp,
        bodies: &mut BytesMut,
    ) -> Result<Option<Asked>, Status> {
        match self {
            Self::Put => {
                let request: PutRequest = unary::decoded(message)?;
                keys::encode_behind(&keys::put(&request)?, bodies)?;
            }
            Self::Txn => {
                let request: TxnRequest = unary::decoded(message)?;
                txn::encode_behind(&request, bodies)?;
            }
            Self::Range => {
                let request: RangeRequest = unary::decoded(message)?;
                check_range(&request)?;
                if !request.range_end.is_empty() {
                    return Ok(None);
                }
                keys::encode_query_behind(&question(keys::selection(&request)), bodies)?;
                let is_local = request.serializable;
                return Ok(Some(if is_local { Asked::ReadLocally } else { Asked::Read }));
            }
        }
        Ok(Some(Asked::Write(session)))
    }

    /// The answer, as gRPC puts it into HTTP; a short one lies in `shared`.
    ///
    /// Errors: in etcd's words.
    pub(crate) fn answer(
        self,
        behind: &Behind,
        (outcome, answers): (&Outcome, &AnswerBatch),
        shared: &mut BytesMut,
    ) -> Result<Bytes, Status> {
        let said = match outcome {
            Outcome::Answered(range) | Outcome::AnsweredLocally(range, _) => {
                Said { bytes: answers.bytes.slice(range.clone()), term: answers.term }
            }
            Outcome::Session(refusal) => return Err(error::of_session(*refusal)),
            Outcome::Refused(refusal) => return Err(error::of_refusal(*refusal).into()),
        };
        match self {
            Self::Put => framed(&behind.put_answered(&said)?, shared),
            Self::Range => framed(&behind.range_answered(&said)?, shared),
            Self::Txn => framed(&behind.txn_answered(&said)?, shared),
        }
    }
}

fn framed(message: &impl Message, shared: &mut BytesMut) -> Result<Bytes, Status> {
    let length = unary::answered_bytes(message);
    if SHORT_BYTES < length {
        let mut own = BytesMut::with_capacity(length);
        unary::write_answered(message, &mut own)?;
        return Ok(own.freeze());
    }
    if shared.capacity() < length {
        *shared = BytesMut::with_capacity(SHARED_BYTES);
    }
    unary::write_answered(message, shared)?;
    Ok(shared.split().freeze())
}

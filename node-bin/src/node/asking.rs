//! A question to a node that is under way.

use std::time::Duration;

use actix::Recipient;
use bytes::Bytes;
use raft_core::replica::event::{Refusal, Status};
use tokio::sync::oneshot;

use super::RequestError;
use crate::api::{Call, CallOutcome, Operation};

/// Asks a node, which may end while its answer is waited for.
#[derive(Clone, Debug)]
pub(super) struct Asking(pub(super) Recipient<Call>);

impl Asking {
    pub(super) async fn call(
        &self,
        operation: Operation,
        timeout: Duration,
    ) -> Result<CallOutcome, RequestError> {
        let is_write = matches!(operation, Operation::Write { .. } | Operation::Change { .. });
        let (reply, outcome) = oneshot::channel();
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        if !self.0.connected() {
            return Err(RequestError::Ended);
        }
        self.0.do_send(Call { operation, timeout_ms, reply });
        // A node that ends with a write under way leaves its outcome open.
        let lost = if is_write { RequestError::Unknown } else { RequestError::Ended };
        outcome.await.map(|called| called.outcome).map_err(|_| lost)
    }

    pub(super) async fn answer(&self, outcome: CallOutcome) -> Result<Bytes, RequestError> {
        match outcome {
            CallOutcome::Answered(bytes) => Ok(bytes),
            CallOutcome::Session(refusal) => Err(RequestError::Session(refusal)),
            CallOutcome::Refused(Refusal::NoLeader) => {
                let hint = self.status().await.ok().and_then(|status| status.leader);
                Err(RequestError::NotLeader { hint })
            }
            CallOutcome::Refused(Refusal::Overloaded) => Err(RequestError::Overloaded),
            CallOutcome::Refused(Refusal::TooLarge) => Err(RequestError::TooLarge),
            CallOutcome::Refused(Refusal::Stopping) => Err(RequestError::Ended),
            CallOutcome::Refused(Refusal::Fenced) => Err(RequestError::Fenced),
            CallOutcome::Refused(Refusal::NoSpace) => Err(RequestError::NoSpace),
            CallOutcome::Refused(Refusal::NotHandedOver) => Err(RequestError::NotHandedOver),
            CallOutcome::Refused(Refusal::Unknown) => Err(RequestError::Unknown),
            CallOutcome::AnsweredLocally(..) | CallOutcome::Described(_) => {
                Err(RequestError::Ended)
            }
        }
    }

    pub(super) async fn status(&self) -> Result<Status, RequestError> {
        match self.call(Operation::Describe, Duration::from_secs(1)).await? {
            CallOutcome::Described(status) => Ok(*status),
            CallOutcome::Answered(_)
            | CallOutcome::AnsweredLocally(..)
            | CallOutcome::Session(_)
            | CallOutcome::Refused(_) => Err(RequestError::Ended),
        }
    }
}

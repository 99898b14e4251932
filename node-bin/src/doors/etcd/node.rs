//! How the futures of the door reach the actors of their node: by messages.

use actix::Recipient;
use bytes::Bytes;
use kv_store::command::Query;
use raft_core::configuration::{Change, Decision};
use raft_core::entry::SessionStamp;
use raft_core::replica::event::Status as NodeState;
use raft_core::types::{NodeId, Term};
use raft_net::client_protocol::{MonitorEntry, MonitorPart, MonitorRequest};
use raft_net::etcd::etcdserverpb::ResponseHeader;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use super::error;
use super::keys::{self, Said};
use super::passwords::Hashing;
use super::snapshot::SnapshotSource;
use crate::api::{
    AnswerBatch, AskValues, BatchedCall, Call, CallBatch, CallOutcome, Called, Caller, CallerEnded,
    CloseStream, NodeInfo, OpenStream, Operation, StreamOrders,
};

/// How long a request may wait for an answer; etcd's own limit with its defaults. What is not
/// answered by then is refused, or unknown. Units: milliseconds.
const TIMEOUT_MS: u64 = 7_000;

/// The node behind a door. A clone takes some allocations: for streams, not for requests.
#[derive(Clone, Debug)]
pub(crate) struct Behind {
    pub(crate) info: NodeInfo,
    pub(crate) calls: Recipient<Call>,
    pub(crate) batches: Recipient<CallBatch>,
    pub(crate) ended: Recipient<CallerEnded>,
    pub(crate) values: Recipient<AskValues>,
    pub(crate) open: Recipient<OpenStream>,
    pub(crate) orders: Recipient<StreamOrders>,
    pub(crate) close: Recipient<CloseStream>,
    pub(crate) hashing: Hashing,
    pub(crate) snapshots: SnapshotSource,
}

impl Behind {
    /// The header of an answer.
    pub(super) fn header(&self, revision: i64, term: Term) -> Option<ResponseHeader> {
        Some(ResponseHeader {
            cluster_id: self.info.cluster_id,
            member_id: self.info.node_id,
            revision,
            raft_term: term.0,
        })
    }

    /// Fills in a header that says its revision.
    pub(super) fn fill(
        &self,
        header: Option<ResponseHeader>,
        term: Term,
    ) -> Option<ResponseHeader> {
        self.header(header.map_or(0, |header| header.revision), term)
    }

    /// Has something done.
    ///
    /// Errors: if the node has ended.
    pub(crate) async fn call(&self, operation: Operation) -> Result<Called, Status> {
        let (reply, called) = oneshot::channel();
        self.calls.do_send(Call { operation, timeout_ms: TIMEOUT_MS, reply });
        called.await.map_err(|_| error::STOPPED.into())
    }

    /// Has done what a connection asks for in one turn: `bodies` are the commands and queries of
    /// `calls`, behind each other. `answers` goes with its first calls and takes what is answered.
    pub(crate) fn call_together(
        &self,
        caller: Caller,
        answers: Option<mpsc::UnboundedSender<AnswerBatch>>,
        bodies: Bytes,
        calls: Vec<BatchedCall>,
    ) {
        let timeout_ms = TIMEOUT_MS;
        self.batches.do_send(CallBatch { caller, answers, bodies, calls, timeout_ms });
    }

    async fn ask(&self, operation: Operation) -> Result<Said, Status> {
        let Called { outcome, term } = self.call(operation).await?;
        match outcome {
            CallOutcome::Answered(bytes) | CallOutcome::AnsweredLocally(bytes, _) => {
                Ok(Said { bytes, term })
            }
            CallOutcome::Session(refusal) => Err(error::of_session(refusal)),
            CallOutcome::Refused(refusal) => Err(error::of_refusal(refusal).into()),
            CallOutcome::Described(_) => Err(Status::internal("a description was not asked for")),
        }
    }

    /// Has a command replicated.
    ///
    /// Errors: in etcd's words.
    pub(super) async fn write(
        &self,
        command: Bytes,
        session: SessionStamp,
    ) -> Result<Said, Status> {
        self.ask(Operation::Write { command, session }).await
    }

    /// Has a command replicated, and nobody waits for the answer.
    pub(super) fn write_unheard(&self, command: Bytes) {
        let (reply, _) = oneshot::channel();
        let operation = Operation::Write { command, session: SessionStamp::default() };
        self.calls.do_send(Call { operation, timeout_ms: TIMEOUT_MS, reply });
    }

    /// Has a question answered, from everything that was answered before or, if `is_local`, from
    /// what this node has.
    ///
    /// Errors: in etcd's words.
    pub(super) async fn read(&self, query: &Query<'_>, is_local: bool) -> Result<Said, Status> {
        self.read_encoded(keys::encode_query(query)?, is_local).await
    }

    /// The same of a question that is encoded already.
    ///
    /// Errors: in etcd's words.
    pub(super) async fn read_encoded(&self, query: Bytes, is_local: bool) -> Result<Said, Status> {
        let operation =
            if is_local { Operation::ReadLocally { query } } else { Operation::Read { query } };
        self.ask(operation).await
    }

    /// What the node says of itself.
    ///
    /// Errors: if it has ended.
    pub(crate) async fn state(&self) -> Result<NodeState, Status> {
        match self.call(Operation::Describe).await?.outcome {
            CallOutcome::Described(state) => Ok(*state),
            CallOutcome::Answered(_)
            | CallOutcome::AnsweredLocally(..)
            | CallOutcome::Session(_)
            | CallOutcome::Refused(_) => Err(error::STOPPED.into()),
        }
    }

    /// Values of the node's monitor, of which there are none when it has ended.
    pub(crate) async fn values(&self, path: &'static str) -> Vec<MonitorEntry> {
        let (reply, values) = oneshot::channel();
        let path = format!("/node/{}/{path}", self.info.node_id);
        let request = MonitorRequest { path, ..MonitorRequest::default() };
        self.values.do_send(AskValues { request, reply });
        let parts: Vec<MonitorPart> = values.await.unwrap_or_default();
        parts.into_iter().flat_map(|part| part.entries).collect()
    }

    /// Changes the members; returns the ids of those who were added.
    ///
    /// Errors: in etcd's words.
    pub(super) async fn change(&self, change: Change) -> Result<Vec<NodeId>, Status> {
        let session = SessionStamp::default();
        let said = self.ask(Operation::Change { change, session }).await?;
        match Decision::decode(&said.bytes) {
            Some(Decision::Made { added, .. }) => Ok(added),
            Some(Decision::Refused(refusal)) => Err(error::of_change(refusal).into()),
            None => Err(Status::internal("a decision was not answered")),
        }
    }

    /// Hands leadership over.
    ///
    /// Errors: in etcd's words.
    pub(super) async fn transfer(&self, to: NodeId) -> Result<(), Status> {
        self.ask(Operation::Transfer { to: Some(to) }).await.map(drop)
    }
}

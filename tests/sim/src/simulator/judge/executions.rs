//! What the stores have executed: the same everywhere, each command once, each as it should.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use kv_store::command::Command;
use kv_store::store::REVISION_EMPTY;
use raft_core::entry::ClientId;
use raft_core::types::{Index, NodeId};

use super::mirror::Mirror;
use super::past::Past;
use crate::revision_order::RevisionOrder;
use crate::simulator::witness::Execution;

/// The common history of all stores.
#[derive(Debug, Default)]
pub(crate) struct Executions {
    all: Vec<Execution>,
    by_session: BTreeMap<(ClientId, u64), usize>,
    /// Puts; no two have the same value.
    by_payload: BTreeMap<Bytes, usize>,
    order: RevisionOrder,
    mirror: Mirror,
    past: Past,
}

impl Executions {
    /// A node has executed a command, the next one of its life.
    pub(super) fn executed(&mut self, node: NodeId, count: &mut usize, execution: Execution) {
        let place = *count;
        *count += 1;
        if let Some(known) = self.all.get(place) {
            assert_eq!(*known, execution, "I4 n{node} executes something else than others did");
            return;
        }
        let session = execution.session;
        let earlier = self.by_session.insert((session.client, session.serial), place);
        assert_eq!(earlier, None, "I19 a command is executed twice: {execution:?}");
        if let Ok(Command::Put { .. }) = Command::decode(&execution.payload) {
            let earlier = self.by_payload.insert(execution.payload.clone(), place);
            assert_eq!(earlier, None, "I19 a put is executed twice: {execution:?}");
        }
        self.mirror.execute(&execution);
        let Execution { log_time, payload, answer, revision, .. } = &execution;
        if let Err(why) = self.order.execute(*log_time, payload, answer) {
            panic!("I16 {why}")
        }
        assert_eq!(self.order.newest(), *revision, "the store counts as the model does");
        self.past.note(&execution, &self.order);
        self.all.push(execution);
    }

    /// How many of the commands stand at or before `index`.
    pub(super) fn count_through(&self, index: Index) -> usize {
        self.all.partition_point(|execution| execution.index <= index)
    }

    /// The entry that led to a revision; `None` for the first one, which nothing leads to.
    pub(super) fn index_of(&self, revision: u64) -> Option<Index> {
        let at = self.all.partition_point(|execution| execution.revision < revision);
        let changes = |execution: &&Execution| REVISION_EMPTY < execution.revision;
        self.all.get(at).filter(changes).map(|execution| execution.index)
    }

    /// How many commands were executed.
    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// The answer to a command, if it was executed.
    pub(super) fn answer_of(&self, client: ClientId, serial: u64) -> Option<&Bytes> {
        let &place = self.by_session.get(&(client, serial))?;
        Some(&self.all[place].answer)
    }

    /// The answer to the put with this payload, if it was executed.
    pub(super) fn answer_to(&self, payload: &Bytes) -> Option<&Bytes> {
        let &place = self.by_payload.get(payload)?;
        Some(&self.all[place].answer)
    }

    /// I16: a read shows what was there at the revision that it names, which is returned.
    pub(super) fn read(&mut self, query: &[u8], answer: &[u8]) -> u64 {
        self.order.read(query, answer).unwrap_or_else(|why| panic!("I16 {why}"))
    }

    /// Everything that ever changed.
    pub(crate) fn past(&self) -> &Past {
        &self.past
    }

    /// What every key holds now, as an answer to a query for all of them.
    pub(crate) fn everything(&self) -> BytesMut {
        self.mirror.everything()
    }
}

//! The store as it is on a machine that never fails, never restarts, and lays its tables out
//! differently: whatever the stores of a cluster make of a command, this one makes too. And what
//! becomes of leases, counted without a store.

use std::collections::BTreeMap;

use bytes::BytesMut;
use kv_store::command::{Answer, Command, KeyRange, Query};
use kv_store::store::Store;
use raft_core::entry::{Draft, EntryKind, Stamp};
use raft_core::replica::StateMachine as _;
use raft_core::types::Term;

use crate::simulator::witness::Execution;

/// The seed of its hashes; the nodes have another one.
const HASH_SEED: u64 = 0x6d69_7272_6f72;

/// One store, and the leases by id: for how long each was granted, and when it ends.
#[derive(Debug)]
pub(super) struct Mirror {
    store: Store,
    leases: BTreeMap<u64, (u64, u64)>,
}

impl Default for Mirror {
    fn default() -> Self {
        Self { store: Store::with_hash_seed(HASH_SEED), leases: BTreeMap::new() }
    }
}

impl Mirror {
    /// Executes the next command, as a node has.
    ///
    /// Panics: if the node has made something else of it, or broken what was promised of leases.
    pub(super) fn execute(&mut self, execution: &Execution) {
        let mut draft = Draft::default();
        draft.push(EntryKind::Command, &execution.session, &execution.payload);
        let (term, first, log_time) = (Term(1), execution.index, execution.log_time);
        let entries = draft.stamp(&Stamp {
            term,
            first,
            log_time,
            feature_level: raft_core::entry::FEATURE_LEVEL,
            wall_time: 0,
            seed: 0,
        });
        let mut answer = BytesMut::new();
        entries.iter().for_each(|entry| self.store.apply(entry, &mut answer));
        let made = (&answer[..], self.store.revision(), self.store.state_hash());
        let by_node = (&execution.answer[..], execution.revision, execution.state_hash);
        assert_eq!(made, by_node, "a store that never fails makes the same of {execution:?}");
        self.follow_leases(execution, &answer);
    }

    /// A lease is there from its grant until it was revoked or has ended, and ends no earlier
    /// than its time to live after the last renewal.
    fn follow_leases(&mut self, execution: &Execution, answer: &[u8]) {
        let now = execution.log_time;
        let command = Command::decode(&execution.payload).expect("clients here write commands");
        match (command, Answer::decode(answer).expect("stores write answers")) {
            (Command::GrantLease { .. }, Answer::Granted { id, ttl_ms, .. }) => {
                let earlier = self.leases.insert(id, (ttl_ms, now + 1_000 * ttl_ms));
                assert_eq!(earlier, None, "a lease is granted once");
            }
            (Command::RevokeLease { id }, Answer::Deleted { .. }) => {
                assert!(self.leases.remove(&id).is_some(), "what is revoked was there");
            }
            (Command::RenewLeases { ids }, Answer::Renewed { ttls_ms, .. }) => {
                for (id, said_ms) in ids.iter().zip(ttls_ms.iter()) {
                    let known = self.leases.get_mut(id);
                    assert_eq!(known.as_ref().map_or(0, |lease| lease.0), *said_ms);
                    known.into_iter().for_each(|lease| lease.1 = now + 1_000 * lease.0);
                }
            }
            (Command::RemoveEnded, _) => self.leases.retain(|_, (_, ends_at)| now < *ends_at),
            _ => return,
        }
        let (mut query, mut listed) = (BytesMut::new(), BytesMut::new());
        Query::Leases { from: 0 }.encode(&mut query);
        self.store.query(&query, now, &mut listed);
        let Ok(Answer::Leases { ids, .. }) = Answer::decode(&listed) else { panic!("leases") };
        assert!(ids.iter().eq(self.leases.keys()), "{ids:?} are there, not {:?}", self.leases);
    }

    /// What every key holds.
    pub(super) fn everything(&self) -> BytesMut {
        let (mut query, mut found) = (BytesMut::new(), BytesMut::new());
        Query::Range { range: KeyRange::prefix(b""), limit: 0 }.encode(&mut query);
        self.store.query(&query, 0, &mut found);
        found
    }
}

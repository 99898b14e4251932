//! A program with a state machine of its own.

use std::time::Duration;

use bytes::BytesMut;
use kvorum_node::{
    ClusterOptions, EntryRef, LoadError, LocalCluster, RequestError, StateMachine, Transport, Way,
};

use crate::harness::ports;
use crate::harness::wait;
use crate::local_cluster::id;

/// Writes down what it is given, a byte each.
#[derive(Debug, Default)]
struct Ledger {
    written: Vec<u8>,
    pinned: Vec<u8>,
}

impl StateMachine for Ledger {
    fn apply(&mut self, command: EntryRef<'_>, _: &mut BytesMut) {
        self.written.extend_from_slice(command.payload());
    }

    fn query(&self, _: &[u8], _: u64, answer: &mut BytesMut) {
        answer.extend_from_slice(&self.written);
    }

    fn revision(&self) -> u64 {
        self.written.len() as u64
    }

    fn state_hash(&self) -> u64 {
        self.written.iter().fold(7, |hash: u64, byte| hash.rotate_left(9) ^ u64::from(*byte))
    }

    fn pin(&mut self) {
        self.pinned.clone_from(&self.written);
    }

    fn read_pinned(&mut self, _: usize, part: &mut BytesMut) -> bool {
        part.extend_from_slice(&self.pinned);
        false
    }

    fn unpin(&mut self) {
        self.pinned.clear();
    }

    fn empty(&self) -> Self {
        Self::default()
    }

    fn load(&mut self, part: &[u8]) -> Result<(), LoadError> {
        self.written.extend_from_slice(part);
        Ok(())
    }

    fn finish_load(&mut self) -> Result<(), LoadError> {
        Ok(())
    }
}

/// The same program, whatever is between the nodes.
async fn check_ledger(transport: Transport) {
    let options = ClusterOptions { transport, ..ClusterOptions::in_memory(3) };
    let mut cluster = LocalCluster::start(options, Ledger::default).unwrap();
    let mut expected = Vec::new();
    for number in 0..60_u8 {
        let through = id(u64::from(number % 3) + 1);
        let node = cluster.node(through).unwrap();
        node.propose(vec![number], None, wait::DEADLINE).await.unwrap();
        expected.push(number);
    }
    for (id, node) in cluster.running() {
        assert_eq!(node.query(vec![], wait::DEADLINE).await.unwrap(), expected, "node {id}");
    }

    // What a leader took in that nobody else has is not committed, and is not executed.
    let former = wait::until("leader", async || cluster.leader().await).await;
    for other in [1, 2, 3].map(id).into_iter().filter(|&other| other != former) {
        cluster.cut(former, other, Way::Both).unwrap();
    }
    let alone = cluster.node(former).unwrap();
    let outcome = alone.propose(vec![200], None, Duration::from_millis(600)).await;
    assert!(matches!(outcome, Err(RequestError::Unknown)), "{outcome:?}");
    let (there, _) = alone.query_locally(vec![], wait::DEADLINE).await.unwrap();
    assert_eq!(there, expected, "it was not given what is not committed");
    let leader = wait::until("another leader", async || {
        cluster.leader().await.filter(|&leader| leader != former)
    })
    .await;
    let node = cluster.node(leader).unwrap();
    node.propose(vec![100], None, wait::DEADLINE).await.unwrap();
    cluster.heal_all().unwrap();
    // Whether the command of unknown outcome is repeated is its node's affair; it is so once at
    // most, behind what was committed meanwhile, and for all alike.
    expected.push(100);
    let mut seen = Vec::new();
    for (_, node) in cluster.running() {
        node.read_barrier(wait::DEADLINE).await.unwrap();
    }
    for (id, node) in cluster.running() {
        let written = node.query(vec![], wait::DEADLINE).await.unwrap();
        assert_eq!(written[..expected.len()], expected, "node {id}");
        assert!(written.len() <= expected.len() + 1, "node {id}: {written:?}");
        seen.push(written);
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "all have written down the same");
}

/// a user's state machine is given committed commands only, in their order; in memory.
#[tokio::test]
async fn acc_a12_committed_commands_in_order_in_memory() {
    check_ledger(Transport::Memory).await;
}

/// the same over a network.
#[tokio::test]
async fn acc_a12_committed_commands_in_order_over_tcp() {
    check_ledger(Transport::Tcp { first_port: Some(ports::adjacent(3)[0]) }).await;
}

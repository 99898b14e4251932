//! A replicated counter: a state machine of one's own, three nodes in one process, a killed
//! leader, and no lost increment.

use std::time::Duration;

use bytes::{Buf as _, BufMut as _, BytesMut};
use kvorum_node::{ClusterOptions, EntryRef, LoadError, LocalCluster, SessionStamp, StateMachine};

/// Adds up what it is told.
#[derive(Default)]
struct Counter {
    sum: u64,
    applied: u64,
    /// Sum and count as they were when a snapshot was begun.
    pinned: Option<(u64, u64)>,
    is_loaded: bool,
}

impl StateMachine for Counter {
    fn apply(&mut self, command: EntryRef<'_>, answer: &mut BytesMut) {
        let amount = command.payload().first().copied().unwrap_or(0);
        self.sum += u64::from(amount);
        self.applied += 1;
        answer.put_u64(self.sum);
    }

    fn query(&self, _: &[u8], _: u64, answer: &mut BytesMut) {
        answer.put_u64(self.sum);
    }

    fn revision(&self) -> u64 {
        self.applied
    }

    fn state_hash(&self) -> u64 {
        self.sum
    }

    fn pin(&mut self) {
        self.pinned = Some((self.sum, self.applied));
    }

    /// A state of two numbers is one part.
    fn read_pinned(&mut self, _: usize, part: &mut BytesMut) -> bool {
        let (sum, applied) = self.pinned.expect("a counter is pinned before it is read");
        part.put_u64(sum);
        part.put_u64(applied);
        false
    }

    fn unpin(&mut self) {
        self.pinned = None;
    }

    fn empty(&self) -> Self {
        Self::default()
    }

    fn load(&mut self, mut part: &[u8]) -> Result<(), LoadError> {
        if self.is_loaded || part.len() != 16 {
            return Err(LoadError::because("a counter is one part of 16 bytes"));
        }
        (self.sum, self.applied, self.is_loaded) = (part.get_u64(), part.get_u64(), true);
        Ok(())
    }

    fn finish_load(&mut self) -> Result<(), LoadError> {
        if self.is_loaded { Ok(()) } else { Err(LoadError::because("it has no part")) }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let patience = Duration::from_secs(10);
    let mut cluster = LocalCluster::start(ClusterOptions::in_memory(3), Counter::default)?;
    let (_, node) = cluster.running().next().ok_or("three nodes are alive")?;
    let client = node.new_client().await?;
    for serial in 1..=10 {
        if serial == 6 {
            let leader = cluster.leader().await.ok_or("there is a leader by now")?;
            cluster.kill(leader)?;
            println!("killed node {leader}, which led");
        }
        // The serial makes it safe to try again when the outcome is unknown.
        let request_id = SessionStamp { client, serial, acknowledged: serial - 1 };
        let (id, node) = cluster.running().next().ok_or("two nodes are alive")?;
        let sum = loop {
            match node.propose(vec![1], Some(request_id), patience).await {
                Ok(answer) => break u64::from_be_bytes(answer[..].try_into()?),
                Err(error) => println!("node {id}: {error}; trying again"),
            }
        };
        println!("increment {serial} through node {id}: {sum}");
    }
    for (id, node) in cluster.running() {
        let answer = node.query(vec![], patience).await?;
        assert_eq!(answer[..], 10u64.to_be_bytes(), "every increment counts once");
        println!("node {id} says 10");
    }
    cluster.stop();
    Ok(())
}

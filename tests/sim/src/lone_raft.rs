//! One node's Raft without a cluster around it: the test is its peers, its disk and its clock.

use raft_core::consensus::log::RaftLog;
use raft_core::consensus::message::{Envelope, Message};
use raft_core::consensus::ready::{Fetch, Persist, ReadState, RoleName, SnapshotRead};
use raft_core::consensus::{Raft, RaftConfig};
use raft_core::entry::{Draft, Entries};
use raft_core::hard_state::{Configuration, HardState, Standing};
use raft_core::types::{EntryId, Incarnation, Index, Term, Time};

use crate::cluster::{envelope, node};

/// Node 1, with everything that it has asked for so far.
#[derive(Debug)]
pub struct LoneRaft {
    /// The node.
    pub raft: Raft,
    now: Time,
    /// Batches that were handed out, persisted or not.
    pub batches: Vec<Persist>,
    /// Messages that were handed out.
    pub sent: Vec<Envelope>,
    /// Entries that were handed out to be applied.
    pub committed: Vec<Entries>,
    /// Reads that may be answered.
    pub reads: Vec<ReadState>,
    /// What is to be read from disk.
    pub fetches: Vec<Fetch>,
    /// The pieces of snapshots that are to be read for followers.
    pub snapshot_reads: Vec<SnapshotRead>,
}

impl LoneRaft {
    /// Node 1 of `voters` with this log, all of it on disk and nothing known to be committed.
    #[must_use]
    pub fn new(voters: u64, log: &[Entries]) -> Self {
        Self::with(voters, log, |_| {})
    }

    /// As [`Self::new`], with settings of which `settings` changes some. Only the last run of
    /// the log is in memory.
    #[must_use]
    pub fn with(voters: u64, log: &[Entries], settings: impl Fn(&mut RaftConfig)) -> Self {
        let own = node(1);
        let configuration = Configuration::of((1..=voters).map(node));
        let mut config = RaftConfig::new(own, Incarnation(1_000), configuration);
        settings(&mut config);
        let mut terms: Vec<EntryId> = Vec::new();
        for run in log {
            if terms.last().is_none_or(|start| start.term < run.term()) {
                terms.push(EntryId { term: run.term(), index: run.first_index() });
            }
        }
        let tail: Vec<Entries> = log.last().cloned().into_iter().collect();
        let term = log.last().map_or(Term::ZERO, Entries::term);
        let hard_state = HardState { term, standing: Standing::Full, ..HardState::default() };
        let log = RaftLog::restore(EntryId::ZERO, terms, tail, Index::ZERO);
        let now = Time(1_000_000);
        let raft = Raft::new(config, hard_state, log, now);
        Self {
            raft,
            now,
            batches: Vec::new(),
            sent: Vec::new(),
            committed: Vec::new(),
            reads: Vec::new(),
            fetches: Vec::new(),
            snapshot_reads: Vec::new(),
        }
    }

    /// Takes a message of another node, without a turn behind it.
    pub fn hear(&mut self, from: u64, term: u64, message: Message) {
        self.raft.step(self.now, envelope(node(from), node(1), term, message));
    }

    /// Takes what is to be done, and keeps it.
    pub fn turn(&mut self) {
        let ready = self.raft.ready(self.now);
        self.batches.extend(ready.persist);
        self.sent.extend(ready.messages);
        self.sent.extend(ready.bulk);
        self.committed.extend(ready.committed);
        self.reads.extend(ready.reads);
        self.fetches.extend(ready.fetch);
        self.snapshot_reads.extend(ready.snapshot_reads);
    }

    /// As [`Self::hear`], with a turn behind it.
    pub fn take(&mut self, from: u64, term: u64, message: Message) {
        self.hear(from, term, message);
        self.turn();
    }

    /// Reports the batches up to `number` as persisted, and takes a turn.
    pub fn persisted(&mut self, number: u64) {
        self.raft.persisted(self.now, number);
        self.turn();
    }

    /// Reports every batch as persisted until there is none left to be reported.
    pub fn persist_all(&mut self) {
        loop {
            let newest = self.batches.len();
            self.persisted(newest as u64);
            if newest == self.batches.len() {
                return;
            }
        }
    }

    /// Lets time pass in steps of a heartbeat interval, with a turn behind each.
    pub fn run(&mut self, ms: u64) {
        let step_us = self.raft.config().heartbeat_interval_us;
        for _ in 0..(ms * 1_000).div_ceil(step_us) {
            self.now = self.now.after(step_us);
            self.raft.tick(self.now);
            self.turn();
        }
    }

    /// Makes it the leader of the next term with the votes of everybody; its first entry is
    /// handed out, but not reported as persisted.
    ///
    /// Panics: if it does not become one.
    pub fn lead(&mut self) {
        let peers: Vec<u64> = self.voters().filter(|&id| id != 1).collect();
        while self.raft.role_name() == RoleName::Follower {
            self.run(1);
        }
        let next_term = self.raft.term().next();
        for &peer in &peers {
            let granted = Message::PreVoteResponse { next_term, granted: true };
            self.take(peer, next_term.0 - 1, granted);
        }
        self.persist_all_but_leading();
        for &peer in &peers {
            if self.raft.role_name() == RoleName::Leader {
                break;
            }
            self.take(peer, next_term.0, Message::RequestVoteResponse { granted: true });
        }
        assert_eq!(self.raft.role_name(), RoleName::Leader, "everybody voted for it");
    }

    /// Its own vote is durable; what it writes as leader is not.
    fn persist_all_but_leading(&mut self) {
        let newest = self.batches.len() as u64;
        self.persisted(newest);
    }

    fn voters(&self) -> impl Iterator<Item = u64> + use<> {
        let voters = self.raft.config().configuration.all_voters();
        voters.into_iter().map(raft_core::types::NodeId::number)
    }

    /// Proposes commands; returns whether they were taken.
    pub fn propose(&mut self, commands: &[&str]) -> bool {
        self.raft.propose(self.now, 0, crate::entries::draft(commands)).is_ok()
    }

    /// As [`Self::propose`], for a round of any kind; returns what stands in the log of it.
    pub fn propose_round(&mut self, round: Draft) -> Option<Entries> {
        self.raft.propose(self.now, 0, round).ok()
    }

    /// Registers a read; its index comes with the next turn, if nothing has to be asked.
    pub fn read(&mut self, context: u64) -> bool {
        self.raft.read_index(self.now, context)
    }

    /// Hands over entries that were read from disk, and takes a turn.
    pub fn fetched(&mut self, entries: Vec<Entries>) {
        self.raft.fetched(self.now, entries);
        self.turn();
    }
}

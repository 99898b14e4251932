//! Bugs of other implementations, part A: nodes that may not take part, ids that are none, and
//! messages that nobody should have written. Each test is named after its row in `docs/raft.md`.

use raft_core::consensus::binding;
use raft_core::consensus::message::{AppendResult, Message};
use raft_core::consensus::ready::RoleName;
use raft_core::hard_state::{Configuration, HardState, Standing};
use raft_core::types::{EntryId, Incarnation, Index, NodeId, Term};
use raft_core::wal::disk::{Disk, DiskError};
use raft_core::wal::memory_disk::MemoryDisk;
use raft_core::wal::{Wal, WalOptions};
use sim::cluster::{Cluster, envelope, named, node};

fn options() -> WalOptions {
    let configuration = Configuration::of((1..=3).map(node)).encode();
    let (incarnation, base) = (Incarnation(7), EntryId::ZERO);
    WalOptions { segment_bytes: 4096, incarnation, configuration, base }
}

fn hard_state(term: u64, vote: u64) -> HardState {
    let (term, vote) = (Term(term), NodeId::new(vote));
    HardState { term, vote, commit_index: Index::ZERO, standing: Standing::Full }
}

/// A disk that stops in the middle of a write: behind so many written bytes nothing arrives.
struct Torn<'d> {
    disk: &'d mut MemoryDisk,
    bytes_left: usize,
}

impl Torn<'_> {
    fn stopped(&self) -> Result<(), DiskError> {
        if self.bytes_left == 0 { Err(DiskError::Failed("stopped".to_owned())) } else { Ok(()) }
    }
}

impl Disk for Torn<'_> {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        self.disk.list()
    }
    fn create(&mut self, name: &str, length: u64) -> Result<(), DiskError> {
        self.stopped()?;
        self.disk.create(name, length)
    }
    fn len(&mut self, name: &str) -> Result<u64, DiskError> {
        self.disk.len(name)
    }
    fn read(&mut self, name: &str, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        self.disk.read(name, offset, into)
    }
    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let length = bytes.len().min(self.bytes_left);
        self.bytes_left -= length;
        self.disk.write(name, offset, &bytes[..length])?;
        self.stopped()
    }
    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        let length = bytes.len().min(self.bytes_left);
        self.bytes_left -= length;
        self.disk.append(name, &bytes[..length])?;
        self.stopped()
    }
    fn sync(&mut self, name: &str) -> Result<(), DiskError> {
        self.stopped()?;
        self.disk.sync(name)
    }
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.stopped()?;
        self.disk.rename(from, to)
    }
    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.stopped()?;
        self.disk.remove(name)
    }
}

/// A4: term and vote are one record. Wherever a crash cuts the writing of a new term with a
/// new vote, to the byte, the disk knows both of them or neither.
#[test]
fn rel_a04_a_crash_never_leaves_a_new_term_with_an_old_vote() {
    let mut before = MemoryDisk::default();
    let (mut wal, _) = Wal::open(&mut before, options()).unwrap();
    wal.append(&hard_state(1, 0), &[]).unwrap();
    wal.append(&hard_state(2, 2), &[]).unwrap();
    drop(wal);
    let (mut cut_short, mut written) = (0, false);
    for bytes_left in 1.. {
        let mut disk = before.clone();
        if let Ok((mut wal, _)) = Wal::open(Torn { disk: &mut disk, bytes_left }, options()) {
            written = wal.append(&hard_state(3, 1), &[]).is_ok();
            cut_short += usize::from(!written);
        }
        // The process ends, and the system writes back whatever it was given.
        disk.crash(|_, _| true);
        let (_, recovered) = Wal::open(&mut disk, options()).unwrap();
        let found = (recovered.hard_state.term.0, recovered.hard_state.vote.map(NodeId::number));
        let (old, new) = ((2, Some(2)), (3, Some(1)));
        assert!(found == new || (found == old && !written), "{found:?} after {bytes_left} bytes");
        if written {
            break;
        }
    }
    assert!(100 < cut_short, "the writing was cut at {cut_short} places");
}

/// A14: a node that does not know whether it is a member, because its directory is empty and
/// nobody has admitted it, follows but never stands for election.
#[test]
fn rel_a14_a_node_that_was_never_admitted_never_campaigns() {
    let mut cluster = Cluster::empty(3);
    (1..=3).for_each(|id| cluster.isolate(id));
    cluster.run(5_000);
    assert!(!cluster.was_told(&["PreVote"]) && !cluster.was_told(&["RequestVote"]));
    // It hears a leader, which tells it to campaign and then falls silent.
    let heartbeat = Message::Heartbeat { commit_index: Index::ZERO, round: 0, log_time: 0 };
    cluster.inject(envelope(node(1), node(2), 1, heartbeat));
    cluster.inject(envelope(node(1), node(2), 1, Message::TimeoutNow));
    cluster.deliver(|e| e.to == node(2));
    assert_eq!(cluster.status(node(2)).leader, Some(node(1)));
    cluster.run(5_000);
    assert_eq!((cluster.role(2), cluster.term(2)), (RoleName::Follower, 1));
    assert!(!cluster.was_told(&["PreVote"]) && !cluster.was_told(&["RequestVote"]));
    // Nor does its vote count for anybody.
    let last = EntryId { term: Term(1), index: Index(9) };
    let ask = Message::RequestVote { last, transfer: true };
    cluster.inject(envelope(node(1), node(2), 2, ask));
    cluster.deliver(|e| e.to == node(2));
    assert!(!cluster.was_told(&["granted=true"]));
}

/// A15: zero is no node. It can be neither a voter nor a vote, and what is not there is not
/// mistaken for a node when it comes back from the disk.
#[test]
fn rel_a15_zero_is_no_node_and_no_vote() {
    assert_eq!(NodeId::new(0), None);
    let mut payload = vec![0; 16];
    payload.extend_from_slice(&binding::encode(&[(node(1), Incarnation(5))].into()));
    assert_eq!(binding::decode(&payload), [(node(1), Incarnation(5))].into());
    let mut disk = MemoryDisk::default();
    for (term, vote) in [(1, 0), (2, 1), (3, 0)] {
        let (mut wal, _) = Wal::open(&mut disk, options()).unwrap();
        wal.append(&hard_state(term, vote), &[]).unwrap();
        drop(wal);
        let (_, recovered) = Wal::open(&mut disk, options()).unwrap();
        assert_eq!(recovered.hard_state, hard_state(term, vote));
    }
}

/// A24: one message with a term that no cluster reaches by counting neither crashes anybody
/// nor stops the cluster for ever.
#[test]
fn rel_a24_a_term_out_of_all_proportion_stops_nobody() {
    let last = EntryId { term: Term(1), index: Index(9) };
    for term in [u64::MAX, u64::MAX - 1, (1 << 62) + 1, 1 << 62, (1 << 62) - 1, 1 << 61, 1 << 40] {
        let mut cluster = Cluster::led_by(3, node(1));
        for message in [
            Message::HeartbeatResponse { round: 0, counts: true },
            Message::RequestVote { last, transfer: true },
            Message::RequestVoteResponse { granted: true },
            Message::PreVote { next_term: Term(term), last },
            Message::PreVoteResponse { next_term: Term(term), granted: true },
            Message::PreVoteResponse { next_term: Term(term), granted: false },
            Message::Heartbeat { commit_index: Index(1), round: 0, log_time: 0 },
            Message::TimeoutNow,
        ] {
            for to in [1, 2] {
                cluster.inject(envelope(node(3), node(to), term, message.clone()));
            }
        }
        let ask = Message::PreVote { next_term: Term(u64::MAX), last };
        cluster.inject(envelope(node(3), node(1), 1, ask));
        cluster.settle();
        cluster.crash(node(1));
        cluster.run(1_000);
        cluster.restart(node(1));
        cluster.run(1_000);
        let label = format!("after {term}");
        cluster.submit(node(2), &label, "put a 1", None);
        cluster.run(100);
        assert!(cluster.answer(&label).is_some(), "{label}: {}", cluster.describe(node(2)));
    }
}

/// Every answer that there is, each as favourable as it can be.
fn answers(last: Index) -> Vec<Message> {
    let accepted = AppendResult::Accepted { match_index: last };
    vec![
        Message::PreVoteResponse { next_term: Term(2), granted: true },
        Message::RequestVoteResponse { granted: true },
        Message::AppendEntriesResponse { round: 9, counts: true, result: accepted },
        Message::HeartbeatResponse { round: 9, counts: true },
        Message::ReadIndexResponse { context: 1, index: last },
    ]
}

/// A27: an answer of a node that is no member, or of term zero, changes nothing in any role.
/// (A question may come from a node that was added behind the end of this log.) Only a pre-vote
/// may come from a member that is in term zero.
#[test]
fn rel_a27_answers_of_strangers_and_of_term_zero_change_nothing() {
    let senders = |term: u64| [(9, 0), (9, term), (9, term + 5), (4, 0), (5, 0)];
    let bother = |cluster: &mut Cluster, id: u64| {
        let before = (cluster.describe(node(id)), cluster.replica(node(id)).raft().hard_state());
        let (term, last) = (cluster.term(id), cluster.last(id));
        for (from, of) in senders(term) {
            for message in answers(last.index) {
                if from == 9 || !matches!(message, Message::PreVoteResponse { .. }) {
                    cluster.inject(envelope(node(from), node(id), of, message));
                }
            }
        }
        cluster.deliver(|e| e.to == node(id) && [4, 5, 9].contains(&e.from.number()));
        let after = (cluster.describe(node(id)), cluster.replica(node(id)).raft().hard_state());
        assert_eq!(after, before);
    };
    let mut cluster = Cluster::led_by(5, node(1));
    (2..=5).for_each(|id| cluster.isolate(id));
    cluster.submit(node(1), "alone", "put a 1", None);
    cluster.read(node(1), "read", "a");
    cluster.drop_messages(|_| true);
    bother(&mut cluster, 1);
    assert_eq!((cluster.answer("alone"), cluster.answer("read")), (None, None));
    cluster.heal();
    cluster.crash(node(1));
    cluster.campaign(node(2));
    cluster.drop_messages(|e| e.to != node(3));
    assert_eq!(cluster.role(2), RoleName::PreCandidate);
    bother(&mut cluster, 2);
    bother(&mut cluster, 3);
    cluster.time_out(node(2));
    cluster.deliver_named("PreVote");
    cluster.deliver_named("PreVoteResponse");
    cluster.drop_messages(named("RequestVote"));
    assert_eq!(cluster.role(2), RoleName::Candidate);
    bother(&mut cluster, 2);
    cluster.settle();
    assert_eq!(cluster.leaders(), []);
}

/// A28: what a node says to itself, such as its own vote once it is on disk, never comes from
/// the network; a message that claims to be such changes nothing and crashes nobody.
#[test]
fn rel_a28_what_a_node_tells_itself_is_not_believed_from_outside() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.crash(node(1));
    cluster.hold_sync(node(2), true);
    cluster.stand(2);
    cluster.settle();
    assert_eq!(cluster.role(2), RoleName::Candidate, "n3 voted for it, its own vote is not synced");
    for message in answers(Index(2)) {
        cluster.inject(envelope(node(2), node(2), 2, message));
    }
    cluster.settle();
    assert_eq!(cluster.role(2), RoleName::Candidate);
    cluster.hold_sync(node(2), false);
    cluster.settle();
    assert_eq!(cluster.leaders(), [2]);

    (1..=3).for_each(|id| cluster.isolate(id));
    cluster.submit(node(2), "alone", "put a 1", None);
    cluster.read(node(2), "read", "a");
    let (before, last) = (cluster.commit_index(2), cluster.last(2));
    let from_leader = [
        Message::Heartbeat { commit_index: last.index, round: 9, log_time: 0 },
        Message::AppendEntries { prev: last, commit_index: last.index, round: 9, entries: vec![] },
    ];
    for message in answers(last.index).into_iter().chain(from_leader) {
        for to in [2, 3] {
            cluster.inject(envelope(node(to), node(to), 2, message.clone()));
        }
    }
    cluster.settle();
    assert_eq!((cluster.leaders(), cluster.commit_index(2)), (vec![2], before));
    assert_eq!((cluster.answer("alone"), cluster.answer("read")), (None, None));
    assert_eq!(cluster.status(node(3)).leader, Some(node(2)));
}

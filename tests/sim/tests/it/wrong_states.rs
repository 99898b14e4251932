//! States are compared at every thousandth entry: who differs from a majority is fenced, and is
//! sent another state beside the entries. That a state differs is made up here, by what others
//! are made to say of theirs.

use raft_core::consensus::message::Message;
use raft_core::consensus::ready::RoleName;
use raft_core::replica::fence::HASH_INTERVAL;
use raft_core::types::{Index, NodeId};
use sim::cluster::{Cluster, envelope, is_named, node};

/// No state has this hash.
const WRONG: u64 = 7;

/// Three nodes that have applied so much that their states were compared; node 1 leads.
fn compared() -> Cluster {
    let mut cluster = Cluster::led_by(3, node(1));
    for number in 0..HASH_INTERVAL {
        cluster.submit(node(1), &format!("w{number}"), &format!("put a {number}"), None);
        cluster.settle();
    }
    cluster.run(50);
    let applied = cluster.ids().into_iter().map(|id| cluster.status(id).applied_index.0);
    assert!(applied.min() >= Some(HASH_INTERVAL));
    cluster.take_told();
    cluster
}

fn send(cluster: &mut Cluster, from: NodeId, to: NodeId, message: Message) {
    let term = cluster.status(to).term.0;
    cluster.inject(envelope(from, to, term, message));
    cluster.deliver(|_| true);
}

fn compared_index() -> Index {
    Index(HASH_INTERVAL)
}

/// Tells a follower that a majority has another state.
fn deny(cluster: &mut Cluster, id: NodeId) {
    let message = Message::AgreedHash { index: compared_index(), hash: WRONG };
    send(cluster, node(1), id, message);
    assert!(cluster.status(id).is_fenced);
    assert_eq!(cluster.take_told()[0], format!("n{id} differs from the majority at 1000"));
}

/// Makes two followers tell the leader hashes that are not what their states have.
fn tell_leader(cluster: &mut Cluster, hashes: [u64; 2]) {
    for (follower, hash) in [node(2), node(3)].into_iter().zip(hashes) {
        let message = Message::StateHash { index: compared_index(), hash };
        send(cluster, follower, node(1), message);
    }
}

fn has_told(cluster: &mut Cluster, words: &str) -> bool {
    cluster.take_told().iter().any(|told| told.contains(words))
}

#[test]
fn who_differs_answers_nothing_until_its_state_was_replaced() {
    let mut cluster = compared();
    let wrong = node(3);
    deny(&mut cluster, wrong);
    cluster.read(wrong, "early", "a");
    assert_eq!(cluster.answer("early"), Some("refused: Fenced"));
    // A write through it is in the log and applied by all, and its answer is worth nothing yet.
    cluster.submit(wrong, "late", "put b 1", Some((5, 1)));
    cluster.settle();
    assert_eq!(cluster.replica(node(1)).machine().get("b"), Some("1"));
    assert_eq!(cluster.answer("late"), None);
    cluster.snapshot(wrong);
    assert_eq!(cluster.status(wrong).snapshot_index, Index::ZERO, "nobody may have its state");
    cluster.run(2_000);
    assert!(has_told(&mut cluster, "n3 has a snapshot up to"), "nobody sent it a state");
    assert!(!cluster.status(wrong).is_fenced);
    assert_eq!(cluster.answer("late"), Some("r1001"));
    cluster.read(wrong, "again", "a");
    cluster.run(50);
    assert_eq!(cluster.answer("again"), Some("999"));
    // What was not taken back: the log.
    assert_eq!(cluster.status(wrong).last_index, cluster.status(node(1)).last_index);
}

#[test]
fn a_snapshot_for_a_wrong_state_goes_on_after_pieces_were_lost() {
    let mut cluster = compared();
    deny(&mut cluster, node(3));
    for _ in 0..20 {
        cluster.tick(50);
        cluster.deliver(|envelope| !is_named(envelope, "InstallSnapshot"));
        cluster.drop_messages(|envelope| is_named(envelope, "InstallSnapshot"));
    }
    assert!(cluster.status(node(3)).is_fenced);
    cluster.run(2_000);
    assert!(!cluster.status(node(3)).is_fenced);
}

#[test]
fn a_leader_that_differs_gives_leadership_away() {
    let mut cluster = compared();
    tell_leader(&mut cluster, [WRONG, WRONG]);
    // The others' states are right, whatever was said of them.
    cluster.drop_messages(|envelope| is_named(envelope, "AgreedHash"));
    assert!(cluster.status(node(1)).is_fenced);
    cluster.read(node(1), "early", "a");
    assert_eq!(cluster.answer("early"), Some("refused: Fenced"));
    cluster.run(2_000);
    let status = cluster.status(node(1));
    assert_eq!(status.role, RoleName::Follower);
    assert!(!status.is_fenced, "whoever leads now has sent it a state");
    cluster.read(node(1), "again", "a");
    cluster.run(50);
    assert_eq!(cluster.answer("again"), Some("999"));
}

#[test]
fn without_a_majority_nobody_is_fenced() {
    let mut cluster = compared();
    tell_leader(&mut cluster, [WRONG, WRONG + 1]);
    assert!(has_told(&mut cluster, "n1 finds no majority at 1000"));
    cluster.run(500);
    assert!(cluster.ids().iter().all(|&id| !cluster.status(id).is_fenced));
    assert_eq!(cluster.status(node(1)).role, RoleName::Leader);
}

#[test]
fn only_a_leader_hears_what_others_have_and_only_of_it_what_all_have() {
    let mut cluster = compared();
    let index = compared_index();
    send(&mut cluster, node(2), node(3), Message::AgreedHash { index, hash: WRONG });
    send(&mut cluster, node(2), node(3), Message::StateHash { index, hash: WRONG });
    send(&mut cluster, node(2), node(3), Message::RequestSnapshot { least: Index::ZERO });
    cluster.run(500);
    assert!(cluster.ids().iter().all(|&id| !cluster.status(id).is_fenced));
    assert!(!has_told(&mut cluster, "InstallSnapshot"));
}

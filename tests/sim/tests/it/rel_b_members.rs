//! Bugs of other implementations, part B: nodes that begin to vote, and nodes that were removed.
//! Each test is named after its row in `docs/raft.md`.

use raft_core::configuration::Change;
use raft_core::consensus::message::Message;
use raft_core::consensus::ready::RoleName;
use sim::cluster::{Cluster, ELECTION_TIMEOUT_US, envelope, node};

const ELECTION_TIMEOUT_MS: u64 = ELECTION_TIMEOUT_US / 1_000;

/// Makes a voter of a learner.
fn promote(cluster: &mut Cluster, leader: u64, id: u64) {
    let promote = Change { promote: [node(id)].into(), ..Change::default() };
    cluster.change(node(leader), "promote", &promote);
}

/// B12: a learner becomes a voter, and then it takes a while until it is heard of again. That
/// is no reason for the leader to give up, at whatever moment between two of its checks for a
/// majority it happens.
#[test]
fn rel_b12_a_new_voter_that_has_not_spoken_yet_does_not_depose_the_leader() {
    for after_ms in (0..=2 * ELECTION_TIMEOUT_MS).step_by(5) {
        let mut cluster = Cluster::led_by(1, node(1));
        cluster.take_in(1, 2);
        cluster.run(after_ms);
        promote(&mut cluster, 1, 2);
        assert!(cluster.status(node(1)).configuration.voters.contains(&node(2)));
        let slow = |cluster: &mut Cluster| cluster.keep("slow", |e| e.from == node(2));
        for _ in 0..ELECTION_TIMEOUT_MS / 10 - 1 {
            cluster.deliver(|e| e.to == node(2));
            slow(&mut cluster);
            cluster.tick(10);
            assert_eq!(cluster.role(1), RoleName::Leader, "{after_ms} ms");
        }
        slow(&mut cluster);
        cluster.send_kept("slow");
        cluster.run(300);
        assert_eq!((cluster.leaders(), cluster.leaderships()), (vec![1], 1), "{after_ms} ms");
        assert_eq!(cluster.commit_index(2), cluster.last(1).index.0);
    }
}

/// B19: a voter that was removed, and did not hear of it, goes on asking for votes, in later
/// terms too: the members stay with their leader in their term, and tell it; then it is quiet.
#[test]
fn rel_b19_a_removed_node_that_campaigns_disturbs_nobody() {
    for has_stood in [false, true] {
        let mut cluster = Cluster::led_by(3, node(1));
        cluster.isolate(3);
        cluster.run(20);
        let remove = Change { remove: [node(3)].into(), ..Change::default() };
        cluster.change(node(1), "remove", &remove);
        cluster.run(50);
        assert!(!cluster.status(node(2)).configuration.is_member(node(3)));
        if has_stood {
            // As a candidate of a later term, whom its old leader had told to stand.
            cluster.inject(envelope(node(1), node(3), 1, Message::TimeoutNow));
            cluster.deliver_named("TimeoutNow");
            assert_eq!((cluster.role(3), cluster.term(3)), (RoleName::Candidate, 2));
        }
        cluster.run(400);
        assert_eq!(cluster.role(3), RoleName::PreCandidate, "it asks, and is not heard");
        cluster.heal();
        for _ in 0..2 {
            let last = cluster.last(3);
            let ask = Message::RequestVote { last, transfer: true };
            cluster.inject(envelope(node(3), node(1), 7, ask.clone()));
            cluster.inject(envelope(node(3), node(2), 7, ask));
            cluster.run(500);
        }
        cluster.take_told();
        cluster.run(3_000);
        assert_eq!((cluster.leaders(), cluster.leaderships()), (vec![1], 1));
        assert_eq!((cluster.term(1), cluster.term(2)), (1, 1));
        assert!(!cluster.was_told(&["n3 ->"]), "it is quiet");
        cluster.submit(node(2), "w", "put a 1", None);
        cluster.run(20);
        assert!(cluster.answer("w").is_some());
    }
}

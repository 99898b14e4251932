//! The safety catalogue, first part: votes, terms and majorities. Each test is named after its
//! entry in `docs/scenarios.md` and says in its own words what must hold.

use raft_core::consensus::message::Message;
use raft_core::consensus::ready::RoleName;
use raft_core::types::{EntryId, Index, NodeId, Term};
use sim::cluster::{Cluster, envelope, is_named, node};

fn role(cluster: &Cluster, id: u64) -> RoleName {
    cluster.status(node(id)).role
}

fn term(cluster: &Cluster, id: u64) -> u64 {
    cluster.status(node(id)).term.0
}

fn leaders(cluster: &Cluster) -> Vec<NodeId> {
    let leads = |id: &NodeId| cluster.is_up(*id) && cluster.status(*id).role == RoleName::Leader;
    cluster.ids().into_iter().filter(leads).collect()
}

fn isolate(cluster: &mut Cluster, id: u64) {
    for other in cluster.ids().into_iter().filter(|&other| other != node(id)) {
        cluster.cut(node(id), other);
        cluster.cut(other, node(id));
    }
}

/// S-01: a node gives one vote per term, also when it has lost, won or left that election.
#[test]
fn ref_s01_one_vote_per_term_whatever_became_of_the_election() {
    let mut cluster = Cluster::led_by(3, node(1));
    isolate(&mut cluster, 1);
    cluster.campaign(node(2));
    cluster.settle();
    assert_eq!(role(&cluster, 2), RoleName::Leader);
    // A rival of the same term asks everybody, after the winner was elected.
    for voter in [2, 3] {
        let last = EntryId { term: Term(9), index: Index(99) };
        let ask = Message::RequestVote { last, transfer: true };
        cluster.inject(envelope(node(1), node(voter), 2, ask));
    }
    cluster.deliver(|_| true);
    assert_eq!(leaders(&cluster).iter().filter(|&&id| id != node(1)).count(), 1);
    let told = cluster.take_told();
    let to_rival = |line: &&String| line.contains("-> n1") && line.contains("granted=");
    let answers: Vec<&String> = told.iter().filter(to_rival).collect();
    assert!(!answers.is_empty() && answers.iter().all(|line| line.contains("granted=false")));
}

/// S-02: term and vote survive a crash between the decision and the answer.
#[test]
fn ref_s02_a_synced_vote_survives_a_crash() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.crash(node(1));
    cluster.campaign(node(2));
    cluster.deliver(|_| true);
    cluster.deliver(|_| true);
    cluster.deliver(|_| true);
    // n3 has voted for n2 in term 2; its answer is lost with its process.
    cluster.drop_messages(|e| is_named(e, "RequestVoteResponse"));
    cluster.crash(node(3));
    cluster.restart(node(3));
    assert_eq!(term(&cluster, 3), 2);
    let last = EntryId { term: Term(9), index: Index(99) };
    cluster.restart(node(1));
    cluster.take_told();
    cluster.inject(envelope(node(1), node(3), 2, Message::RequestVote { last, transfer: true }));
    cluster.deliver(|_| true);
    let told = cluster.take_told();
    assert!(told.iter().any(|line| line.contains("granted=false")), "{told:?}");
}

/// S-03: a vote is refused to a shorter log, and to a longer one that ends in an older term.
#[test]
fn ref_s03_a_log_that_ends_in_an_older_term_is_not_better_for_being_longer() {
    let mut cluster = Cluster::led_by(3, node(1));
    for (term, index, granted) in [(1, 1, false), (0, 99, false), (1, 2, true), (2, 1, true)] {
        let last = EntryId { term: Term(term), index: Index(index) };
        isolate(&mut cluster, 1);
        cluster.campaign(node(2));
        cluster.drop_messages(|_| true);
        cluster.heal();
        let later = self::term(&cluster, 2) + 10;
        let pre_vote = Message::PreVote { next_term: Term(later), last };
        let vote = Message::RequestVote { last, transfer: true };
        for (of, ask) in [(later - 1, pre_vote), (later, vote)] {
            cluster.take_told();
            cluster.inject(envelope(node(3), node(2), of, ask));
            cluster.deliver(|_| true);
            let told = cluster.take_told();
            let wanted = format!("granted={granted}");
            assert!(told.iter().any(|line| line.contains(&wanted)), "{last}: {told:?}");
        }
    }
}

/// S-04: the later term of a refused candidate is adopted all the same, and a vote of an
/// earlier term binds nobody in it.
#[test]
fn ref_s04_a_refused_candidates_term_is_adopted_and_old_votes_do_not_bind() {
    let mut cluster = Cluster::led_by(3, node(1));
    let old = Message::RequestVote { last: EntryId::ZERO, transfer: true };
    cluster.inject(envelope(node(3), node(2), 5, old));
    cluster.deliver(|_| true);
    assert_eq!(term(&cluster, 2), 5, "the term is adopted");
    let good = EntryId { term: Term(1), index: Index(2) };
    let ask = Message::RequestVote { last: good, transfer: true };
    cluster.take_told();
    cluster.inject(envelope(node(3), node(2), 6, ask));
    cluster.deliver(|_| true);
    let told = cluster.take_told();
    assert!(told.iter().any(|line| line.contains("granted=true")), "{told:?}");
}

/// S-05: a vote of an earlier term never counts, and one that is repeated counts once.
#[test]
fn ref_s05_late_and_repeated_votes_do_not_elect() {
    let mut cluster = Cluster::led_by(5, node(1));
    isolate(&mut cluster, 1);
    cluster.cut(node(2), node(4));
    cluster.cut(node(2), node(5));
    cluster.campaign(node(2));
    for _ in 0..4 {
        cluster.deliver(|_| true);
    }
    // Pre-votes of n3 alone are no majority of five: make n2 a candidate by transfer instead.
    cluster.inject(envelope(
        node(1),
        node(2),
        1,
        Message::Heartbeat { commit_index: Index(0), round: 0, log_time: 0 },
    ));
    cluster.inject(envelope(node(1), node(2), 1, Message::TimeoutNow));
    cluster.deliver(|_| true);
    assert_eq!(role(&cluster, 2), RoleName::Candidate);
    let now = term(&cluster, 2);
    for (from, of) in [(3, now), (3, now), (3, now), (4, now - 1), (5, now - 1)] {
        let vote = Message::RequestVoteResponse { granted: true };
        cluster.inject(envelope(node(from), node(2), of, vote));
    }
    cluster.deliver(|_| true);
    assert_eq!(role(&cluster, 2), RoleName::Candidate, "two of five are no majority");
    let vote = Message::RequestVoteResponse { granted: true };
    cluster.inject(envelope(node(4), node(2), now, vote));
    cluster.deliver(|_| true);
    assert_eq!(role(&cluster, 2), RoleName::Leader, "three of five are");
}

/// S-06: a majority is ⌊N/2⌋ + 1 of the configured voters, for elections, commits and reads.
#[test]
fn ref_s06_majorities_are_of_the_configured_voters() {
    for count in 1..=5u64 {
        let quorum = count / 2 + 1;
        for alive in 1..=count {
            let mut cluster = Cluster::led_by(count, node(1));
            (alive + 1..=count).for_each(|id| cluster.crash(node(id)));
            cluster.submit(node(1), "write", "put a 1", None);
            cluster.read(node(1), "read", "a");
            cluster.run(150);
            let has_quorum = quorum <= alive;
            assert_eq!(cluster.answer("write").is_some(), has_quorum, "{alive} of {count}");
            assert_eq!(cluster.answer("read").is_some(), has_quorum, "{alive} of {count}");
            cluster.crash(node(1));
            cluster.run(1_500);
            let can_elect = quorum < alive;
            assert_eq!(leaders(&cluster).len(), usize::from(can_elect), "{} left", alive - 1);
        }
    }
}

/// S-07: the smaller side of a partition neither elects nor acknowledges; halves do neither.
#[test]
fn ref_s07_a_minority_stands_still() {
    for (count, near) in [(5u64, 2u64), (4, 2)] {
        let mut cluster = Cluster::led_by(count, node(1));
        for a in 1..=near {
            for b in near + 1..=count {
                cluster.cut(node(a), node(b));
                cluster.cut(node(b), node(a));
            }
        }
        cluster.submit(node(1), "near", "put a 1", None);
        cluster.run(1_000);
        assert_eq!(cluster.answer("near"), None, "{near} of {count} acknowledge nothing");
        let far_leads = leaders(&cluster).iter().any(|id| near < id.number());
        assert_eq!(far_leads, near < count - near, "the other side of {count}");
        assert!(leaders(&cluster).iter().all(|id| near < id.number()), "the old leader gave up");
        cluster.heal();
        cluster.run(1_000);
        assert_eq!(leaders(&cluster).len(), 1);
        assert!(cluster.answer("near").is_some(), "with a majority the command is done");
    }
}

/// S-18: terms only grow, also over restarts, and a later term in any answer is adopted.
#[test]
fn ref_s18_terms_only_grow() {
    let mut cluster = Cluster::led_by(3, node(1));
    let late = Message::HeartbeatResponse { round: 0, counts: true };
    cluster.inject(envelope(node(2), node(1), 9, late));
    cluster.deliver(|_| true);
    assert_eq!((role(&cluster, 1), term(&cluster, 1)), (RoleName::Follower, 9));
    cluster.crash(node(1));
    cluster.restart(node(1));
    assert_eq!(term(&cluster, 1), 9);
    cluster.run(1_000);
    assert!(cluster.ids().iter().all(|id| 9 < cluster.status(*id).term.0), "all follow");
}

/// S-19: a message of an earlier term changes nothing: no role, no log, no commit, no timer.
#[test]
fn ref_s19_a_message_of_an_earlier_term_changes_nothing() {
    let mut cluster = Cluster::led_by(3, node(1));
    isolate(&mut cluster, 1);
    cluster.campaign(node(2));
    cluster.settle();
    let before = cluster.describe(node(3));
    for message in [
        Message::AppendEntries {
            prev: EntryId::ZERO,
            commit_index: Index(2),
            round: 0,
            entries: vec![],
        },
        Message::Heartbeat { commit_index: Index(2), round: 0, log_time: 0 },
        Message::RequestVote { last: EntryId { term: Term(9), index: Index(9) }, transfer: true },
        Message::TimeoutNow,
    ] {
        cluster.inject(envelope(node(1), node(3), 1, message));
    }
    cluster.heal();
    cluster.deliver(|e| e.to == node(3));
    assert_eq!(cluster.describe(node(3)), before);
}

/// S-21: after stepping down a node can stand again, and a split vote is followed by a leader.
#[test]
fn ref_s21_elections_end_and_former_leaders_can_win_again() {
    for count in [2u64, 3, 4, 5] {
        let mut cluster = Cluster::led_by(count, node(1));
        isolate(&mut cluster, 1);
        cluster.run(400);
        cluster.heal();
        for round in 0..3 {
            for id in cluster.ids() {
                cluster.campaign(id);
            }
            cluster.run(1_500);
            assert_eq!(leaders(&cluster).len(), 1, "{count} nodes, round {round}");
        }
    }
}

/// S-22: late answers to a role that a node has left crash nothing and change nothing.
#[test]
fn ref_s22_late_answers_after_a_change_of_role_are_harmless() {
    let mut cluster = Cluster::led_by(3, node(1));
    let term = term(&cluster, 1);
    let messages = [
        Message::PreVoteResponse { next_term: Term(term + 1), granted: true },
        Message::RequestVoteResponse { granted: true },
        Message::HeartbeatResponse { round: 99, counts: true },
        Message::ReadIndexResponse { context: 1, index: Index(1) },
        Message::ReadIndex { context: 1 },
        Message::TimeoutNow,
    ];
    for message in &messages {
        for to in [1, 2, 3] {
            for of in [0, term - 1, term] {
                let from = if to == 3 { 2 } else { 3 };
                cluster.inject(envelope(node(from), node(to), of, message.clone()));
            }
        }
    }
    cluster.settle();
    cluster.run(1_000);
    assert_eq!(leaders(&cluster).len(), 1);
}

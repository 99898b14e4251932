//! Bugs of other implementations, part A: who may vote for whom, and which votes count. Each
//! test is named after its row in `docs/raft.md`.

use raft_core::consensus::message::Message;
use raft_core::consensus::ready::RoleName;
use raft_core::types::{EntryId, Index, NodeId, Term};
use sim::cluster::{Cluster, envelope, named, node};

/// A log that nobody refuses.
const BEST: EntryId = EntryId { term: Term(1), index: Index(1_000) };

/// A cluster whose leader, n1, has just ended without a word.
fn without_leader(count: u64) -> Cluster {
    let mut cluster = Cluster::led_by(count, node(1));
    cluster.crash(node(1));
    cluster
}

/// Lets a node that no message can reach ask another for its vote in this very term.
fn ask_for_vote(cluster: &mut Cluster, from: u64, to: u64, term: u64) {
    let ask = Message::RequestVote { last: BEST, transfer: true };
    cluster.inject(envelope(node(from), node(to), term, ask));
    cluster.deliver(move |e| (e.from, e.to) == (node(from), node(to)));
}

/// Lets a node see a later term, in an answer that belongs to nothing.
fn see_term(cluster: &mut Cluster, at: u64, from: u64, term: u64) {
    let answer = Message::HeartbeatResponse { round: 0, counts: true };
    cluster.inject(envelope(node(from), node(at), term, answer));
    cluster.deliver(move |e| (e.from, e.to) == (node(from), node(at)));
    assert_eq!(cluster.term(at), term);
}

fn vote(cluster: &Cluster, id: u64) -> Option<NodeId> {
    cluster.replica(node(id)).raft().hard_state().vote
}

/// A1: a vote that was given in the campaign before does not count in this one.
#[test]
fn rel_a01_votes_of_an_earlier_campaign_do_not_count_in_this_one() {
    let mut cluster = without_leader(5);
    cluster.stand(2);
    cluster.deliver_named("RequestVote");
    cluster.keep("votes of t2", named("RequestVoteResponse"));
    cluster.time_out(node(2));
    cluster.deliver_named("PreVote");
    cluster.deliver_named("PreVoteResponse");
    assert_eq!((cluster.role(2), cluster.term(2)), (RoleName::Candidate, 3));
    // Nobody has been asked for a vote of t3 yet; three votes of t2 arrive.
    cluster.drop_messages(named("RequestVote"));
    cluster.send_kept("votes of t2");
    cluster.deliver_named("RequestVoteResponse");
    assert_eq!((cluster.role(2), cluster.term(2)), (RoleName::Candidate, 3));
    assert_eq!(cluster.leaders(), []);
}

/// A2: whoever gives up its candidacy or its leadership within a term keeps the vote it gave
/// itself in that term.
#[test]
fn rel_a02_stepping_down_within_a_term_does_not_free_the_vote() {
    // A leader that reaches nobody.
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.isolate(1);
    cluster.wait_for_role(1, RoleName::Follower);
    assert_eq!((cluster.term(1), vote(&cluster, 1)), (1, Some(node(1))));
    ask_for_vote(&mut cluster, 2, 1, 1);
    assert!(cluster.was_told(&["n1 -> n2 t1 RequestVoteResponse granted=false"]));

    // A candidate that a majority refused.
    let mut cluster = without_leader(3);
    cluster.stand(2);
    cluster.drop_messages(named("RequestVote"));
    for voter in [1, 3] {
        let refusal = Message::RequestVoteResponse { granted: false };
        cluster.inject(envelope(node(voter), node(2), 2, refusal));
    }
    cluster.deliver_named("RequestVoteResponse");
    assert_eq!((cluster.role(2), cluster.term(2)), (RoleName::Follower, 2));
    ask_for_vote(&mut cluster, 3, 2, 2);
    assert!(cluster.was_told(&["n2 -> n3 t2 RequestVoteResponse granted=false"]));

    // A candidate that hears from the winner.
    let mut cluster = without_leader(5);
    cluster.stand_together(&[2, 3]);
    cluster.drop_messages(|e| e.from == node(2));
    cluster.settle();
    assert_eq!((cluster.role(3), cluster.role(2), cluster.term(2)), FOLLOWS_THE_WINNER);
    ask_for_vote(&mut cluster, 4, 2, 2);
    assert!(cluster.was_told(&["n2 -> n4 t2 RequestVoteResponse granted=false"]));
    assert_eq!(vote(&cluster, 2), Some(node(2)));
}

const FOLLOWS_THE_WINNER: (RoleName, RoleName, u64) = (RoleName::Leader, RoleName::Follower, 2);

/// A3: a voter that crashes between its decision and the sync has given no vote; one that
/// crashes after the sync has given it for good.
#[test]
fn rel_a03_a_crash_between_decision_and_sync_never_leads_to_two_votes() {
    for is_synced in [false, true] {
        let mut cluster = without_leader(3);
        cluster.hold_sync(node(3), true);
        cluster.stand(2);
        cluster.deliver_named("RequestVote");
        assert_eq!((cluster.term(3), vote(&cluster, 3)), (2, Some(node(2))), "it has decided");
        assert!(!cluster.was_told(&["n3 -> n2 t2 RequestVoteResponse"]), "and said nothing");
        if is_synced {
            cluster.sync(node(3), usize::MAX);
            assert!(cluster.was_told(&["n3 -> n2 t2 RequestVoteResponse granted=true"]));
        }
        cluster.crash(node(3));
        cluster.hold_sync(node(3), false);
        cluster.restart(node(3));
        assert_eq!(cluster.term(3), if is_synced { 2 } else { 1 });
        ask_for_vote(&mut cluster, 1, 3, 2);
        let answer = format!("n3 -> n1 t2 RequestVoteResponse granted={}", !is_synced);
        assert!(cluster.was_told(&[&answer]), "{:?}", cluster.take_told());
    }
}

/// A5: a candidate's own vote comes back from its disk too late: after it lost, after it asked
/// anew, and in a later term. It counts in none of these.
#[test]
fn rel_a05_an_own_vote_that_comes_too_late_from_the_disk_does_not_count() {
    // After the election was lost to n3.
    let mut cluster = without_leader(5);
    cluster.hold_sync(node(2), true);
    cluster.stand_together(&[2, 3]);
    cluster.drop_messages(|e| e.from == node(2));
    cluster.settle();
    cluster.sync(node(2), 1);
    cluster.settle();
    assert_eq!((cluster.leaders(), cluster.role(2)), (vec![3], RoleName::Follower));

    // After it gave up and only asks whether to stand again, in the same term.
    let mut cluster = without_leader(3);
    cluster.hold_sync(node(2), true);
    cluster.stand(2);
    cluster.settle();
    assert_eq!(cluster.role(2), RoleName::Candidate, "n3 has voted for it, it itself not yet");
    cluster.time_out(node(2));
    cluster.drop_messages(named("PreVote"));
    cluster.sync(node(2), 1);
    assert_eq!((cluster.role(2), cluster.term(2)), (RoleName::PreCandidate, 2));

    // As a candidate of a later term, for which n3 alone has voted so far.
    let mut cluster = without_leader(3);
    cluster.hold_sync(node(2), true);
    cluster.stand(2);
    cluster.drop_messages(named("RequestVote"));
    cluster.time_out(node(2));
    cluster.settle();
    assert_eq!((cluster.role(2), cluster.term(2)), (RoleName::Candidate, 3));
    cluster.sync(node(2), 1);
    assert_eq!(cluster.role(2), RoleName::Candidate, "that was its vote of t2");
    cluster.sync(node(2), 1);
    assert_eq!((cluster.role(2), cluster.term(2)), (RoleName::Leader, 3));
}

/// A6: what a leader wrote in an earlier leadership and was replaced since says nothing, when
/// its disk is done with it at last, about the entries that stand there now.
#[test]
fn rel_a06_a_late_sync_of_an_earlier_leadership_counts_for_nothing() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.hold_sync(node(1), true);
    cluster.isolate(1);
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.stand(2);
    cluster.settle();
    assert_eq!(cluster.leaders(), [1, 2]);
    cluster.heal();
    for _ in 0..5 {
        cluster.pass(10);
        cluster.tick_node(node(2));
        cluster.settle();
    }
    let replaced_by = cluster.last(2);
    assert_eq!(cluster.last(1), replaced_by, "its own entry is not there any more");
    // It is elected once more; everything since its first entry is still on its way to the disk.
    cluster.crash(node(2));
    cluster.stand(1);
    cluster.settle();
    let durable = |cluster: &Cluster| cluster.replica(node(1)).raft().log().durable_index();
    cluster.sync(node(1), 1);
    assert_eq!(durable(&cluster), Index(2), "the entry that was synced was replaced");
    let is_elected = |cluster: &Cluster| cluster.role(1) == RoleName::Leader;
    let syncs = (0..10).find(|_| {
        cluster.sync(node(1), 1);
        is_elected(&cluster)
    });
    assert_ne!(syncs, Some(0), "the sync after that is of an earlier term too");
    assert_eq!((cluster.role(1), durable(&cluster)), (RoleName::Leader, replaced_by.index));
    // Of its new entry the other disk knows, its own does not.
    let before = cluster.commit_index(1);
    cluster.settle();
    assert_eq!((cluster.last(3), cluster.commit_index(1)), (cluster.last(1), before));
    cluster.sync(node(1), 1);
    assert_eq!(cluster.commit_index(1), cluster.last(1).index.0);
}

/// A7: a refusal is no vote, whether its term is the candidate's own or a later one; the later
/// one ends the candidacy.
#[test]
fn rel_a07_a_refusal_is_never_counted_as_a_vote() {
    let mut cluster = without_leader(3);
    cluster.stand(2);
    ask_for_vote(&mut cluster, 1, 3, 2);
    assert_eq!(vote(&cluster, 3), Some(node(1)));
    cluster.settle();
    assert!(cluster.was_told(&["n3 -> n2 t2 RequestVoteResponse granted=false"]));
    assert_eq!(cluster.role(2), RoleName::Candidate, "its own vote alone");

    let mut cluster = without_leader(3);
    cluster.stand(2);
    see_term(&mut cluster, 3, 1, 7);
    cluster.settle();
    assert!(cluster.was_told(&["n3 -> n2 t7 RequestVoteResponse granted=false"]));
    assert_eq!((cluster.role(2), cluster.term(2)), (RoleName::Follower, 7));
}

/// A8: a candidate that sees a later term follows at once, and votes of the old term that come
/// after that elect nobody.
#[test]
fn rel_a08_votes_that_come_after_a_later_term_was_seen_are_void() {
    let mut cluster = without_leader(5);
    cluster.stand(2);
    see_term(&mut cluster, 5, 1, 7);
    cluster.deliver_named("RequestVote");
    cluster.keep("votes", |e| e.from != node(5));
    cluster.deliver(|e| e.from == node(5));
    assert_eq!((cluster.role(2), cluster.term(2)), (RoleName::Follower, 7));
    cluster.send_kept("votes");
    cluster.deliver_named("RequestVoteResponse");
    assert_eq!((cluster.role(2), cluster.term(2)), (RoleName::Follower, 7));
    assert_eq!(cluster.leaders(), []);
}

/// A9: of two logs the one whose last entry has the later term is better, also if it is the
/// shorter one; with two nodes left, one of either kind, the better one leads.
#[test]
fn rel_a09_a_short_log_of_a_later_term_wins_over_a_long_one() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.isolate(1);
    for n in 0..3 {
        cluster.submit(node(1), "lost", &format!("put a {n}"), None);
    }
    cluster.stand(2);
    cluster.deliver_named("RequestVote");
    cluster.deliver_named("RequestVoteResponse");
    cluster.drop_messages(|_| true);
    let (long, later) = (cluster.last(1), cluster.last(2));
    assert!(long.term < later.term && later.index < long.index, "{long} and {later}");
    (1..=3).for_each(|id| cluster.crash(node(id)));
    cluster.heal();
    cluster.restart(node(1));
    cluster.restart(node(2));
    // The long log asks first, in vain.
    cluster.campaign(node(1));
    cluster.settle();
    assert_eq!(cluster.leaders(), []);
    cluster.run(600);
    assert_eq!(cluster.leaders(), [2]);
    assert_eq!(cluster.last(1), cluster.last(2));
}

/// A10: there is one term, for elections and for entries: a candidate of t195 takes no entries
/// of the leader of t185.
#[test]
fn rel_a10_a_candidate_takes_no_entries_of_a_leader_of_an_earlier_term() {
    let mut cluster = Cluster::led_by(3, node(1));
    see_term(&mut cluster, 1, 2, 184);
    cluster.stand(1);
    cluster.settle();
    assert_eq!((cluster.leaders(), cluster.term(1)), (vec![1], 185));
    see_term(&mut cluster, 2, 3, 194);
    cluster.stand(2);
    cluster.drop_messages(named("RequestVote"));
    let before = (cluster.last(2), cluster.commit_index(2));
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.deliver(|e| e.to == node(2));
    assert_eq!((cluster.role(2), cluster.term(2)), (RoleName::Candidate, 195));
    assert_eq!((cluster.last(2), cluster.commit_index(2)), before);
    assert!(cluster.was_told(&["n2 -> n1 t195 AppendEntriesResponse rejected"]));
}

/// A11: a candidate whose answer was lost asks once more in the same term and is granted the
/// vote that it has.
#[test]
fn rel_a11_the_same_candidate_is_granted_its_vote_again() {
    let mut cluster = without_leader(3);
    cluster.stand(2);
    cluster.keep("ask", |e| e.to == node(3));
    cluster.send_kept("ask");
    cluster.deliver_named("RequestVote");
    cluster.drop_messages(named("RequestVoteResponse"));
    assert_eq!((cluster.role(2), vote(&cluster, 3)), (RoleName::Candidate, Some(node(2))));
    cluster.send_kept("ask");
    cluster.settle();
    assert_eq!((cluster.leaders(), cluster.term(2)), (vec![2], 2));
}

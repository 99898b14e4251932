//! Bugs of other implementations, part A: who becomes leader, when, and what a new leader may
//! commit. Each test is named after its row in `docs/raft.md`.

use std::collections::BTreeSet;

use raft_core::consensus::log::RaftLog;
use raft_core::consensus::message::Message;
use raft_core::consensus::ready::RoleName;
use raft_core::consensus::{Raft, RaftConfig};
use raft_core::hard_state::{Configuration, HardState, Standing};
use raft_core::types::{EntryId, Incarnation, Index, Term, Time};
use sim::cluster::{Cluster, envelope, named, node};

/// Lets a node see a later term, in an answer that belongs to nothing.
fn see_term(cluster: &mut Cluster, at: u64, from: u64, term: u64) {
    let answer = Message::HeartbeatResponse { round: 0, counts: true };
    cluster.inject(envelope(node(from), node(at), term, answer));
    cluster.deliver(move |e| (e.from, e.to) == (node(from), node(at)));
    assert_eq!(cluster.term(at), term);
}

/// Makes a leader of a node in a later term, of whose first entry nobody hears.
fn lead_unheard(cluster: &mut Cluster, id: u64) {
    cluster.stand(id);
    cluster.deliver_named("RequestVote");
    cluster.deliver_named("RequestVoteResponse");
    assert_eq!(cluster.role(id), RoleName::Leader);
    cluster.drop_messages(|_| true);
}

/// Lets a command reach one node in an append of its own, and the node's answer come back.
fn exchange(cluster: &mut Cluster, leader: u64, follower: u64) {
    cluster.deliver(move |e| (e.from, e.to) == (node(leader), node(follower)));
    cluster.deliver(move |e| (e.from, e.to) == (node(follower), node(leader)));
}

/// A12: a leader that has restarted asks those who still believe that it leads; its asking
/// shows that it does not, so they say yes, and say no to anybody else.
#[test]
fn rel_a12_nobody_refuses_its_own_leaders_question_for_that_leaders_sake() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.crash(node(1));
    cluster.restart(node(1));
    assert!([2, 3].iter().all(|&id| cluster.status(node(id)).leader == Some(node(1))));
    cluster.time_out(node(1));
    cluster.settle();
    assert_eq!((cluster.leaders(), cluster.term(1)), (vec![1], 2));

    let mut cluster = Cluster::led_by(3, node(1));
    cluster.time_out(node(2));
    cluster.settle();
    assert!(cluster.was_told(&["n3 -> n2 t1 PreVoteResponse", "granted=false"]));
    assert_eq!((cluster.leaders(), cluster.term(1)), (vec![1], 1));
}

/// A16: a leader whose heartbeats are as rare as the settings allow is asked for votes and
/// pre-votes at every moment, also when all its timers run out at once: it refuses and leads on.
#[test]
fn rel_a16_a_leader_with_rare_heartbeats_refuses_votes_at_every_moment() {
    let rare = |config: &mut RaftConfig| {
        config.heartbeat_interval_us = config.election_timeout_us / 3;
    };
    let mut cluster = Cluster::with_settings(3, rare);
    cluster.found(node(1));
    let last = EntryId { term: Term(9), index: Index(99) };
    for _ in 0..100 {
        cluster.pass(5);
        for (of, ask) in [
            (1, Message::PreVote { next_term: Term(2), last }),
            (1, Message::RequestVote { last, transfer: false }),
            (2, Message::RequestVote { last, transfer: false }),
        ] {
            cluster.inject(envelope(node(2), node(1), of, ask));
        }
        cluster.deliver(|e| e.to == node(1));
        cluster.tick_node(node(1));
        cluster.settle();
        assert_eq!((cluster.role(1), cluster.term(1)), (RoleName::Leader, 1));
    }
    assert!(cluster.was_told(&["n1 -> n2 t1 PreVoteResponse next=t2 granted=false"]));
    assert!(cluster.was_told(&["n1 -> n2 t1 RequestVoteResponse granted=false"]));
    assert!(!cluster.was_told(&["n1 -> n2", "granted=true"]));
}

/// The first three pictures of the paper's Figure 8. n1 has an entry of t1 that is on the disks
/// of n1 to n4, and leads in t3; n5, which is down, has another one of t2 at the same index.
fn figure_8() -> (Cluster, EntryId) {
    let mut cluster = Cluster::with_settings(5, |config| config.append_bytes_max = 1);
    cluster.found(node(1));
    // (a) n1 writes an entry that reaches n2 alone.
    cluster.submit(node(1), "w", "put x old", None);
    let old = cluster.last(1);
    cluster.deliver(|e| e.to == node(2));
    cluster.crash(node(1));
    cluster.drop_messages(|_| true);
    // (b) n5 leads by the votes of n3 and n4 and writes an entry of its own.
    lead_unheard(&mut cluster, 5);
    assert_eq!(cluster.last(5), EntryId { term: Term(2), index: old.index });
    cluster.crash(node(5));
    // (c) n1 leads again and goes on with its old entry; what is new reaches nobody.
    cluster.restart(node(1));
    cluster.campaign(node(1));
    cluster.settle();
    cluster.stand(1);
    cluster.deliver_named("RequestVote");
    cluster.deliver_named("RequestVoteResponse");
    assert_eq!((cluster.role(1), cluster.term(1)), (RoleName::Leader, 3));
    cluster.drop_messages(|e| e.to == node(2));
    for follower in [3, 4] {
        exchange(&mut cluster, 1, follower);
        exchange(&mut cluster, 1, follower);
        assert_eq!(cluster.last(follower), old);
    }
    (cluster, old)
}

/// A17: Figure 8. An entry of an earlier term lies on a majority and is not committed by that;
/// n5 can still replace it. With an entry of n1's own term behind it, it is committed, and n5
/// is not elected any more.
#[test]
fn rel_a17_an_earlier_terms_entry_on_a_majority_is_not_yet_committed() {
    let (mut cluster, old) = figure_8();
    assert!((1..=4).all(|id| cluster.ids_on_disk(node(id)).contains(&old)));
    assert!(cluster.commit_index(1) < old.index.0, "four of five have it");
    // (d) n1 ends; n5 comes back, learns the term, and is elected.
    cluster.drop_messages(|_| true);
    cluster.crash(node(1));
    cluster.restart(node(5));
    cluster.campaign(node(5));
    cluster.settle();
    cluster.time_out(node(5));
    cluster.settle();
    assert_eq!(cluster.leaders(), [5]);
    assert!((2..=5).all(|id| !cluster.ids_on_disk(node(id)).contains(&old)), "it is replaced");
    cluster.restart(node(1));
    cluster.run(100);
    assert!(cluster.ids().iter().all(|id| cluster.value(id.number(), "x").is_none()));

    // (e) The same, but n1's own entry reaches n3 and n4 first.
    let (mut cluster, old) = figure_8();
    exchange(&mut cluster, 1, 3);
    exchange(&mut cluster, 1, 4);
    assert_eq!(cluster.commit_index(1), old.index.next().0);
    cluster.crash(node(1));
    cluster.restart(node(5));
    cluster.campaign(node(5));
    cluster.settle();
    cluster.time_out(node(5));
    cluster.settle();
    assert_eq!(cluster.leaders(), []);
    cluster.run(800);
    assert_eq!(cluster.value(5, "x"), Some("old"));
}

/// A18: the search for what can be committed does not end at the first entry of an earlier
/// term: they are all committed together with the first one of the leader's own term.
#[test]
fn rel_a18_entries_of_earlier_terms_are_committed_with_the_first_own_one() {
    let mut cluster = Cluster::with_settings(3, |config| config.append_bytes_max = 1);
    cluster.found(node(1));
    let first = cluster.last(1).index;
    for n in 0..2 {
        cluster.submit(node(1), "w", &format!("put a {n}"), None);
    }
    cluster.drop_messages(|_| true);
    for term in [5, 8] {
        see_term(&mut cluster, 1, 2, term);
        lead_unheard(&mut cluster, 1);
    }
    let log = cluster.ids_on_disk(node(1));
    let terms: BTreeSet<u64> = log.iter().map(|id| id.term.0).collect();
    assert_eq!(terms, [1, 6, 9].into());
    let first_own = log.iter().find(|id| id.term == Term(9)).expect("a leader writes one").index;
    assert_eq!(cluster.commit_index(1), first.0);
    cluster.take_told();
    cluster.run(100);
    let told = cluster.take_told();
    let answers = told.iter().filter(|line| line.contains("n2 -> n1") && line.contains("match="));
    assert!(first_own.since(first) <= answers.count() as u64, "one entry at a time: {told:?}");
    let commits = told.iter().find(|line| line.starts_with("n1 commits"));
    assert_eq!(commits, Some(&format!("n1 commits {first_own}")));
}

/// A19: the only voter waits for its own vote to be synced, however long that takes: nobody
/// else could vote, and a new term would only need one more sync.
#[test]
fn rel_a19_a_single_voter_that_waits_for_its_disk_does_not_campaign_again() {
    let mut cluster = Cluster::empty(1);
    cluster.hold_sync(node(1), true);
    cluster.campaign(node(1));
    assert_eq!((cluster.role(1), cluster.term(1)), (RoleName::Candidate, 1));
    cluster.run(2_000);
    assert_eq!((cluster.role(1), cluster.term(1)), (RoleName::Candidate, 1));
    cluster.sync(node(1), 1);
    assert_eq!((cluster.role(1), cluster.term(1)), (RoleName::Leader, 1));
}

/// A20: nothing makes a leader campaign: not its timers, not being told to, not being asked
/// to hand over when it has done so.
#[test]
fn rel_a20_a_leader_never_campaigns_against_itself() {
    let mut cluster = Cluster::led_by(3, node(1));
    for from in [2, 3] {
        cluster.inject(envelope(node(from), node(1), 1, Message::TimeoutNow));
    }
    cluster.settle();
    cluster.run(1_000);
    assert_eq!((cluster.role(1), cluster.term(1)), (RoleName::Leader, 1));
    // Its successor is told twice, the second time when it leads.
    cluster.hand_over(node(1));
    cluster.keep("told", named("TimeoutNow"));
    cluster.send_kept("told");
    cluster.settle();
    assert_eq!((cluster.leaders(), cluster.term(2)), (vec![2], 2));
    cluster.hand_over(node(1));
    cluster.send_kept("told");
    cluster.inject(envelope(node(1), node(2), 2, Message::TimeoutNow));
    cluster.settle();
    assert_eq!((cluster.leaders(), cluster.term(2)), (vec![2], 2));
}

/// A21: answers to a pre-vote that come when the election is won, and once more when the node
/// asks the next time, start no election.
#[test]
fn rel_a21_late_pre_votes_start_no_further_campaign() {
    let mut cluster = Cluster::led_by(5, node(1));
    cluster.crash(node(1));
    cluster.campaign(node(2));
    cluster.deliver_named("PreVote");
    cluster.keep("pre-votes for t2", named("PreVoteResponse"));
    let campaigns = |cluster: &mut Cluster| {
        let told = cluster.take_told();
        told.iter().filter(|line| line.starts_with("n2 candidate")).count()
    };
    cluster.take_told();
    cluster.send_kept("pre-votes for t2");
    cluster.settle();
    cluster.send_kept("pre-votes for t2");
    cluster.settle();
    assert_eq!((cluster.leaders(), cluster.term(2)), (vec![2], 2));
    assert_eq!(campaigns(&mut cluster), 1);
    // It loses its majority and asks whether to stand in t3; the answers are about t2.
    cluster.isolate(2);
    cluster.wait_for_role(2, RoleName::PreCandidate);
    cluster.send_kept("pre-votes for t2");
    cluster.settle();
    assert_eq!((cluster.role(2), cluster.term(2)), (RoleName::PreCandidate, 2));
    assert_eq!(campaigns(&mut cluster), 0);
}

/// A22: nodes that are copies of one another, but for their ids, lose patience at different
/// moments, each within the limits.
#[test]
fn rel_a22_nodes_that_differ_in_their_ids_alone_have_different_timeouts() {
    let voters = Configuration::of((1..=5).map(node));
    let patience_us = |id: u64| {
        let config = RaftConfig::new(node(id), Incarnation(7), voters.clone());
        let timeout_us = config.election_timeout_us;
        let hard_state =
            HardState { term: Term(1), standing: Standing::Full, ..HardState::default() };
        let log = RaftLog::restore(EntryId::ZERO, vec![], vec![], Index::ZERO);
        let mut raft = Raft::new(config, hard_state, log, Time(0));
        let wakes = (0..=2 * timeout_us).find(|&us| {
            raft.tick(Time(us));
            raft.role_name() == RoleName::PreCandidate
        });
        let wakes = wakes.expect("it asks within twice the timeout");
        assert!(timeout_us <= wakes, "n{id} waits for {timeout_us}");
        wakes
    };
    let all: BTreeSet<u64> = (1..=5).map(patience_us).collect();
    assert_eq!(all.len(), 5, "{all:?}");
}

/// A23: voters that restart forget that they had just heard of a leader and vote at once. No
/// read relies on their patience: the old leader, by whose clock nothing has happened, answers
/// none.
#[test]
fn rel_a23_voters_that_restart_and_vote_at_once_cause_no_stale_read() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.submit(node(1), "old", "put x old", None);
    cluster.settle();
    cluster.isolate(1);
    for id in [2, 3] {
        cluster.crash(node(id));
        cluster.restart(node(id));
    }
    cluster.time_out(node(2));
    cluster.settle();
    cluster.submit(node(2), "new", "put x new", None);
    cluster.settle();
    assert!(cluster.answer("new").is_some());
    assert_eq!(cluster.leaders(), [1, 2]);
    cluster.read(node(1), "read", "x");
    cluster.settle();
    assert_eq!(cluster.answer("read"), None);
    cluster.heal();
    cluster.run(300);
    assert_eq!(cluster.answer("read"), Some("new"));
}

/// A25: a node that knows nothing of t2 is told, late, to campaign in it; t2 has a leader
/// already, which nobody remembers but the disks of those who voted for it.
#[test]
fn rel_a25_a_term_is_not_used_again_when_everybody_who_knew_it_has_restarted() {
    let mut cluster = Cluster::led_by(5, node(1));
    cluster.hand_over(node(1));
    cluster.keep("campaign", named("TimeoutNow"));
    cluster.crash(node(1));
    cluster.isolate(2);
    lead_unheard(&mut cluster, 3);
    assert_eq!((cluster.leaders(), cluster.term(3)), (vec![3], 2));
    for id in [3, 4, 5] {
        cluster.crash(node(id));
        cluster.restart(node(id));
    }
    cluster.heal();
    cluster.send_kept("campaign");
    cluster.deliver_named("TimeoutNow");
    assert_eq!((cluster.role(2), cluster.term(2)), (RoleName::Candidate, 2));
    cluster.settle();
    assert_eq!((cluster.leaders(), cluster.leaderships()), (vec![], 2));
    cluster.run(600);
    assert_eq!((cluster.leaders().len(), cluster.leaderships()), (1, 3));
}

/// A26: a candidate of an earlier term is answered with the term of whoever it asks, leader or
/// follower, and nobody's term falls.
#[test]
fn rel_a26_a_late_candidate_is_told_the_present_term() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.hand_over(node(1));
    cluster.deliver_named("TimeoutNow");
    assert_eq!((cluster.role(2), cluster.term(2)), (RoleName::Candidate, 2));
    cluster.keep("late", named("RequestVote"));
    cluster.isolate(2);
    see_term(&mut cluster, 1, 3, 8);
    cluster.stand(1);
    cluster.settle();
    assert_eq!((cluster.role(1), cluster.term(1), cluster.term(3)), (RoleName::Leader, 9, 9));
    cluster.heal();
    cluster.send_kept("late");
    cluster.deliver_named("RequestVote");
    for voter in [1, 3] {
        assert_eq!(cluster.term(voter), 9);
        let answer = format!("n{voter} -> n2 t9 RequestVoteResponse granted=false");
        assert!(cluster.was_told(&[&answer]), "{:?}", cluster.take_told());
    }
    cluster.deliver_named("RequestVoteResponse");
    assert_eq!((cluster.role(2), cluster.term(2)), (RoleName::Follower, 9));
    assert_eq!(cluster.leaders(), [1]);
}

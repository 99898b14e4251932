//! What went wrong in other systems with reads by lease. Each test is named after its row in
//! `docs/raft.md`. An election timeout is 100 ms here, so a leader counts a promise for 90 ms.

use raft_core::consensus::RaftConfig;
use raft_core::consensus::message::{Envelope, Message};
use raft_core::consensus::ready::RoleName;
use sim::cluster::{Cluster, envelope, is_named, named, node};

fn with_leases(config: &mut RaftConfig) {
    config.lease_reads = true;
}

/// So many nodes with lease reads, led by n1, that hold x = old; promises were given just now.
fn with_old(count: u64) -> Cluster {
    let mut cluster = Cluster::led_by_with(count, node(1), with_leases);
    cluster.submit(node(1), "old", "put x old", None);
    cluster.settle();
    cluster.run(20);
    renew(&mut cluster);
    cluster
}

/// Lets time pass until promises were asked for and given in this very millisecond.
fn renew(cluster: &mut Cluster) {
    cluster.take_told();
    while !cluster.was_told(&["Promise "]) {
        cluster.tick(1);
        cluster.settle();
    }
    cluster.take_told();
}

/// Reads x at a node and returns what comes back at once.
fn read_now(cluster: &mut Cluster, id: u64, label: &str) -> Option<String> {
    cluster.read(node(id), label, "x");
    cluster.answer(label).map(str::to_owned)
}

/// n1 is cut off, and the others see that their links from it have ended.
fn cut_off_n1(cluster: &mut Cluster) {
    cluster.isolate(1);
    for id in cluster.ids().into_iter().skip(1) {
        cluster.lose_link(id, node(1));
    }
}

/// Lets time pass with n1 cut off until somebody else leads and has written x = new. Asks n1 at
/// every step, which must not answer with less than what was written before.
///
/// Returns after how many milliseconds n1 answered for the last time, and when x was new.
fn depose_n1(cluster: &mut Cluster, (fast, ahead_us): (&[u64], u64)) -> (u64, u64) {
    let (mut ms, mut answered_at, mut written_at) = (0, 0, None);
    cluster.run_drifting(600, (fast, ahead_us), |cluster| {
        ms += 1;
        let others: Vec<u64> = cluster.leaders().into_iter().filter(|&id| id != 1).collect();
        if let (Some(&leader), None) = (others.first(), cluster.answer("new")) {
            cluster.submit(node(leader), "new", "put x new", None);
            cluster.settle();
        }
        if cluster.answer("new").is_some() && written_at.is_none() {
            written_at = Some(ms);
        }
        if let Some(value) = read_now(cluster, 1, &format!("n1 after {ms} ms")) {
            assert!(written_at.is_none() || value == "new", "a stale read after {ms} ms");
            answered_at = ms;
        }
        written_at.is_some_and(|at| at + 100 < ms)
    });
    (answered_at, written_at.expect("somebody else leads and writes"))
}

/// D8: while a majority has promised to elect nobody a read asks nobody, be it of a client of
/// the leader or of a follower.
#[test]
fn rel_d08_a_read_by_lease_asks_nobody() {
    let mut cluster = with_old(3);
    assert_eq!(read_now(&mut cluster, 1, "own").as_deref(), Some("old"));
    assert_eq!(cluster.bag().count(), 0);
    cluster.read(node(3), "far", "x");
    cluster.deliver_named("ReadIndex");
    let names: Vec<&str> = cluster.bag().map(|e| e.message.name()).collect();
    assert_eq!(names, ["ReadIndexResponse"]);
    cluster.settle();
    assert_eq!(cluster.answer("far"), Some("old"));
}

/// D8: unless the settings want it, nobody asks for promises; and a node that is not set to
/// give any gives none, so that its leader asks about each read.
#[test]
fn rel_d08_nobody_promises_unless_it_is_set_to() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.run(300);
    assert!(!cluster.was_told(&["Promise"]));
    let ask = Message::AskPromise { round: 1, at_most_us: 100_000 };
    cluster.inject(envelope(node(1), node(2), 1, ask));
    cluster.settle();
    assert!(!cluster.was_told(&["n2 ->", " Promise"]));

    let only_n1: fn(&mut RaftConfig) = |config| config.lease_reads = config.id == node(1);
    let mut cluster = Cluster::led_by_with(3, node(1), only_n1);
    cluster.run(50);
    assert!(cluster.was_told(&["AskPromise"]) && !cluster.was_told(&[" Promise"]));
    assert_eq!(read_now(&mut cluster, 1, "read"), None);
    cluster.settle();
    assert!(cluster.answer("read").is_some());
}

/// D8: a lease lasts for nine tenths of an election timeout after it was asked for, and no
/// longer, though nobody says anything against it.
#[test]
fn rel_d08_a_lease_ends_when_a_majority_is_silent() {
    let mut cluster = with_old(5);
    for id in [3, 4, 5] {
        cluster.part(1, id);
    }
    cluster.run(85);
    assert_eq!(read_now(&mut cluster, 1, "in time").as_deref(), Some("old"));
    cluster.run(5);
    assert_eq!(cluster.role(1), RoleName::Leader);
    assert_eq!(read_now(&mut cluster, 1, "late"), None, "two of five have promised");
    cluster.settle();
    assert_eq!(cluster.answer("late"), None);
}

/// D9, B18: a leader that is cut off answers until its lease ends. Others who know at once that
/// it is gone elect nobody before, and soon after.
#[test]
fn rel_d09_a_leader_that_is_cut_off_answers_nothing_stale() {
    let mut cluster = with_old(3);
    cut_off_n1(&mut cluster);
    let (answered_at, written_at) = depose_n1(&mut cluster, (&[], 0));
    assert_eq!(answered_at, 89);
    assert!((100..150).contains(&written_at), "after {written_at} ms");
}

/// D9: nor does one whose process stood still beyond its lease, before it hears of anybody.
#[test]
fn rel_d09_a_leader_that_stood_still_has_no_lease_left() {
    let mut cluster = with_old(3);
    assert!(read_now(&mut cluster, 1, "before").is_some());
    cluster.isolate(1);
    cluster.pass(91);
    assert_eq!(read_now(&mut cluster, 1, "after"), None);
    assert_eq!(cluster.role(1), RoleName::Leader, "none of its timers has run yet");
}

/// D9: clocks of voters may be faster than the leader's by a tenth.
#[test]
fn rel_d09_a_lease_allows_for_clocks_that_differ() {
    for seed in 0..8 {
        let mut cluster = with_old(3);
        // Each time others draw their waits.
        (0..seed).for_each(|_| renew(&mut cluster));
        cut_off_n1(&mut cluster);
        let (answered_at, written_at) = depose_n1(&mut cluster, (&[2, 3], 100));
        assert!(answered_at < written_at, "{answered_at} {written_at}");
    }
}

/// D9: a promise counts from when it was asked for; that its answer comes late gives the leader
/// no more time.
#[test]
fn rel_d09_a_late_promise_counts_from_when_it_was_asked_for() {
    let mut cluster = with_old(3);
    cluster.tick(10);
    cluster.deliver(|e| is_named(e, "Heartbeat") || is_named(e, "AskPromise"));
    cluster.keep("late", named("Promise"));
    cut_off_n1(&mut cluster);
    cluster.run(80);
    cluster.heal();
    cluster.send_kept("late");
    cluster.deliver_named("Promise");
    assert!(read_now(&mut cluster, 1, "in time").is_some(), "80 ms after it was asked for");
    cut_off_n1(&mut cluster);
    cluster.drop_messages(|_| true);
    let (answered_at, _) = depose_n1(&mut cluster, (&[], 0));
    assert_eq!(answered_at, 9);
}

/// A23: a promise holds after a restart too: voters that lost their memory elect nobody while
/// the lease that they gave lasts.
#[test]
fn rel_a23_a_promise_holds_after_a_restart() {
    let mut cluster = with_old(3);
    cluster.isolate(1);
    for id in [2, 3] {
        cluster.crash(node(id));
        cluster.restart(node(id));
    }
    let question = Message::RequestVote { last: cluster.last(2), transfer: true };
    cluster.inject(envelope(node(2), node(3), 2, question));
    cluster.settle();
    assert_eq!(cluster.term(3), 1, "it does not look at it");
    assert!(read_now(&mut cluster, 1, "read").is_some());
    cluster.run(95);
    assert_eq!(cluster.leaders(), [1]);
    cluster.run(400);
    assert!(matches!(cluster.leaders()[..], [2 | 3]), "and then they do");
}

/// A23: what is noted holds though lease reads are not wanted any more, and a directory that
/// never promised anything lets its node vote at once.
#[test]
fn rel_a23_only_what_was_promised_before_the_restart_is_kept() {
    for (promised_us, votes) in [(0, true), (100_000, false)] {
        let mut lone = sim::lone_raft::LoneRaft::with(3, &[], |config| {
            config.promised_us = promised_us;
        });
        let last = raft_core::types::EntryId::ZERO;
        lone.take(2, 1, Message::RequestVote { last, transfer: false });
        assert_eq!(lone.raft.term().0 == 1, votes, "after a promise of {promised_us} us");
        lone.run(100);
        lone.take(2, 2, Message::RequestVote { last, transfer: false });
        assert_eq!(lone.raft.term().0, 2);
    }
}

/// B13: not even whom the leader has chosen is elected against a promise, or campaigns against
/// its own.
#[test]
fn rel_b13_a_promise_holds_against_a_hand_over() {
    let mut cluster = with_old(3);
    cluster.inject(envelope(node(1), node(2), 1, Message::TimeoutNow));
    cluster.settle();
    assert_eq!((cluster.role(2), cluster.term(2)), (RoleName::Follower, 1));
    let last = cluster.last(3);
    let question = Message::RequestVote { last, transfer: true };
    cluster.inject(envelope(node(3), node(2), 2, question.clone()));
    let pre_vote = Message::PreVote { next_term: raft_core::types::Term(2), last };
    cluster.inject(envelope(node(3), node(2), 1, pre_vote));
    cluster.take_told();
    cluster.deliver(|e| e.to == node(2));
    assert!(cluster.was_told(&["n2 -> n3", "granted=false"]) && cluster.term(2) == 1);
    // Nor in a term that it has entered without voting in it.
    let refused = Message::PreVoteResponse { next_term: raft_core::types::Term(3), granted: false };
    cluster.drop_messages(|_| true);
    cluster.inject(envelope(node(1), node(2), 2, refused));
    cluster.settle();
    assert_eq!(cluster.term(2), 2);
    cluster.take_told();
    cluster.inject(envelope(node(3), node(2), 2, question));
    cluster.settle();
    assert!(cluster.was_told(&["n2 -> n3", "RequestVoteResponse granted=false"]));
}

/// D7, F3: a hand-over begins when the promises are over; until then nothing stands still, and
/// then it takes no longer than any other.
#[test]
fn rel_d07_a_hand_over_waits_for_the_end_of_promises() {
    let mut cluster = with_old(3);
    cluster.transfer(node(1), "transfer", Some(node(2)));
    for n in 0..10 {
        cluster.submit(node(1), &format!("w{n}"), "put x newer", None);
        cluster.settle();
        assert!(cluster.answer(&format!("w{n}")).is_some());
        cluster.read(node(3), &format!("r{n}"), "x");
        cluster.run(10);
        assert_eq!(cluster.answer(&format!("r{n}")), Some("newer"));
    }
    assert!(!cluster.was_told(&["AskPromise"]), "no more are asked for");
    assert_eq!((cluster.leaders(), cluster.answer("transfer")), (vec![1], None));
    cluster.run(30);
    assert_eq!((cluster.leaders(), cluster.answer("transfer")), (vec![2], Some("done")));
    assert_eq!(cluster.term(2), 2, "with the first attempt");
}

/// F3: a hand-over that fails leaves the leader with a lease again.
#[test]
fn rel_f03_a_hand_over_that_fails_gives_the_lease_back() {
    let mut cluster = with_old(5);
    cluster.isolate(2);
    cluster.transfer(node(1), "transfer", Some(node(2)));
    cluster.run(115);
    assert_eq!(read_now(&mut cluster, 1, "before"), None, "no promise is left");
    cluster.run(150);
    assert_eq!(cluster.leaders(), [1]);
    cluster.run(20);
    assert!(read_now(&mut cluster, 1, "after").is_some());
}

/// E8: in a joint membership a lease needs promises of a majority of each half.
#[test]
fn rel_e08_a_joint_lease_needs_a_majority_of_each_half() {
    for (near, holds) in [([2, 3], false), ([4, 5], false), ([2, 4], true)] {
        let mut cluster = Cluster::with_settings(3, with_leases);
        cluster.found(node(1));
        cluster.grow(node(1), &[4, 5]);
        renew(&mut cluster);
        // So that the change is not committed, and not completed.
        cluster.hold_sync(node(1), true);
        cluster.ask(1, "promote=4,5 remove=2,3");
        cluster.drop_messages(|_| true);
        (2..=5).filter(|id| !near.contains(id)).for_each(|id| cluster.part(1, id));
        // Until the promises of before are over.
        cluster.run(95);
        assert_eq!(cluster.leaders(), [1]);
        assert!(cluster.replica(node(1)).raft().configuration().is_joint());
        let read = read_now(&mut cluster, 1, "read");
        assert_eq!(read.is_some(), holds, "with promises of {near:?}");
    }
}

/// C39, A27: promises of nodes whose word does not count, of directories that nobody has bound
/// and to questions that were never asked are worth nothing.
#[test]
fn rel_c39_only_promises_of_nodes_that_count_are_counted() {
    let is_promise = |e: &Envelope| is_named(e, "Promise");
    let mut cluster = with_old(3);
    cluster.cut(node(1), node(3));
    cluster.run(100);
    cluster.crash(node(2));
    cluster.wipe(node(2));
    cluster.restart(node(2));
    cluster.tick(10);
    cluster.deliver(|e| e.to == node(2));
    assert!(!cluster.bag().any(is_promise), "an empty directory promises nothing");
    cluster.pass(91);
    for round in [0, 1, u64::MAX] {
        let promise = Message::Promise { round, promise_us: u64::MAX };
        cluster.inject(envelope(node(3), node(1), 1, promise));
    }
    cluster.deliver_named("Promise");
    assert_eq!(cluster.role(1), RoleName::Leader, "none of its timers has run yet");
    assert_eq!(read_now(&mut cluster, 1, "read"), None);

    let mut lone = sim::lone_raft::LoneRaft::with(3, &[], with_leases);
    lone.lead();
    lone.persist_all();
    lone.run(50);
    let round = lone.sent.iter().rev().find_map(|e| match e.message {
        Message::AskPromise { round, .. } => Some(round),
        _ => None,
    });
    let promise = Message::Promise { round: round.expect("it asks"), promise_us: 250_000 };
    let index = lone.raft.log().last().index;
    let accepted = raft_core::consensus::message::AppendResult::Accepted { match_index: index };
    let answer = Message::AppendEntriesResponse { round: 0, counts: true, result: accepted };
    lone.take(2, 1, answer);
    lone.take(2, 1, promise.clone());
    let reads = |lone: &mut sim::lone_raft::LoneRaft, context| {
        lone.read(context);
        lone.turn();
        std::mem::take(&mut lone.reads).len()
    };
    assert_eq!(reads(&mut lone, 1), 0, "nothing has bound n2 yet");
    lone.raft.bind(&[(node(2), raft_core::types::Incarnation(2_000))].into());
    lone.take(2, 1, promise);
    assert_eq!(reads(&mut lone, 2), 1);
}

//! What went wrong in other systems, group D: reads. Each test is named after its row in
//! `docs/raft.md`.

use raft_core::consensus::message::{Envelope, Message};
use raft_core::consensus::ready::RoleName;
use raft_core::types::Index;
use sim::cluster::{Cluster, envelope, id, is_named, node};

/// Three nodes led by n1 that hold x = old, and everybody knows.
fn with_old() -> Cluster {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.submit(node(1), "old", "put x old", None);
    cluster.settle();
    cluster.tick(10);
    cluster.settle();
    assert!(cluster.ids().iter().all(|id| cluster.value(id.number(), "x") == Some("old")));
    cluster
}

/// n2 is elected by n3 and writes x = new; n1 hears nothing of it, and its clock stands still.
fn depose_n1(cluster: &mut Cluster) {
    cluster.isolate(1);
    cluster.campaign(node(2));
    cluster.settle();
    cluster.submit(node(2), "new", "put x new", None);
    cluster.settle();
    assert!(cluster.answer("new").is_some());
    assert_eq!(cluster.role(1), RoleName::Leader, "it does not know");
}

/// Delivers until the leader's answer to a follower's question is on its way.
fn deliver_until_confirmed(cluster: &mut Cluster) {
    while !cluster.bag().any(|e| is_named(e, "ReadIndexResponse")) {
        cluster.deliver(|_| true);
    }
}

fn contexts(cluster: &Cluster) -> Vec<u64> {
    let context = |envelope: &Envelope| match envelope.message {
        Message::ReadIndex { context } => Some(context),
        _ => None,
    };
    cluster.bag().filter_map(context).collect()
}

/// D1: a read that is tried again after a pause is not released by answers to the first try.
#[test]
fn rel_d01_delayed_answers_to_one_try_do_not_release_the_next() {
    let mut cluster = with_old();
    cluster.read(node(1), "first", "x");
    cluster.deliver(|e| is_named(e, "Heartbeat"));
    cluster.keep("late", |e| is_named(e, "HeartbeatResponse"));
    depose_n1(&mut cluster);
    // n1 wakes up; its client has given up the first try and makes another one.
    cluster.read(node(1), "second", "x");
    cluster.send_kept("late");
    cluster.heal();
    cluster.deliver(|e| e.to == node(1) && is_named(e, "HeartbeatResponse"));
    assert_eq!(cluster.role(1), RoleName::Leader);
    assert_eq!(cluster.answer("second"), None, "the answers were given before it was asked");
    cluster.run(200);
    assert_eq!(cluster.answer("second"), Some("new"));
    // The first one was asked before anything newer was written: either is true.
    assert!(cluster.answer("first").is_some());
}

/// D1: a follower that asks again does so under another context. Both questions were asked after
/// the read, so that an answer to either releases it, once.
#[test]
fn rel_d01_each_try_of_a_follower_has_a_context_of_its_own() {
    let mut cluster = with_old();
    cluster.read(node(3), "read", "x");
    let first = contexts(&cluster);
    cluster.keep("first", |e| is_named(e, "ReadIndex"));
    for _ in 0..11 {
        cluster.tick(10);
        cluster.deliver(|e| !is_named(e, "ReadIndex"));
    }
    let second = contexts(&cluster);
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_ne!(first, second);
    cluster.keep("second", |e| is_named(e, "ReadIndex"));
    cluster.send_kept("first");
    cluster.settle();
    assert_eq!(cluster.answer("read"), Some("old"), "it was on its way for a long time");
    cluster.send_kept("second");
    cluster.run(150);
    assert_eq!((cluster.answer("read"), cluster.answers_to("read")), (Some("old"), 1));
}

/// D2: a leader that has committed nothing in its own term does not know what is committed; a
/// read waits for its first entry, though everybody confirms that it leads.
#[test]
fn rel_d02_a_new_leader_answers_no_read_before_its_first_commit() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.submit(node(1), "w", "put x 1", None);
    cluster.deliver(|e| e.to == node(2));
    cluster.deliver(|e| e.to == node(1));
    assert!(cluster.answer("w").is_some(), "acknowledged by n1 and n2");
    cluster.drop_messages(|_| true);
    cluster.crash(node(1));
    assert_eq!((cluster.commit_index(2), cluster.last(2)), (2, id(1, 3)));
    cluster.campaign(node(2));
    while cluster.role(2) != RoleName::Leader {
        cluster.deliver(|_| true);
    }
    let lose_appends = |cluster: &mut Cluster| {
        cluster.drop_messages(|e| is_named(e, "AppendEntries"));
    };
    lose_appends(&mut cluster);
    cluster.read(node(2), "own", "x");
    cluster.read(node(3), "asked", "x");
    for _ in 0..8 {
        cluster.tick(10);
        while cluster.bag().next().is_some() {
            lose_appends(&mut cluster);
            cluster.deliver(|_| true);
        }
    }
    assert_eq!((cluster.role(2), cluster.commit_index(2)), (RoleName::Leader, 2));
    assert_eq!((cluster.answer("own"), cluster.answer("asked")), (None, None));
    cluster.run(200);
    assert_eq!((cluster.answer("own"), cluster.answer("asked")), (Some("1"), Some("1")));
}

/// D3: reads of a leader and of a follower share a round; when the leader steps down in the
/// middle none of them is answered from what they shared.
#[test]
fn rel_d03_reads_that_shared_a_round_are_asked_again_when_the_leader_steps_down() {
    let mut cluster = with_old();
    cluster.read(node(3), "asked", "x");
    cluster.deliver(|e| is_named(e, "ReadIndex"));
    cluster.read(node(1), "own", "x");
    cluster.keep("round", |e| is_named(e, "Heartbeat"));
    depose_n1(&mut cluster);
    cluster.heal();
    let late = Message::HeartbeatResponse { round: 0, counts: true };
    cluster.inject(envelope(node(3), node(1), 2, late));
    cluster.deliver(|e| e.to == node(1));
    assert_eq!(cluster.role(1), RoleName::Follower);
    assert_eq!(cluster.answer("own"), None);
    cluster.send_kept("round");
    cluster.run(200);
    assert_eq!(cluster.answer("own"), Some("new"));
    // n3 asked n2 as soon as it led, before anything was written.
    assert_eq!(cluster.answer("asked"), Some("old"));
    assert_eq!((cluster.answers_to("own"), cluster.answers_to("asked")), (1, 1));
}

/// D4: an index that was confirmed in one term and arrives in the next is for nobody.
#[test]
fn rel_d04_an_index_of_an_earlier_term_answers_nothing() {
    let mut cluster = with_old();
    cluster.read(node(3), "read", "x");
    deliver_until_confirmed(&mut cluster);
    cluster.keep("late", |e| is_named(e, "ReadIndexResponse"));
    cluster.isolate(1);
    cluster.campaign(node(2));
    while cluster.role(2) != RoleName::Leader {
        cluster.deliver(|_| true);
    }
    assert_eq!(cluster.status(node(3)).term.0, 2);
    cluster.heal();
    cluster.send_kept("late");
    cluster.deliver(|e| is_named(e, "ReadIndexResponse"));
    assert_eq!(cluster.answer("read"), None);
    cluster.run(100);
    assert_eq!((cluster.answer("read"), cluster.answers_to("read")), (Some("old"), 1));
}

/// D5: a leader without a majority answers no read, whether it is alone or has one follower of
/// five, and whether it or that follower is asked.
#[test]
fn rel_d05_a_leader_without_a_majority_answers_no_read() {
    for far in [vec![2, 3], vec![2, 3, 4]] {
        let count = if far.len() == 2 { 3 } else { 5 };
        let mut cluster = Cluster::led_by(count, node(1));
        cluster.submit(node(1), "old", "put x old", None);
        cluster.settle();
        let near: Vec<u64> = (1..=count).filter(|id| !far.contains(id)).collect();
        for &a in &near {
            for &b in &far {
                cluster.cut(node(a), node(b));
                cluster.cut(node(b), node(a));
            }
        }
        cluster.campaign(node(2));
        cluster.settle();
        cluster.submit(node(2), "new", "put x new", None);
        cluster.settle();
        assert!(cluster.answer("new").is_some());
        for &id in &near {
            cluster.read(node(id), &format!("read{id}"), "x");
        }
        cluster.settle();
        assert_eq!(cluster.role(1), RoleName::Leader, "no time has passed on n1");
        cluster.run(600);
        for &id in &near {
            assert_eq!(cluster.answer(&format!("read{id}")), None, "n{id} of {near:?}");
        }
        cluster.heal();
        cluster.run(400);
        for &id in &near {
            assert_eq!(cluster.answer(&format!("read{id}")), Some("new"));
        }
    }
}

/// D6: a question that arrives twice is answered each time, its
/// client once; and a cluster of one is its own majority.
#[test]
fn rel_d06_a_repeated_question_is_answered_to_its_client_once() {
    let mut cluster = with_old();
    cluster.read(node(3), "read", "x");
    cluster.keep("question", |e| is_named(e, "ReadIndex"));
    cluster.send_kept("question");
    cluster.send_kept("question");
    cluster.settle();
    let told = cluster.take_told();
    let answers = told.iter().filter(|line| line.contains("ReadIndexResponse")).count();
    assert_eq!((answers, cluster.answers_to("read")), (2, 1));
    cluster.send_kept("question");
    cluster.settle();
    assert_eq!(cluster.answers_to("read"), 1);

    let mut alone = Cluster::led_by(1, node(1));
    alone.submit(node(1), "w", "put x 1", None);
    alone.read(node(1), "read", "x");
    alone.settle();
    assert_eq!(alone.answer("read"), Some("1"));
}

/// D7: from the moment in which leadership is handed over no read is registered, neither of the
/// leader's clients nor of a follower's: the next leader may write before this one knows it.
#[test]
fn rel_d07_reads_wait_from_the_moment_leadership_is_handed_over() {
    let mut cluster = with_old();
    cluster.hand_over(node(1));
    cluster.read(node(1), "own", "x");
    cluster.read(node(3), "asked", "x");
    cluster.deliver(|e| is_named(e, "ReadIndex"));
    assert!(!cluster.bag().any(|e| is_named(e, "Heartbeat")), "nobody is asked to confirm");
    cluster.cut(node(2), node(1));
    cluster.cut(node(3), node(1));
    cluster.settle();
    assert_eq!((cluster.role(2), cluster.role(1)), (RoleName::Leader, RoleName::Leader));
    cluster.submit(node(2), "new", "put x new", None);
    cluster.settle();
    cluster.read(node(1), "late", "x");
    cluster.heal();
    cluster.settle();
    assert_eq!((cluster.answer("own"), cluster.answer("late")), (None, None));
    cluster.run(60);
    assert_eq!((cluster.answer("own"), cluster.answer("late")), (Some("new"), Some("new")));
    assert!(cluster.answer("asked").is_some());
}

/// D7: nor do reads keep a hand-over to a node that is dead from being given up.
#[test]
fn rel_d07_reads_do_not_keep_a_hand_over_to_a_dead_node_alive() {
    let mut cluster = with_old();
    cluster.crash(node(2));
    cluster.hand_over(node(1));
    cluster.submit(node(1), "w", "put x new", None);
    for n in 0..30 {
        cluster.read(node(1), &format!("r{n}"), "x");
        cluster.run(10);
    }
    assert_eq!(cluster.role(1), RoleName::Leader);
    assert!((0..30).all(|n| cluster.answer(&format!("r{n}")).is_some()));
    cluster.submit(node(1), "late", "put y 1", None);
    cluster.run(1_000);
    assert!(cluster.answer("late").is_some(), "it takes commands again");
    assert!(cluster.answer("w").is_some());
}

/// D10: answers that come in another order find their own reads, and each is answered.
#[test]
fn rel_d10_answers_out_of_order_find_their_reads() {
    let mut cluster = with_old();
    cluster.read(node(3), "first", "x");
    deliver_until_confirmed(&mut cluster);
    cluster.keep("first", |e| is_named(e, "ReadIndexResponse"));
    cluster.settle();
    cluster.submit(node(1), "w", "put x new", None);
    cluster.deliver(|e| e.to == node(2));
    cluster.deliver(|e| e.to == node(1));
    assert!(cluster.answer("w").is_some());
    cluster.keep("append", |e| e.to == node(3));
    cluster.read(node(3), "second", "x");
    deliver_until_confirmed(&mut cluster);
    cluster.keep("second", |e| is_named(e, "ReadIndexResponse"));
    // n3 has not applied the new value yet; its second read has to wait for it.
    assert_eq!(cluster.value(3, "x"), Some("old"));
    cluster.send_kept("second");
    cluster.deliver(|e| is_named(e, "ReadIndexResponse"));
    assert_eq!((cluster.answer("first"), cluster.answer("second")), (None, None));
    cluster.send_kept("first");
    cluster.deliver(|e| is_named(e, "ReadIndexResponse"));
    assert_eq!((cluster.answer("first"), cluster.answer("second")), (Some("old"), None));
    cluster.send_kept("append");
    cluster.run(30);
    assert_eq!(cluster.answer("second"), Some("new"));
    assert_eq!((cluster.answers_to("first"), cluster.answers_to("second")), (1, 1));
}

/// D10: a leader that is asked by followers and confirmed by nobody keeps a bounded number of
/// their questions, and drops all of them with its leadership.
#[test]
fn rel_d10_reads_that_nobody_confirms_do_not_pile_up() {
    let mut cluster = with_old();
    for context in 0..5_000 {
        cluster.inject(envelope(node(3), node(1), 1, Message::ReadIndex { context }));
    }
    cluster.deliver(|e| is_named(e, "ReadIndex"));
    cluster.drop_messages(|_| true);
    cluster.take_told();
    cluster.read(node(1), "last", "x");
    cluster.settle();
    let told = cluster.take_told();
    let answers = told.iter().filter(|line| line.contains("ReadIndexResponse")).count();
    assert_eq!(answers, 1023, "the newest ones, and the last read");
    assert_eq!(cluster.answer("last"), Some("old"));

    for context in 9_000..9_500 {
        cluster.inject(envelope(node(3), node(1), 1, Message::ReadIndex { context }));
    }
    cluster.deliver(|e| is_named(e, "ReadIndex"));
    cluster.drop_messages(|_| true);
    cluster.hand_over(node(1));
    cluster.settle();
    cluster.hand_over(node(2));
    cluster.run(60);
    assert_eq!(cluster.role(1), RoleName::Leader, "n1 leads again, in a later term");
    cluster.read(node(1), "later", "x");
    cluster.take_told();
    cluster.run(30);
    assert!(cluster.answer("later").is_some());
    let told = cluster.take_told();
    assert!(!told.iter().any(|line| line.contains("ReadIndexResponse")), "{told:?}");
}

/// D11: after a restart no read is answered before everything up to its index is applied, be it
/// at a follower or at the only node.
#[test]
fn rel_d11_a_restarted_node_answers_reads_only_when_it_has_caught_up() {
    let mut cluster = with_old();
    for n in 0..5 {
        cluster.submit(node(1), "w", &format!("put x {n}"), None);
        cluster.deliver(|e| e.to != node(3));
        cluster.drop_messages(|e| e.to == node(3));
        cluster.deliver(|_| true);
    }
    cluster.drop_messages(|_| true);
    cluster.crash(node(3));
    cluster.restart(node(3));
    cluster.tick(10);
    cluster.deliver(|e| is_named(e, "Heartbeat"));
    cluster.read(node(3), "read", "x");
    cluster.keep("appends", |e| is_named(e, "AppendEntries"));
    while !cluster.bag().any(|e| is_named(e, "ReadIndexResponse")) {
        cluster.keep("appends", |e| is_named(e, "AppendEntries"));
        cluster.deliver(|_| true);
    }
    cluster.deliver(|e| is_named(e, "ReadIndexResponse"));
    let status = cluster.status(node(3));
    assert!(status.applied_index < Index(cluster.commit_index(1)));
    assert_eq!(cluster.answer("read"), None, "it knows what to wait for");
    cluster.run(100);
    assert_eq!(cluster.answer("read"), Some("4"));

    let mut alone = Cluster::led_by(1, node(1));
    alone.submit(node(1), "w", "put x 1", None);
    alone.settle();
    // Nothing was written since that would have told the disk that this is committed.
    assert!(alone.hard_state_on_disk(1).commit_index.0 < alone.commit_index(1));
    alone.crash(node(1));
    alone.restart(node(1));
    alone.read(node(1), "read", "x");
    assert_eq!((alone.value(1, "x"), alone.answer("read")), (None, None));
    alone.run(300);
    assert_eq!(alone.answer("read"), Some("1"));
}

/// D13: a read returns nothing that a majority does not have on disk, though it is in every
/// memory.
#[test]
fn rel_d13_a_read_returns_nothing_that_is_not_on_a_majoritys_disks() {
    let mut cluster = with_old();
    (1..=2).for_each(|id| cluster.hold_sync(node(id), true));
    cluster.submit(node(1), "w", "put x new", None);
    cluster.settle();
    assert!((1..=3).all(|id| cluster.last(id).index == Index(4)), "all have heard of it");
    for id in 1..=3 {
        cluster.read(node(id), &format!("r{id}"), "x");
    }
    cluster.run(40);
    for id in 1..=3 {
        assert_eq!(cluster.answer(&format!("r{id}")), Some("old"), "on n3's disk alone");
    }
    // The power goes everywhere: what was read is still true.
    (1..=3).for_each(|id| cluster.crash(node(id)));
    (1..=2).for_each(|id| cluster.hold_sync(node(id), false));
    (1..=2).for_each(|id| cluster.restart(node(id)));
    cluster.run(600);
    cluster.read(node(1), "again", "x");
    cluster.run(60);
    assert_eq!(cluster.answer("again"), Some("old"));

    let mut alone = Cluster::led_by(1, node(1));
    alone.hold_sync(node(1), true);
    alone.submit(node(1), "w", "put x 1", None);
    alone.read(node(1), "read", "x");
    alone.run(20);
    assert_eq!(alone.answer("read"), Some("nothing"));
    alone.sync(node(1), 1);
    alone.read(node(1), "after", "x");
    assert_eq!(alone.answer("after"), Some("1"));
}

/// D8: no read is answered on the strength of a lease, not even in the instant in which a
/// majority has confirmed the leader: each round of reads is confirmed by answers of its own.
#[test]
fn rel_d08_no_read_is_answered_on_the_strength_of_a_lease() {
    let mut cluster = with_old();
    for n in 0..3 {
        let label = format!("read{n}");
        cluster.read(node(1), &label, "x");
        assert_eq!(cluster.answer(&label), None);
        cluster.deliver(|e| is_named(e, "Heartbeat"));
        assert_eq!(cluster.answer(&label), None);
        cluster.deliver(|e| is_named(e, "HeartbeatResponse"));
        assert_eq!(cluster.answer(&label), Some("old"));
    }
}

/// D9: a leader that stood still for longer than any lease, and that hears its clients before
/// anybody else, answers no read from what it believed before.
#[test]
fn rel_d09_a_leader_that_stood_still_answers_nothing_from_before() {
    let mut cluster = with_old();
    cluster.read(node(1), "before", "x");
    cluster.settle();
    assert_eq!(cluster.answer("before"), Some("old"));
    // Confirmed a moment ago; then the process is stopped, and messages to it wait.
    depose_n1(&mut cluster);
    cluster.pass(5_000);
    cluster.heal();
    cluster.read(node(1), "after", "x");
    assert_eq!((cluster.role(1), cluster.answer("after")), (RoleName::Leader, None));
    // Its timers run before anything of the others arrives.
    cluster.tick_node(node(1));
    assert_eq!(cluster.answer("after"), None);
    cluster.settle();
    assert_eq!(cluster.answer("after"), None);
    cluster.run(700);
    assert_eq!((cluster.answer("after"), cluster.answers_to("after")), (Some("new"), 1));
}

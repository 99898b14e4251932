//! What went wrong in other systems, group C, first part: appends, their answers and what a
//! leader makes of them. Each test is named after its row in `docs/raft.md`.

use raft_core::consensus::message::{AppendResult, Envelope, Message};
use raft_core::consensus::ready::RoleName;
use raft_core::entry::Entries;
use raft_core::types::{EntryId, Index};
use sim::cluster::{Cluster, acknowledged, envelope, id, is_named, node};
use sim::entries::entries;
use sim::lone_raft::LoneRaft;

fn append(prev: EntryId, commit_index: u64, entries: Vec<Entries>) -> Message {
    Message::AppendEntries { prev, commit_index: Index(commit_index), round: 0, entries }
}

fn heartbeat(commit_index: u64) -> Message {
    Message::Heartbeat { commit_index: Index(commit_index), round: 0, log_time: 0 }
}

fn rejected(prev_index: u64, hint: EntryId) -> Message {
    let result = AppendResult::Rejected { prev_index: Index(prev_index), hint };
    Message::AppendEntriesResponse { round: 0, counts: true, result }
}

fn is_append_to(envelope: &Envelope, to: u64) -> bool {
    is_named(envelope, "AppendEntries") && envelope.to == node(to)
}

fn is_append_answer_from(envelope: &Envelope, from: u64) -> bool {
    is_named(envelope, "AppendEntriesResponse") && envelope.from == node(from)
}

/// C1: an append that comes late, from before the log or with few entries, removes nothing of
/// what came after it and agrees.
#[test]
fn rel_c01_a_delayed_append_removes_no_suffix_that_agrees() {
    let mut cluster = Cluster::empty(3);
    cluster.tick(1);
    cluster.settle();
    cluster.campaign(node(1));
    while cluster.role(1) != RoleName::Leader {
        cluster.deliver(|_| true);
    }
    // The very first append of this log, from before its first entry.
    assert_eq!(cluster.appends_to(2), [(EntryId::ZERO, 1)]);
    cluster.keep("first", |e| is_append_to(e, 2));
    cluster.send_kept("first");
    cluster.settle();
    for n in 0..3 {
        cluster.submit(node(1), "w", &format!("put a {n}"), None);
    }
    cluster.deliver(|e| e.to == node(2));
    let whole = cluster.last(2);
    assert!(cluster.commit_index(2) + 3 <= whole.index.0, "a tail that is not committed yet");

    cluster.send_kept("first");
    cluster.inject(envelope(node(1), node(2), 1, append(EntryId::ZERO, 0, vec![])));
    cluster.inject(envelope(node(1), node(2), 1, append(id(1, 1), 0, vec![])));
    cluster.deliver(|e| e.to == node(2));
    assert_eq!(cluster.last(2), whole);
    assert_eq!(cluster.ids_on_disk(node(2)).len() as u64, whole.index.0);
    cluster.settle();
    assert_eq!(cluster.commit_index(1), whole.index.0);
}

/// C2: neither a heartbeat nor an append that names less than was known to be committed takes
/// anything of it back.
#[test]
fn rel_c02_a_lower_commit_index_of_the_leader_takes_nothing_back() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.settle();
    cluster.tick(10);
    cluster.settle();
    assert_eq!(cluster.commit_index(2), 3);
    for late in [heartbeat(0), heartbeat(1), append(id(1, 2), 2, vec![])] {
        cluster.inject(envelope(node(1), node(2), 1, late));
        cluster.deliver(|e| e.to == node(2));
        assert_eq!(cluster.commit_index(2), 3);
    }
}

/// C3: answers that are old, repeated or out of order never lower what a follower is known to
/// hold: the next heartbeat names as much of the commit index as before.
#[test]
fn rel_c03_old_answers_never_lower_the_match_index() {
    let mut cluster = Cluster::led_by(3, node(1));
    for n in 0..3 {
        cluster.submit(node(1), "w", &format!("put a {n}"), None);
        cluster.deliver(|e| e.to == node(2));
        cluster.keep(&format!("ack{n}"), |e| is_append_answer_from(e, 2));
    }
    for n in [2, 0, 1, 2, 0, 0] {
        cluster.send_kept(&format!("ack{n}"));
        cluster.deliver(|e| e.to == node(1));
        assert_eq!(cluster.commit_index(1), 5);
        cluster.drop_messages(|e| is_named(e, "Heartbeat"));
        cluster.tick(10);
        assert_eq!(cluster.heartbeats_to(2), [5], "after a late answer {n}");
        assert_eq!(cluster.appends_to(2), [], "nothing is sent again");
    }
}

/// C4: the next entry to send stays above what is matched, and does not fall below the first
/// index, whatever refusals and new connections do to it. The node checks I7 after each step.
#[test]
fn rel_c04_the_next_index_stays_above_the_match_index() {
    let mut cluster = Cluster::led_by(3, node(1));
    for n in 0..4 {
        cluster.submit(node(1), "w", &format!("put a {n}"), None);
    }
    cluster.settle();
    // Everything is matched up to 6. A new connection makes a probe of it at 6; a refusal of
    // that probe would be a follower that forgot, and is no reason to go below 6.
    cluster.lose_link(node(1), node(2));
    assert_eq!(cluster.appends_to(2), [(id(1, 6), 6)]);
    cluster.drop_messages(|_| true);
    cluster.inject(envelope(node(2), node(1), 1, rejected(6, id(1, 1))));
    cluster.deliver(|e| e.to == node(1));
    assert_eq!(cluster.appends_to(2), [(id(1, 6), 6)]);
    cluster.settle();

    // A leader that knows nothing goes down to the beginning, and no further.
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.isolate(1);
    cluster.campaign(node(2));
    while cluster.role(2) != RoleName::Leader {
        cluster.deliver(|_| true);
    }
    cluster.drop_messages(|_| true);
    for (prev, hint) in [(2, 1), (1, 0), (0, 0), (0, 0), (1, 0)] {
        let hint = EntryId { index: Index(hint), ..id(u64::from(0 < hint), 0) };
        cluster.inject(envelope(node(3), node(2), 2, rejected(prev, hint)));
        cluster.deliver(|e| e.to == node(2));
    }
    assert_eq!(cluster.appends_to(3).last(), Some(&(EntryId::ZERO, 3)));
    cluster.settle();
    assert_eq!(cluster.last(3), cluster.last(2));
}

/// C5: a follower whose own tail is stale commits nothing of it, though the leader's first
/// append is empty and its commit index is high.
#[test]
fn rel_c05_a_stale_tail_is_not_committed_by_an_empty_append() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.isolate(1);
    for n in 0..5 {
        cluster.submit(node(1), "stale", &format!("put a {n}"), None);
    }
    cluster.campaign(node(2));
    cluster.settle();
    for n in 0..3 {
        cluster.submit(node(2), "new", &format!("put b {n}"), None);
        cluster.settle();
    }
    assert_eq!((cluster.last(1), cluster.commit_index(2)), (id(1, 7), 6));
    // The logs agree up to 2, which is all that this append verifies.
    cluster.inject(envelope(node(2), node(1), 2, append(id(1, 2), 6, vec![])));
    cluster.deliver(|e| e.to == node(1));
    assert_eq!((cluster.last(1), cluster.commit_index(1)), (id(1, 7), 2));
    // Nor does the leader itself name more in a heartbeat than it knows n1 to hold.
    cluster.heal();
    cluster.tick(10);
    assert_eq!(cluster.heartbeats_to(1), [0]);
    cluster.deliver(|e| is_named(e, "Heartbeat") && e.to == node(1));
    assert_eq!((cluster.last(1), cluster.commit_index(1)), (id(1, 7), 2));
    cluster.run(60);
    assert_eq!(cluster.last(1), cluster.last(2));
    assert_eq!(cluster.replica(node(1)).machine().applied()[0], id(2, 4), "nothing stale");
}

/// C11: an answer that comes after its append was given up, because a new connection stands,
/// says what is on the follower's disk and nothing about what is under way now.
#[test]
fn rel_c11_a_late_answer_does_not_count_against_the_new_connection() {
    let mut cluster = Cluster::led_by_with(3, node(1), |config| config.window_appends_max = 2);
    cluster.isolate(3);
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.submit(node(1), "w", "put a 2", None);
    cluster.deliver(|e| e.to == node(2));
    cluster.keep("late", |e| is_append_answer_from(e, 2));
    // The connection is made anew: a probe is under way, and then two appends.
    cluster.lose_link(node(1), node(2));
    cluster.settle();
    cluster.submit(node(1), "w", "put a 3", None);
    cluster.submit(node(1), "w", "put a 4", None);
    cluster.keep("held", |e| is_append_to(e, 2));
    cluster.send_kept("late");
    cluster.deliver(|e| e.to == node(1));
    cluster.submit(node(1), "w", "put a 5", None);
    assert_eq!(cluster.appends_to(2), [], "two are under way, whatever was answered late");
    cluster.send_kept("held");
    cluster.settle();
    assert_eq!((cluster.last(2), cluster.commit_index(1)), (id(1, 7), 7));
}

/// C11: what a directory that is gone had acknowledged says nothing about the new one, though
/// the two answers come in the wrong order.
#[test]
fn rel_c11_an_answer_of_a_lost_directory_does_not_stand_for_the_new_one() {
    let mut cluster = Cluster::empty(3);
    cluster.tick(1);
    cluster.settle();
    // n1 is elected by n2 alone, so no entry will bind n3 before it is heard of.
    cluster.cut(node(3), node(1));
    cluster.campaign(node(1));
    while cluster.role(1) != RoleName::Leader {
        cluster.deliver(|_| true);
    }
    cluster.heal();
    cluster.hold_sync(node(2), true);
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.deliver(|e| e.to == node(3));
    cluster.keep("late", |e| is_append_answer_from(e, 3));
    assert_eq!(cluster.last(3).index, Index(1));
    cluster.crash(node(3));
    cluster.wipe(node(3));
    cluster.restart(node(3));
    // The new directory is heard of, and then the old one's answer arrives.
    cluster.tick(10);
    cluster.deliver(|e| is_named(e, "Heartbeat") && e.to == node(3));
    cluster.deliver(|e| is_named(e, "HeartbeatResponse") && e.from == node(3));
    cluster.send_kept("late");
    cluster.deliver(|e| is_append_answer_from(e, 3));
    cluster.run(60);
    assert_eq!(cluster.last(3), cluster.last(1), "the new directory is asked what it holds");
    assert_eq!(cluster.answer("w"), None, "it is not counted, and n2's disk stands still");
    cluster.hold_sync(node(2), false);
    cluster.run(60);
    assert!(cluster.answer("w").is_some());
}

/// C12: a refusal of a probe of long ago leaves the progress as it is, in a probe and after it.
#[test]
fn rel_c12_a_stale_refusal_leaves_the_progress_alone() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.isolate(3);
    for n in 0..4 {
        cluster.submit(node(1), "w", &format!("put a {n}"), None);
        cluster.settle();
    }
    // A new leader does not know that n3 has nothing of this.
    cluster.hand_over(node(1));
    cluster.settle();
    cluster.heal();
    cluster.lose_link(node(2), node(3));
    assert_eq!(cluster.appends_to(3), [(id(1, 6), 7)]);
    while !cluster.bag().any(|e| is_append_answer_from(e, 3)) {
        cluster.deliver(|_| true);
    }
    cluster.keep("refusal", |e| is_append_answer_from(e, 3));
    cluster.send_kept("refusal");
    cluster.send_kept("refusal");
    // Twice at once: the second finds the next probe under way.
    cluster.deliver(|e| e.to == node(2));
    assert_eq!(cluster.appends_to(3), [(id(1, 2), 7)], "the refusal was news once");
    cluster.settle();
    assert_eq!(cluster.last(3), cluster.last(2));
    cluster.send_kept("refusal");
    cluster.deliver(|e| e.to == node(2));
    assert_eq!(cluster.appends_to(3), [], "what is matched is not sent again");
}

/// C16: an append that brings nothing new, because it is empty or came before, is not answered
/// while the entries it verifies are still being written.
#[test]
fn rel_c16_a_repeated_append_is_answered_only_when_its_entries_are_durable() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.isolate(3);
    cluster.hold_sync(node(2), true);
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.keep("append", |e| is_append_to(e, 2));
    let empty = append(id(1, 3), 2, vec![]);
    cluster.send_kept("append");
    cluster.send_kept("append");
    cluster.inject(envelope(node(1), node(2), 1, empty));
    cluster.inject(envelope(node(1), node(2), 1, heartbeat(2)));
    cluster.deliver(|e| e.to == node(2));
    assert_eq!(cluster.acks_from(2), [], "nothing of it is on disk");
    assert!(cluster.bag().any(|e| is_named(e, "HeartbeatResponse")), "a heartbeat promises less");
    cluster.settle();
    assert_eq!((cluster.commit_index(1), cluster.answer("w")), (2, None));
    cluster.sync(node(2), 1);
    assert_eq!(cluster.acks_from(2), [3, 3, 3]);
    cluster.settle();
    assert_eq!(cluster.commit_index(1), 3);
}

/// C39: a follower that lost what it had not acknowledged is asked again where it stands.
#[test]
fn rel_c39_a_lost_tail_that_was_never_acknowledged_is_sent_again() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.isolate(3);
    cluster.hold_sync(node(2), true);
    for n in 0..3 {
        cluster.submit(node(1), "w", &format!("put a {n}"), None);
    }
    cluster.deliver(|e| e.to == node(2));
    assert_eq!((cluster.last(2), cluster.acks_from(2).len()), (id(1, 5), 0));
    cluster.crash(node(2));
    cluster.hold_sync(node(2), false);
    cluster.restart(node(2));
    assert_eq!(cluster.last(2), id(1, 2), "what was not synced is gone");
    // Nobody tells the leader that the connection was another one.
    cluster.run(80);
    assert_eq!((cluster.last(2), cluster.commit_index(1)), (id(1, 5), 5));
    assert_eq!(cluster.role(1), RoleName::Leader);
}

/// C39: a follower that lost what it had acknowledged is not counted again.
#[test]
fn rel_c39_a_follower_that_lost_what_it_acknowledged_is_refused() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.settle();
    cluster.crash(node(2));
    cluster.wipe(node(2));
    cluster.crash(node(3));
    cluster.restart(node(2));
    cluster.submit(node(1), "open", "put a 2", None);
    cluster.run(60);
    let told = cluster.take_told();
    assert!(told.iter().any(|line| line == "n1 ignores another n2"), "{told:?}");
    assert_eq!((cluster.commit_index(1), cluster.answer("open")), (3, None));
    // With its log damaged instead: it follows, in a later term, and is counted only when it
    // holds again what was committed without it.
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.settle();
    cluster.crash(node(2));
    cluster.damage(node(2), Index(1));
    cluster.crash(node(3));
    cluster.restart(node(2));
    cluster.submit(node(1), "open", "put a 2", None);
    cluster.run(800);
    assert_eq!(cluster.answer("open"), None, "n1 and a damaged log are no majority");
    cluster.restart(node(3));
    cluster.run(800);
    assert!(cluster.answer("open").is_some());
    assert_eq!(cluster.value(2, "a"), Some("2"));
}

/// C13: one append makes a stale tail go and commits beyond the place of the conflict: what is
/// applied is what came, never what stood there.
#[test]
fn rel_c13_a_conflict_is_removed_before_anything_is_committed() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.isolate(3);
    cluster.isolate(1);
    for n in 0..3 {
        cluster.submit(node(1), "stale", &format!("put stale {n}"), None);
    }
    assert_eq!(cluster.last(1), id(1, 5));
    let new = entries(2, 3, &["put x 1", "put x 2", "put x 3"]);
    cluster.hold_sync(node(1), true);
    cluster.inject(envelope(node(2), node(1), 2, append(id(1, 2), 5, vec![new.clone()])));
    cluster.deliver(|e| e.to == node(1));
    assert_eq!((cluster.last(1), cluster.commit_index(1)), (id(2, 5), 5));
    let applied = cluster.replica(node(1)).machine().applied().to_vec();
    assert_eq!(applied, [id(2, 3), id(2, 4), id(2, 5)]);
    assert_eq!((cluster.value(1, "stale"), cluster.value(1, "x")), (None, Some("3")));
    // The disk had not seen any of it when the power went: it still has the old tail, and
    // does not believe that it is committed.
    cluster.crash(node(1));
    assert_eq!(cluster.ids_on_disk(node(1)).last(), Some(&id(1, 5)));
    assert!(cluster.hard_state_on_disk(1).commit_index <= Index(2));
    cluster.hold_sync(node(1), false);
    cluster.restart(node(1));
    assert_eq!(cluster.replica(node(1)).machine().applied(), []);
    cluster.inject(envelope(node(2), node(1), 2, append(id(1, 2), 5, vec![new])));
    cluster.deliver(|e| e.to == node(1));
    assert_eq!(cluster.ids_on_disk(node(1)).last(), Some(&id(2, 5)));
    assert_eq!(cluster.value(1, "x"), Some("3"));
}

/// C41: entries that were handed out, to the disk and to peers, stay what they were when the
/// log is cut and written over behind them.
#[test]
fn rel_c41_what_was_handed_out_does_not_change_with_the_log() {
    let mut node = LoneRaft::new(3, &[entries(1, 1, &["put a 1"])]);
    let old = entries(1, 2, &["put a 2", "put a 3"]);
    node.take(2, 1, append(id(1, 1), 0, vec![old.clone()]));
    let handed_out = node.batches[0].entries.clone();
    let bytes: Vec<u8> = handed_out[0].bytes().to_vec();
    let new = entries(2, 2, &["put b 7777"]);
    node.take(3, 2, append(id(1, 1), 0, vec![new.clone()]));
    assert_eq!(node.raft.log().last(), id(2, 2));
    assert_eq!((handed_out[0].bytes().as_ref(), &handed_out[0]), (bytes.as_slice(), &old));
    assert_eq!(node.batches[1].entries, [new]);
    assert_eq!(node.sent.iter().filter_map(acknowledged).count(), 0, "nothing is durable yet");
}

//! What went wrong in other systems, group G, second part: snapshots are built, sent and started
//! from. Each test is named after its row in `docs/raft.md`.

use raft_core::consensus::message::{AppendResult, Message};
use raft_core::replica::snapshots::{SnapshotFact, SnapshotOrder};
use raft_core::snapshot::SnapshotId;
use raft_core::types::{EntryId, Index, Time};
use sim::cluster::{Cluster, id, is_named, node};
use sim::entries::entries;
use sim::lone_raft::LoneRaft;
use sim::lone_replica::{LoneReplica, snapshot_of};

const COMMANDS: [&str; 8] =
    ["put a 1", "put b 2", "add n 1", "put a 4", "delete b", "add n 1", "put a 7", "put c 8"];

/// Writes at `leader`, and makes a snapshot there that covers it.
fn write_and_cut(cluster: &mut Cluster, leader: u64, count: u64) {
    for n in 0..count {
        cluster.submit(node(leader), "w", &format!("put a {n}"), None);
        cluster.run(10);
    }
    cluster.snapshot(node(leader));
}

/// n1 once led and has a long tail that nobody else has; another node leads, whose log begins
/// behind a snapshot, and n1 is about to get that.
fn with_a_contradicting_tail() -> (Cluster, u64) {
    let mut cluster = Cluster::led_by_with(3, node(1), |config| config.trailing_entries = 0);
    cluster.isolate(1);
    for _ in 0..12 {
        cluster.submit(node(1), "lost", "put tail 1", None);
    }
    cluster.run(2_500);
    let leader = cluster.leaders()[0];
    write_and_cut(&mut cluster, leader, 5);
    assert_eq!(cluster.replica(node(leader)).raft().log().base().index.0 + 1, 8);
    assert!(9 < cluster.last(1).index.0, "the tail goes beyond the snapshot");
    (cluster, leader)
}

/// G2: a node dies at some step of putting a snapshot in place, with its log synced or not: it
/// starts with the old state or with the new one, and the tail that contradicts the snapshot
/// never stands beside it.
#[test]
fn rel_g02_a_crash_during_an_install_leaves_the_old_or_the_new_state() {
    let (mut old_count, mut new_count) = (0, 0);
    for holds_sync in [false, true] {
        for steps in 0..24 {
            let (mut cluster, leader) = with_a_contradicting_tail();
            let tail = cluster.last(1);
            cluster.heal();
            cluster.hold_sync(node(1), holds_sync);
            for step in 0..steps {
                if step % 3 == 0 {
                    cluster.tick(5);
                }
                cluster.deliver(|_| true);
            }
            cluster.crash(node(1));
            cluster.restart(node(1));
            let has_snapshot = cluster.status(node(1)).snapshot_index != Index::ZERO;
            let on_disk = cluster.ids_on_disk(node(1));
            if has_snapshot {
                new_count += 1;
                assert_eq!(cluster.value(1, "a"), Some("4"), "after {steps} steps");
                assert_ne!(cluster.last(1).term, tail.term, "after {steps} steps");
                let base = cluster.replica(node(1)).raft().log().base();
                assert!(7 <= base.index.0, "{base} is in the snapshot");
            } else {
                old_count += 1;
                assert_eq!((cluster.last(1), on_disk.last()), (tail, Some(&tail)));
            }
            assert_eq!(cluster.value(1, "tail"), None);
            cluster.hold_sync(node(1), false);
            cluster.run(700);
            assert_eq!(cluster.last(1), cluster.last(leader), "after {steps} steps");
            let on_disk = cluster.ids_on_disk(node(1));
            assert!(on_disk.is_sorted_by(|a, b| a.term <= b.term && a.index.next() == b.index));
            assert_eq!(cluster.value(1, "tail"), None);
        }
    }
    assert!(3 < old_count && 3 < new_count, "both happen: {old_count}, {new_count}");
}

/// A leader whose log begins behind an older snapshot, with one that covers all of it on its way
/// to n2, which has next to nothing.
fn sending() -> (LoneRaft, SnapshotId, u64) {
    let mut leader =
        LoneRaft::with(3, &[entries(1, 1, &COMMANDS[..7])], |config| config.trailing_entries = 2);
    leader.lead();
    leader.persist_all();
    let term = leader.raft.term().0;
    leader.take(3, term, accepted(8));
    // Both are bound to their directories now.
    leader.take(2, term, Message::HeartbeatResponse { round: 0, counts: true });
    leader.persist_all();
    let last = leader.raft.log().last();
    leader.take(3, term, accepted(last.index.0));
    (0..4).for_each(|_| leader.turn());
    for last in [id(1, 7), last] {
        leader.raft.snapshot_made(SnapshotId { last, bytes: 100, checksum: 1 });
    }
    let snapshot = leader.raft.snapshot().expect("it was just made");
    assert_eq!((snapshot.last, leader.raft.log().base()), (last, id(1, 7)));
    leader.take(2, term, answer(AppendResult::Rejected { prev_index: Index(7), hint: id(1, 1) }));
    leader.turn();
    assert_eq!(leader.snapshot_reads.len(), 1, "{:?}", leader.sent);
    leader.raft.snapshot_read(Time(3_000_000), (snapshot, 0), Some(&vec![1; 100].into()));
    leader.turn();
    leader.sent.clear();
    (leader, snapshot, term)
}

fn answer(result: AppendResult) -> Message {
    Message::AppendEntriesResponse { round: 0, counts: true, result }
}

fn accepted(match_index: u64) -> Message {
    answer(AppendResult::Accepted { match_index: Index(match_index) })
}

fn installed(last: EntryId) -> Message {
    let id = SnapshotId { last, bytes: 100, checksum: 1 };
    Message::InstallSnapshotResponse { id, next_offset: 100, installed: true, counts: true }
}

/// The places behind which n2 was sent entries.
fn prevs_to_n2(leader: &LoneRaft) -> Vec<EntryId> {
    let to_n2 = leader.sent.iter().filter(|envelope| envelope.to == node(2));
    let appends = to_n2.filter_map(|envelope| match &envelope.message {
        Message::AppendEntries { prev, .. } => Some(*prev),
        _ => None,
    });
    appends.collect()
}

/// G6: a follower has put another snapshot in place than the one that is on its way, an older
/// one or one that covers the same: what it holds counts, and entries follow at the end.
#[test]
fn rel_g06_an_answer_about_another_snapshot_counts_too() {
    let (mut leader, snapshot, term) = sending();
    leader.take(2, term, installed(id(1, 7)));
    leader.propose(&["put d 1"]);
    leader.turn();
    assert_eq!(prevs_to_n2(&leader), [], "the snapshot is still on its way");
    // What took its place covers the same, though it is not the same file.
    let other = SnapshotId { bytes: 90, ..snapshot };
    let (next_offset, counts) = (90, true);
    let answer =
        Message::InstallSnapshotResponse { id: other, next_offset, installed: true, counts };
    leader.take(2, term, answer);
    leader.turn();
    assert_eq!(prevs_to_n2(&leader), [snapshot.last]);
}

/// G7: the snapshot ends with the very last entry of an idle leader: once it is in place the
/// follower gets what comes next at once, one append behind the other.
#[test]
fn rel_g07_after_a_snapshot_up_to_the_last_entry_appends_are_pipelined() {
    let (mut leader, snapshot, term) = sending();
    leader.take(2, term, installed(snapshot.last));
    leader.turn();
    assert_eq!(prevs_to_n2(&leader), [], "there is nothing to say");
    for command in ["put d 1", "put d 2", "put d 3"] {
        assert!(leader.propose(&[command]));
        leader.turn();
    }
    let last = snapshot.last.index.0;
    let expected = [0, 1, 2].map(|n| id(term, last + n));
    assert_eq!(prevs_to_n2(&leader), expected);
}

/// G8: until a snapshot is durable nothing is cut and nobody hears of it.
#[test]
fn rel_g08_only_what_a_durable_snapshot_covers_is_cut() {
    let mut lone = LoneReplica::new(|_| {});
    lone.apply(&COMMANDS);
    lone.begin_snapshot();
    lone.settle_until(|fact| {
        matches!(fact, SnapshotFact::Finished { .. } | SnapshotFact::Failed { .. })
    });
    assert_eq!((lone.snapshot_index(), lone.cuts.len()), (0, 0));
    assert_eq!(lone.replica.raft().log().base(), EntryId::ZERO);
    let finished = lone.facts.pop_front();
    lone.facts.push_back(SnapshotFact::Failed { why: "no room".to_owned() });
    lone.tell();
    assert_eq!((lone.snapshot_index(), lone.cuts.len()), (0, 0));
    lone.facts.extend(finished);
    lone.tell();
    assert_eq!((lone.snapshot_index(), lone.cuts.as_slice()), (8, &[Index(8)][..]));
}

/// G9: so much is written while a snapshot is built that another one is due: it is built as
/// soon as the first is there, without another write.
#[test]
fn rel_g09_what_makes_a_snapshot_due_while_one_is_built_is_not_lost() {
    let mut lone = LoneReplica::new(|config| config.snapshot_log_bytes = 300);
    lone.apply(&COMMANDS);
    assert!(lone.orders.contains(&SnapshotOrder::Begin { last: id(1, 8) }));
    lone.apply(&["put e 1"; 40]);
    let begins = |lone: &LoneReplica| {
        lone.orders.iter().filter(|order| matches!(order, SnapshotOrder::Begin { .. })).count()
    };
    assert_eq!(begins(&lone), 1, "one at a time");
    lone.settle();
    assert_eq!(lone.snapshot_index(), 48);
}

/// G10: a snapshot says exactly what was applied at its last entry, however much is applied
/// while it is written.
#[test]
fn rel_g10_a_snapshot_is_of_the_entry_that_it_is_named_after() {
    let mut lone = LoneReplica::new(|_| {});
    lone.apply(&COMMANDS[..4]);
    lone.begin_snapshot();
    for command in &COMMANDS[4..] {
        lone.apply(&[command]);
        lone.execute();
        lone.tell();
    }
    lone.settle();
    let (snapshot, data) = lone.file();
    assert_eq!((snapshot.last, lone.applied()), (id(1, 4), 8));
    let mut other = LoneReplica::new(|_| {});
    other.take(2, 1, Message::InstallSnapshot { id: snapshot, offset: 0, data });
    other.settle();
    let mut expected = LoneReplica::new(|_| {});
    expected.apply(&COMMANDS[..4]);
    let (machine, expected) = (other.replica.machine(), expected.replica.machine());
    assert_eq!((machine.values(), machine.applied()), (expected.values(), expected.applied()));
    other.apply(&COMMANDS[4..]);
    assert_eq!(other.replica.machine().values(), lone.replica.machine().values());
}

/// G11: a snapshot that is completed when there is a newer one takes the place of nothing, in
/// the files as in consensus.
#[test]
fn rel_g11_an_older_snapshot_never_takes_the_place_of_a_newer_one() {
    let (newer, data) = snapshot_of(&COMMANDS[..6]);
    let mut lone = LoneReplica::new(|_| {});
    lone.apply(&COMMANDS[..3]);
    lone.files.execute(SnapshotOrder::Begin { last: id(1, 3) });
    lone.files.execute(SnapshotOrder::Append { part: vec![2, 1].into() });
    lone.files.execute(SnapshotOrder::Receive { id: newer, offset: 0, data });
    let finished = lone.files.execute(SnapshotOrder::Finish);
    assert!(matches!(finished, Some(SnapshotFact::Failed { .. })), "{finished:?}");
    let begun = lone.files.execute(SnapshotOrder::Begin { last: id(1, 5) });
    assert!(matches!(begun, Some(SnapshotFact::Failed { .. })), "{begun:?}");
    assert!(lone.has_file(newer));
    let (mut leader, newest, _) = sending();
    leader.raft.snapshot_made(SnapshotId { last: id(1, 7), bytes: 9, checksum: 9 });
    assert_eq!(leader.raft.snapshot(), Some(newest));
}

/// G12: pieces that are cut, changed, empty, too long or from another place never make a whole
/// snapshot, whose file is verified before it is loaded; the right pieces then do.
#[test]
fn rel_g12_no_wrong_piece_makes_a_snapshot() {
    let (snapshot, data) = snapshot_of(&COMMANDS[..6]);
    let mut lone = LoneReplica::new(|_| {});
    let mut is_whole = |offset: usize, piece: &[u8]| {
        let (offset, data) = (offset as u64, piece.to_vec().into());
        let order = SnapshotOrder::Receive { id: snapshot, offset, data };
        match lone.files.execute(order) {
            Some(SnapshotFact::Received { next_offset, is_whole, .. }) => (next_offset, is_whole),
            other => panic!("{other:?}"),
        }
    };
    for place in 0..data.len() {
        let mut changed = data.to_vec();
        changed[place] ^= 1;
        assert_eq!(is_whole(0, &changed), (0, false), "changed at {place}");
        assert_eq!(is_whole(place, &[]), (0, false), "nothing at {place}");
        if 0 < place {
            assert_eq!(is_whole(place, &data[place..]), (0, false), "from {place} on");
        }
    }
    let half = data.len() / 2;
    assert_eq!(is_whole(0, &data[..half]), (half as u64, false));
    assert_eq!(is_whole(half + 1, &data[half + 1..]), (half as u64, false));
    assert_eq!(is_whole(half, &[&data[half..], &[0]].concat()), (0, false));
    assert!(!is_whole(0, &data[..half]).1);
    assert_eq!(is_whole(half, &data[half..]), (data.len() as u64, true));
}

/// G14: who was to get a snapshot dies before it comes: the leader's log is cut all the same,
/// and the newest snapshot is sent when the node is back.
#[test]
fn rel_g14_a_receiver_that_died_holds_no_log_and_is_served_when_it_is_back() {
    let mut cluster = Cluster::led_by_with(3, node(1), |config| config.trailing_entries = 2);
    cluster.isolate(3);
    write_and_cut(&mut cluster, 1, 20);
    cluster.heal();
    while !cluster.bag().any(|envelope| is_named(envelope, "InstallSnapshot")) {
        cluster.tick(5);
        cluster.deliver(|_| true);
    }
    cluster.crash(node(3));
    cluster.run(300);
    write_and_cut(&mut cluster, 1, 20);
    let (base, last) = (cluster.replica(node(1)).raft().log().base(), cluster.last(1));
    assert!(last.index.0 <= base.index.0 + 4, "{base} holds nothing for who is away");
    cluster.restart(node(3));
    cluster.run(700);
    assert_eq!((cluster.last(3), cluster.value(3, "a")), (cluster.last(1), Some("19")));
}

/// G14: the answer that a snapshot is in place is lost: the leader asks again, and entries
/// follow behind the snapshot, none of which was sent before.
#[test]
fn rel_g14_a_lost_answer_about_a_snapshot_is_asked_for_again() {
    let mut cluster = Cluster::led_by_with(3, node(1), |config| config.trailing_entries = 0);
    cluster.isolate(3);
    write_and_cut(&mut cluster, 1, 5);
    cluster.heal();
    cluster.take_told();
    for _ in 0..20 {
        cluster.tick(5);
        while cluster.bag().next().is_some() {
            cluster.drop_messages(|envelope| {
                let message = &envelope.message;
                matches!(message, Message::InstallSnapshotResponse { installed: true, .. })
            });
            cluster.deliver(|_| true);
        }
    }
    assert!(cluster.was_told(&["n3 has a snapshot up to"]));
    cluster.submit(node(1), "w", "put a 9", None);
    cluster.run(1_000);
    assert_eq!((cluster.last(3), cluster.value(3, "a")), (cluster.last(1), Some("9")));
    assert_eq!((cluster.leaders(), cluster.leaderships()), (vec![1], 1));
}

/// G20: a snapshot comes in when the own one is just completed: neither waits for the other,
/// and both are there in the end.
#[test]
fn rel_g20_a_snapshot_that_comes_in_and_one_that_is_completed_do_not_block_each_other() {
    let (newer, data) = snapshot_of(&COMMANDS[..6]);
    let mut lone = LoneReplica::new(|_| {});
    lone.apply(&COMMANDS[..3]);
    lone.begin_snapshot();
    lone.settle_until(|fact| matches!(fact, SnapshotFact::Finished { .. }));
    lone.take(2, 1, Message::InstallSnapshot { id: newer, offset: 0, data });
    lone.settle();
    assert_eq!((lone.applied(), lone.snapshot_index()), (6, 6));
    assert_eq!(lone.cuts.last(), Some(&Index(7)));
    lone.apply(&COMMANDS[6..]);
    lone.begin_snapshot();
    lone.settle();
    assert_eq!((lone.snapshot_index(), lone.orders.len(), lone.facts.len()), (8, 0, 0));
}

//! What went wrong in other systems, group C, fourth part: logs that begin behind a snapshot.
//! Each test is named after its row in `docs/raft.md`.

use raft_core::consensus::message::{AppendResult, Message};
use raft_core::consensus::ready::RoleName;
use raft_core::consensus::rng::Rng;
use raft_core::entry::{Entries, INDEX_MAX, TERM_MAX};
use raft_core::snapshot::SnapshotId;
use raft_core::types::{EntryId, Index, Term};
use sim::cluster::{Cluster, envelope, id, is_named, node};
use sim::entries::entries;
use sim::lone_raft::LoneRaft;

fn append(prev: EntryId, commit_index: u64, entries: Vec<Entries>) -> Message {
    Message::AppendEntries { prev, commit_index: Index(commit_index), round: 0, entries }
}

fn answer(result: AppendResult) -> Message {
    Message::AppendEntriesResponse { round: 0, counts: true, result }
}

fn accepted(match_index: u64) -> Message {
    answer(AppendResult::Accepted { match_index: Index(match_index) })
}

fn rejected(prev_index: u64, hint: EntryId) -> Message {
    answer(AppendResult::Rejected { prev_index: Index(prev_index), hint })
}

/// Three nodes led by n1, whose logs keep nothing that a snapshot has if they can help it.
fn cluster() -> Cluster {
    Cluster::led_by_with(3, node(1), |config| config.trailing_entries = 0)
}

fn write(cluster: &mut Cluster, count: u64) {
    for n in 0..count {
        cluster.submit(node(1), "w", &format!("put a {n}"), None);
        cluster.settle();
    }
    cluster.tick(10);
    cluster.settle();
}

fn base(cluster: &Cluster, id: u64) -> EntryId {
    cluster.replica(node(id)).raft().log().base()
}

/// Delivers everything and returns the places behind which n3 was sent entries, and whether a
/// snapshot was sent to it.
fn bring_to_n3(cluster: &mut Cluster) -> (Vec<EntryId>, bool) {
    let (mut prevs, mut is_snapshot) = (Vec::new(), false);
    for _ in 0..20 {
        cluster.tick(5);
        while cluster.bag().next().is_some() {
            prevs.extend(cluster.appends_to(3).iter().map(|(prev, _)| *prev));
            is_snapshot |= cluster.bag().any(|e| is_named(e, "InstallSnapshot"));
            cluster.deliver(|_| true);
        }
    }
    (prevs, is_snapshot)
}

/// C6: the term of an entry that only a snapshot has is unknown, which is not zero, and no
/// entry of term zero is found to agree with it.
#[test]
fn rel_c06_a_place_before_the_log_has_no_term_and_agrees_with_nothing() {
    let mut cluster = cluster();
    write(&mut cluster, 6);
    (1..=2).for_each(|id| cluster.snapshot(node(id)));
    let log = cluster.replica(node(2)).raft().log();
    let (base, last) = (log.base(), log.last());
    assert!(2 < base.index.0 && base < last);
    assert_eq!((log.term_at(Index(1)), log.term_at(base.index.prev())), (None, None));
    assert_eq!(log.term_at(last.index.next()), None);
    let at = |index: Index| EntryId { term: Term::ZERO, index };
    assert!(!log.holds(at(base.index.prev())) && !log.holds(at(last.index.next())));
    for index in [base.index, last.index, last.index.next()] {
        cluster.inject(envelope(node(1), node(2), 1, append(at(index), 0, vec![])));
        cluster.deliver(|e| e.to == node(2));
        assert_eq!(cluster.acks_from(2), [], "nothing of term zero is at {index}");
        cluster.drop_messages(|_| true);
    }
    assert_eq!(cluster.last(2), last);
}

/// C7: an append from before the log, or from inside the snapshot, brings only what is behind
/// both; what is covered is neither taken again nor applied again.
#[test]
fn rel_c07_entries_that_a_snapshot_covers_are_skipped() {
    let mut cluster = cluster();
    write(&mut cluster, 6);
    cluster.snapshot(node(2));
    let (base, last) = (base(&cluster, 2), cluster.last(2).index.0);
    let applied = cluster.replica(node(2)).machine().applied().len();
    let commands = ["put b 1"; 12];
    for prev in [0, 1, base.index.0 - 1, base.index.0] {
        let count = usize::try_from(last + 1 - prev).unwrap();
        let run = entries(1, prev + 1, &commands[..count]);
        let prev = if prev == 0 { EntryId::ZERO } else { id(1, prev) };
        cluster.inject(envelope(node(1), node(2), 1, append(prev, last, vec![run])));
        cluster.deliver(|e| e.to == node(2));
        assert_eq!(cluster.last(2), id(1, last + 1), "one entry is new");
        assert_eq!(cluster.acks_from(2), [last + 1]);
        cluster.drop_messages(|_| true);
        let on_disk = cluster.ids_on_disk(node(2));
        let expected: Vec<EntryId> = (base.index.0 + 1..=last + 1).map(|n| id(1, n)).collect();
        assert_eq!(on_disk, expected, "each entry behind the snapshot once");
    }
    // An append that ends inside the snapshot is agreed with as far as the snapshot reaches.
    let run = entries(1, 1, &commands[..2]);
    cluster.inject(envelope(node(1), node(2), 1, append(EntryId::ZERO, 0, vec![run])));
    cluster.deliver(|e| e.to == node(2));
    assert_eq!((cluster.acks_from(2), cluster.last(2)), (vec![base.index.0], id(1, last + 1)));
    assert_eq!(cluster.replica(node(2)).machine().applied().len(), applied);
}

/// C8: a follower whose next entry is the first one behind the leader's base gets entries; one
/// that lacks the base itself gets the snapshot, and never an append from nowhere.
#[test]
fn rel_c08_who_lacks_the_base_gets_the_snapshot_and_who_has_it_gets_entries() {
    for lacking in 0..4u64 {
        let mut cluster = cluster();
        // The base will be 7: a log keeps the last entry that its snapshot covers.
        write(&mut cluster, 5 - lacking.min(5));
        cluster.isolate(3);
        write(&mut cluster, 1 + lacking);
        cluster.snapshot(node(1));
        let base = base(&cluster, 1);
        assert_eq!((base, cluster.last(1)), (id(1, 7), id(1, 8)));
        assert_eq!(cluster.last(3), id(1, 7 - lacking));
        cluster.heal();
        let (prevs, is_snapshot) = bring_to_n3(&mut cluster);
        assert_eq!(is_snapshot, 0 < lacking, "{lacking} entries are missing at the base");
        assert!(prevs.iter().all(|prev| base.index <= prev.index), "{prevs:?}");
        assert_eq!((cluster.last(3), cluster.commit_index(3)), (id(1, 8), 8));
        assert_eq!(cluster.value(3, "a"), cluster.value(1, "a"));
    }
}

/// C9: the log is cut between the moment in which older entries are asked from the disk and
/// the moment in which they come: they are not sent, and the follower gets the snapshot.
#[test]
fn rel_c09_a_cut_while_entries_are_read_leads_to_the_snapshot() {
    let old = entries(1, 1, &["put a 1", "put a 2", "put a 3"]);
    for is_read in [true, false] {
        let log = [old.clone(), entries(1, 4, &["put a 4"])];
        let mut node = LoneRaft::with(3, &log, |config| config.trailing_entries = 0);
        node.lead();
        node.persist_all();
        let term = node.raft.term().0;
        node.take(3, term, accepted(5));
        node.fetched(vec![old.clone()]);
        (0..4).for_each(|_| node.turn());
        assert_eq!(node.raft.log().applied_index(), Index(5));
        node.fetches.clear();
        node.sent.clear();
        node.take(2, term, rejected(4, id(1, 1)));
        assert_eq!(node.fetches.len(), 1, "n2 needs 2 and 3");
        let snapshot = SnapshotId { last: id(term, 5), bytes: 100, checksum: 1 };
        node.raft.snapshot_made(snapshot);
        assert_eq!(node.raft.log().base(), id(1, 4));
        let found = old.slice(Index(2)..Index(4), usize::MAX);
        node.fetched(if is_read { found.into_iter().collect() } else { vec![] });
        node.turn();
        let mut to_n2 = node.sent.iter().filter(|e| e.to == sim::cluster::node(2));
        assert!(!to_n2.any(|e| is_named(e, "AppendEntries")), "{:?}", node.sent);
        assert_eq!(node.snapshot_reads.len(), 1);
        assert_eq!((node.snapshot_reads[0].id, node.snapshot_reads[0].offset), (snapshot, 0));
    }
}

/// C26: the entry before an append is purged on the follower, because it is applied long since:
/// that is no conflict, and nothing is removed for it.
#[test]
fn rel_c26_a_purged_place_before_an_append_is_no_conflict() {
    let mut cluster = cluster();
    write(&mut cluster, 6);
    cluster.snapshot(node(2));
    // A tail behind what is committed, which is what could be lost.
    cluster.submit(node(1), "w", "put a tail", None);
    cluster.deliver(|e| e.to == node(2));
    cluster.drop_messages(|_| true);
    let (last, commit) = (cluster.last(2), cluster.commit_index(2));
    assert_eq!(last.index.0, commit + 1);
    let before = cluster.ids_on_disk(node(2));
    for prev in 1..=last.index.0 {
        cluster.inject(envelope(node(1), node(2), 1, append(id(1, prev), 0, vec![])));
        cluster.deliver(|e| e.to == node(2));
        assert_eq!(cluster.acks_from(2), [prev.max(base(&cluster, 2).index.0)]);
        cluster.drop_messages(|_| true);
        assert_eq!((cluster.last(2), cluster.ids_on_disk(node(2))), (last, before.clone()));
    }
}

/// C25: whatever indexes and terms appends and answers name, below the log, at its edges and
/// far beyond it: nothing is counted under zero, nothing panics, nothing committed moves.
#[test]
fn rel_c25_no_index_or_term_upsets_a_log_that_was_cut() {
    let whole = entries(1, 1, &["put a 1"; 9]);
    let snapshot = |last| SnapshotId { last, bytes: 100, checksum: 1 };
    let edges = [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, INDEX_MAX.0 - 1, INDEX_MAX.0];
    let terms = [0, 1, 2, 3, TERM_MAX.0];
    let mut rng = Rng::new(25);
    let mut pick =
        |from: &[u64]| from[usize::try_from(rng.in_range(0, from.len() as u64)).unwrap()];
    for round in 0..300 {
        let mut follower =
            LoneRaft::with(3, &[whole.slice(Index(1)..Index(8), usize::MAX).unwrap()], |config| {
                config.trailing_entries = 0;
            });
        follower.take(2, 1, append(id(1, 7), 6, vec![]));
        follower.turn();
        follower.raft.snapshot_made(snapshot(id(1, 5)));
        assert_eq!(follower.raft.log().base(), id(1, 4));
        let mut leader =
            LoneRaft::with(3, std::slice::from_ref(&whole), |config| config.trailing_entries = 0);
        leader.lead();
        leader.persist_all();
        leader.take(3, 2, accepted(10));
        leader.turn();
        leader.raft.snapshot_made(snapshot(id(1, 6)));
        for _ in 0..20 {
            let (index, other) = (pick(&edges), pick(&edges));
            let (at, of) =
                (id(pick(&terms), index), SnapshotId { last: id(1, 6), ..snapshot(id(1, 6)) });
            let first = pick(&[1, 3, 4, 5, 6, 7, 8, 9]);
            let run = whole.slice(Index(first)..Index(first + pick(&[1, 2, 9])), usize::MAX);
            let prev = if first == 1 { EntryId::ZERO } else { id(1, first - 1) };
            let to_follower = [
                append(at, pick(&[0, 5, 6, 7]), vec![]),
                append(prev, 0, run.into_iter().collect()),
                Message::Heartbeat { commit_index: Index(index), round: other, log_time: 0 },
                Message::ReadIndexResponse { context: other, index: Index(index) },
                Message::InstallSnapshot { id: snapshot(at), offset: other, data: vec![1].into() },
            ];
            let to_leader = [
                rejected(other, at),
                accepted(index),
                Message::HeartbeatResponse { round: other, counts: true },
                Message::InstallSnapshotResponse {
                    id: of,
                    next_offset: other,
                    installed: false,
                    counts: true,
                },
                Message::InstallSnapshotResponse {
                    id: snapshot(at),
                    next_offset: other,
                    installed: true,
                    counts: true,
                },
            ];
            let choice = usize::try_from(pick(&[0, 0, 1, 1, 2, 3, 4])).unwrap();
            let before = (follower.raft.log().commit_index(), leader.raft.log().commit_index());
            follower.take(2, 1, to_follower[choice].clone());
            leader.take(pick(&[2, 3]), 2, to_leader[choice].clone());
            let after = (follower.raft.log().commit_index(), leader.raft.log().commit_index());
            assert!(before.0 <= after.0 && before.1 <= after.1, "round {round}");
            assert!((7..=9).contains(&follower.raft.log().last().index.0));
            assert_eq!(leader.raft.role_name(), RoleName::Leader);
        }
    }
}

/// C36: a command that waits at a follower is covered by a snapshot before the follower comes
/// to apply it: its client is answered all the same, once, and it is done once.
#[test]
fn rel_c36_a_client_whose_command_a_snapshot_covers_is_answered() {
    for is_late in [false, true] {
        let mut cluster = cluster();
        cluster.submit(node(3), "waits", "add n 1", None);
        cluster.deliver(|e| is_named(e, "Forward"));
        cluster.isolate(3);
        write(&mut cluster, 4);
        assert_eq!(cluster.value(1, "n"), Some("1"));
        (1..=2).for_each(|id| cluster.snapshot(node(id)));
        if is_late {
            cluster.run(2_100);
            assert_eq!(cluster.answer("waits"), Some("refused: Unknown"));
        }
        cluster.heal();
        cluster.run(600);
        assert!(3 < base(&cluster, 3).index.0, "n3 has a snapshot and no such entry");
        assert_eq!(cluster.answers_to("waits"), 1);
        assert!(is_late || cluster.answer("waits") == Some("r1"), "{:?}", cluster.answer("waits"));
        assert_eq!(cluster.value(3, "n"), Some("1"));
    }
}

/// C40: a leader that begins with a purged log, knows nothing of a follower and has nothing
/// new to say sends the snapshot to it.
#[test]
fn rel_c40_a_new_leader_with_a_purged_log_sends_the_snapshot_unasked() {
    let mut cluster = cluster();
    cluster.isolate(3);
    write(&mut cluster, 6);
    (1..=2).for_each(|id| cluster.snapshot(node(id)));
    (1..=2).for_each(|id| cluster.crash(node(id)));
    (1..=2).for_each(|id| cluster.restart(node(id)));
    assert!((1..=2).all(|id| cluster.last(id).index.0 <= base(&cluster, id).index.0 + 1));
    cluster.heal();
    cluster.take_told();
    cluster.run(700);
    assert!(cluster.was_told(&["n3 has a snapshot up to"]));
    assert_eq!(cluster.value(3, "a"), Some("5"));
    let commits: Vec<u64> = (1..=3).map(|id| cluster.commit_index(id)).collect();
    assert!(commits.iter().all(|&index| index == commits[0]), "{commits:?}");
}

/// D12: the applied index jumps over the index of a read, because a snapshot took the place of
/// the entries it waited for: the read is answered, from the new state.
#[test]
fn rel_d12_a_read_whose_index_a_snapshot_jumps_over_is_answered() {
    let mut cluster = cluster();
    for n in 0..4 {
        cluster.submit(node(1), "w", &format!("put a {n}"), None);
        cluster.drop_messages(|e| is_named(e, "AppendEntries") && e.to == node(3));
        cluster.settle();
    }
    cluster.take_told();
    cluster.read(node(3), "read", "a");
    for _ in 0..4 {
        cluster.drop_messages(|e| is_named(e, "AppendEntries") && e.to == node(3));
        cluster.deliver(|_| true);
    }
    assert!(cluster.was_told(&["n1 -> n3", "ReadIndexResponse", "index=6"]));
    cluster.drop_messages(|_| true);
    assert_eq!((cluster.last(3), cluster.answer("read")), (id(1, 2), None));
    cluster.submit(node(1), "w", "put a 9", None);
    cluster.drop_messages(|e| e.to == node(3));
    cluster.settle();
    cluster.snapshot(node(1));
    cluster.take_told();
    cluster.run(150);
    assert!(cluster.was_told(&["n3 has a snapshot up to"]));
    assert_eq!(base(&cluster, 3), cluster.last(3), "there was nothing else to apply");
    assert_eq!((cluster.answer("read"), cluster.answers_to("read")), (Some("9"), 1));
}

//! The safety catalogue, second part: logs, commits, reads and answers. Each test is named
//! after its entry in `docs/scenarios.md` and says in its own words what must hold.

use raft_core::consensus::message::{AppendResult, Message};
use raft_core::consensus::ready::RoleName;
use raft_core::hard_state::{Configuration, HardState};
use raft_core::types::{EntryId, Incarnation, Index, Term};
use raft_core::wal::memory_disk::MemoryDisk;
use raft_core::wal::{Wal, WalOptions};
use sim::cluster::{Cluster, envelope, is_named, node};

fn isolate(cluster: &mut Cluster, id: u64) {
    for other in cluster.ids().into_iter().filter(|&other| other != node(id)) {
        cluster.cut(node(id), other);
        cluster.cut(other, node(id));
    }
}

fn commit(cluster: &Cluster, id: u64) -> u64 {
    cluster.status(node(id)).commit_index.0
}

fn last(cluster: &Cluster, id: u64) -> EntryId {
    cluster.replica(node(id)).raft().log().last()
}

fn value(cluster: &Cluster, id: u64, key: &str) -> Option<String> {
    cluster.replica(node(id)).machine().get(key).map(str::to_owned)
}

fn id(term: u64, index: u64) -> EntryId {
    EntryId { term: Term(term), index: Index(index) }
}

/// S-08: commits follow the majority's indexes as numbers, beyond ten and a hundred too.
#[test]
fn ref_s08_commit_follows_the_majority_beyond_ten_and_a_hundred() {
    let mut cluster = Cluster::led_by(3, node(1));
    isolate(&mut cluster, 3);
    for n in 0..120u64 {
        cluster.submit(node(1), &format!("w{n}"), &format!("put k{n} {n}"), None);
        cluster.settle();
        assert_eq!(commit(&cluster, 1), n + 3, "two of three have it");
        assert!(cluster.answer(&format!("w{n}")).is_some());
    }
    isolate(&mut cluster, 2);
    cluster.submit(node(1), "alone", "put x 1", None);
    cluster.settle();
    assert_eq!((commit(&cluster, 1), cluster.answer("alone")), (122, None));
}

/// S-09: a follower that cannot be reached never counts.
#[test]
fn ref_s09_an_unreachable_follower_never_counts() {
    let mut cluster = Cluster::led_by(5, node(1));
    let before = commit(&cluster, 1);
    (2..=4).for_each(|id| isolate(&mut cluster, id));
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.settle();
    cluster.tick(20);
    cluster.settle();
    assert_eq!((commit(&cluster, 1), cluster.answer("w")), (before, None), "two of five");
}

/// S-10: an entry of an earlier term is not committed by counting its copies (Figure 8).
#[test]
fn ref_s10_copies_of_an_older_terms_entry_do_not_commit_it() {
    let mut cluster = Cluster::led_by(5, node(1));
    (2..=5).for_each(|peer| cluster.cut(node(1), node(peer)));
    cluster.submit(node(1), "w", "put x old", None);
    let old = last(&cluster, 1);
    cluster.heal();
    // n1 loses its term and wins a later one; its own entry of that term reaches nobody.
    let late = Message::HeartbeatResponse { round: 0, counts: true };
    cluster.inject(envelope(node(2), node(1), 5, late));
    cluster.deliver(|_| true);
    cluster.campaign(node(1));
    while cluster.status(node(1)).role != RoleName::Leader {
        cluster.deliver(|_| true);
    }
    cluster.drop_messages(|e| is_named(e, "AppendEntries"));
    let term = cluster.status(node(1)).term.0;
    for peer in [2, 3, 4] {
        let result = AppendResult::Accepted { match_index: old.index };
        let copy = Message::AppendEntriesResponse { round: 0, counts: true, result };
        cluster.inject(envelope(node(peer), node(1), term, copy));
    }
    cluster.deliver(|e| e.to == node(1));
    assert!(commit(&cluster, 1) < old.index.0, "four of five have it, and it is not committed");
}

/// S-11: an append whose previous entry the follower lacks is refused, and appends nothing.
#[test]
fn ref_s11_a_mismatch_is_refused_and_nothing_is_appended() {
    let mut cluster = Cluster::led_by(3, node(1));
    isolate(&mut cluster, 3);
    for n in 0..3 {
        cluster.submit(node(1), "w", &format!("put a {n}"), None);
        cluster.settle();
    }
    cluster.heal();
    let before = last(&cluster, 3);
    cluster.submit(node(1), "w", "put a 9", None);
    cluster.deliver(|e| e.to == node(3));
    assert_eq!(last(&cluster, 3), before);
    let told = cluster.take_told();
    assert!(told.iter().any(|line| line.contains("rejected=5 hint=1/2")), "{told:?}");
    cluster.run(20);
    assert_eq!(last(&cluster, 3), last(&cluster, 1));
}

/// S-12: appends that come again, late, shorter or empty never remove what agrees.
#[test]
fn ref_s12_repeated_reordered_and_shorter_appends_remove_nothing() {
    let mut cluster = Cluster::led_by(3, node(1));
    for n in 0..4 {
        cluster.submit(node(1), "w", &format!("put a {n}"), None);
        cluster.keep(&format!("a{n}"), |e| e.to == node(2) && is_named(e, "AppendEntries"));
    }
    for order in [[0, 1, 2, 3], [3, 0, 2, 1], [1, 1, 0, 0]] {
        for n in order {
            cluster.send_kept(&format!("a{n}"));
            cluster.deliver(|e| e.to == node(2));
        }
        assert_eq!(last(&cluster, 2), id(1, 6));
    }
    let empty = Message::AppendEntries {
        prev: id(1, 2),
        commit_index: Index(0),
        round: 0,
        entries: vec![],
    };
    cluster.inject(envelope(node(1), node(2), 1, empty));
    cluster.settle();
    assert_eq!(last(&cluster, 2), id(1, 6));
    assert_eq!(cluster.ids_on_disk(node(2)).len(), 6, "each entry is there once");
}

/// S-13: a repeated append is stored once, and answers that overlap prove no more than was
/// stored.
#[test]
fn ref_s13_a_repeated_append_counts_once() {
    let mut cluster = Cluster::led_by(3, node(1));
    isolate(&mut cluster, 3);
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.keep("append", |e| is_named(e, "AppendEntries"));
    for _ in 0..3 {
        cluster.send_kept("append");
        cluster.settle();
    }
    assert_eq!(last(&cluster, 2), last(&cluster, 1));
    let progress_beyond = Message::AppendEntriesResponse {
        round: 0,
        counts: true,
        result: AppendResult::Accepted { match_index: Index(1_000) },
    };
    cluster.inject(envelope(node(2), node(1), 1, progress_beyond));
    cluster.settle();
    assert_eq!(commit(&cluster, 1), 3);
}

/// S-14: a conflicting tail is replaced, and what is caught up keeps the terms it was written
/// in.
#[test]
fn ref_s14_catching_up_keeps_the_terms_of_entries() {
    let mut cluster = Cluster::led_by(3, node(1));
    isolate(&mut cluster, 3);
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.settle();
    for leader in [1, 2, 1] {
        cluster.submit(node(leader), "w", "put a 2", None);
        cluster.run(20);
        cluster.hand_over(node(leader));
        cluster.run(20);
    }
    cluster.heal();
    cluster.run(300);
    let ids = cluster.ids_on_disk(node(3));
    assert_eq!(ids, cluster.ids_on_disk(node(1)));
    let terms: std::collections::BTreeSet<Term> = ids.iter().map(|id| id.term).collect();
    assert!(3 <= terms.len(), "{ids:?}");
}

/// S-15: a follower commits no further than what was verified; a heartbeat verifies nothing.
#[test]
fn ref_s15_a_stale_tail_is_not_committed_by_a_high_commit_index() {
    let mut cluster = Cluster::led_by(3, node(1));
    isolate(&mut cluster, 1);
    for n in 0..3 {
        cluster.submit(node(1), "stale", &format!("put a {n}"), None);
    }
    cluster.campaign(node(2));
    cluster.settle();
    let probe = Message::AppendEntries {
        prev: id(1, 2),
        commit_index: Index(5),
        round: 0,
        entries: vec![],
    };
    cluster.heal();
    cluster.inject(envelope(node(2), node(1), 2, probe));
    cluster.deliver(|e| e.to == node(1));
    assert_eq!(commit(&cluster, 1), 2, "only what the probe has verified");
}

/// S-16: what is committed is applied once, in order, and nothing beyond it.
#[test]
fn ref_s16_everything_committed_is_applied_once_in_order() {
    let mut cluster = Cluster::led_by(3, node(1));
    for n in 0..10 {
        cluster.submit(node(1), "w", &format!("add n {n}"), None);
        if n % 3 == 0 {
            cluster.settle();
        }
    }
    cluster.settle();
    cluster.submit(node(1), "open", "add n 100", None);
    cluster.run(10);
    cluster.crash(node(1));
    cluster.run(600);
    cluster.restart(node(1));
    cluster.run(200);
    for id in cluster.ids() {
        let applied = cluster.replica(id).machine().applied().to_vec();
        assert!(applied.is_sorted_by(|a, b| a.index < b.index), "{applied:?}");
        assert_eq!(value(&cluster, id.number(), "n").as_deref(), Some("145"));
    }
}

/// S-17: an answer means that a majority has it on disk: it survives the leader's crash right
/// after it, and the crash of everybody.
#[test]
fn ref_s17_what_was_answered_survives_any_crash() {
    let mut cluster = Cluster::led_by(3, node(1));
    (2..=3).for_each(|id| cluster.hold_sync(node(id), true));
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.settle();
    assert_eq!(cluster.answer("w"), None, "on one disk only");
    cluster.sync(node(3), 1);
    cluster.settle();
    assert!(cluster.answer("w").is_some());
    (1..=3).for_each(|id| cluster.crash(node(id)));
    (2..=3).for_each(|id| cluster.hold_sync(node(id), false));
    cluster.restart(node(2));
    cluster.restart(node(3));
    cluster.run(600);
    assert_eq!(value(&cluster, 2, "a").as_deref(), Some("1"));
    assert_eq!(value(&cluster, 3, "a").as_deref(), Some("1"));
}

/// S-20: a leader that was cut off answers no read, and whoever asks it is told so in time.
#[test]
fn ref_s20_a_deposed_leader_serves_no_stale_read_and_does_not_hang() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.submit(node(1), "old", "put x old", None);
    cluster.settle();
    isolate(&mut cluster, 1);
    cluster.campaign(node(2));
    cluster.settle();
    cluster.submit(node(2), "new", "put x new", None);
    cluster.settle();
    cluster.read(node(1), "read", "x");
    cluster.run(500);
    assert_eq!(cluster.answer("read"), None);
    cluster.run(2_500);
    assert_eq!(cluster.answer("read"), Some("refused: NoLeader"), "a bounded wait");
    cluster.heal();
    cluster.run(300);
    cluster.read(node(1), "again", "x");
    cluster.run(50);
    assert_eq!(cluster.answer("again"), Some("new"));
}

/// S-30: the leader that a node names is the current one or none, and without one a request
/// ends in time.
#[test]
fn ref_s30_the_hint_is_the_leader_or_none_and_waiting_ends() {
    let mut cluster = Cluster::led_by(3, node(1));
    assert!(cluster.ids().iter().all(|id| cluster.status(*id).leader == Some(node(1))));
    cluster.crash(node(1));
    cluster.crash(node(2));
    cluster.lose_link(node(3), node(1));
    assert_eq!(cluster.status(node(3)).leader, None, "a leader that is gone is no hint");
    cluster.submit(node(3), "w", "put a 1", None);
    cluster.run(3_000);
    assert_eq!(cluster.answer("w"), Some("refused: NoLeader"));
    cluster.restart(node(2));
    cluster.run(1_000);
    let leader = cluster.status(node(3)).leader;
    assert_eq!(cluster.status(node(2)).leader, leader);
    assert!(leader.is_some_and(|id| cluster.is_up(id)));
}

/// S-23, the log's half: a log whose last batch is torn, or whose directory is empty, opens.
#[test]
fn ref_s23_a_torn_last_batch_or_an_empty_directory_is_no_obstacle() {
    let options = || WalOptions {
        segment_bytes: 64 * 1024,
        incarnation: Incarnation(7),
        configuration: Configuration::of([node(1)]).encode(),
        base: EntryId::ZERO,
    };
    let (mut wal, recovered) = Wal::open(MemoryDisk::default(), options()).unwrap();
    assert!(recovered.is_fresh && recovered.last == EntryId::ZERO);
    for term in 1..=3 {
        let hard_state = HardState { term: Term(term), ..HardState::default() };
        wal.append(&hard_state, &[entry(term, term)]).unwrap();
    }
    // The power goes while a fourth batch is written: some of its sectors arrive.
    let mut disk = wal.into_disk();
    let names = raft_core::wal::disk::Disk::list(&mut disk).unwrap();
    let segment = names.iter().find(|name| name.contains("wal-")).cloned();
    let segment = segment.unwrap_or_else(|| panic!("there is a segment: {names:?}"));
    let mut bytes = disk.content(&segment).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    bytes[end - 30..end].fill(0);
    disk.replace(&segment, bytes);
    let (_, recovered) = Wal::open(disk, options()).unwrap();
    assert_eq!(recovered.last, id(2, 2), "what was whole is there");
}

fn entry(term: u64, index: u64) -> raft_core::entry::Entries {
    use raft_core::entry::{Draft, EntryKind, SessionStamp, Stamp};
    let mut draft = Draft::default();
    draft.push(EntryKind::Command, &SessionStamp::default(), b"put a 1");
    let (term, first) = (Term(term), Index(index));
    draft.stamp(&Stamp { term, first, log_time: 0, feature_level: 1, wall_time: 0, seed: 0 })
}

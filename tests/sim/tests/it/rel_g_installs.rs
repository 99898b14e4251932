//! What went wrong in other systems, group G, first part: a snapshot takes the place of a state
//! while other things go on. Each test is named after its row in `docs/raft.md`.

use bytes::Bytes;
use raft_core::consensus::message::Message;
use raft_core::consensus::ready::RoleName;
use raft_core::replica::event::Event;
use raft_core::replica::snapshots::{SnapshotFact, SnapshotOrder};
use raft_core::snapshot::SnapshotId;
use raft_core::types::{Index, Time};
use sim::cluster::{envelope, id, node};
use sim::entries::entries;
use sim::lone_raft::LoneRaft;
use sim::lone_replica::{LoneReplica, snapshot_of};

const COMMANDS: [&str; 8] =
    ["put a 1", "put b 2", "add n 1", "put a 4", "delete b", "add n 1", "put a 7", "put c 8"];

fn install((id, data): &(SnapshotId, Bytes)) -> Message {
    Message::InstallSnapshot { id: *id, offset: 0, data: data.clone() }
}

fn heartbeat(commit_index: u64) -> Message {
    Message::Heartbeat { commit_index: Index(commit_index), round: 0, log_time: 0 }
}

fn is_part(fact: &SnapshotFact) -> bool {
    matches!(fact, SnapshotFact::Part { .. })
}

fn is_whole(fact: &SnapshotFact) -> bool {
    matches!(fact, SnapshotFact::Received { is_whole: true, .. })
}

fn is_end(fact: &SnapshotFact) -> bool {
    matches!(fact, SnapshotFact::Part { part: None })
}

fn is_finished(fact: &SnapshotFact) -> bool {
    matches!(fact, SnapshotFact::Finished { .. })
}

/// Node 1 after the first `count` commands.
fn after(count: usize) -> LoneReplica {
    let mut lone = LoneReplica::new(|_| {});
    lone.apply(&COMMANDS[..count]);
    lone
}

/// G1: entries go on being applied while a snapshot is loaded; one that they have overtaken
/// does not take the state back.
#[test]
fn rel_g01_a_snapshot_that_entries_overtake_does_not_take_the_state_back() {
    let snapshot = snapshot_of(&COMMANDS[..5]);
    let mut lone = after(3);
    lone.take(2, 1, install(&snapshot));
    lone.settle_until(is_part);
    lone.apply(&COMMANDS[3..]);
    let values = lone.replica.machine().values().clone();
    lone.settle_until(is_end);
    let end = lone.facts.pop_front().expect("it was just seen");
    lone.hear(Event::Snapshot(end));
    assert_eq!(lone.applied(), 8, "I10 not even for a moment");
    lone.settle();
    assert_eq!((lone.applied(), lone.replica.machine().values()), (8, &values));
    assert_eq!(lone.replica.machine().applied().len(), 8, "each command once");
    // It is not about to install anything any more.
    let other = snapshot_of(&[&COMMANDS[..], &["put a 9"]].concat());
    lone.take(2, 1, install(&other));
    lone.settle();
    assert_eq!((lone.applied(), lone.value("a")), (9, Some("9")));
}

/// G1: wherever entries overtake a snapshot that comes in, none of those behind it is executed
/// again, and no key goes back, not even within a turn. The node is watched after each of them.
#[test]
fn rel_g01_what_has_overtaken_a_snapshot_is_not_executed_again() {
    let snapshot = snapshot_of(&COMMANDS[..5]);
    for overtaken_at in [is_whole, is_part, is_end] {
        for count in 5..=8 {
            let mut lone = after(3);
            lone.take(2, 1, install(&snapshot));
            lone.settle_until(overtaken_at);
            lone.apply(&COMMANDS[3..count]);
            lone.settle();
            let executed = lone.replica.machine().applied().len();
            assert_eq!((lone.applied(), executed), (count as u64, count));
        }
    }
}

/// G1: a candidate whose log has all that a snapshot has, and who is elected while the snapshot
/// comes in, has no use for it, although it does not know yet what is committed.
#[test]
fn rel_g01_who_is_elected_while_a_snapshot_comes_in_keeps_its_log() {
    let mut lone = LoneRaft::new(3, &[entries(1, 1, &COMMANDS[..5])]);
    let last = id(1, 5);
    assert!(lone.raft.takes(last), "nothing of it is known to be committed");
    lone.lead();
    lone.raft.snapshot_received(SnapshotId { last, bytes: 9, checksum: 1 }, 9, true);
    assert_eq!(lone.raft.log().commit_index(), Index::ZERO);
    assert!(!lone.raft.takes(last), "a leader has everything that is committed");
    lone.raft.install_failed();
    lone.persist_all();
    let result = raft_core::consensus::message::AppendResult::Accepted { match_index: Index(6) };
    lone.take(2, 2, Message::AppendEntriesResponse { round: 0, counts: true, result });
    assert_eq!((lone.raft.role_name(), lone.raft.log().commit_index().0), (RoleName::Leader, 6));
}

/// G4: a newer snapshot and the same one again come in while one is loaded: the parts of one
/// never get into the other, the first one is answered and stays, the newer one follows.
#[test]
fn rel_g04_a_second_snapshot_while_the_first_is_loaded_disturbs_nothing() {
    let (first, second) = (snapshot_of(&COMMANDS[..4]), snapshot_of(&COMMANDS[..6]));
    let mut lone = after(1);
    for snapshot in [&first, &first, &second] {
        lone.hear(Event::Received(vec![envelope(node(2), node(1), 1, install(snapshot))]));
    }
    lone.turn();
    lone.execute_all();
    assert_eq!(lone.facts.iter().filter(|fact| is_whole(fact)).count(), 3, "{:?}", lone.facts);
    lone.settle();
    assert_eq!((lone.applied(), lone.snapshot_index()), (4, 4));
    assert!(lone.has_file(first.0) && lone.has_file(second.0));
    let answers = lone.take_answers();
    let is_in_place = |(envelope, installed): &(_, bool)| {
        let envelope: &raft_core::consensus::message::Envelope = envelope;
        matches!(envelope.message, Message::InstallSnapshotResponse { id, .. } if id == first.0)
            && *installed
    };
    assert_eq!(answers.iter().filter(|answer| is_in_place(answer)).count(), 1);
    // The leader asks with a piece what became of the second.
    lone.take(2, 1, install(&second));
    lone.settle();
    assert_eq!((lone.applied(), lone.snapshot_index(), lone.value("b")), (6, 6, None));
    // An older one after that changes nothing, and its sender hears that it is not needed.
    lone.take_answers();
    lone.take(2, 1, install(&first));
    lone.settle();
    assert_eq!((lone.applied(), lone.snapshot_index()), (6, 6));
    assert!(lone.take_answers().iter().all(|(_, installed)| *installed));
}

/// G5: a snapshot that ends in another entry than the one that is committed there is neither
/// taken nor said to be in place, and neither is one whose term is too old for what is committed.
#[test]
fn rel_g05_a_snapshot_that_contradicts_what_is_committed_is_refused() {
    for last in [id(1, 6), id(3, 6), id(3, 4), id(2, 3), id(1, 8)] {
        let log = [entries(1, 1, &COMMANDS[..3]), entries(2, 4, &COMMANDS[3..6])];
        let mut lone = LoneRaft::new(3, &log);
        lone.take(2, 4, heartbeat(6));
        lone.persist_all();
        assert_eq!(lone.raft.log().commit_index(), Index(6));
        lone.sent.clear();
        let id = SnapshotId { last, bytes: 4, checksum: 1 };
        let message = Message::InstallSnapshot { id, offset: 0, data: vec![1; 4].into() };
        lone.hear(2, 4, message);
        let ready = lone.raft.ready(Time(2_000_000));
        assert!(ready.messages.is_empty(), "{last}: {:?}", ready.messages);
        assert!(ready.snapshot_pieces.is_empty(), "{last} is not taken");
        assert_eq!(lone.raft.log().commit_index(), Index(6));
    }
}

/// G8, G17: a node is found to be wrong while a snapshot of it is being completed: the file is
/// set aside, and what is heard of it afterwards does not cut the log.
#[test]
fn rel_g08_a_snapshot_that_was_set_aside_does_not_cut_the_log() {
    let mut lone = LoneReplica::new(|_| {});
    lone.apply(&["put a 1"; 1_000]);
    lone.begin_snapshot();
    lone.settle_until(is_finished);
    lone.take(2, 1, Message::AgreedHash { index: Index(1_000), hash: 1 });
    assert!(lone.replica.status().is_fenced);
    lone.settle();
    assert_eq!((lone.snapshot_index(), lone.cuts.as_slice()), (0, &[][..]));
    assert_eq!(lone.replica.raft().log().base().index, Index::ZERO);
}

/// G8, G17: a node is found to be wrong while it loads a snapshot: all snapshots are set aside,
/// so this one takes the place of nothing until it is there once more.
#[test]
fn rel_g08_a_snapshot_that_is_set_aside_while_it_is_loaded_is_not_installed() {
    let commands = ["put a 1"; 1_004];
    let snapshot = snapshot_of(&commands);
    let mut lone = LoneReplica::new(|_| {});
    lone.apply(&commands[..1_000]);
    lone.take(2, 1, install(&snapshot));
    lone.settle_until(is_end);
    lone.take(2, 1, Message::AgreedHash { index: Index(1_000), hash: 1 });
    lone.settle();
    let is_there = lone.has_file(snapshot.0);
    assert!(is_there || (lone.snapshot_index() == 0 && lone.cuts.is_empty()), "{:?}", lone.cuts);
    lone.take(2, 1, install(&snapshot));
    lone.settle();
    assert!(lone.has_file(snapshot.0) && !lone.replica.status().is_fenced);
    assert_eq!((lone.applied(), lone.snapshot_index(), lone.cuts.len()), (1_004, 1_004, 1));
}

/// G13: what is put in place is the data, with the sessions, and not the index alone.
#[test]
fn rel_g13_data_comes_with_the_index() {
    let snapshot = snapshot_of(&COMMANDS[..6]);
    let mut lone = after(1);
    lone.take(2, 1, install(&snapshot));
    lone.settle();
    let whole = after(6);
    assert_eq!(lone.replica.machine().values(), whole.replica.machine().values());
    assert_eq!(lone.replica.status().state_hash, whole.replica.status().state_hash);
    assert_eq!((lone.applied(), lone.replica.raft().log().base()), (6, id(1, 6)));
}

/// G16: a snapshot that the state machine cannot load, at its beginning, in its middle or at its
/// end, is set aside and nothing of it is ever seen; the next one is taken.
#[test]
fn rel_g16_nothing_is_seen_of_a_snapshot_that_cannot_be_loaded() {
    let snapshot = snapshot_of(&COMMANDS[..6]);
    for loaded in 0..4 {
        let mut lone = after(2);
        lone.take(2, 1, install(&snapshot));
        lone.settle_until(is_part);
        for _ in 0..loaded {
            lone.tell();
            lone.settle_until(is_part);
        }
        let bad = match loaded {
            3 => SnapshotFact::Unreadable { why: "it rots".to_owned() },
            _ => SnapshotFact::Part { part: Some(vec![2, 77].into()) },
        };
        lone.facts.clear();
        lone.facts.push_back(bad);
        lone.tell();
        assert!(lone.orders.contains(&SnapshotOrder::Discard { id: snapshot.0 }), "{loaded}");
        lone.settle();
        assert_eq!((lone.applied(), lone.value("a"), lone.value("n")), (2, Some("1"), None));
        assert!(!lone.has_file(snapshot.0));
        lone.apply(&COMMANDS[2..3]);
        assert_eq!(lone.value("n"), Some("1"), "the old state goes on");
        lone.take(2, 1, install(&snapshot));
        lone.settle();
        assert_eq!((lone.applied(), lone.value("n"), lone.value("b")), (6, Some("2"), None));
    }
}

/// G17, G20: a snapshot comes in while one is built, at whatever step of it: the build ends, the
/// snapshot takes its place, and the next build works.
#[test]
fn rel_g17_a_build_gives_way_to_a_snapshot_at_every_step() {
    let snapshot = snapshot_of(&COMMANDS[..6]);
    for steps in 0..12 {
        let mut lone = after(3);
        lone.begin_snapshot();
        for _ in 0..steps {
            if !lone.execute() {
                lone.tell();
            }
        }
        lone.take(2, 1, install(&snapshot));
        lone.settle();
        assert_eq!((lone.applied(), lone.snapshot_index()), (6, 6), "after {steps} steps");
        lone.apply(&COMMANDS[6..]);
        lone.begin_snapshot();
        lone.settle();
        assert_eq!((lone.snapshot_index(), lone.value("c")), (8, Some("8")));
        let (_, data) = lone.file();
        assert!(!data.is_empty());
    }
}

/// G18: the term changes, and the leader with it, while a snapshot is loaded: the answer that it
/// is in place goes to the present leader, which can use it.
#[test]
fn rel_g18_the_present_leader_hears_of_a_snapshot_that_another_sent() {
    let snapshot = snapshot_of(&COMMANDS[..6]);
    let mut lone = after(2);
    lone.take(2, 1, install(&snapshot));
    lone.settle_until(is_end);
    lone.take(3, 2, heartbeat(0));
    lone.sent.clear();
    lone.settle();
    let answers = lone.take_answers();
    assert_eq!((lone.applied(), answers.len()), (6, 1));
    let (answer, installed) = &answers[0];
    assert_eq!((answer.to, answer.term.0, *installed), (node(3), 2, true));
    // The leader never sent it, and knows now where to go on.
    let mut leader = LoneRaft::new(3, &[entries(1, 1, &COMMANDS)]);
    leader.lead();
    leader.persist_all();
    leader.sent.clear();
    leader.take(3, 2, answer.message.clone());
    let appends = leader.sent.iter().filter(|e| e.to == node(3));
    let prevs: Vec<_> = appends
        .filter_map(|envelope| match &envelope.message {
            Message::AppendEntries { prev, .. } => Some(*prev),
            _ => None,
        })
        .collect();
    assert_eq!(prevs, [id(1, 6)]);
}

/// G19: a snapshot is put in place and entries come within one step: the log is replaced first,
/// and the entries stand behind it.
#[test]
fn rel_g19_entries_of_the_same_step_stand_behind_the_snapshot() {
    let snapshot = snapshot_of(&COMMANDS[..6]);
    let mut lone = after(2);
    lone.take(2, 1, install(&snapshot));
    lone.settle_until(is_end);
    lone.batches.clear();
    let end = lone.facts.pop_front().expect("it was just seen");
    lone.hear(Event::Snapshot(end));
    let (prev, run) = (id(1, 6), entries(1, 7, &COMMANDS[6..]));
    let (commit_index, round) = (Index(8), 0);
    let append = Message::AppendEntries { prev, commit_index, round, entries: vec![run] };
    lone.take(2, 1, append);
    assert_eq!(lone.batches[0].base, Some(id(1, 6)));
    assert_eq!(lone.batches[0].entries[0].first_index(), Index(7));
    assert!(lone.batches[1..].iter().all(|batch| batch.base.is_none()));
    assert_eq!((lone.applied(), lone.value("a"), lone.value("c")), (8, Some("7"), Some("8")));
}

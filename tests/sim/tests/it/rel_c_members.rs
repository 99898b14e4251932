//! What went wrong in other systems, groups C and D, where it depends on who votes. Each test
//! is named after its row in `docs/raft.md`.

use std::collections::BTreeSet;

use raft_core::configuration::{Change, Configuration, Decision};
use raft_core::consensus::message::{AppendResult, Message};
use raft_core::entry::{Draft, Entries, EntryKind, SessionStamp, Stamp};
use raft_core::types::{EntryId, Index, Term};
use sim::cluster::{id, is_named, node};
use sim::entries::entries;
use sim::lone_raft::LoneRaft;

fn accepted(match_index: u64) -> Message {
    let result = AppendResult::Accepted { match_index: Index(match_index) };
    Message::AppendEntriesResponse { round: 0, counts: true, result }
}

/// Node 1 leads; its log is on its disk up to the first entry of its term.
fn leader(configuration: &Configuration) -> LoneRaft {
    let log = [entries(1, 1, &["put a 1"])];
    let mut node = LoneRaft::with(1, &log, |config| {
        config.configuration = configuration.clone();
        config.auto_promote = false;
    });
    node.lead();
    node.persist_all();
    node
}

fn commit(node: &LoneRaft) -> u64 {
    node.raft.log().commit_index().0
}

/// C20: while one half of a joint configuration is node 1 alone its own disk decides nothing,
/// be it the old half or the new one.
#[test]
fn rel_c20_a_single_voter_does_not_decide_alone_in_a_joint_configuration() {
    let all: BTreeSet<_> = (1..=3).map(node).collect();
    let alone = BTreeSet::from([node(1)]);
    for (voters, outgoing) in [(alone.clone(), all.clone()), (all, alone)] {
        let whole = Configuration::of((1..=3).map(node));
        let mut node = leader(&Configuration { voters, outgoing, ..whole });
        assert_eq!(commit(&node), 0, "its first entry is on its own disk alone");
        assert!(node.propose(&["put a 2"]));
        node.turn();
        node.persist_all();
        assert_eq!((commit(&node), node.committed.len()), (0, 0));
        let term = node.raft.term().0;
        node.take(3, term, accepted(3));
        assert_eq!(commit(&node), 3, "two of three, and the one");
    }
}

/// C20: nor does it when the change stands in the same batch as commands: from the moment it is
/// in the log the new voter is needed, for what stands before it too.
#[test]
fn rel_c20_a_batch_with_a_change_of_voters_is_decided_by_the_new_ones() {
    let pair = Configuration::of((1..=2).map(node));
    let (voters, learners) = (BTreeSet::from([node(1)]), BTreeSet::from([node(2)]));
    let mut node = leader(&Configuration { voters, learners, ..pair });
    let term = node.raft.term().0;
    node.take(2, term, accepted(2));
    node.persist_all();
    let before = node.raft.log().last().index.0;
    assert_eq!(commit(&node), before, "alone it decides alone");
    node.take(2, term, accepted(before));
    node.persist_all();
    let before = node.raft.log().last().index.0;
    let promote = Change { promote: BTreeSet::from([sim::cluster::node(2)]), ..Change::default() };
    let mut round = Draft::default();
    round.push(EntryKind::Command, &SessionStamp::default(), b"put a 1");
    round.push(EntryKind::Change, &SessionStamp::default(), &promote.encode());
    round.push(EntryKind::Command, &SessionStamp::default(), b"put a 2");
    let taken = node.propose_round(round).expect("it leads");
    let decided = taken.iter().find(|entry| entry.kind() == EntryKind::Configure);
    let decision = Decision::decode(decided.expect("a decision").payload());
    assert!(matches!(decision, Some(Decision::Made { .. })), "{decision:?}");
    node.turn();
    node.persist_all();
    assert_eq!(commit(&node), before, "n2 votes now, and has none of it");
    node.take(2, term, accepted(before + 2));
    assert_eq!(commit(&node), before + 2);
}

/// D6: a leader that is the only voter answers the question of a learner at once, and each
/// question once; the learner's own word is not waited for.
#[test]
fn rel_d06_a_learner_of_a_single_voter_is_answered() {
    let pair = Configuration::of((1..=2).map(node));
    let (voters, learners) = (BTreeSet::from([node(1)]), BTreeSet::from([node(2)]));
    let mut node = leader(&Configuration { voters, learners, ..pair });
    let term = node.raft.term().0;
    for context in [7, 7, 8] {
        node.sent.clear();
        node.take(2, term, Message::ReadIndex { context });
        let answers = node.sent.iter().filter(|e| is_named(e, "ReadIndexResponse"));
        let index = Index(commit(&node));
        let messages: Vec<&Message> = answers.map(|envelope| &envelope.message).collect();
        assert_eq!(messages, [&Message::ReadIndexResponse { context, index }]);
    }
    node.sent.clear();
    node.turn();
    assert!(!node.sent.iter().any(|e| is_named(e, "ReadIndexResponse")));
}

/// A `Configure` entry that makes these nodes the voters, and the others learners.
fn configure(term: u64, index: u64, voters: &[u64]) -> Entries {
    let whole = Configuration::of((1..=3).map(node));
    let voters: BTreeSet<_> = voters.iter().map(|&id| node(id)).collect();
    let learners = whole.voters.difference(&voters).copied().collect();
    let configuration = Configuration { voters, learners, ..whole };
    let decision = Decision::Made { added: Vec::new(), configuration };
    let mut draft = Draft::default();
    draft.push(EntryKind::Configure, &SessionStamp::default(), &decision.encode());
    let (term, first) = (Term(term), Index(index));
    draft.stamp(&Stamp { term, first, log_time: 0, feature_level: 1, wall_time: 0, seed: 0 })
}

/// C27: configurations that were in force because they stood in the log are rolled back with
/// their entries, the newest first: what is in force is what the newest one left says.
#[test]
fn rel_c27_configurations_are_rolled_back_with_their_entries() {
    let append = |prev: EntryId, entries| Message::AppendEntries {
        prev,
        commit_index: Index(0),
        round: 0,
        entries,
    };
    for (conflict, left) in [(5, vec![1]), (4, vec![1, 3]), (3, vec![1, 3]), (2, vec![1, 2, 3])] {
        let mut node = LoneRaft::new(3, &[entries(1, 1, &["put a 1"])]);
        let changes = vec![
            configure(2, 2, &[1, 3]),
            entries(2, 3, &["put a 2"]),
            configure(2, 4, &[1]),
            entries(2, 5, &["put a 3"]),
        ];
        node.take(2, 2, append(id(1, 1), changes));
        let voters = |node: &LoneRaft| -> Vec<u64> {
            let configuration = node.raft.log().configuration();
            configuration.voters.iter().map(|id| id.number()).collect()
        };
        assert_eq!(voters(&node), [1], "the newest one is in force, committed or not");
        let prev = if conflict == 2 { id(1, 1) } else { id(2, conflict - 1) };
        node.take(3, 3, append(prev, vec![entries(3, conflict, &["put b 1"])]));
        assert_eq!(node.raft.log().last(), id(3, conflict));
        assert_eq!(voters(&node), left, "cut off from {conflict} on");
    }
}

//! Logs and commits: I1 to I3, and that what is committed stays and is durable.

use std::collections::{BTreeMap, BTreeSet};

use raft_core::configuration::{Configuration, Decision};
use raft_core::consensus::ready::Persist;
use raft_core::consensus::{Raft, binding};
use raft_core::entry::{Entries, EntryKind};
use raft_core::hard_state::Standing;
use raft_core::types::{EntryId, Incarnation, Index, NodeId, Term};

use super::view::{Mark, View, place};
use crate::simulator::node::place_of;
use crate::simulator::witness::crc_of;

/// All logs together.
#[derive(Debug, Default)]
pub(super) struct Logs {
    /// Of each entry that any log has held: its checksum, and the term of the one before it.
    contents: BTreeMap<EntryId, (u32, Term)>,
    /// Who leads or led each term.
    leaders: BTreeMap<Term, usize>,
    committed: Vec<Committed>,
    /// Entries that are no commands.
    quiet: BTreeSet<EntryId>,
    /// How many commands are committed.
    pub(super) commands_count: u64,
    /// What the entries that bind say, committed or not.
    binding: BTreeMap<EntryId, BTreeMap<NodeId, Incarnation>>,
    /// Which directory answers for each node, by what is committed.
    bound: BTreeMap<NodeId, Incarnation>,
    /// The configurations in entries that change the membership, committed or not.
    changes: BTreeMap<EntryId, Configuration>,
    /// The configuration that every log begins with.
    founding: Configuration,
    /// The newest configuration that is committed.
    pub(super) newest_configuration: Configuration,
    /// The state hash and the revision after an entry.
    states: BTreeMap<Index, (u64, u64)>,
}

#[derive(Debug)]
struct Committed {
    mark: Mark,
    /// The term of the node that was first to know.
    known_in: Term,
    /// The configuration that decided, unless that was the newest committed one.
    decided_by: Option<Configuration>,
}

impl Logs {
    /// The empty logs of a cluster that begins so.
    pub(super) fn begin(founding: Configuration) -> Self {
        Self { newest_configuration: founding.clone(), founding, ..Self::default() }
    }

    /// How many entries are committed.
    pub(super) fn committed_count(&self) -> usize {
        self.committed.len()
    }

    /// Which directory answers for a node, by what is committed.
    pub(super) fn bound(&self, node: NodeId) -> Option<Incarnation> {
        self.bound.get(&node).copied()
    }

    /// The checksum of a committed entry.
    pub(super) fn committed(&self, index: Index) -> Option<u32> {
        self.committed.get(place(index)).map(|committed| committed.mark.crc)
    }

    /// I2: entries of the same term and index are the same, and so are those before them.
    /// Called before `view` has seen the batch.
    pub(super) fn appended(&mut self, view: &View, persist: &Persist) {
        let first = persist.entries.first().map_or(Index(1), Entries::first_index);
        let before = persist.base.filter(|base| base.index == first.prev()).map(|base| base.term);
        let before = before.or_else(|| view.at(first.prev()).map(|mark| mark.term));
        let mut prev = before.unwrap_or(Term::ZERO);
        for entry in persist.entries.iter().flat_map(Entries::iter) {
            let found = (crc_of(entry), prev);
            let known = *self.contents.entry(entry.id()).or_insert(found);
            assert_eq!(known, found, "I2 two logs differ in entry {}", entry.id());
            prev = entry.id().term;
            if entry.kind() != EntryKind::Command {
                self.quiet.insert(entry.id());
            }
            if entry.kind() == EntryKind::Configure
                && let Some(Decision::Made { configuration, .. }) =
                    Decision::decode(entry.payload())
            {
                self.changes.insert(entry.id(), configuration);
            }
            if entry.kind() == EntryKind::Bind {
                self.binding.insert(entry.id(), binding::decode(entry.payload()));
            }
        }
    }

    /// I1: one leader per term. Returns whether the term is new.
    pub(super) fn leads(&mut self, node: usize, term: Term) -> bool {
        let known = self.leaders.insert(term, node);
        assert!(known.is_none_or(|known| known == node), "I1 two leaders in term {term}");
        known.is_none()
    }

    /// Whether the leader of a term took over from another node.
    pub(super) fn takes_over(&self, node: usize, term: Term) -> bool {
        self.leaders.range(..term).next_back().is_some_and(|(_, &before)| before != node)
    }

    /// I3: a new leader has everything that was committed in earlier terms.
    pub(super) fn check_completeness(&self, view: &View, term: Term) {
        for (index, committed) in (1..).map(Index).zip(&self.committed) {
            let has = committed.known_in < term && view.at(index) != Some(committed.mark);
            assert!(!has, "I3 the leader of term {term} lacks the committed entry {index}");
        }
    }

    /// I15: who is elected votes by the newest configuration in its log, or by the one at its
    /// commit index or any since (Ongaro 2014 §4.2.2).
    pub(super) fn check_vote(&self, view: &View, raft: &Raft) {
        let (own, commit_index) = (raft.config().id, raft.log().commit_index());
        let is_held = |id: &EntryId| view.at(id.index).is_some_and(|mark| mark.term == id.term);
        let mut in_force = vec![&self.founding];
        for (id, configuration) in self.changes.iter().filter(|(id, _)| is_held(id)) {
            if id.index <= commit_index {
                in_force.clear();
            }
            in_force.push(configuration);
        }
        let has_vote = in_force.iter().any(|configuration| configuration.is_voter(own));
        assert!(has_vote, "I15 n{own} leads term {} without a vote", raft.term());
    }

    /// What is committed never changes, and is durable on a majority of nodes that count.
    /// A change may follow in the turn of the commit, so it was `before` or is the present
    /// configuration that decided.
    pub(super) fn commit(
        &mut self,
        views: &[View],
        node: usize,
        raft: &Raft,
        before: Option<&Configuration>,
    ) {
        let view = &views[node];
        for index in (1..=raft.log().commit_index().0).map(Index).rev() {
            let Some(known) = self.committed.get(place(index)) else { continue };
            // Those before it are the same by I2.
            assert_eq!(view.at(index), Some(known.mark), "I6 committed entry {index} changes");
            break;
        }
        for index in (self.committed.len() as u64 + 1..=raft.log().commit_index().0).map(Index) {
            let mark = view.at(index).expect("what is committed is in the log");
            let id = EntryId { term: mark.term, index };
            let mut deciding = before.into_iter().chain([raft.configuration()]);
            let decides = |by: &&Configuration| is_durable(views, (id, mark), [*by].into_iter());
            let decided_by = deciding.find(decides);
            let is_durable = decided_by.is_some();
            assert!(is_durable, "I5 {id} is committed and not durable on a majority: {before:?}");
            let is_unusual = |by: &&Configuration| **by != self.newest_configuration;
            let decided_by = decided_by.filter(is_unusual).cloned();
            if let Some(configuration) = self.changes.get(&id) {
                self.newest_configuration.clone_from(configuration);
            }
            self.committed.push(Committed { mark, known_in: raft.term(), decided_by });
            self.commands_count += u64::from(!self.quiet.contains(&id));
            for (&node, &incarnation) in self.binding.get(&id).into_iter().flatten() {
                self.bound.entry(node).or_insert(incarnation);
            }
        }
    }

    /// I17: a committed entry whose effect a node shows is durable on a majority, of a
    /// configuration that is committed or in force somewhere, or was when it was committed: a
    /// leader counts by the one that it has just appended, which may come to nothing.
    pub(super) fn check_shown(&self, views: &[View], index: Index) {
        let mark = self.committed[place(index)].mark;
        let id = EntryId { term: mark.term, index };
        let in_force = views.iter().filter_map(|view| view.configuration.as_ref());
        let decided_by = self.committed[place(index)].decided_by.as_ref();
        let deciding = in_force.chain([&self.newest_configuration]).chain(decided_by);
        let is_durable = is_durable(views, (id, mark), deciding);
        assert!(is_durable, "I17 a read shows {id}, which is not durable on a majority");
    }

    /// The log up to `last`, which a snapshot covers and which is therefore committed.
    pub(super) fn prefix(&self, last: EntryId) -> Vec<Mark> {
        self.check_covered(last);
        let count = place(last.index.next());
        self.committed[..count].iter().map(|committed| committed.mark).collect()
    }

    /// Only what is committed gets into a snapshot.
    pub(super) fn check_covered(&self, last: EntryId) {
        if last == EntryId::ZERO {
            return;
        }
        let term = self.committed.get(place(last.index)).map(|known| known.mark.term);
        assert_eq!(term, Some(last.term), "I7 a snapshot covers {last}, which is not committed");
    }

    /// I14: a leader has at most one change of the membership that is not committed.
    pub(super) fn check_changes(&self, view: &View) {
        let committed = self.committed.len() as u64;
        let is_open = |id: &&EntryId| {
            committed < id.index.0 && view.at(id.index).is_some_and(|mark| mark.term == id.term)
        };
        let open: Vec<_> = self.changes.iter().filter(|(id, _)| is_open(id)).collect();
        assert!(open.len() <= 1, "I14 several changes of the membership are under way: {open:?}");
    }

    /// I4 for a state that was loaded.
    pub(super) fn check_loaded(&self, index: Index, found: (u64, u64)) {
        if let Some(known) = self.states.get(&index) {
            assert_eq!(*known, found, "I4 the state loaded for entry {index} is another one");
        }
    }

    /// I4: the same entries applied, the same state.
    pub(super) fn applied(&mut self, index: Index, state_hash: u64, revision: u64) {
        let found = (state_hash, revision);
        let known = *self.states.entry(index).or_insert(found);
        assert_eq!(known, found, "I4 states differ after entry {index}");
    }
}

/// Whether a majority of each half of one of these configurations has an entry on disk.
fn is_durable<'c>(
    views: &[View],
    (id, mark): (EntryId, Mark),
    mut deciding: impl Iterator<Item = &'c Configuration>,
) -> bool {
    let holds = |node: &&NodeId| views[place_of(**node)].counts_for(id, mark);
    let carries = |half: &BTreeSet<NodeId>| half.len() / 2 < half.iter().filter(holds).count();
    deciding.any(|configuration| configuration.halves().all(carries))
}

impl View {
    /// Whether this node's disk holds the entry, and its word counts.
    fn counts_for(&self, id: EntryId, mark: Mark) -> bool {
        let holds = self.durable.get(place(id.index)) == Some(&mark);
        self.was_robbed_of(id) || holds && self.durable_state.standing == Standing::Full
    }
}

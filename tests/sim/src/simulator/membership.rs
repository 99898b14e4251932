//! An operator who changes the membership and moves leadership, and asks twice.
//!
//! The operator has dice of its own, so that a seed without one is the run that it was.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use raft_core::configuration::{Change, Configuration, Decision};
use raft_core::entry::{ClientId, Draft, EntryKind, SessionStamp};
use raft_core::replica::event::{Event, Outcome, Submission, Ticket};
use raft_core::types::NodeId;

use crate::simulator::dice::Dice;
use crate::simulator::joining::JOINERS_MAX;
use crate::simulator::schedule::What;
use crate::simulator::world::World;

/// The connection of every request of the operator.
pub(crate) const OPERATOR: u64 = u64::MAX;

/// How long nodes try on the operator's behalf. Units: microseconds.
const TIMEOUT_US: u64 = 800_000;

/// How many of the configurations that were asked for last may still come about.
const ASKED_KEPT: usize = 8;

/// So many voters are left at least when leaders take votes away by themselves.
const VOTERS_KEPT: usize = 3;

/// The operator of a run.
#[derive(Debug)]
pub(crate) struct Operator {
    pub(super) dice: Dice,
    /// How long the operator waits between two requests; `None` if there is no operator.
    pub(crate) interval_us: Option<(u64, u64)>,
    pub(crate) auto_promote: bool,
    /// How long leaders wait for voters before they replace them; zero: for ever. Units:
    /// microseconds.
    pub(crate) voter_gone_us: u64,
    /// Dice for what seeds could not do that were run before; `None` if it is not done.
    replacements: Option<Dice>,
    newest: u64,
    asked: BTreeMap<u64, (SessionStamp, Bytes)>,
    answers: BTreeMap<ClientId, Bytes>,
    /// What the newest requests would lead to.
    expected: Vec<Configuration>,
}

impl Operator {
    /// The operator of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x6f70_6572_6174_6f72);
        let range = dice.pick(&[(20_000, 200_000), (100_000, 900_000)]);
        let mut care = Dice::new(seed ^ 0x6361_7265_6f66_6974);
        Self {
            voter_gone_us: care.pick(&[0, 0, 200_000, 400_000, 1_000_000]),
            replacements: care.chance(400).then_some(care),
            interval_us: dice.chance(500).then_some(range),
            auto_promote: dice.chance(500),
            dice,
            newest: 0,
            asked: BTreeMap::new(),
            answers: BTreeMap::new(),
            expected: Vec::new(),
        }
    }

    /// Every configuration that may come into force by what was asked for.
    pub(crate) fn expected(&self) -> &[Configuration] {
        &self.expected
    }
}

impl World {
    /// The operator asks for something.
    pub(crate) fn operate(&mut self) {
        let Some(range) = self.operator.interval_us.filter(|_| !self.is_healed()) else { return };
        let delay_us = self.operator.dice.between(range);
        self.schedule.after(delay_us, What::Operate);
        let running: Vec<usize> =
            (0..self.nodes.len()).filter(|&node| self.nodes[node].process.is_some()).collect();
        if running.is_empty() || self.judge.committed_count() == 0 {
            return;
        }
        let node = self.operator.dice.pick(&running);
        match self.operator.dice.below(100) {
            0..25 => self.ask_transfer(node),
            25..45 => self.ask_again(node),
            _ => self.ask_change(node),
        }
    }

    fn ask_transfer(&mut self, node: usize) {
        let ids: Vec<NodeId> = self.nodes.iter().map(|node| node.id).collect();
        let to = self.operator.dice.chance(600).then(|| self.operator.dice.pick(&ids));
        let ticket = self.ticket(node);
        self.counts.transfers += 1;
        self.say(|| format!("n{} is asked to move leadership to {to:?}", node + 1));
        self.tell(node, Event::Transfer { ticket, to, timeout_us: TIMEOUT_US });
    }

    /// The same change once more, with the same session, perhaps through another node.
    fn ask_again(&mut self, node: usize) {
        let known: Vec<u64> = self.operator.asked.keys().copied().collect();
        if known.is_empty() {
            return;
        }
        let number = self.operator.dice.pick(&known);
        let (session, payload) = self.operator.asked[&number].clone();
        self.counts.changes_repeated += 1;
        self.submit_change(node, session, payload);
    }

    fn ask_change(&mut self, node: usize) {
        let process = self.nodes[node].process.as_mut().expect("it runs");
        let current = process.replica.raft().configuration().clone();
        let client = process.replica.new_client();
        let may_come = self.joiners_count() < JOINERS_MAX;
        let change = if may_come && self.operator.dice.chance(250) {
            let machines = self.nodes.len();
            self.operator.dice_arrival(&current, machines)
        } else {
            self.operator.dice_change(&current)
        };
        let Ok((next, _)) = current.changed(&change, usize::MAX, |_| false) else { return };
        // An operator keeps a majority of nodes in order.
        if !self.is_carried(&next, |node| self.judge.is_healthy(node)) {
            return;
        }
        self.put_up(change.add.len());
        self.operator.expected.push(next);
        let old = self.operator.expected.len().saturating_sub(ASKED_KEPT);
        self.operator.expected.drain(..old);
        let session = SessionStamp { client, serial: 1, acknowledged: 0 };
        let payload = Bytes::from(change.encode());
        self.counts.changes_asked += 1;
        self.say(|| format!("n{} is asked for {change:?}", node + 1));
        self.submit_change(node, session, payload);
    }

    fn submit_change(&mut self, node: usize, session: SessionStamp, payload: Bytes) {
        let ticket = self.ticket(node);
        let mut draft = Draft::default();
        draft.push(EntryKind::Change, &session, &payload);
        self.operator.asked.insert(ticket.request, (session, payload));
        let wall_time = self.schedule.now();
        let (tickets, timeout_us) = (vec![ticket], TIMEOUT_US);
        self.tell(node, Event::Submit(Submission { draft, tickets, timeout_us, wall_time }));
    }

    fn ticket(&mut self, node: usize) -> Ticket {
        self.operator.newest += 1;
        let ticket = Ticket { connection: OPERATOR, request: self.operator.newest };
        let process = self.nodes[node].process.as_mut().expect("it runs");
        assert!(process.unanswered.insert(ticket), "a request is made once");
        ticket
    }

    /// The operator gets an answer.
    pub(crate) fn operator_answered(&mut self, request: u64, outcome: &Outcome, bytes: &[u8]) {
        let Some((session, payload)) = self.operator.asked.get(&request).cloned() else { return };
        if !matches!(outcome, Outcome::Answered(_)) {
            return;
        }
        let is_first = !self.operator.answers.contains_key(&session.client);
        let known = self.operator.answers.entry(session.client);
        let known = known.or_insert_with(|| Bytes::copy_from_slice(bytes));
        assert_eq!(*known, bytes, "I19 every answer to the change of {session:?} is the same");
        match Decision::decode(bytes) {
            Some(Decision::Made { added, .. }) => {
                self.counts.changes_made += 1;
                let change = Change::decode(&payload).expect("it was asked for");
                if is_first {
                    self.follow_change(&change, &added);
                }
            }
            Some(Decision::Refused(_)) => self.counts.changes_refused += 1,
            None => panic!("a change is answered by a decision"),
        }
    }

    /// Whether a majority of each half of a configuration consists of nodes that are `good`.
    pub(crate) fn is_carried(
        &self,
        configuration: &Configuration,
        good: impl Fn(usize) -> bool,
    ) -> bool {
        configuration.halves().all(|half| {
            let is_good = |id: &&NodeId| good(crate::simulator::node::place_of(**id));
            half.len() / 2 < half.iter().filter(is_good).count()
        })
    }

    /// Whether every configuration that is or may come into force somewhere is carried by
    /// nodes that are `good`.
    pub(crate) fn are_all_carried(&self, good: impl Fn(usize) -> bool) -> bool {
        let known = self.judge.configurations().chain(self.operator.expected());
        let mut all: Vec<Configuration> = known.cloned().collect();
        if self.operator.auto_promote && self.operator.voter_gone_us != 0 {
            // Who is replaced by whom depends on whom a leader heard of last.
            let is_lost = |id: &&NodeId| !good(crate::simulator::node::place_of(**id));
            let many = |known: &Configuration| {
                let lost = known.members.keys().filter(is_lost).count();
                VOTERS_KEPT.min(known.voters.len()) <= 2 * lost
            };
            if all.iter().any(many) {
                return false;
            }
        }
        if self.operator.auto_promote {
            let promoted = all.iter().map(|configuration| {
                let voters = configuration.voters.union(&configuration.learners);
                Configuration { voters: voters.copied().collect(), ..configuration.clone() }
            });
            let promoted: Vec<Configuration> = promoted.collect();
            all.extend(promoted);
        }
        all.push(self.configuration.clone());
        all.iter().all(|configuration| self.is_carried(configuration, &good))
    }
}

impl Operator {
    /// Some change of this configuration.
    fn dice_change(&mut self, current: &Configuration) -> Change {
        let voters: Vec<NodeId> = current.voters.iter().copied().collect();
        let learners: Vec<NodeId> = current.learners.iter().copied().collect();
        let mut change = Change::default();
        let kind = self.dice.below(10);
        if kind < 5 && !learners.is_empty() {
            let count = if self.dice.chance(300) { 2 } else { 1 };
            change.promote = learners.iter().copied().take(count).collect();
        }
        if (3..9).contains(&kind) && 1 < voters.len() {
            let count = if self.dice.chance(300) { 2 } else { 1 };
            let first = self.dice.place(voters.len());
            let chosen = voters.iter().cycle().skip(first).take(count.min(voters.len() - 1));
            change.demote = chosen.copied().collect::<BTreeSet<NodeId>>();
        }
        let members: Vec<NodeId> = current.members.keys().copied().collect();
        if kind == 9 && 3 < members.len() {
            change.remove = BTreeSet::from([self.dice.pick(&members)]);
        }
        if let Some(dice) = &mut self.replacements {
            let can_replace = !voters.is_empty() && !learners.is_empty();
            if can_replace && dice.chance(250) {
                return Change {
                    promote: BTreeSet::from([dice.pick(&learners)]),
                    remove: BTreeSet::from([dice.pick(&voters)]),
                    ..Change::default()
                };
            }
        }
        change
    }
}

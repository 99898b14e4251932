//! The search for an order, depth first.

use std::collections::HashMap;

use crate::linearizability::history::{Operation, Outcome};
use crate::linearizability::memo::{Memo, Used};
use crate::linearizability::model::Model;
use crate::linearizability::timeline::{Front, Timeline};

/// What a search has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Order,
    UsedUp,
    NoOrder { explained: usize, answered: usize, stuck: usize },
}

/// The search in the operations on one key.
pub(super) struct Search<'a, M: Model> {
    operations: &'a [Operation<M>],
    timeline: Timeline,
    memo: Memo<M::State>,
    nodes: Vec<Node<M::State>>,
    /// Whether guesses can help: some operation of unknown outcome builds upon others.
    is_guidable: bool,
    /// For each operation of unknown outcome the last one before it that asks the same.
    twins: Vec<Option<usize>>,
    steps_left: &'a mut u64,
    /// The length of the longest beginning so far, and what was waiting at its end.
    furthest: (usize, usize),
}

/// A beginning of an order, and how it may go on.
struct Node<S> {
    /// The operation by which it is longer than the node before it.
    lifted: Option<usize>,
    state: S,
    used: Used,
    front: Front,
    /// Ways to go on, the best one last.
    choices: Vec<Choice<S>>,
    stage: Stage,
}

/// Which ways are among the choices of a node, or were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Those without unknown operations.
    Plain,
    /// And those with the unknown ones that are guessed to come before.
    Guided,
    /// All.
    Complete,
}

/// An answered operation that takes effect next.
struct Choice<S> {
    operation: usize,
    state: S,
    used: Used,
}

/// The budget is used up.
struct UsedUp;

impl<'a, M: Model> Search<'a, M> {
    pub(super) fn new(operations: &'a [Operation<M>], steps_left: &'a mut u64) -> Self {
        let timeline = Timeline::new(operations);
        let asked = |number: usize| &operations[timeline.unknown[number].0].asked;
        let twin = |number: usize| (0..number).rev().find(|&other| asked(other) == asked(number));
        let twins = (0..timeline.unknown.len()).map(twin).collect();
        let is_guidable = (0..timeline.unknown.len()).any(|number| !M::is_blind(asked(number)));
        Self {
            operations,
            timeline,
            twins,
            is_guidable,
            memo: Memo::new(),
            nodes: Vec::new(),
            steps_left,
            furthest: (0, 0),
        }
    }

    pub(super) fn run(mut self) -> Found {
        let answered = self.timeline.length;
        let Some(front) = self.timeline.front() else { return Found::Order };
        self.furthest = (0, front.waiting);
        let outcome = self.visit(None, M::State::default(), Used::default(), front);
        let outcome = outcome.and_then(|()| self.search());
        match outcome {
            Ok(true) => Found::Order,
            Err(UsedUp) => Found::UsedUp,
            Ok(false) => {
                let (explained, stuck) = self.furthest;
                Found::NoOrder { explained, answered, stuck }
            }
        }
    }

    /// Goes on until all answered operations have taken effect, or every beginning has failed.
    fn search(&mut self) -> Result<bool, UsedUp> {
        while let Some(node) = self.nodes.last_mut() {
            if let Some(Choice { operation, state, used }) = node.choices.pop() {
                let linearized = self.timeline.linearized_with(Some(operation));
                if !self.memo.is_new(linearized, state.clone(), &used) {
                    continue;
                }
                self.timeline.lift(operation);
                let Some(front) = self.timeline.front() else { return Ok(true) };
                if self.furthest.0 < self.nodes.len() {
                    self.furthest = (self.nodes.len(), front.waiting);
                }
                self.visit(Some(operation), state, used, front)?;
                continue;
            }
            let mut node = self.nodes.pop().expect("it was just seen");
            if node.stage != Stage::Complete {
                self.choose_unknown(&mut node)?;
                self.nodes.push(node);
            } else if let Some(operation) = node.lifted {
                self.timeline.put_back(operation);
            }
        }
        Ok(false)
    }

    /// Begins to look at a beginning.
    fn visit(
        &mut self,
        lifted: Option<usize>,
        state: M::State,
        used: Used,
        mut front: Front,
    ) -> Result<(), UsedUp> {
        let operations = self.operations;
        front.candidates.sort_by_key(|&candidate| priority(&operations[candidate]));
        let choices = Vec::new();
        let mut node = Node { lifted, state, used, front, choices, stage: Stage::Plain };
        let first = node.front.candidates[0];
        for &candidate in &node.front.candidates {
            let after = self.apply(candidate, &node.state)?;
            if after.is_some() && is_read(&operations[candidate]) {
                // It fits and changes nothing: no order needs it to stand later.
                let (state, used) = (node.state.clone(), node.used.clone());
                node.choices = vec![Choice { operation: candidate, state, used }];
                node.stage = Stage::Complete;
                self.nodes.push(node);
                return Ok(());
            }
            if let Some(state) = after {
                node.choices.push(Choice { operation: candidate, state, used: node.used.clone() });
            }
        }
        node.choices.reverse();
        // If what should come next by its guess does not fit, something is missing before it.
        let fits = node.choices.last().is_some_and(|choice| choice.operation == first);
        if !fits && operations[first].guess.is_some() {
            self.choose_unknown(&mut node)?;
        }
        self.nodes.push(node);
        Ok(())
    }

    /// Lets operations of unknown outcome take effect, and then answered ones for which that
    /// makes a difference: first those that the guesses speak for, and if that leads nowhere all.
    fn choose_unknown(&mut self, node: &mut Node<M::State>) -> Result<(), UsedUp> {
        // Of blind ones all sets are as few as there are operations.
        let is_guided = node.stage == Stage::Plain && self.is_guidable;
        node.stage = if is_guided { Stage::Guided } else { Stage::Complete };
        let mut reachable = if is_guided { self.guessed(node)? } else { self.reachable(node)? };
        let mut found = Vec::new();
        for &candidate in &node.front.candidates {
            let without = self.apply(candidate, &node.state)?;
            let mut settled = Vec::new();
            for (place, (state, used)) in reachable.iter().enumerate() {
                let after = self.apply(candidate, state)?;
                if let Some(state) = after.filter(|after| without.as_ref() != Some(after)) {
                    found.push(Choice { operation: candidate, state, used: used.clone() });
                    settled.push(place);
                }
            }
            if is_read(&self.operations[candidate]) {
                settled.into_iter().rev().for_each(|place| drop(reachable.remove(place)));
            }
        }
        node.choices.extend(found.into_iter().rev());
        Ok(())
    }

    /// The states to which the unknown operations lead that are guessed to come before what is
    /// waiting, one after another.
    fn guessed(&mut self, node: &Node<M::State>) -> Result<Vec<(M::State, Used)>, UsedUp> {
        let candidates = node.front.candidates.iter();
        let bound = candidates.filter_map(|&candidate| self.operations[candidate].guess).max();
        let (mut state, mut used) = (node.state.clone(), node.used.clone());
        let mut found = Vec::new();
        for (number, operation) in self.unused(node) {
            if bound < self.operations[operation].guess
                || self.operations[operation].guess.is_none()
            {
                break;
            }
            let Some(after) = self.apply(operation, &state)? else { continue };
            (state, used) = (after, used.with(number));
            found.push((state.clone(), used.clone()));
        }
        Ok(found)
    }

    /// The operations of unknown outcome that may take effect now, with their numbers among
    /// those, as they are guessed to.
    fn unused(&self, node: &Node<M::State>) -> Vec<(usize, usize)> {
        let called = self.timeline.unknown.iter().enumerate();
        let called = called.take_while(|(_, (_, place))| *place <= node.front.first_return);
        let unused = called.filter(|(number, _)| !node.used.contains(*number));
        let mut unused: Vec<(usize, usize)> =
            unused.map(|(number, &(operation, _))| (number, operation)).collect();
        unused.sort_by_key(|&(_, operation)| priority(&self.operations[operation]));
        unused
    }

    /// The states that operations of unknown outcome alone lead to, with as few of them as
    /// possible; those that take the fewest come first.
    fn reachable(&mut self, node: &Node<M::State>) -> Result<Vec<(M::State, Used)>, UsedUp> {
        let unused = self.unused(node);
        let mut found = vec![(node.state.clone(), node.used.clone())];
        let mut ways: HashMap<M::State, Vec<Used>> = HashMap::new();
        ways.insert(node.state.clone(), vec![node.used.clone()]);
        let mut at = 0;
        while at < found.len() {
            for &(number, operation) in &unused {
                let (state, used) = &found[at];
                // What comes before a blind operation is seen by nobody.
                let is_idle = 0 < at && M::is_blind(&self.operations[operation].asked);
                let is_early = self.twins[number].is_some_and(|twin| !used.contains(twin));
                if is_idle || is_early || used.contains(number) {
                    continue;
                }
                let Some(after) = self.apply(operation, state)? else { continue };
                let used = used.with(number);
                let known = ways.entry(after.clone()).or_default();
                if !known.iter().any(|known| known.is_part_of(&used)) {
                    known.push(used.clone());
                    found.push((after, used));
                }
            }
            at += 1;
        }
        found.remove(0);
        Ok(found)
    }

    fn apply(&mut self, operation: usize, state: &M::State) -> Result<Option<M::State>, UsedUp> {
        *self.steps_left = self.steps_left.checked_sub(1).ok_or(UsedUp)?;
        let Operation { asked, .. } = &self.operations[operation];
        Ok(M::apply(state, asked, self.operations[operation].answer()))
    }
}

/// In which order candidates are tried: as they are guessed to stand, else as they returned.
fn priority<M: Model>(operation: &Operation<M>) -> (u64, u64) {
    let returned = match operation.outcome {
        Outcome::Answered { returned, .. } => returned,
        Outcome::Unknown => u64::MAX,
    };
    (operation.guess.unwrap_or(u64::MAX), returned)
}

fn is_read<M: Model>(operation: &Operation<M>) -> bool {
    operation.answer().is_some_and(|answer| M::is_read(&operation.asked, answer))
}

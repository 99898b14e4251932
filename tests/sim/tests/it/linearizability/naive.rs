//! The checker beside one that tries every order.

use raft_core::consensus::rng::Rng;
use sim::linearizability::RegisterAnswer::{Changed, Done, Value};
use sim::linearizability::RegisterOperation::{CompareAndSet, Delete, Read, Write};
use sim::linearizability::{
    Counter, CounterAnswer, CounterOperation, History, Model, Operation, Outcome, Register,
    RegisterAnswer, RegisterOperation, Verdict, check,
};

use super::STEPS_MAX;

type Number = Register<u64>;

/// Histories that are tried.
const HISTORIES: u64 = 60_000;

/// Whether some order of the operations that are left explains all answers.
fn has_order<M: Model>(left: &[&Operation<M>], state: &M::State) -> bool {
    let returned = |operation: &Operation<M>| match operation.outcome {
        Outcome::Answered { returned, .. } => returned,
        Outcome::Unknown => u64::MAX,
    };
    if left.iter().all(|operation| returned(operation) == u64::MAX) {
        return true;
    }
    (0..left.len()).any(|place| {
        let next = left[place];
        let is_late = left.iter().any(|other| returned(other) < next.called);
        let answer = match &next.outcome {
            Outcome::Answered { answer, .. } => Some(answer),
            Outcome::Unknown => None,
        };
        let rest: Vec<_> = left.iter().copied().filter(|it| !std::ptr::eq(*it, next)).collect();
        let after = M::apply(state, &next.asked, answer);
        !is_late && after.is_some_and(|state| has_order(&rest, &state))
    })
}

fn any_operation(rng: &mut Rng) -> (RegisterOperation<u64>, RegisterAnswer<u64>) {
    let value = |rng: &mut Rng| rng.in_range(1, 4);
    let maybe = |rng: &mut Rng| Some(value(rng)).filter(|value| *value != 3);
    match rng.in_range(0, 8) {
        0..=2 => (Read, Value(maybe(rng))),
        3..=4 => (Write(value(rng)), Done),
        5..=6 => {
            let old = maybe(rng);
            (CompareAndSet { old, new: value(rng) }, Changed(rng.in_range(0, 2) == 0))
        }
        _ => (Delete, Changed(rng.in_range(0, 2) == 0)),
    }
}

/// Increments that are often alike, so that many orders are as good as each other.
fn any_count(rng: &mut Rng) -> (CounterOperation, CounterAnswer) {
    let number = |rng: &mut Rng| i64::try_from(rng.in_range(0, 4)).expect("a small number");
    match rng.in_range(0, 8) {
        0..=2 => {
            let value = Some(number(rng)).filter(|value| *value != 0);
            (CounterOperation::Read, CounterAnswer::Value(value))
        }
        3..=6 => {
            let by = 1 + i64::from(rng.in_range(0, 4) == 0);
            (CounterOperation::Add(by), CounterAnswer::Sum(1 + number(rng)))
        }
        _ => (CounterOperation::Delete, CounterAnswer::Forgotten(rng.in_range(0, 2) == 0)),
    }
}

/// What a client asks and is told.
type Draw<M> = fn(&mut Rng) -> (<M as Model>::Operation, <M as Model>::Answer);

fn any_history<M: Model>(rng: &mut Rng, draw: Draw<M>) -> Vec<Operation<M>> {
    let mut called = 0;
    let count = rng.in_range(2, 8);
    let mut operations = Vec::new();
    for _ in 0..count {
        called += rng.in_range(0, 4);
        let (asked, answer) = draw(rng);
        let outcome = if rng.in_range(0, 4) == 0 {
            Outcome::Unknown
        } else {
            Outcome::Answered { returned: called + rng.in_range(0, 9), answer }
        };
        let guess = Some(rng.in_range(0, 9)).filter(|guess| *guess < 5);
        operations.push(Operation { asked, called, outcome, guess });
    }
    operations
}

fn compare<M: Model>(draw: Draw<M>) {
    let mut rng = Rng::new(20_000);
    let (mut right, mut wrong) = (0, 0);
    for number in 0..HISTORIES {
        let operations = any_history::<M>(&mut rng, draw);
        let expected = has_order(&operations.iter().collect::<Vec<_>>(), &M::State::default());
        let told: Vec<String> = operations.iter().map(ToString::to_string).collect();
        let mut history = History::<u8, M>::default();
        operations.into_iter().for_each(|operation| history.add(0, operation));
        let verdict = check(&history, STEPS_MAX);
        let agrees = match verdict {
            Verdict::Linearizable => expected,
            Verdict::Illegal(_) => !expected,
            Verdict::Unknown { .. } => false,
        };
        assert!(agrees, "history {number} is {expected}, not {verdict:?}:\n{}", told.join("\n"));
        *(if expected { &mut right } else { &mut wrong }) += 1;
    }
    let enough = HISTORIES / 10;
    assert!(enough < right && enough < wrong, "{right} were right and {wrong} wrong");
}

#[test]
fn the_search_finds_an_order_of_a_register_exactly_when_there_is_one() {
    compare::<Number>(any_operation);
}

#[test]
fn the_search_finds_an_order_of_a_counter_exactly_when_there_is_one() {
    compare::<Counter>(any_count);
}

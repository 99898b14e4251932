//! Long histories of a service that is right, and of the same service with one lie.

use std::collections::BTreeSet;

use raft_core::consensus::rng::Rng;
use sim::linearizability::RegisterAnswer::Value;
use sim::linearizability::RegisterOperation::{CompareAndSet, Delete, Read, Write};
use sim::linearizability::{
    Model, Operation, Outcome, Register, RegisterAnswer, RegisterOperation, Verdict, check,
};

use super::{Registers, STEPS_MAX};

/// Keys and operations.
const LONG: (usize, usize) = (10, 60_000);

/// All operations on one key, and so all that is not known as well, which is what makes a
/// history hard.
const NARROW: (usize, usize) = (1, 10_000);

const CLIENTS: usize = 8;

/// One operation of these has an unknown outcome.
const UNKNOWN_ONE_IN: u64 = 100;

struct Service {
    rng: Rng,
    values: Vec<Option<u64>>,
    written: u64,
}

/// An operation that was called, takes effect at a time of its own, and returns later.
struct Call {
    key: usize,
    asked: RegisterOperation<u64>,
    called: u64,
    returned: u64,
    is_unknown: bool,
    answer: Option<RegisterAnswer<u64>>,
}

impl Service {
    fn asked(&mut self, key: usize) -> RegisterOperation<u64> {
        self.written += 1;
        let new = self.written;
        match self.rng.in_range(0, 10) {
            0..=4 => Read,
            5..=7 => Write(new),
            8 => CompareAndSet { old: self.values[key], new },
            _ => Delete,
        }
    }

    fn take_effect(&mut self, call: &mut Call) {
        let state = self.values[call.key];
        let answer = match &call.asked {
            Read => Value(state),
            Write(_) => RegisterAnswer::Done,
            CompareAndSet { old, .. } => RegisterAnswer::Changed(*old == state),
            Delete => RegisterAnswer::Changed(state.is_some()),
        };
        self.values[call.key] = Register::apply(&state, &call.asked, Some(&answer))
            .expect("the service answers as the model does");
        call.answer = Some(answer);
    }
}

/// The calls of clients that wait for each answer before they ask again. Who does not hear an
/// answer goes on as another client; what was asked may take effect much later, or never.
fn calls((keys, count): (usize, usize), seed: u64) -> Vec<Call> {
    let mut service = Service { rng: Rng::new(seed), values: vec![None; keys], written: 0 };
    let mut calls: Vec<Call> = Vec::new();
    let mut asks_at = [0u64; CLIENTS];
    // What has not taken effect, by when it will.
    let mut pending = BTreeSet::new();
    while calls.len() < count {
        let client = (0..CLIENTS).min_by_key(|client| asks_at[*client]).expect("there are some");
        let called = asks_at[client];
        while let Some(&(effect, place)) = pending.first().filter(|(effect, _)| *effect <= called) {
            pending.remove(&(effect, place));
            service.take_effect(&mut calls[place]);
        }
        let key = usize::try_from(service.rng.in_range(0, keys as u64)).expect("few keys");
        let is_unknown = service.rng.in_range(0, UNKNOWN_ONE_IN) == 0;
        let patience = if is_unknown { 20_000 } else { 100 };
        let effect = called + 1 + service.rng.in_range(0, patience);
        let returned =
            if is_unknown { called + 100 } else { effect + service.rng.in_range(1, 100) };
        let is_lost = is_unknown && service.rng.in_range(0, 2) == 0;
        let asked = service.asked(key);
        if !is_lost {
            pending.insert((effect, calls.len()));
        }
        asks_at[client] = returned + service.rng.in_range(1, 30);
        let answer = None;
        calls.push(Call { key, asked, called, returned, is_unknown, answer });
    }
    for (_, place) in pending {
        service.take_effect(&mut calls[place]);
    }
    calls
}

fn history(calls: Vec<Call>) -> Registers {
    let mut history = Registers::default();
    for call in calls {
        let Call { key, asked, called, returned, is_unknown, answer, .. } = call;
        let outcome = match answer {
            Some(answer) if !is_unknown => Outcome::Answered { returned, answer },
            _ => Outcome::Unknown,
        };
        let key = u8::try_from(key).expect("few keys");
        history.add(key, Operation { asked, called, outcome, guess: None });
    }
    history
}

#[test]
fn a_long_history_of_a_right_service_is_found_right() {
    for size in [LONG, NARROW] {
        let history = history(calls(size, 7));
        assert_eq!(history.count(), size.1);
        assert_eq!(check(&history, STEPS_MAX), Verdict::Linearizable, "{size:?}");
    }
}

/// A read shows the first value of all, long after it was overwritten.
#[test]
fn one_stale_read_in_a_long_history_is_found() {
    let mut calls = calls(LONG, 8);
    let late = calls.iter().rposition(|call| matches!(call.asked, Read) && !call.is_unknown);
    let late = late.expect("there are reads");
    let key = calls[late].key;
    let first = calls.iter().find_map(|call| match call.asked {
        Write(value) if call.key == key && !call.is_unknown => Some(value),
        _ => None,
    });
    calls[late].answer = Some(Value(first));
    let verdict = check(&history(calls), STEPS_MAX);
    let Verdict::Illegal(violation) = verdict else { panic!("{verdict:?}") };
    assert_eq!(usize::from(violation.key), key, "{violation}");
}

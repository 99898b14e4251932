//! Small histories that are known to be right or wrong.

use sim::linearizability::RegisterAnswer::{Changed, Done, Value};
use sim::linearizability::RegisterOperation::{CompareAndSet, Delete, Read, Write};
use sim::linearizability::{
    Operation, Outcome, RegisterAnswer, RegisterOperation, Verdict, Violation, check,
};

use super::{Registers, STEPS_MAX};

type Told = (u64, u64, RegisterOperation<u64>, RegisterAnswer<u64>);

/// The verdict on one register: each operation with the times of its call and its return, and
/// those of unknown outcome with the times of their calls.
fn judge(answered: &[Told], unknown: &[(u64, RegisterOperation<u64>)]) -> Verdict<u8> {
    let answered = answered.iter().cloned().map(|(called, returned, asked, answer)| {
        let outcome = Outcome::Answered { returned, answer };
        Operation { asked, called, outcome, guess: None }
    });
    let unknown = unknown.iter().cloned().map(|(called, asked)| Operation {
        asked,
        called,
        outcome: Outcome::Unknown,
        guess: None,
    });
    let mut operations: Vec<_> = answered.chain(unknown).collect();
    operations.sort_by_key(|operation| operation.called);
    let mut history = Registers::default();
    operations.into_iter().for_each(|operation| history.add(0, operation));
    check(&history, STEPS_MAX)
}

fn assert_right(answered: &[Told], unknown: &[(u64, RegisterOperation<u64>)]) {
    assert_eq!(judge(answered, unknown), Verdict::Linearizable, "{answered:?} {unknown:?}");
}

fn assert_wrong(answered: &[Told], unknown: &[(u64, RegisterOperation<u64>)]) -> Violation<u8> {
    match judge(answered, unknown) {
        Verdict::Illegal(violation) => violation,
        other => panic!("{answered:?} {unknown:?} is {other:?}"),
    }
}

#[test]
fn operations_one_after_another_must_be_in_order() {
    let writes = [(0, 1, Write(1), Done), (2, 3, Write(2), Done)];
    assert_right(&[writes.as_slice(), &[(4, 5, Read, Value(Some(2)))]].concat(), &[]);
    let stale = assert_wrong(&[writes.as_slice(), &[(4, 5, Read, Value(Some(1)))]].concat(), &[]);
    assert_eq!((stale.explained, stale.answered, stale.stuck), (2, 3, 2));
    assert_eq!(
        stale.to_string(),
        "no order of the operations on 0 explains their answers: after 2 of 3, nothing explains \
         the 2th, Read called at 4, Value(Some(1)) at 5"
    );
}

#[test]
fn a_read_sees_either_side_of_a_concurrent_write() {
    for value in [None, Some(1)] {
        assert_right(&[(0, 9, Write(1), Done), (3, 4, Read, Value(value))], &[]);
    }
    assert_wrong(&[(0, 9, Write(1), Done), (3, 4, Read, Value(Some(2)))], &[]);
}

#[test]
fn operations_that_touch_in_time_are_concurrent() {
    assert_right(&[(0, 5, Write(1), Done), (5, 6, Read, Value(None))], &[]);
    assert_wrong(&[(0, 5, Write(1), Done), (6, 7, Read, Value(None))], &[]);
}

#[test]
fn a_value_is_not_seen_before_its_write_began() {
    assert_wrong(&[(0, 1, Read, Value(Some(7))), (2, 3, Write(7), Done)], &[]);
    assert_wrong(&[(0, 1, Read, Value(Some(7)))], &[(2, Write(7))]);
}

#[test]
fn a_value_that_nobody_wrote_is_not_seen() {
    assert_wrong(&[(0, 9, Write(1), Done), (1, 8, Read, Value(Some(3)))], &[(0, Write(2))]);
}

#[test]
fn a_write_that_was_acknowledged_is_not_lost() {
    assert_wrong(&[(0, 1, Write(1), Done), (2, 3, Read, Value(None))], &[]);
    // Two increments that both found 1 cannot both have been done.
    let both = [
        (0, 1, Write(1), Done),
        (2, 6, CompareAndSet { old: Some(1), new: 2 }, Changed(true)),
        (3, 5, CompareAndSet { old: Some(1), new: 2 }, Changed(true)),
    ];
    assert_wrong(&both, &[]);
    let mut one = both.to_vec();
    one[2].3 = Changed(false);
    assert_right(&one, &[]);
}

#[test]
fn a_comparison_that_failed_had_reason_to() {
    let old = Some(1);
    let failed = (2, 3, CompareAndSet { old, new: 2 }, Changed(false));
    assert_wrong(&[(0, 1, Write(1), Done), failed.clone()], &[]);
    assert_right(&[(0, 1, Write(1), Done), failed.clone()], &[(0, Delete)]);
    assert_wrong(&[(0, 1, Write(1), Done), failed], &[(4, Delete)]);
}

#[test]
fn reads_of_different_clients_do_not_go_back() {
    let write = (0, 9, Write(1), Done);
    let new_then_old = [write.clone(), (1, 2, Read, Value(Some(1))), (3, 4, Read, Value(None))];
    assert_wrong(&new_then_old, &[]);
    let old_then_new = [write, (1, 2, Read, Value(None)), (3, 4, Read, Value(Some(1)))];
    assert_right(&old_then_new, &[]);
}

#[test]
fn two_readers_agree_on_the_order_of_two_writes() {
    let writes = [(0, 3, Write(1), Done), (1, 3, Write(2), Done)];
    let reads =
        |first, second| vec![(4, 5, Read, Value(Some(first))), (4, 5, Read, Value(Some(second)))];
    assert_right(&[writes.to_vec(), reads(1, 1)].concat(), &[]);
    assert_wrong(&[writes.to_vec(), reads(1, 2)].concat(), &[]);
}

#[test]
fn a_write_of_unknown_outcome_happens_at_any_later_time_or_never() {
    let write = (0, 1, Write(1), Done);
    for values in [vec![1, 1, 1], vec![1, 2, 2], vec![2, 2, 2]] {
        let reads = (2..).step_by(2).zip(values);
        let reads = reads.map(|(at, value)| (at, at + 1, Read, Value(Some(value))));
        let all: Vec<Told> = [write.clone()].into_iter().chain(reads).collect();
        assert_right(&all, &[(0, Write(2))]);
    }
}

#[test]
fn a_write_of_unknown_outcome_that_was_seen_stays() {
    let reads =
        [(0, 1, Write(1), Done), (2, 3, Read, Value(Some(2))), (4, 5, Read, Value(Some(1)))];
    assert_wrong(&reads, &[(0, Write(2))]);
    assert_right(&reads, &[(0, Write(2)), (0, CompareAndSet { old: Some(2), new: 1 })]);
}

#[test]
fn several_operations_of_unknown_outcome_together_explain_a_read() {
    let steps = [1, 2, 3].map(|old| (0, CompareAndSet { old: Some(old), new: old + 1 }));
    let read = [(2, 3, Write(1), Done), (4, 5, Read, Value(Some(4)))];
    assert_right(&read, &steps);
    assert_wrong(&read, &steps[1..]);
}

#[test]
fn what_was_deleted_was_there() {
    assert_right(&[(0, 1, Write(1), Done), (2, 3, Delete, Changed(true))], &[]);
    assert_wrong(&[(0, 1, Write(1), Done), (2, 3, Delete, Changed(false))], &[]);
    assert_wrong(&[(2, 3, Delete, Changed(true))], &[]);
}

#[test]
fn keys_are_judged_apart() {
    let mut history = Registers::default();
    let operation = |asked, answer| {
        let outcome = Outcome::Answered { returned: 1, answer };
        Operation { asked, called: 0, outcome, guess: None }
    };
    history.add(1, operation(Write(1), Done));
    history.add(2, operation(Read, Value(Some(1))));
    let verdict = check(&history, STEPS_MAX);
    assert!(matches!(&verdict, Verdict::Illegal(Violation { key: 2, .. })), "{verdict:?}");
    assert_eq!(history.count(), 2);
}

#[test]
fn a_budget_that_is_too_small_decides_nothing() {
    let mut history = Registers::default();
    for at in 0..50 {
        let outcome = Outcome::Answered { returned: 100, answer: Done };
        history.add(7, Operation { asked: Write(at), called: at, outcome, guess: None });
    }
    assert_eq!(check(&history, 49), Verdict::Unknown { key: 7 });
    assert_eq!(check(&history, STEPS_MAX), Verdict::Linearizable);
}

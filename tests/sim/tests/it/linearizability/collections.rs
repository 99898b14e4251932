//! Small histories of hashes, sets and counters that are known to be right or wrong.

use std::collections::{BTreeMap, BTreeSet};

use sim::linearizability::{
    Counter, CounterAnswer, CounterOperation, Hash, HashAnswer, HashOperation, History, Model,
    Operation, Outcome, Set, SetAnswer, SetOperation, Verdict, check,
};

use super::STEPS_MAX;

type Told<M> = (u64, u64, <M as Model>::Operation, <M as Model>::Answer);
type Unknown<M> = (u64, <M as Model>::Operation);

/// Whether an order explains these: each operation with the times of its call and its return,
/// and those of unknown outcome with the times of their calls.
fn is_right<M: Model>(answered: Vec<Told<M>>, unknown: Vec<Unknown<M>>) -> bool {
    let answered = answered.into_iter().map(|(called, returned, asked, answer)| {
        let outcome = Outcome::Answered { returned, answer };
        Operation { asked, called, outcome, guess: None }
    });
    let unknown = unknown.into_iter().map(|(called, asked)| {
        let outcome = Outcome::Unknown;
        Operation { asked, called, outcome, guess: None }
    });
    let mut operations: Vec<Operation<M>> = answered.chain(unknown).collect();
    operations.sort_by_key(|operation| operation.called);
    let mut history = History::<u8, M>::default();
    operations.into_iter().for_each(|operation| history.add(0, operation));
    match check(&history, STEPS_MAX) {
        Verdict::Linearizable => true,
        Verdict::Illegal(_) => false,
        Verdict::Unknown { .. } => panic!("{STEPS_MAX} steps are enough"),
    }
}

fn name(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn names<const N: usize>(texts: [&str; N]) -> Vec<Vec<u8>> {
    texts.map(name).to_vec()
}

mod counters {
    use super::*;
    use CounterAnswer::{Forgotten, Sum, Value};
    use CounterOperation::{Add, Delete, Read};

    fn is_right(answered: Vec<Told<Counter>>, unknown: Vec<Unknown<Counter>>) -> bool {
        super::is_right::<Counter>(answered, unknown)
    }

    #[test]
    fn two_increments_never_give_the_same_sum() {
        let both = |first, second| vec![(0, 9, Add(1), Sum(first)), (1, 8, Add(1), Sum(second))];
        assert!(is_right(both(1, 2), vec![]) && is_right(both(2, 1), vec![]));
        assert!(!is_right(both(1, 1), vec![]), "one of them is lost");
        assert!(!is_right(both(1, 3), vec![]), "one of them is done twice");
        let later = vec![(0, 1, Add(1), Sum(2)), (2, 3, Add(1), Sum(1))];
        assert!(!is_right(later, vec![]), "the later one saw less");
    }

    #[test]
    fn an_increment_that_was_acknowledged_is_read() {
        let read = |value| vec![(0, 1, Add(2), Sum(2)), (2, 3, Read, Value(value))];
        assert!(is_right(read(Some(2)), vec![]));
        assert!(!is_right(read(None), vec![]) && !is_right(read(Some(4)), vec![]));
    }

    #[test]
    fn an_increment_of_unknown_outcome_happens_once_or_never() {
        let read = |value| vec![(2, 3, Read, Value(value))];
        for (value, expected) in [(None, true), (Some(1), true), (Some(2), false)] {
            assert_eq!(is_right(read(value), vec![(0, Add(1))]), expected, "{value:?}");
        }
        let twice = vec![(2, 3, Read, Value(Some(1))), (4, 5, Read, Value(Some(2)))];
        assert!(!is_right(twice.clone(), vec![(0, Add(1))]), "it happens twice");
        assert!(is_right(twice, vec![(0, Add(1)), (0, Add(1))]));
    }

    #[test]
    fn a_counter_begins_again_when_it_was_forgotten() {
        let told = |forgotten, sum| {
            vec![
                (0, 1, Add(5), Sum(5)),
                (2, 3, Delete, Forgotten(forgotten)),
                (4, 5, Add(1), Sum(sum)),
            ]
        };
        assert!(is_right(told(true, 1), vec![]));
        assert!(!is_right(told(true, 6), vec![]) && !is_right(told(false, 1), vec![]));
    }

    /// Twenty lost increments are a million ways to have done ten of them, all alike.
    #[test]
    fn many_increments_of_unknown_outcome_are_no_burden() {
        let unknown: Vec<Unknown<Counter>> = (0..40).map(|at| (at, Add(1))).collect();
        let read = |value| vec![(50, 51, Read, Value(Some(value))), (52, 53, Add(1), Sum(22))];
        assert!(is_right(read(20), unknown.clone()));
        assert!(!is_right(read(22), unknown));
    }
}

mod sets {
    use super::*;
    use SetAnswer::{Count, Emptied, Members};
    use SetOperation::{Add, Delete, Has, Length, Read, Remove};

    fn is_right(answered: Vec<Told<Set>>, unknown: Vec<Unknown<Set>>) -> bool {
        super::is_right::<Set>(answered, unknown)
    }

    fn members<const N: usize>(texts: [&str; N]) -> SetAnswer {
        Members(texts.map(name).into_iter().collect::<BTreeSet<_>>())
    }

    #[test]
    fn a_member_is_new_to_one_of_those_who_add_it() {
        let both = |first, second| {
            vec![(0, 9, Add(names(["a"])), Count(first)), (1, 8, Add(names(["a"])), Count(second))]
        };
        assert!(is_right(both(1, 0), vec![]) && is_right(both(0, 1), vec![]));
        assert!(!is_right(both(1, 1), vec![]) && !is_right(both(0, 0), vec![]));
    }

    #[test]
    fn what_was_added_is_there_until_it_is_removed() {
        let add = (0, 1, Add(names(["a", "b"])), Count(2));
        let told = |asked, answer| vec![add.clone(), (2, 3, asked, answer)];
        assert!(is_right(told(Read, members(["a", "b"])), vec![]));
        assert!(!is_right(told(Read, members(["a"])), vec![]), "a member is lost");
        assert!(!is_right(told(Read, members(["a", "b", "c"])), vec![]), "one comes of itself");
        assert!(is_right(told(Has(names(["b", "c"])), SetAnswer::Has(vec![true, false])), vec![]));
        assert!(!is_right(told(Has(names(["b"])), SetAnswer::Has(vec![false])), vec![]));
        assert!(!is_right(told(Length, Count(1)), vec![]));
        let removed = [told(Remove(names(["a", "c"])), Count(1)), vec![(4, 5, Length, Count(1))]];
        assert!(is_right(removed.concat(), vec![]));
        assert!(!is_right(told(Remove(names(["a", "c"])), Count(2)), vec![]));
    }

    #[test]
    fn members_that_are_added_at_once_are_seen_at_once() {
        let half = vec![(0, 9, Add(names(["a", "b"])), Count(2)), (1, 2, Read, members(["a"]))];
        assert!(!is_right(half, vec![]));
        let half = vec![(1, 2, Read, members(["a"]))];
        assert!(!is_right(half.clone(), vec![(0, Add(names(["a", "b"])))]));
        assert!(is_right(half, vec![(0, Add(names(["a", "b"]))), (0, Remove(names(["b"])))]));
    }

    #[test]
    fn an_emptied_set_is_none() {
        let told = |emptied| {
            vec![
                (0, 1, Add(names(["a"])), Count(1)),
                (2, 3, Remove(names(["a"])), Count(1)),
                (4, 5, Delete, Emptied(emptied)),
            ]
        };
        assert!(is_right(told(false), vec![]) && !is_right(told(true), vec![]));
    }
}

mod hashes {
    use super::*;
    use HashAnswer::{Count, Emptied, Fields, NotANumber, Sum, Values};
    use HashOperation::{Add, Delete, Get, Has, Length, Read, Remove, Set};

    fn is_right(answered: Vec<Told<Hash>>, unknown: Vec<Unknown<Hash>>) -> bool {
        super::is_right::<Hash>(answered, unknown)
    }

    fn set<const N: usize>(pairs: [(&str, &str); N]) -> HashOperation {
        Set(pairs.map(|(field, value)| (name(field), name(value))).to_vec())
    }

    fn fields<const N: usize>(pairs: [(&str, &str); N]) -> HashAnswer {
        let pairs = pairs.map(|(field, value)| (name(field), name(value)));
        Fields(pairs.into_iter().collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn fields_that_are_set_at_once_are_seen_at_once() {
        let writes = || {
            vec![
                (0, 9, set([("a", "1"), ("b", "1")]), Count(2)),
                (0, 9, set([("a", "2"), ("b", "2")]), Count(0)),
            ]
        };
        let read = |pairs| [writes(), vec![(10, 11, Read, fields(pairs))]].concat();
        assert!(is_right(read([("a", "2"), ("b", "2")]), vec![]));
        assert!(!is_right(read([("a", "1"), ("b", "1")]), vec![]), "the first one was second");
        assert!(!is_right(read([("a", "1"), ("b", "2")]), vec![]), "they are mixed");
        let early = |first| vec![(1, 2, Get(names(["a", "b"])), Values(vec![first, None]))];
        assert!(is_right([writes(), early(None)].concat(), vec![]));
        assert!(!is_right([writes(), early(Some(name("1")))].concat(), vec![]));
    }

    #[test]
    fn a_write_of_one_field_takes_none_of_another_back() {
        let told = |asked, answer| {
            vec![
                (0, 5, set([("a", "1")]), Count(1)),
                (1, 6, set([("b", "2")]), Count(1)),
                (7, 8, asked, answer),
            ]
        };
        assert!(is_right(told(Read, fields([("a", "1"), ("b", "2")])), vec![]));
        assert!(!is_right(told(Read, fields([("b", "2")])), vec![]), "the key was written whole");
        assert!(!is_right(told(Length, Count(1)), vec![]));
        assert!(is_right(told(Has(names(["b", "c"])), HashAnswer::Has(vec![true, false])), vec![]));
        assert!(!is_right(told(Has(names(["a"])), HashAnswer::Has(vec![false])), vec![]));
    }

    #[test]
    fn fields_count_when_they_are_new_and_when_they_go() {
        let told = |new, gone| {
            vec![
                (0, 1, set([("a", "1"), ("a", "2")]), Count(new)),
                (2, 3, Remove(names(["a", "b"])), Count(gone)),
                (4, 5, Delete, Emptied(false)),
            ]
        };
        assert!(is_right(told(1, 1), vec![]));
        assert!(!is_right(told(2, 1), vec![]) && !is_right(told(1, 2), vec![]));
    }

    #[test]
    fn increments_of_a_field_are_as_those_of_a_counter() {
        let both = |first, second| {
            vec![
                (0, 9, Add(name("a"), 1), Sum(first)),
                (1, 8, Add(name("a"), 1), Sum(second)),
                (10, 11, Get(names(["a"])), Values(vec![Some(name("2"))])),
            ]
        };
        assert!(is_right(both(2, 1), vec![]));
        assert!(!is_right(both(1, 1), vec![]) && !is_right(both(2, 3), vec![]));
        let text = (0, 1, set([("a", "x")]), Count(1));
        assert!(is_right(vec![text.clone(), (2, 3, Add(name("a"), 1), NotANumber)], vec![]));
        assert!(!is_right(vec![text, (2, 3, Add(name("a"), 1), Sum(1))], vec![]));
    }
}

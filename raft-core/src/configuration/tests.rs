//! Configurations, their bytes, and the changes that are allowed.

use super::*;

fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

fn ids(numbers: impl IntoIterator<Item = u64>) -> BTreeSet<NodeId> {
    numbers.into_iter().map(id).collect()
}

fn three() -> Configuration {
    Configuration::founding((1..=3).map(|n| (id(n), format!("host:{n}"))).collect())
}

fn change(configuration: &Configuration, change: &Change) -> Result<Configuration, ChangeRefusal> {
    configuration.changed(change, 9, |_| false).map(|(next, _)| next)
}

#[test]
fn bytes_read_back_and_everything_else_is_refused() {
    let mut configuration = three();
    let (joined, _) = configuration
        .changed(
            &Change { add: vec!["host:4".into(), "host:5".into()], ..Default::default() },
            9,
            |_| false,
        )
        .unwrap();
    configuration =
        change(&joined, &Change { promote: ids([4, 5]), ..Default::default() }).unwrap();
    assert!(configuration.is_joint());
    let bytes = configuration.encode();
    assert_eq!(Configuration::decode(&bytes), Some(configuration.clone()));
    for length in 0..bytes.len() {
        assert_eq!(Configuration::decode(&bytes[..length]), None, "cut at {length}");
    }
    let made = Decision::Made { added: vec![id(4)], configuration };
    assert_eq!(Decision::decode(&made.encode()), Some(made));
    let refused = Decision::Refused(ChangeRefusal::NotAMember(id(9)));
    assert_eq!(Decision::decode(&refused.encode()), Some(refused));
    let change = Change {
        add: vec!["a:1".into()],
        promote: ids([1]),
        demote: ids([2]),
        remove: ids([3, 4]),
        readdress: BTreeMap::from([(id(5), "b:2".into())]),
    };
    assert_eq!(Change::decode(&change.encode()), Some(change));
}

#[test]
fn a_learner_gets_a_new_id_each_time_and_ids_are_never_reused() {
    let add = Change { add: vec!["host:9".into()], ..Default::default() };
    let (one, added) = three().changed(&add, 9, |_| false).unwrap();
    assert_eq!(added, [id(4)]);
    assert!(!one.is_joint() && one.learners == ids([4]) && one.voters == ids([1, 2, 3]));
    let gone = change(&one, &Change { remove: ids([4]), ..Default::default() }).unwrap();
    assert!(gone.was_removed(id(4)) && !gone.was_removed(id(5)));
    assert_eq!(gone.changed(&add, 9, |_| false).unwrap().1, [id(5)]);
}

#[test]
fn adding_again_who_has_not_come_yet_means_the_same_node() {
    let add = Change { add: vec!["host:9".into()], ..Default::default() };
    let (one, _) = three().changed(&add, 9, |_| false).unwrap();
    assert_eq!(one.changed(&add, 9, |_| true).unwrap(), (one.clone(), vec![id(4)]));
    assert_eq!(change(&one, &add), Err(ChangeRefusal::AddressTaken(id(4))));
}

#[test]
fn one_voter_more_or_less_is_simple_and_anything_else_is_joint() {
    let add = Change { add: vec!["x:1".into(), "x:2".into()], ..Default::default() };
    let learners = change(&three(), &add).unwrap();
    let simple = change(&learners, &Change { promote: ids([4]), ..Default::default() }).unwrap();
    assert!(!simple.is_joint() && simple.voters == ids([1, 2, 3, 4]));
    let replace = Change { promote: ids([4]), remove: ids([1]), ..Default::default() };
    let joint = change(&learners, &replace).unwrap();
    assert_eq!((joint.voters.clone(), joint.outgoing.clone()), (ids([2, 3, 4]), ids([1, 2, 3])));
    assert!(joint.is_member(id(1)), "it votes in the old half");
    assert_eq!(change(&joint, &add), Err(ChangeRefusal::InProgress));
    let left = joint.left_joint();
    assert!(!left.is_joint() && left.was_removed(id(1)) && left.learners == ids([5]));
    let demoted = Change { demote: ids([1]), promote: ids([4]), ..Default::default() };
    let joint = change(&learners, &demoted).unwrap();
    assert_eq!(joint.left_joint().learners, ids([1, 5]));
}

#[test]
fn changes_that_make_no_sense_are_refused_with_the_reason() {
    let with = |wanted: Change| change(&three(), &wanted).unwrap_err();
    let named = |n| ids([n]);
    assert_eq!(
        with(Change { remove: ids([1, 2, 3]), ..Default::default() }),
        ChangeRefusal::NoVoterLeft
    );
    assert_eq!(
        with(Change { remove: named(7), ..Default::default() }),
        ChangeRefusal::NotAMember(id(7))
    );
    assert_eq!(
        with(Change { promote: named(1), ..Default::default() }),
        ChangeRefusal::NotALearner(id(1))
    );
    assert_eq!(
        with(Change { demote: named(1), remove: named(1), ..Default::default() }),
        ChangeRefusal::Contradictory(id(1))
    );
    assert_eq!(
        with(Change { add: vec![String::new()], ..Default::default() }),
        ChangeRefusal::BadAddress
    );
    assert_eq!(
        with(Change { add: vec!["host:2".into()], ..Default::default() }),
        ChangeRefusal::AddressTaken(id(2))
    );
    let add = Change { add: vec!["x:1".into()], ..Default::default() };
    let learner = change(&three(), &add).unwrap();
    let promote = Change { promote: ids([4]), ..Default::default() };
    assert_eq!(learner.changed(&promote, 3, |_| false), Err(ChangeRefusal::TooManyVoters));
}

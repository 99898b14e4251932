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

/// As they stand in logs and snapshots; these bytes never change their meaning.
#[test]
fn golden_bytes_of_every_part_in_a_configuration() {
    let joint = Configuration {
        members: (1..=4).map(|n| (id(n), format!("h{n}"))).collect(),
        voters: ids([1]),
        outgoing: ids([1, 2]),
        learners: ids([2, 3, 4]),
        kept: ids([2, 4]),
        next_id: 6,
    };
    let mut golden = vec![1, 6, 0, 0, 0, 0, 0, 0, 0, 4, 0];
    for (number, sets) in [(1, 1 | 2), (2, 2 | 4 | 8), (3, 4), (4, 4 | 8)] {
        golden.extend([number, 0, 0, 0, 0, 0, 0, 0, sets, 2, b'h', b'0' + number]);
    }
    assert_eq!(joint.encode(), golden);
    assert_eq!(Configuration::decode(&golden), Some(joint));
    let (sets_of_4, last) = (golden.len() - 4, golden.len());
    for (sets, why) in [(16, "a later version's"), (8, "kept and no learner"), (1 | 4, "both")] {
        golden[sets_of_4] = sets;
        assert_eq!(Configuration::decode(&golden[..last]), None, "{why}");
    }
}

#[test]
fn who_is_demoted_is_kept_until_it_is_promoted_or_removed() {
    let demote = Change { demote: ids([2, 3]), ..Default::default() };
    let joint = change(&three(), &demote).unwrap();
    let demoted = joint.left_joint();
    assert_eq!((demoted.learners.clone(), demoted.kept.clone()), (ids([2, 3]), ids([2, 3])));
    let promote = Change { promote: ids([2]), ..Default::default() };
    let promoted = change(&demoted, &promote).unwrap();
    assert_eq!((promoted.voters, promoted.kept), (ids([1, 2]), ids([3])));
    let remove = Change { remove: ids([2]), ..Default::default() };
    assert_eq!(change(&demoted, &remove).unwrap().kept, ids([3]));
}

#[test]
fn the_entry_of_a_refusal_makes_no_configuration() {
    let refused = Decision::Refused(ChangeRefusal::InProgress).encode();
    assert_eq!(Configuration::made_by(Index(7), &refused), None);
}

#[test]
#[should_panic(expected = "entry 7 of the log changes the members in a way")]
fn an_entry_that_makes_no_sense_is_a_fault() {
    drop(Configuration::made_by(Index(7), b"\0\0\0\x02"));
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

#[test]
fn a_cluster_has_so_many_members_and_no_more() {
    let all = (1..=MEMBERS_MAX as u64).map(|n| (id(n), format!("host:{n}")));
    let mut full = Configuration::founding(all.collect());
    full.learners = full.voters.split_off(&id(4));
    let add = Change { add: vec!["one:more".into()], ..Default::default() };
    assert_eq!(change(&full, &add), Err(ChangeRefusal::TooManyMembers));
    let swap = Change { remove: ids([9]), ..add };
    assert_eq!(change(&full, &swap).unwrap().members.len(), MEMBERS_MAX);
}

/// Those who leave are members until a joint configuration is left, and what a log can hold of
/// members is bounded.
#[test]
fn who_leaves_a_joint_configuration_counts_as_a_member_until_then() {
    let address = |n: u64| format!("{n:0>width$}", width = ADDRESS_BYTES_MAX);
    let all = (1..=MEMBERS_MAX as u64).map(|n| (id(n), address(n)));
    let mut full = Configuration::founding(all.collect());
    full.learners = full.voters.split_off(&id(VOTERS_MAX as u64 + 1));
    let swap = |voters| Change {
        remove: ids(1..=voters),
        add: (0..voters).map(|n| address(1_000 + n)).collect(),
        ..Default::default()
    };
    let refused = Err(ChangeRefusal::TooManyMembers);
    assert_eq!(change(&full, &swap(2)), refused, "two more while it is joint");
    assert_eq!(change(&full, &swap(VOTERS_MAX as u64 - 1)), refused);
    let simple = change(&full, &swap(1)).unwrap();
    let leave = Change { remove: ids([2, 3]), ..Default::default() };
    let joint = change(&simple, &leave).unwrap();
    assert!(joint.is_joint());
    assert_eq!(joint.members.len(), MEMBERS_MAX);
    assert!(joint.encode().len() <= crate::wal::CONFIGURATION_BYTES_MAX);
    let left = joint.left_joint();
    let both = Change { add: vec!["one:more".into(), "two:more".into()], ..Default::default() };
    assert_eq!(change(&left, &both).unwrap().members.len(), MEMBERS_MAX);
}

/// A new node at the address of one that leaves in the same change is another member. While that
/// is joint both have the address, and whoever answers there says which of the two it is.
#[test]
fn a_new_member_may_take_the_place_of_one_that_leaves() {
    for (leaving, is_joint) in [(vec![3], false), (vec![2, 3], true)] {
        let replace = Change {
            remove: ids(leaving.clone()),
            add: vec!["host:3".into()],
            ..Default::default()
        };
        let (next, added) = three().changed(&replace, 9, |_| true).unwrap();
        assert_eq!((added, next.is_joint()), (vec![id(4)], is_joint), "{leaving:?}");
        assert_eq!((&next.learners, next.voters.contains(&id(3))), (&ids([4]), false));
        assert_eq!(next.members[&id(4)], "host:3");
        assert_eq!(next.members.get(&id(3)).map(String::as_str), is_joint.then_some("host:3"));
        assert_eq!(Configuration::decode(&next.encode()), Some(next.clone()));
        let left = next.left_joint();
        let places: BTreeSet<&String> = left.members.values().collect();
        assert_eq!(places.len(), left.members.len(), "each has an address of its own again");
        assert!(left.was_removed(id(3)) && left.learners == ids([4]));
        // Nobody else can be sent there any more.
        let again = Change { add: vec!["host:3".into()], ..Default::default() };
        assert_eq!(change(&left, &again), Err(ChangeRefusal::AddressTaken(id(4))));
    }
    // Who stays keeps its address.
    let taken = Change { remove: ids([2, 3]), add: vec!["host:1".into()], ..Default::default() };
    assert_eq!(change(&three(), &taken), Err(ChangeRefusal::AddressTaken(id(1))));
}

#[test]
fn every_refusal_has_a_number_of_its_own_and_words() {
    let mut words = BTreeSet::new();
    let mut known = 0;
    for code in 0..=u8::MAX {
        let Some(refusal) = ChangeRefusal::from_code(code, Some(id(7))) else { continue };
        known += 1;
        let about = refusal.code().1;
        assert_eq!(refusal.code().0, code);
        assert_eq!(ChangeRefusal::from_code(code, about), Some(refusal));
        assert_eq!(refusal.to_string().contains("node 7"), about.is_some(), "{refusal}");
        assert!(words.insert(refusal.to_string()), "{refusal} is said twice");
        if about.is_some() {
            assert_eq!(ChangeRefusal::from_code(code, None), None);
        }
    }
    assert_eq!(known, 13);
}

#[test]
fn bytes_of_a_later_version_are_nothing_that_is_known() {
    let (mut configuration, mut change) = (three().encode(), Change::default().encode());
    assert!(Configuration::decode(&configuration).is_some() && Change::decode(&change).is_some());
    configuration[0] += 1;
    change[0] += 1;
    assert_eq!((Configuration::decode(&configuration), Change::decode(&change)), (None, None));
}

//! Small worlds to their end. In a build with debug assertions every step from a state that is
//! known by its digest is taken again and compared, so these also test the digest.

use std::time::Duration;

use model::bounds::{Bounds, WORLDS};
use model::check::{Found, run};
use model::members::Ask;

/// Far longer than any of these worlds takes.
const LIMIT: Duration = Duration::from_secs(300);

fn world(name: &str) -> Bounds {
    let found = WORLDS.iter().find(|(known, _)| *known == name);
    found.expect("it is known").1.clone()
}

fn assert_exhausted(bounds: &Bounds) -> Found {
    let found = run(bounds, Some(LIMIT), |_, _, _| {});
    assert!(found.is_exhausted && found.is_good(), "{bounds:?}\n{found}");
    found
}

#[test]
fn one_leader_and_one_command() {
    assert_exhausted(&world("small"));
}

#[test]
fn two_elections_while_a_node_crashes() {
    let bounds = Bounds { terms: 2, timeouts: 2, in_flight: 2, ..world("election") };
    assert_exhausted(&bounds);
}

#[test]
fn two_leaders_and_two_commands_with_little_on_the_way() {
    assert_exhausted(&Bounds { in_flight: 2, ..world("replication") });
}

#[test]
fn messages_that_arrive_twice() {
    let bounds = Bounds { duplicates: 1, heartbeats: 0, proposals: 0, ..world("small") };
    assert_exhausted(&bounds);
}

#[test]
fn a_leader_that_reaches_nobody() {
    let bounds = Bounds { quorum_checks: 2, heartbeats: 0, proposals: 0, ..world("small") };
    assert_exhausted(&bounds);
}

#[test]
fn raft_figure_8() {
    assert_exhausted(&Bounds { in_flight: 2, ..world("figure-8") });
}

#[test]
fn two_changes_of_three_voters() {
    assert_exhausted(&Bounds { doubts: 0, ..world("shrink") });
}

#[test]
fn two_changes_of_which_one_is_joint() {
    assert_exhausted(&Bounds { crashes: 0, slow_writes: 0, in_flight: 2, ..world("joint") });
}

#[test]
fn a_change_by_a_leader_that_not_everybody_answers() {
    let bounds = Bounds {
        terms: 2,
        timeouts: 1,
        heartbeats: 1,
        looks: 1,
        changes: &[Ask { demote: &[3], ..Ask::NOTHING }],
        ..world("shrink")
    };
    assert_exhausted(&bounds);
}

#[test]
fn worlds_in_turn_know_nothing_of_each_other() {
    let shrink = Bounds { doubts: 0, ..world("shrink") };
    let without_changes = Bounds { changes: &[], ..shrink.clone() };
    run(&without_changes, Some(LIMIT), |_, _, _| {});
    assert_exhausted(&shrink);
}

#[test]
fn a_check_that_is_cut_short_is_not_called_exhausted() {
    let found = run(&world("replication"), Some(Duration::from_millis(50)), |_, _, _| {});
    assert!(!found.is_exhausted, "{found}");
    assert!(found.to_string().contains("cut short"), "{found}");
}

#[test]
fn what_never_happens_is_told() {
    let bounds = Bounds { heartbeats: 0, ..world("small") };
    let found = run(&bounds, Some(LIMIT), |_, _, _| {});
    assert!(found.is_exhausted && !found.is_good(), "{found}");
    assert_eq!(found.missing, ["a command is on every disk and applied"], "{found}");
}

//! A machine that does not come back, and another one in its place.

use std::time::Duration;

use super::{Load, Nodes, OPERATIONS_BETWEEN};
use crate::harness::namespaces::{Subnet, among};
use crate::harness::wait;

const TIMEOUT: Duration = Duration::from_secs(2);

/// Three voters and a machine to spare under load, one of the voters dead; what `replace` does
/// puts the spare into its place.
async fn check_replacement(
    subnet: &Subnet,
    flags: &[&str],
    replace: impl AsyncFnOnce(&Nodes<'_>, usize),
) {
    let mut nodes = Nodes::start(subnet, 3, flags).await;
    let load = Load::start(&subnet.doors()[..3], TIMEOUT);
    nodes.turn_on(3);
    let (founders, all) = ([0, 1, 2], [0, 1, 2, 3]);
    nodes.until_voters(&all, &founders).await;
    let leader = nodes.leader(&all).await;
    let dead = (leader + 1) % 3;
    load.go_on(OPERATIONS_BETWEEN).await;
    let goal = nodes.ask(leader).await.unwrap().commit_index;
    wait::until("spare that has caught up", async || {
        (goal <= nodes.ask(3).await?.applied_index).then_some(())
    })
    .await;

    nodes.take(dead).kill();
    subnet.unplug(dead);
    replace(&nodes, dead).await;
    let rest: Vec<usize> = all.into_iter().filter(|&place| place != dead).collect();
    nodes.until_voters(&rest, &rest).await;

    // The new one counts: with it, another one may be lost.
    let next = (leader + 2) % 3;
    nodes.take(next).kill();
    load.go_on(OPERATIONS_BETWEEN).await;
    nodes.turn_on(next);
    nodes.leader(&rest).await;
    load.end().await;
    nodes.check_equal(&rest).await;
}

#[test]
fn an_operator_replaces_a_machine_that_is_dead() {
    among("an_operator_replaces_a_machine_that_is_dead", 4, async |subnet| {
        check_replacement(subnet, &[], async |nodes, dead| {
            let said = nodes.ask(3).await.unwrap();
            let id = |place: usize| {
                let door = subnet.machines()[place].door();
                let member = said.members.iter().find(|(_, address)| *address == door);
                member.unwrap().0.to_string()
            };
            let (dead, spare) = (id(dead), id(3));
            let machine = &subnet.machines()[3];
            let words = ["member", "replace", &dead, &spare, "--wait"];
            let door = machine.door();
            let ended = machine.kvctl(&[&["--endpoints", &door], &words[..]].concat()).await;
            assert_eq!(ended.code, Some(0), "{ended:?}");
        })
        .await;
    });
}

#[test]
fn the_leader_replaces_a_machine_that_is_dead() {
    among("the_leader_replaces_a_machine_that_is_dead", 4, async |subnet| {
        check_replacement(subnet, &["--voter-gone-after", "1"], async |_, _| {}).await;
    });
}

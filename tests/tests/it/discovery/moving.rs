//! Nodes that come back elsewhere are found again, and nobody has to say where they are.

use super::{Node, Place, Said, until_members, until_voters};
use crate::harness::wait;

/// Three nodes that have found each other, by their ids.
async fn three(place: &Place) -> Vec<(Node, Said)> {
    let nodes: Vec<Node> = (0..3).map(|number| place.start(&format!("node-{number}"))).collect();
    let mut said = Vec::new();
    for node in nodes {
        let it = node.said().await;
        said.push((node, it));
    }
    for (_, it) in &said {
        until_voters(&it.address, 3).await;
    }
    said
}

fn members(said: &[Said]) -> Vec<(u64, String)> {
    let member = |it: &Said| (it.node.parse().unwrap(), it.address.clone());
    let mut members: Vec<(u64, String)> = said.iter().map(member).collect();
    members.sort();
    members
}

#[tokio::test]
async fn nodes_that_come_back_at_other_addresses_are_found_again() {
    let _turn = wait::turn().await;
    let place = Place::new();
    let nodes = three(&place).await;
    let (running, before): (Vec<Node>, Vec<Said>) = nodes.into_iter().unzip();
    place.check_kvctl(&before[0].address, &["put", "a", "1"], "OK").await;

    // One of them, while the others go on.
    let mut running = running.into_iter();
    running.next().unwrap().0.kill();
    let moved = place.start("node-0");
    let said = moved.said().await;
    assert_ne!(said.address, before[0].address);
    assert_eq!(said.node, before[0].node);
    let after = [said.clone(), before[1].clone(), before[2].clone()];
    for it in &after {
        until_members(&it.address, &members(&after)).await;
    }

    // All of them: nobody is where the log says.
    moved.0.kill();
    running.for_each(|node| node.0.kill());
    let nodes: Vec<Node> = (0..3).map(|number| place.start(&format!("node-{number}"))).collect();
    let mut last = Vec::new();
    for node in &nodes {
        last.push(node.said().await);
    }
    for it in &last {
        assert!(after.iter().all(|earlier| earlier.address != it.address));
        until_members(&it.address, &members(&last)).await;
    }
    place.check_kvctl(&last[2].address, &["get", "a"], "1").await;
}

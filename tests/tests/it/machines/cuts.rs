//! Cables that carry in one direction only.

use std::time::Duration;

use super::{Load, Nodes, OPERATIONS_BETWEEN};
use crate::harness::namespaces::among;
use crate::harness::wait;

/// How long an operation may take: less than a cut lasts, so that some fail.
const TIMEOUT: Duration = Duration::from_secs(1);

#[test]
fn one_way_cuts_leave_an_order_of_everything_that_was_answered() {
    let test = "one_way_cuts_leave_an_order_of_everything_that_was_answered";
    among(test, 3, async |subnet| {
        let nodes = Nodes::start(subnet, 3, &[]).await;
        let load = Load::start(&subnet.doors(), TIMEOUT);
        load.go_on(OPERATIONS_BETWEEN).await;
        let all = [0, 1, 2];

        // Nobody hears the leader, which hears everybody: another one is elected, and who reads
        // through the first is told the truth or nothing.
        let deaf = nodes.leader(&all).await;
        let others: Vec<usize> = all.into_iter().filter(|&place| place != deaf).collect();
        others.iter().for_each(|&place| subnet.cut(deaf, place));
        let elected = nodes.leader(&others).await;
        load.go_on(OPERATIONS_BETWEEN).await;
        subnet.heal();
        nodes.leader(&all).await;
        assert_ne!(elected, deaf);

        // The leader hears nobody, and everybody hears it: it cannot go on leading.
        let deaf = nodes.leader(&all).await;
        let others: Vec<usize> = all.into_iter().filter(|&place| place != deaf).collect();
        others.iter().for_each(|&place| subnet.cut(place, deaf));
        assert_ne!(nodes.leader(&others).await, deaf);
        load.go_on(OPERATIONS_BETWEEN).await;
        subnet.heal();
        nodes.leader(&all).await;

        // Nobody hears a follower, which hears everybody: nothing happens to the others.
        let leader = nodes.leader(&all).await;
        let term = nodes.ask(leader).await.unwrap().term;
        let mute = (leader + 1) % 3;
        let others = [leader, (leader + 2) % 3];
        others.iter().for_each(|&place| subnet.cut(mute, place));
        load.go_on(3 * OPERATIONS_BETWEEN).await;
        assert_eq!(nodes.leader(&others).await, leader);
        subnet.heal();
        nodes.leader(&all).await;
        let said = wait::until("term", async || nodes.ask(leader).await).await;
        assert_eq!(said.term, term, "a follower that returns disturbs nobody");

        load.go_on(OPERATIONS_BETWEEN).await;
        load.end().await;
        nodes.check_equal(&all).await;
    });
}

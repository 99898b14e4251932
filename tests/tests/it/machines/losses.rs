//! Machines that are gone for a while, by accident or in turn.

use std::time::Duration;

use rustix::process::Signal;

use super::{Load, Nodes, OPERATIONS_BETWEEN};
use crate::harness::namespaces::among;
use crate::harness::wait;

const TIMEOUT: Duration = Duration::from_secs(2);

#[test]
fn a_machine_is_lost_and_comes_back() {
    among("a_machine_is_lost_and_comes_back", 3, async |subnet| {
        let mut nodes = Nodes::start(subnet, 3, &[]).await;
        let load = Load::start(&subnet.doors(), TIMEOUT);
        load.go_on(OPERATIONS_BETWEEN).await;
        let all = [0, 1, 2];

        // The cable of the leader, so that nobody is told anything.
        let lost = nodes.leader(&all).await;
        subnet.unplug(lost);
        let others: Vec<usize> = all.into_iter().filter(|&place| place != lost).collect();
        nodes.leader(&others).await;
        load.go_on(OPERATIONS_BETWEEN).await;
        subnet.plug_in(lost);
        nodes.leader(&all).await;

        // The power of the leader after it.
        let lost = nodes.leader(&all).await;
        nodes.take(lost).kill();
        let others: Vec<usize> = all.into_iter().filter(|&place| place != lost).collect();
        nodes.leader(&others).await;
        load.go_on(OPERATIONS_BETWEEN).await;
        nodes.turn_on(lost);
        nodes.leader(&all).await;
        load.go_on(OPERATIONS_BETWEEN).await;
        load.end().await;
        nodes.check_equal(&all).await;
    });
}

#[test]
fn a_rolling_restart_fails_no_operation() {
    among("a_rolling_restart_fails_no_operation", 3, async |subnet| {
        let mut nodes = Nodes::start(subnet, 3, &[]).await;
        let load = Load::start(&subnet.doors(), wait::DEADLINE);
        let all = [0, 1, 2];
        for place in all {
            load.go_on(OPERATIONS_BETWEEN).await;
            let process = nodes.take(place);
            process.signal(Signal::TERM);
            let ended = process.end().await;
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            nodes.turn_on(place);
            nodes.leader(&all).await;
        }
        load.go_on(OPERATIONS_BETWEEN).await;
        assert_eq!(load.end().await, 0, "a client that tries again is served");
        nodes.check_equal(&all).await;
    });
}

//! Nodes on machines of their own, started as the README says.

use std::collections::BTreeSet;

use super::starts;
use crate::harness::namespaces::{Machine, Subnet, among};
use crate::harness::process::Process;
use crate::harness::wait;
use crate::machines::{Load, ONE_LINE};

/// How many are to vote in the end.
const VOTERS_TARGET: usize = 5;

/// How many operations are to be answered by a cluster that has settled.
const OPERATIONS: u64 = 200;

async fn clusters(nodes: &[Process]) -> BTreeSet<String> {
    let mut clusters = BTreeSet::new();
    for node in nodes {
        let line = node.lines(1).await.remove(0);
        let after = line.split("of cluster ").nth(1).unwrap_or_else(|| panic!("{line}"));
        clusters.insert(after.split(' ').next().unwrap().to_owned());
    }
    clusters
}

/// Waits until a machine says that the cluster has so many members, and so many of them vote.
async fn until_settled(machine: &Machine, door: &str, members: usize, voters: usize) {
    wait::until(&format!("{voters} voters of {members} members"), async || {
        let list = machine.kvctl(&["--endpoints", door, "member", "list"]).await.stdout;
        let count = |word: &str| list.lines().filter(|line| line.contains(word)).count();
        (count("voter") == voters && count("voter") + count("learner") == members).then_some(())
    })
    .await;
}

/// Starts all machines at once; clients are served while they settle, and what they are told
/// has an order.
async fn check_start(subnet: &Subnet, voters: usize) {
    let machines = subnet.machines();
    let nodes: Vec<Process> = machines.iter().map(|machine| machine.kvorum(&ONE_LINE)).collect();
    assert_eq!(clusters(&nodes).await.len(), 1);
    let load = Load::start(&subnet.doors(), wait::DEADLINE);
    let (first, last) = (&machines[0], &machines[machines.len() - 1]);
    until_settled(first, &last.door(), machines.len(), voters).await;
    load.go_on(OPERATIONS).await;
    load.end().await;
    let put = first.kvctl(&["--endpoints", &first.door(), "put", "city", "Oslo"]).await;
    assert_eq!(put.code, Some(0), "{put:?}");
    let get = last.kvctl(&["--endpoints", &last.door(), "get", "city"]).await;
    assert_eq!(get.stdout, "Oslo\n", "{get:?}");
}

#[test]
fn three_machines_with_one_line_are_one_cluster() {
    let test = "three_machines_with_one_line_are_one_cluster";
    among(test, 3, async |subnet| check_start(subnet, 3).await);
}

#[test]
fn two_dozen_machines_with_one_line_are_one_cluster() {
    let test = "two_dozen_machines_with_one_line_are_one_cluster";
    for _ in 0..starts(1) {
        among(test, 24, async |subnet| check_start(subnet, VOTERS_TARGET).await);
    }
}

/// The first lines of the README, with nothing else on the machine.
#[tokio::test]
async fn three_terminals_without_flags_are_one_cluster_also_after_a_restart() {
    let _turn = wait::turn().await;
    let test = "three_terminals_without_flags_are_one_cluster_also_after_a_restart";
    let Some(subnet) = Subnet::new(test, 1) else { return };
    let machine = &subnet.machines()[0];
    let start = || [(); 3].map(|()| machine.kvorum(&[]));
    let nodes = start();
    let founded = clusters(&nodes).await;
    assert_eq!(founded.len(), 1);
    until_settled(machine, "127.0.0.1:2379", 3, 3).await;
    let put = machine.kvctl(&["put", "a", "1"]).await;
    assert_eq!(put.code, Some(0), "{put:?}");
    nodes.into_iter().for_each(Process::kill);

    let nodes = start();
    assert_eq!(clusters(&nodes).await, founded);
    let get = machine.kvctl(&["get", "a"]).await;
    assert_eq!(get.stdout, "1\n", "{get:?}");
}

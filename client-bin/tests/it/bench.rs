//! `kvctl bench`.

use raft_core::replica::event::Refusal;
use serde_json::Value;

use crate::fake::{Act, Seen, World, dead_address};
use crate::kvctl::kvctl_with;

fn bench(endpoints: &str, more: &[&str]) -> Value {
    let words =
        ["bench", "--endpoints", endpoints, "-w", "json", "--seconds", "0.3", "--keys", "7"];
    let (code, output, errors) = kvctl_with(&[&words[..], more].concat(), b"");
    assert_eq!(code, 0, "{errors}");
    serde_json::from_str(&output).unwrap()
}

#[test]
fn puts_and_gets_are_measured() {
    let world = World::default();
    let node = world.node(1, &[]);
    let pid = std::process::id().to_string();
    let shape = ["--connections", "3", "--in-flight", "5", "--value-size", "9", "--pids", &pid];
    let report = bench(&node, &shape);
    let operations = report["operations"].as_u64().unwrap();
    assert!(0 < operations && operations <= world.revision(), "{report}");
    assert!(0.0 < report["server_cpu_us_per_op"].as_f64().unwrap(), "{report}");
    assert_eq!((&report["errors"], &report["unknown"]), (&0.into(), &0.into()));
    assert_eq!(world.value("key0000000000003").map(|value| value.len()), Some(9));
    assert_eq!(world.connections(), 3);
    // Every serial of every connection once, and nothing acknowledged that is outstanding.
    let writes = world.writes();
    for client in 1..=3 {
        let of = |seen: &&Seen| seen.session.client.random == client;
        let serials: Vec<u64> = writes.iter().filter(of).map(|s| s.session.serial).collect();
        assert_eq!(serials, (1..=serials.len() as u64).collect::<Vec<u64>>());
        let floors = writes.iter().filter(of).map(|s| s.session.serial - s.session.acknowledged);
        assert!(floors.max() <= Some(5));
    }

    let report = bench(&node, &["--op", "get"]);
    assert!(0 < report["operations"].as_u64().unwrap());
    let keys: Vec<&str> = report.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = [
        "protocol",
        "op",
        "connections",
        "in_flight",
        "value_size",
        "keys",
        "seconds",
        "operations",
        "errors",
        "unknown",
        "ops_per_second",
        "p50_us",
        "p99_us",
        "p99_9_us",
        "max_us",
        "server_cpu_us_per_op",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(report["server_cpu_us_per_op"], Value::Null);
}

#[test]
fn lost_connections_and_refusals_lose_no_write() {
    let world = World::default();
    let acts = [
        Act::Answer,
        Act::LoseAnswer,
        Act::Refuse(Refusal::NoLeader),
        Act::HangUp,
        Act::Refuse(Refusal::Unknown),
        Act::Refuse(Refusal::NoLeader),
    ];
    let (a, b) = (world.node(1, &acts), world.node(2, &acts));
    let report = bench(&format!("{a},{b}"), &["--in-flight", "4"]);
    assert_eq!(report["unknown"], 0, "{report}");
    // A refusal that was written just before the connection ended may not have been read.
    assert!((1..=4).contains(&report["errors"].as_u64().unwrap()), "{report}");
    let writes = world.writes();
    let newest = writes.iter().map(|seen| seen.session.serial).max().unwrap();
    assert_eq!(world.revision(), newest, "each serial took effect once");
    assert!(writes.iter().all(|seen| seen.session.client.random == 1));
}

#[test]
fn writes_that_are_never_answered_are_unknown() {
    let world = World::default();
    let node = world.stubborn(1, Act::HangUp);
    let report = bench(&node, &["--in-flight", "2", "--timeout", "0.2"]);
    assert_eq!(report["operations"], 0);
    assert!(2 <= report["unknown"].as_u64().unwrap(), "{report}");
}

#[test]
fn nobody_to_measure_is_exit_code_3_and_a_wrong_process_2() {
    let words = ["bench", "--endpoints", &dead_address()];
    assert_eq!(kvctl_with(&words, b"").0, 3);
    let world = World::default();
    let node = world.node(1, &[]);
    let words = ["bench", "--endpoints", &node, "--pids", "4294967295"];
    let (code, _, errors) = kvctl_with(&words, b"");
    assert_eq!(code, 2, "{errors}");
}

//! What of that is wrong.

use super::{Examined, Prefix, View};
use crate::monitor::MonitorValue;

/// Syncs that take longer than this, all but one in a hundred, delay every write. Units:
/// microseconds.
const SYNC_US_MAX: u64 = 50_000;

/// Calendars may be so far apart, beside what a round trip leaves open. Units: microseconds.
const CLOCK_US_MAX: u64 = 500_000;

/// Of a disk so much should be free. Units: bytes.
const FREE_BYTES_MIN: u64 = 512 * 1024 * 1024;

/// Of `--memory-max` so much may be taken. Units: per cent.
const LIVE_PERCENT_MAX: u64 = 80;

/// The last part of the name of each check of health.
const CHECKS: &str = "health/checks/";

/// Something that is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A word for programs.
    pub kind: &'static str,
    /// The node that it is about, if it is about one.
    pub node_id: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub advice: String,
}

/// What is wrong, the worst first.
#[must_use]
pub fn findings(examined: &Examined) -> Vec<Finding> {
    let mut found = Findings(Vec::new());
    reach(examined, &mut found);
    alarms(examined, &mut found);
    health(examined, &mut found);
    space(examined, &mut found);
    times(examined, &mut found);
    members(examined, &mut found);
    watchers(examined, &mut found);
    found.0
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, kind: &'static str, node_id: Option<u64>, what: String, advice: &str) {
        self.0.push(Finding { kind, node_id, what, advice: advice.to_owned() });
    }
}

fn reach(examined: &Examined, found: &mut Findings) {
    for node in &examined.status.silent {
        let what = format!("{} cannot be reached: {}", node.address, node.reason());
        let advice = "start the node, or repair the way to it; if it is lost for good, take its \
                      member out with kvctl member remove and join a new one";
        found.add("unreachable", node.node_id, what, advice);
    }
    let is_silent = |id: &u64| !examined.status.reached.contains_key(id);
    for (from, views) in &examined.views {
        for (to, view) in views.iter().filter(|(to, _)| !is_silent(to)) {
            if let View::Silent { why } = view {
                let what = format!("it does not reach node {to}, which runs: {why}");
                let advice = "repair the network between the two: address, firewall, secret; \
                              the logs of both say more";
                found.add("cut", Some(*from), what, advice);
            }
        }
    }
    let has_leader = examined.nodes().any(|(id, node)| node.leader_id == Some(id));
    if !has_leader {
        let advice = "bring back as many members as a majority needs; kvctl member list shows them";
        found.add("no-leader", None, "nobody leads".to_owned(), advice);
    }
}

fn alarms(examined: &Examined, found: &mut Findings) {
    for (id, node) in examined.nodes() {
        if node.fenced {
            let what = "CORRUPT: its state differs from the majority's".to_owned();
            let advice = "it replaces its state by itself; keep its folder and look at its disk \
                          and memory if that comes again";
            found.add("corrupt", Some(id), what, advice);
        }
        let (live, limit) = (node.live_bytes, node.live_bytes_max);
        if limit == 0 || live.saturating_mul(100) < limit.saturating_mul(LIVE_PERCENT_MAX) {
            continue;
        }
        let largest = largest(&examined.prefixes);
        let advice = format!(
            "delete what is not needed, or start all nodes with a larger \
                              --memory-max{largest}"
        );
        if node.is_full() {
            let what = format!("NOSPACE: {live} bytes of live data, --memory-max is {limit}");
            found.add("no-space", Some(id), what, &advice);
        } else {
            let what = format!("live data takes {live} of {limit} bytes (--memory-max)");
            found.add("memory", Some(id), what, &advice);
        }
    }
}

fn largest(prefixes: &[Prefix]) -> String {
    if prefixes.is_empty() {
        return String::new();
    }
    let of = |prefix: &Prefix| {
        format!("{} ({} keys, {} bytes)", prefix.prefix.escape_ascii(), prefix.keys, prefix.bytes)
    };
    let part = if prefixes.iter().any(|it| it.is_part) { " among the first keys" } else { "" };
    format!("; most bytes{part}: {}", prefixes.iter().map(of).collect::<Vec<_>>().join(", "))
}

fn health(examined: &Examined, found: &mut Findings) {
    for (id, values) in &examined.values {
        for (path, value) in values {
            let Some(name) = path.strip_prefix(CHECKS) else { continue };
            // A learner is meant to be one, and what is corrupt has been said.
            if matches!(value, MonitorValue::Text(text) if text == "ok")
                || matches!(name, "non_learner" | "data_corruption")
            {
                continue;
            }
            let advice = "wait if it has just started; otherwise its log says more: kvctl mon \
                          watch /node/<id>/log";
            found.add("not-ready", Some(*id), format!("{name}: {value}"), advice);
        }
    }
}

fn space(examined: &Examined, found: &mut Findings) {
    for id in examined.values.keys() {
        let total = examined.number(*id, "disk/total_bytes");
        let free = examined.number(*id, "disk/free_bytes");
        if total != 0 && free < FREE_BYTES_MIN {
            let what = format!("its disk has {free} of {total} bytes left");
            let advice = "make room: a full disk acknowledges nothing; logs are cut behind \
                          snapshots by themselves";
            found.add("disk-space", Some(*id), what, advice);
        }
    }
}

fn times(examined: &Examined, found: &mut Findings) {
    for id in examined.values.keys() {
        let (p50, p99) =
            (examined.number(*id, "disk/sync/p50_us"), examined.number(*id, "disk/sync/p99_us"));
        if SYNC_US_MAX < p99 {
            let what = format!("syncing its log takes {} (p50 {})", in_ms(p99), in_ms(p50));
            let advice = "every write waits for a majority's syncs: give the data folder a disk \
                          of its own, or a faster one";
            found.add("slow-disk", Some(*id), what, advice);
        }
    }
    for (from, views) in &examined.views {
        let heartbeat_us = examined.number(*from, "raft/heartbeat_interval_ms") * 1_000;
        for (to, view) in views {
            let View::Answers { round_trip_us, ahead_us } = view else { continue };
            if heartbeat_us != 0 && heartbeat_us < *round_trip_us {
                let what = format!(
                    "a round trip to node {to} takes {}, a heartbeat is sent every {}",
                    in_ms(*round_trip_us),
                    in_ms(heartbeat_us)
                );
                let advice = "raise --heartbeat-interval-ms above the round trip, and \
                              --election-timeout-ms to five times that or more";
                found.add("slow-network", Some(*from), what, advice);
            }
            // Said once for both.
            if from < to && CLOCK_US_MAX + round_trip_us / 2 < ahead_us.unsigned_abs() {
                let side = if 0 < *ahead_us { "ahead of" } else { "behind" };
                let what = format!(
                    "the calendar of node {to} is {} {side} that of node {from}",
                    in_ms(ahead_us.unsigned_abs())
                );
                let advice = "run NTP on both machines; nothing is lost by it, but logs cannot \
                              be compared";
                found.add("clocks", Some(*to), what, advice);
            }
        }
    }
}

fn members(examined: &Examined, found: &mut Findings) {
    let versions = examined.versions();
    if 1 < versions.len() {
        let versions: Vec<&str> = versions.into_iter().collect();
        let what = format!("nodes run different versions: {}", versions.join(", "));
        found.add("versions", None, what, "finish the upgrade: run the same version on all nodes");
    }
    let newest = examined.status.newest();
    let voters = newest
        .map_or(0, |node| node.member_roles.iter().filter(|(_, role)| role == "voter").count());
    if voters != 0 && voters.is_multiple_of(2) {
        let what = format!("{voters} members vote, and an even number bears no more losses");
        let advice = "add a member, or demote one: kvctl member demote";
        found.add("even-voters", None, what, advice);
    }
    levels(examined, found);
    for (id, _) in examined.nodes().filter(|(_, node)| node.role == "removed") {
        let what = "the cluster has removed it".to_owned();
        found.add("removed", Some(id), what, "stop it and delete its folder");
    }
}

/// Members of whom the leader does not know what they can apply, while all others could go on to
/// a later feature level.
fn levels(examined: &Examined, found: &mut Findings) {
    let Some(leader) = examined.nodes().find(|(id, node)| node.leader_id == Some(*id)) else {
        return;
    };
    let (leader_id, agreed) = (leader.0, leader.1.feature_level);
    let possible = examined.nodes().map(|(_, node)| node.feature_level_max).min().unwrap_or(0);
    if possible <= agreed {
        return;
    }
    for (id, _) in &leader.1.members {
        let path = format!("raft/peers/{id}/feature_level_max");
        let said = examined.values.get(&leader_id).and_then(|values| values.get(&path));
        if matches!(said, Some(MonitorValue::Number(0))) {
            let what = format!(
                "it holds the cluster at feature level {agreed}: all others know {possible}, and \
                 it has not said what it knows"
            );
            let advice = "start it; if it never came or is lost for good, take it out with kvctl \
                          member remove";
            found.add("feature-level", Some(*id), what, advice);
        }
    }
}

fn watchers(examined: &Examined, found: &mut Findings) {
    for id in examined.values.keys() {
        let slow = examined.number(*id, "watches/slow_readers");
        if slow != 0 {
            let unread = examined.number(*id, "watches/unread_bytes_max");
            let what =
                format!("{slow} connections with watches read too slowly, {unread} bytes behind");
            let advice = "let those clients read faster or watch less: with 8 MiB unread their \
                          watches are ended";
            found.add("slow-watchers", Some(*id), what, advice);
        }
    }
}

/// Microseconds as milliseconds.
fn in_ms(us: u64) -> String {
    format!("{}.{} ms", us / 1_000, us % 1_000 / 100)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::error::ClientError;
    use crate::status::{ClusterStatus, NodeStatus, SilentNode};

    fn healthy() -> Examined {
        let roles = vec![(1, "voter".to_owned()), (2, "voter".to_owned()), (3, "voter".to_owned())];
        let node = |id| NodeStatus {
            node_id: id,
            role: if id == 1 { "leader" } else { "follower" }.to_owned(),
            leader_id: Some(1),
            version: "0.1.0".to_owned(),
            live_bytes: 10,
            live_bytes_max: 100,
            member_roles: roles.clone(),
            ..NodeStatus::default()
        };
        let values = || {
            [
                ("disk/total_bytes", 1 << 40),
                ("disk/free_bytes", 1 << 39),
                ("disk/sync/p99_us", 900),
                ("raft/heartbeat_interval_ms", 50),
            ]
            .map(|(path, number)| (path.to_owned(), MonitorValue::Number(number)))
            .into_iter()
            .collect::<BTreeMap<_, _>>()
        };
        let answers = View::Answers { round_trip_us: 300, ahead_us: -80 };
        let view =
            |own: u64| (1..=3).filter(|id| *id != own).map(|id| (id, answers.clone())).collect();
        Examined {
            status: ClusterStatus {
                nodes: (1..=3).map(|id| (id, node(id))).collect(),
                reached: (1..=3).map(|id| (id, format!("a:{id}"))).collect(),
                silent: Vec::new(),
            },
            values: (1..=3).map(|id| (id, values())).collect(),
            views: (1..=3).map(|id| (id, view(id))).collect(),
            prefixes: Vec::new(),
        }
    }

    fn set(examined: &mut Examined, id: u64, path: &str, value: impl Into<MonitorValue>) {
        examined.values.get_mut(&id).unwrap().insert(path.to_owned(), value.into());
    }

    fn kinds(examined: &Examined) -> Vec<(&'static str, Option<u64>)> {
        findings(examined).iter().map(|finding| (finding.kind, finding.node_id)).collect()
    }

    #[test]
    fn of_a_healthy_cluster_there_is_nothing_to_say() {
        assert_eq!(findings(&healthy()), []);
    }

    #[test]
    fn what_a_node_measures_is_judged() {
        type Spoil = fn(&mut Examined);
        let cases: [(&str, Option<u64>, Spoil); 9] = [
            ("slow-disk", Some(2), |it| set(it, 2, "disk/sync/p99_us", 60_000)),
            ("disk-space", Some(3), |it| set(it, 3, "disk/free_bytes", 1_000)),
            ("slow-watchers", Some(1), |it| set(it, 1, "watches/slow_readers", 2)),
            ("not-ready", Some(1), |it| set(it, 1, "health/checks/caught_up", "1 of 9")),
            ("memory", Some(2), |it| it.status.nodes.get_mut(&2).unwrap().live_bytes = 80),
            ("no-space", Some(2), |it| it.status.nodes.get_mut(&2).unwrap().live_bytes = 100),
            ("corrupt", Some(3), |it| it.status.nodes.get_mut(&3).unwrap().fenced = true),
            ("versions", None, |it| {
                it.status.nodes.get_mut(&3).unwrap().version = "0.2.0".to_owned();
            }),
            ("even-voters", None, |it| {
                it.status.nodes.values_mut().for_each(|node| node.member_roles.truncate(2));
            }),
        ];
        for (kind, node_id, spoil) in cases {
            let mut examined = healthy();
            spoil(&mut examined);
            assert_eq!(kinds(&examined), [(kind, node_id)]);
            let finding = &findings(&examined)[0];
            assert!(!finding.what.is_empty() && !finding.advice.is_empty());
        }
    }

    #[test]
    fn who_holds_the_feature_level_is_named() {
        let mut examined = healthy();
        for node in examined.status.nodes.values_mut() {
            (node.feature_level, node.feature_level_max) = (1, 2);
            node.members = (1..=4).map(|id| (id, format!("a:{id}"))).collect();
        }
        assert_eq!(findings(&examined), [], "it is about to be raised");
        set(&mut examined, 1, "raft/peers/4/feature_level_max", 0);
        set(&mut examined, 1, "raft/peers/3/feature_level_max", 2);
        assert_eq!(kinds(&examined), [("feature-level", Some(4))]);
        examined.status.nodes.values_mut().for_each(|node| node.feature_level = 2);
        assert_eq!(findings(&examined), []);
    }

    #[test]
    fn what_nodes_find_of_each_other_is_judged() {
        let mut examined = healthy();
        let mut view = |from, to, view| {
            examined.views.get_mut(&from).unwrap().insert(to, view);
        };
        view(1, 2, View::Answers { round_trip_us: 51_000, ahead_us: 0 });
        view(1, 3, View::Answers { round_trip_us: 100, ahead_us: -2_000_000 });
        view(3, 1, View::Answers { round_trip_us: 100, ahead_us: 2_000_000 });
        view(3, 2, View::Silent { why: "no answer within 1000 ms".to_owned() });
        assert_eq!(
            kinds(&examined),
            [("cut", Some(3)), ("slow-network", Some(1)), ("clocks", Some(3))]
        );
    }

    #[test]
    fn who_cannot_be_reached_is_named_once() {
        let mut examined = healthy();
        examined.status.nodes.remove(&3);
        examined.status.reached.remove(&3);
        examined.values.remove(&3);
        examined.views.remove(&3);
        let why = View::Silent { why: "no answer".to_owned() };
        examined.views.get_mut(&1).unwrap().insert(3, why.clone());
        examined.views.get_mut(&2).unwrap().insert(3, why);
        let error = ClientError::Unreachable { endpoints: "a:3".to_owned() };
        let silent = SilentNode { address: "a:3".to_owned(), node_id: Some(3), error };
        examined.status.silent.push(silent);
        assert_eq!(kinds(&examined), [("unreachable", Some(3))]);
        examined.status.nodes.values_mut().for_each(|node| node.leader_id = None);
        assert_eq!(kinds(&examined), [("unreachable", Some(3)), ("no-leader", None)]);
    }

    #[test]
    fn full_memory_names_the_largest_prefixes() {
        let mut examined = healthy();
        examined.status.nodes.get_mut(&2).unwrap().live_bytes = 90;
        let prefix = b"/registry/events/".to_vec();
        examined.prefixes = vec![Prefix { prefix, keys: 7, bytes: 70, is_part: true }];
        let advice = &findings(&examined)[0].advice;
        assert!(advice.contains("among the first keys: /registry/events/ (7 keys"), "{advice}");
    }
}

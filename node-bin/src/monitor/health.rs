//! Whether a node lives and is ready to serve, check by check.
//!
//! The names of the first four are etcd's, whose clients know them.

use raft_core::replica::event::Status;
use raft_net::client_protocol::{MonitorEntry, MonitorValue};

/// So much behind what it knows to be committed a node is still caught up: it applies that in
/// moments. Units: entries.
const BEHIND_ENTRIES_MAX: u64 = 1_000;

/// Every check, in the order in which they are shown.
pub(crate) const CHECKS: &[&str] = &[
    "data_corruption",
    "serializable_read",
    "linearizable_read",
    "non_learner",
    "connected",
    "caught_up",
];

/// What must be well for a node to live: nothing that needs another node.
pub(crate) const LIVE: &[&str] = &["serializable_read"];

/// Whether one thing is well, as far as the node's own state shows it.
///
/// Errors: why not.
pub(crate) fn check(name: &str, state: &Status) -> Result<(), String> {
    match name {
        "data_corruption" if state.is_fenced => Err("alarm activated: CORRUPT".to_owned()),
        "serializable_read" if state.is_fenced => Err("etcdserver: corrupt cluster".to_owned()),
        "non_learner" if !state.configuration.is_voter(state.node) => {
            Err("the member is a learner".to_owned())
        }
        "connected" if state.is_removed => Err("the cluster has removed this node".to_owned()),
        "connected" if state.leader.is_none() => {
            Err("no leader is known: too few members are reached".to_owned())
        }
        "caught_up" => caught_up(state),
        _ => Ok(()),
    }
}

fn caught_up(state: &Status) -> Result<(), String> {
    if !state.waiting_for.is_empty() {
        let ids: Vec<String> = state.waiting_for.iter().map(ToString::to_string).collect();
        return Err(format!("the data folder is empty: waiting for nodes {}", ids.join(", ")));
    }
    let (commit, applied) = (state.commit_index.0, state.applied_index.0);
    if applied + BEHIND_ENTRIES_MAX < commit {
        return Err(format!("{applied} of {commit} entries are applied"));
    }
    Ok(())
}

/// All of it as values: whether the node is ready, then each check with `ok` or the reason.
pub(crate) fn entries(state: &Status, read: &Result<(), String>) -> Vec<MonitorEntry> {
    let result = |name: &str| match (name, read) {
        ("linearizable_read", Err(why)) => Err(why.clone()),
        _ => check(name, state),
    };
    let results: Vec<_> = CHECKS.iter().map(|name| (*name, result(name))).collect();
    let is_well = |names: &[&str]| {
        results.iter().filter(|(name, _)| names.contains(name)).all(|(_, it)| it.is_ok())
    };
    let entry = |path: String, value: MonitorValue| MonitorEntry { path, value, settable: false };
    let mut entries = vec![
        entry("health/live".to_owned(), is_well(LIVE).into()),
        entry("health/ready".to_owned(), is_well(CHECKS).into()),
    ];
    entries.extend(results.iter().map(|(name, result)| {
        let text = result.as_ref().err().map_or("ok", |why| why.as_str());
        entry(format!("health/checks/{name}"), text.into())
    }));
    entries
}

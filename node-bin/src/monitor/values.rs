//! The tree of a node's values, made of what its actors say.

use kv_store::watching::Tally;
use raft_core::configuration::Configuration;
use raft_core::consensus::election_timer::ElectionTimer;
use raft_core::consensus::peers::{Pace, PeerProgress};
use raft_core::replica::event::Status;
use raft_net::client_protocol::{MonitorEntry, MonitorValue};

use super::latencies::Summary;
use super::machine::Machine;
use super::path::covers;

/// What Consensus says beside the status.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulse {
    /// The node's monotonic clock. Units: microseconds.
    pub(crate) clock_us: u64,
    /// The time that Raft goes by, which somebody may have made slower. Units: microseconds.
    pub(crate) inside_us: u64,
    /// How long writing and syncing batches of the log takes.
    pub(crate) syncs: Summary,
    /// Units: microseconds.
    pub(crate) election_timeout_us: u64,
    /// Units: microseconds.
    pub(crate) heartbeat_interval_us: u64,
    /// For whom it voted in its term.
    pub(crate) vote: Option<u64>,
    /// When it will stand for election.
    pub(crate) timer: Option<ElectionTimer>,
    /// The newest entries of its log, if somebody asked for them.
    pub(crate) newest: Option<String>,
}

/// What Api knows by itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Commands that were taken in here.
    pub(crate) writes: u64,
    /// Linearizable queries that were.
    pub(crate) reads: u64,
    /// Requests that are not answered yet.
    pub(crate) in_flight: u64,
    /// How long commands took, of which one at a time is timed.
    pub(crate) write_times: Summary,
    /// The same of queries.
    pub(crate) read_times: Summary,
    /// Connections of native clients.
    pub(crate) native_clients: u64,
    /// Connections of Redis clients.
    pub(crate) redis_clients: u64,
    /// Streams of watches of etcd's and HTTP's clients.
    pub(crate) streams: u64,
    /// The level of the log; `None` if this program keeps none of its own.
    pub(crate) log_level: Option<String>,
    /// The number of the newest line of the log.
    pub(crate) log_lines: u64,
    /// The number of the newest event.
    pub(crate) events: u64,
}

/// Everything that values are made of.
#[derive(Debug)]
pub(crate) struct Readings<'a> {
    pub(crate) role: &'a str,
    pub(crate) status: &'a Status,
    /// What this node is in its cluster.
    pub(crate) member: &'a str,
    pub(crate) pulse: &'a Pulse,
    pub(crate) tally: Tally,
    pub(crate) counts: &'a Counts,
    pub(crate) machine: &'a Machine,
    pub(crate) address: &'a str,
    /// Where its page is, if it has one.
    pub(crate) page: Option<&'a str>,
    pub(crate) wall_us: u64,
}

/// Where a level of the log can be set.
pub(crate) const LOG_LEVEL: &str = "log/level";
/// Where the election timeout can be set.
pub(crate) const ELECTION_TIMEOUT: &str = "raft/election_timeout_ms";
/// Where the heartbeat interval can be set.
pub(crate) const HEARTBEAT_INTERVAL: &str = "raft/heartbeat_interval_ms";

/// Where the node's page is.
pub(crate) const PAGE: &str = "page";

/// Where the newest entries stand, if they were asked for by `VIEW`.
pub(crate) const NEWEST: &str = "raft/newest";

/// What can be set.
pub(crate) const SETTABLE: &[&str] = &[LOG_LEVEL, ELECTION_TIMEOUT, HEARTBEAT_INTERVAL];

/// The values at a path and below it, in the order of their paths; none if there is no such path.
pub(crate) fn entries(readings: &Readings<'_>, asked: &str) -> Vec<MonitorEntry> {
    let mut values = Values::default();
    raft(&mut values, readings);
    store(&mut values, readings.status);
    let Readings { pulse, tally, counts, machine, .. } = readings;
    values.add("address", readings.address);
    if let Some(page) = readings.page {
        values.add(PAGE, page);
    }
    values.add("version", env!("CARGO_PKG_VERSION"));
    values.add("clock/up_ms", pulse.clock_us / 1_000);
    values.add("clock/wall_us", readings.wall_us);
    values.add("memory/resident_bytes", machine.memory_bytes);
    values.add("cpu/used_ms", machine.cpu_ms);
    values.add("load", machine.load.as_str());
    if let Some((free_bytes, total_bytes)) = machine.disk {
        values.add("disk/free_bytes", free_bytes);
        values.add("disk/total_bytes", total_bytes);
    }
    times(&mut values, "disk/sync", &pulse.syncs);
    values.add("requests/writes", counts.writes);
    values.add("requests/reads", counts.reads);
    values.add("requests/in_flight", counts.in_flight);
    times(&mut values, "requests/write_time", &counts.write_times);
    times(&mut values, "requests/read_time", &counts.read_times);
    values.add("clients/native", counts.native_clients);
    values.add("clients/redis", counts.redis_clients);
    values.add("clients/streams", counts.streams);
    values.add("events/count", counts.events);
    values.add("watches/count", tally.watches);
    values.add("watches/paused", tally.paused);
    values.add("watches/slow_readers", tally.slow_readers);
    values.add("watches/unread_bytes_max", tally.unread_bytes_max);
    if let Some(level) = &counts.log_level {
        values.add(LOG_LEVEL, level.as_str());
        values.add("log/lines", counts.log_lines);
    }
    let mut entries = values.0;
    entries.retain(|entry| covers(asked, &entry.path));
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    entries
}

fn raft(values: &mut Values, readings: &Readings<'_>) {
    let Readings { status, pulse, .. } = readings;
    values.add("raft/role", readings.role);
    values.add("raft/term", status.term.0);
    values.add("raft/leader", status.leader.map_or(0, |id| id.number()));
    values.add("raft/vote", pulse.vote.unwrap_or(0));
    values.add("raft/member", readings.member);
    if let Some(timer) = pulse.timer {
        values.add("raft/timer_left_ms", timer.left_us / 1_000);
        values.add("raft/timer_of_ms", timer.of_us / 1_000);
    }
    if let Some(newest) = &pulse.newest {
        values.add(NEWEST, newest.as_str());
    }
    values.add("raft/commit", status.commit_index.0);
    values.add("raft/applied", status.applied_index.0);
    values.add("raft/last", status.last_index.0);
    values.add("raft/snapshot", status.snapshot_index.0);
    values.add("raft/fenced", status.is_fenced);
    let configuration = &status.configuration;
    values.add("raft/voters", numbers(configuration.voters.iter().map(|id| id.number())));
    values.add("raft/learners", numbers(configuration.learners.iter().map(|id| id.number())));
    values.add("raft/is_voter", configuration.is_voter(status.node));
    values.add("raft/waits_for", numbers(status.waiting_for.iter().map(|id| id.number())));
    for (id, address) in &configuration.members {
        values.add(&format!("raft/members/{id}"), address.as_str());
    }
    for peer in &status.peers {
        peers(values, peer, pulse.inside_us);
    }
    values.add(ELECTION_TIMEOUT, pulse.election_timeout_us / 1_000);
    values.add(HEARTBEAT_INTERVAL, pulse.heartbeat_interval_us / 1_000);
}

/// What a leader knows of one of the others.
fn peers(values: &mut Values, peer: &PeerProgress, inside_us: u64) {
    let mut add = |name: &str, value: MonitorValue| {
        values.add(&format!("raft/peers/{}/{name}", peer.id.number()), value);
    };
    let state = match peer.pace {
        Pace::Probes => "probe",
        Pace::Replicates => "replicate",
        Pace::Snapshot { .. } => "snapshot",
    };
    add("state", state.into());
    add("match", peer.match_index.0.into());
    add("next", peer.next_index.0.into());
    add("in_flight", u64::try_from(peer.in_flight).unwrap_or(u64::MAX).into());
    add("linked", peer.is_linked.into());
    add("disk_full", peer.disk_is_full.into());
    add("feature_level_max", u64::from(peer.feature_level_max.unwrap_or(0)).into());
    if let Some(heard_at) = peer.heard_at {
        add("silent_ms", (inside_us.saturating_sub(heard_at.0) / 1_000).into());
    }
    if let Some(round_trip_us) = peer.round_trip_us {
        add("rtt_us", round_trip_us.into());
    }
    if let Pace::Snapshot { arrived_bytes, bytes } = peer.pace {
        add("snapshot_arrived_bytes", arrived_bytes.into());
        add("snapshot_bytes", bytes.into());
    }
}

fn store(values: &mut Values, status: &Status) {
    values.add("store/revision", status.revision);
    values.add("store/hash", format!("{:016x}", status.state_hash));
    values.add("store/log_time_ms", status.log_time / 1_000);
    values.add("store/live_bytes", status.live_bytes);
    values.add("store/leases", status.leases);
    values.add("store/memory_max", status.live_bytes_max);
}

fn times(values: &mut Values, below: &str, summary: &Summary) {
    values.add(&format!("{below}/count"), summary.count);
    values.add(&format!("{below}/sum_us"), summary.sum_us);
    values.add(&format!("{below}/p50_us"), summary.p50_us);
    values.add(&format!("{below}/p99_us"), summary.p99_us);
    values.add(&format!("{below}/max_us"), summary.max_us);
}

fn numbers(ids: impl Iterator<Item = u64>) -> String {
    ids.map(|id| id.to_string()).collect::<Vec<_>>().join(",")
}

/// What there is to ask, beside what stands below each of it.
pub(crate) fn root(configuration: &Configuration) -> Vec<MonitorEntry> {
    let mut values = Values::default();
    values.add("cluster", "every member");
    for (id, address) in &configuration.members {
        values.add(&format!("node/{id}"), address.as_str());
    }
    values.0
}

#[derive(Default)]
struct Values(Vec<MonitorEntry>);

impl Values {
    fn add(&mut self, path: &str, value: impl Into<MonitorValue>) {
        let settable = SETTABLE.contains(&path);
        self.0.push(MonitorEntry { path: path.to_owned(), value: value.into(), settable });
    }
}

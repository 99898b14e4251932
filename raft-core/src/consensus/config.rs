//! What a node is told about itself when it is created.

use crate::configuration::{Configuration, VOTERS_MAX};
use crate::entry::FEATURE_LEVEL;
use crate::types::{Incarnation, NodeId};

/// The default of `RaftConfig::election_timeout_us`.
pub const ELECTION_TIMEOUT_US: u64 = 250_000;
/// The default of `RaftConfig::heartbeat_interval_us`.
pub const HEARTBEAT_INTERVAL_US: u64 = 50_000;
/// The default of `RaftConfig::voter_gone_us`: longer than a machine takes to start again.
pub const VOTER_GONE_US: u64 = 300_000_000;

/// Settings of one node. They may differ between nodes, except for `configuration`.
#[derive(Clone, Debug)]
pub struct RaftConfig {
    /// This node.
    pub id: NodeId,
    /// The data directory it runs on.
    pub incarnation: Incarnation,
    /// The members that the cluster begins with; an older log knows its own.
    pub configuration: Configuration,
    /// A follower that hears nothing waits at random in [t, 2t). Units: microseconds.
    pub election_timeout_us: u64,
    /// How often a leader says that it leads. Units: microseconds. At most a third of the
    /// election timeout.
    pub heartbeat_interval_us: u64,
    /// From which all of this node's randomness follows; different on every node.
    pub seed: u64,
    /// Bytes in one append at most, but at least one entry.
    pub append_bytes_max: usize,
    /// Appends that a follower has not answered; when full, entries wait for the next answer
    /// and then go together.
    pub window_appends_max: usize,
    /// Bytes that a follower has not answered; when full, as above.
    pub window_bytes_max: usize,
    /// Entries kept in memory when they are durable and applied.
    pub tail_bytes_max: usize,
    /// Entries in memory beyond `tail_bytes_max`, because they are not yet durable, committed
    /// or applied; when full, proposals are refused.
    pub pending_bytes_max: usize,
    /// A snapshot is made when more entries than this, and than the last snapshot has, were
    /// applied since. Units: bytes.
    pub snapshot_log_bytes: u64,
    /// Entries kept behind the last one that a snapshot covers, so that a follower which is a
    /// little behind needs no snapshot.
    pub trailing_entries: u64,
    /// The length of a piece of a snapshot on the wire. Units: bytes.
    pub snapshot_piece_bytes: usize,
    /// How long after one part of a snapshot the next is made, so that a build takes a share of
    /// the processor and of the disk that commands do not notice, instead of all that they
    /// leave. Units: microseconds.
    pub snapshot_part_interval_us: u64,
    /// Whether the leader promotes learners that have caught up, and replaces voters that are
    /// gone.
    pub auto_promote: bool,
    /// How long a leader waits for a voter before it counts as gone; zero: for ever. Units:
    /// microseconds.
    pub voter_gone_us: u64,
    /// As many voters as promotions by the leader itself lead to.
    pub voters_target: usize,
    /// The most voters that may be asked for, up to `VOTERS_MAX`.
    pub voters_max: usize,
    /// The highest feature level that this node applies, at most [`FEATURE_LEVEL`].
    pub feature_level_max: u16,
    /// Whether this node promises its leader to elect nobody for a while, and answers reads
    /// without a question while it leads and a majority has promised (Ongaro 2014 §6.4.1).
    /// Whoever sets it has noted, durably, that this directory may have promised
    /// `election_timeout_us`, and knows that clocks keep to the bound of `docs/raft.md`.
    pub lease_reads: bool,
    /// The longest promise to elect nobody that an earlier life of this data directory may have
    /// given; it holds from the start on. Units: microseconds, zero if there was none.
    pub promised_us: u64,
    /// How long the waits are that have no setting of their own, those of a voter whose link to
    /// the leader ended. Units: hundredths of their length; more than 100 is slow motion.
    pub time_scale_percent: u64,
}

impl RaftConfig {
    /// The default settings for a node of this configuration.
    #[must_use]
    pub fn new(id: NodeId, incarnation: Incarnation, configuration: Configuration) -> Self {
        Self {
            id,
            incarnation,
            configuration,
            election_timeout_us: ELECTION_TIMEOUT_US,
            heartbeat_interval_us: HEARTBEAT_INTERVAL_US,
            seed: incarnation.0 ^ id.number().rotate_left(32),
            append_bytes_max: 1024 * 1024,
            window_appends_max: 64,
            window_bytes_max: 8 * 1024 * 1024,
            tail_bytes_max: 16 * 1024 * 1024,
            pending_bytes_max: 64 * 1024 * 1024,
            snapshot_log_bytes: 64 * 1024 * 1024,
            trailing_entries: 10_000,
            snapshot_piece_bytes: 1024 * 1024,
            snapshot_part_interval_us: 4_000,
            auto_promote: true,
            voter_gone_us: VOTER_GONE_US,
            voters_target: 5,
            voters_max: 9,
            feature_level_max: FEATURE_LEVEL,
            lease_reads: false,
            promised_us: 0,
            time_scale_percent: 100,
        }
    }

    /// Panics: if the settings contradict each other; programs check what users say first.
    pub(crate) fn check(&self) {
        assert!(self.voters_max <= VOTERS_MAX, "no cluster has so many voters");
        assert!(self.feature_level_max <= FEATURE_LEVEL, "no level that is not there");
        assert!(0 < self.heartbeat_interval_us, "heartbeats are sent");
        assert!(0 < self.time_scale_percent, "time passes");
        assert!(
            self.heartbeat_interval_us * 3 <= self.election_timeout_us,
            "three heartbeats fit into an election timeout"
        );
        assert!(0 < self.window_appends_max && 0 < self.append_bytes_max, "limits allow progress");
        assert!(0 < self.snapshot_piece_bytes, "pieces have bytes");
    }
}

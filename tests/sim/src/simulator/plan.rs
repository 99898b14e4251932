//! What a seed is: every size and every probability of a run, drawn anew for each.
//!
//! A class of faults is off in about half of the seeds, so that each is seen alone, together
//! with any other, and not at all (TigerBeetle: swarm testing).

use kv_store::watching::CHANGES_BYTES_MAX;
use raft_core::replica::session_limits::SessionLimits;

use crate::simulator::dice::Dice;

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// In order over links that can break, with news of it, as over TCP.
    Ordered,
    /// Each for itself: lost, late, twice, in any order.
    Datagram,
}

/// A class of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A process ends; what it wrote stays.
    Kill,
    /// A machine loses power; what it did not sync is kept, lost or torn.
    PowerLoss,
    /// All machines lose power at once.
    PowerLossOfAll,
    /// A process does not run for a while.
    Pause,
    /// Some nodes are cut off from the others.
    Cut,
    /// Some nodes are not heard by the others, or do not hear them.
    CutOneWay,
    /// The leader is cut off for so long that another one is elected.
    Depose,
    /// A link breaks; whatever is on it is lost.
    BreakLink,
    /// A node comes back with an empty directory.
    Wipe,
    /// Bytes of a log rot.
    Damage,
    /// A disk becomes slow.
    SlowDisk,
    /// A node is asked to hand over leadership, as before a planned stop.
    HandOver,
    /// A disk answers with errors.
    DiskError,
    /// Disks run out of room.
    FullDisk,
    /// What a disk said to have synced is not there, or somewhere else.
    LoseWrite,
    /// A disk gives back other bits than it holds.
    FlipRead,
    /// A clock jumps.
    ClockJump,
    /// Two halves that do not reach each other both reach one node.
    Bridge,
    /// Some pairs of nodes do not reach each other, while all others do.
    CutPairs,
}

impl Fault {
    /// In how many seeds it is drawn, in thousandths: more than half, for what is drawn does not
    /// happen in every run.
    fn drawn_per_mille(self) -> u64 {
        match self {
            // Clocks do not jump where leases rely on them.
            Self::ClockJump => 900,
            Self::LoseWrite => 640,
            _ => 580,
        }
    }

    /// Whether it mostly finds no node that can be spared, and has to be tried more often.
    fn is_often_in_vain(self) -> bool {
        matches!(self, Self::Wipe | Self::Damage | Self::LoseWrite)
    }
}

/// All classes, in the order of `Plan::weights`.
pub(crate) const FAULTS: [Fault; 19] = [
    Fault::Kill,
    Fault::PowerLoss,
    Fault::PowerLossOfAll,
    Fault::Pause,
    Fault::Cut,
    Fault::CutOneWay,
    Fault::Depose,
    Fault::BreakLink,
    Fault::Wipe,
    Fault::Damage,
    Fault::SlowDisk,
    Fault::HandOver,
    Fault::DiskError,
    Fault::FullDisk,
    Fault::LoseWrite,
    Fault::FlipRead,
    Fault::ClockJump,
    Fault::Bridge,
    Fault::CutPairs,
];

/// Two clocks whose speeds are this far from 1, one above and one below, differ by just less
/// than the tenth that reads by lease allow for. Units: thousandths.
const LEASE_SKEW_PER_MILLE_MAX: u64 = 47;

/// The longest that a client waits for an answer. Units: microseconds.
pub(crate) const PATIENCE_US_MAX: u64 = 1_500_000;

/// The shape of a run. Times are in microseconds.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: usize,
    pub(crate) transport: Transport,
    pub(crate) latency_us: (u64, u64),
    pub(crate) late_per_mille: u64,
    pub(crate) late_us: (u64, u64),
    pub(crate) loss_per_mille: u64,
    pub(crate) twice_per_mille: u64,
    pub(crate) disk_us: (u64, u64),
    pub(crate) slow_disk_us: (u64, u64),
    pub(crate) tick_us: u64,
    /// How far a clock's speed may be from 1, in thousandths; with reads by lease within the
    /// bound that they need.
    pub(crate) skew_per_mille: u64,
    /// Whether a node takes a turn after each event, or after all that wait.
    pub(crate) turns_per_event: bool,
    /// Whether the next segment of a log is made in advance.
    pub(crate) prepares_spares: bool,
    pub(crate) limits: Limits,
    pub(crate) clients: Traffic,
    /// How often each class of faults is chosen.
    pub(crate) weights: [u64; FAULTS.len()],
    pub(crate) strike_us: (u64, u64),
    /// Whether processes end again and again while the cluster is being founded.
    pub(crate) starts_roughly: bool,
    /// How long the faults go on.
    pub(crate) safety_us: u64,
    /// Whether only a majority is healed at the end, and the rest stays dead.
    pub(crate) heals_majority_only: bool,
}

/// Settings of Raft and of the log.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) election_timeout_us: u64,
    pub(crate) heartbeat_interval_us: u64,
    pub(crate) append_bytes_max: usize,
    pub(crate) window_appends_max: usize,
    pub(crate) window_bytes_max: usize,
    pub(crate) tail_bytes_max: usize,
    pub(crate) pending_bytes_max: usize,
    pub(crate) segment_bytes: u64,
    /// After so much log a snapshot is made.
    pub(crate) snapshot_log_bytes: u64,
    /// So many entries are kept behind one.
    pub(crate) trailing_entries: u64,
    pub(crate) snapshot_piece_bytes: usize,
    /// Whether reads are answered by lease.
    pub(crate) lease_reads: bool,
    /// How long sessions are remembered, and how much of them.
    pub(crate) sessions: SessionLimits,
}

/// What clients do.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    pub(crate) clients: usize,
    pub(crate) in_flight_max: usize,
    pub(crate) keys: u64,
    pub(crate) value_bytes: (u64, u64),
    pub(crate) think_us: (u64, u64),
    pub(crate) patience_us: (u64, u64),
    /// How long a node tries on a client's behalf.
    pub(crate) timeout_us: (u64, u64),
    /// How many requests and answers are lost.
    pub(crate) loss_per_mille: u64,
    pub(crate) reads_per_mille: u64,
    /// How many writes are commands on types, leases and several keys.
    pub(crate) typed_per_mille: u64,
    /// How many clients watch.
    pub(crate) watchers: usize,
    /// How much of what changed is read for watches at once.
    pub(crate) changes_bytes_max: usize,
}

impl Plan {
    /// The plan of a seed.
    pub(crate) fn of(dice: &mut Dice) -> Self {
        let is_datagram = dice.chance(550);
        let transport = if is_datagram { Transport::Datagram } else { Transport::Ordered };
        let latency_us = dice.pick(&[(50, 200), (100, 1_500), (500, 8_000)]);
        let mut weights = [0; FAULTS.len()];
        for (fault, weight) in FAULTS.iter().zip(&mut weights) {
            let range = if fault.is_often_in_vain() { (6, 16) } else { (2, 8) };
            *weight = if dice.chance(fault.drawn_per_mille()) { dice.between(range) } else { 0 };
        }
        Self {
            nodes: dice.pick(&[3, 3, 3, 3, 3, 3, 3, 3, 3, 5, 5, 5, 5, 5, 4, 7, 2, 1]),
            transport,
            latency_us,
            late_per_mille: dice.pick(&[0, 0, 5, 50]),
            late_us: (latency_us.1, latency_us.1 * 20),
            loss_per_mille: if is_datagram { dice.pick(&[0, 5, 10, 20, 50, 100, 200]) } else { 0 },
            twice_per_mille: if is_datagram { dice.pick(&[0, 5, 10, 20, 50, 100]) } else { 0 },
            disk_us: dice.pick(&[(20, 100), (200, 2_000), (1_000, 15_000)]),
            slow_disk_us: dice.pick(&[(20_000, 60_000), (100_000, 900_000)]),
            tick_us: dice.pick(&[5_000, 10_000, 20_000]),
            skew_per_mille: dice.pick(&[0, 0, 10, 100]),
            turns_per_event: dice.chance(300),
            prepares_spares: dice.chance(500),
            limits: Limits::of(latency_us, dice),
            clients: Traffic::of(dice),
            weights,
            strike_us: dice.pick(&[(20_000, 300_000), (100_000, 900_000), (400_000, 1_200_000)]),
            starts_roughly: dice.chance(450),
            safety_us: dice.between((8_000_000, 16_000_000)),
            heals_majority_only: dice.chance(400),
        }
    }

    /// Whether clocks jump.
    pub(crate) fn jumps(&self) -> bool {
        FAULTS
            .iter()
            .zip(self.weights)
            .any(|(fault, weight)| *fault == Fault::ClockJump && 0 < weight)
    }

    /// The same plan, in about half of the seeds with reads by lease, and then with clocks that
    /// keep to their bound. Drawn apart from the rest, so that a seed without them is the run
    /// that it was before there were any.
    pub(crate) fn with_leases(mut self, seed: u64) -> Self {
        self.limits.lease_reads = Dice::new(seed ^ 0x6c65_6173_6573).chance(500);
        if self.limits.lease_reads {
            self.skew_per_mille = self.skew_per_mille.min(LEASE_SKEW_PER_MILLE_MAX);
            for (fault, weight) in FAULTS.iter().zip(&mut self.weights) {
                *weight = if *fault == Fault::ClockJump { 0 } else { *weight };
            }
        }
        self
    }

    /// The same plan, in about half of the seeds with so small limits on sessions that some
    /// expire, some are evicted, and some have no room. Drawn apart, as leases are.
    pub(crate) fn with_small_sessions(mut self, seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x7365_7373_696f_6e73);
        let known = SessionLimits::default();
        if dice.chance(500) {
            self.limits.sessions = SessionLimits {
                lifetime_us: dice.pick(&[1_600_000, 5_000_000, known.lifetime_us]),
                table_bytes_max: dice.pick(&[3 << 10, 8 << 10, known.table_bytes_max]),
                session_bytes_max: dice.pick(&[100, 200, known.session_bytes_max]),
            };
        }
        self
    }

    /// The same plan, in about half of the seeds with commands on types, leases and several
    /// keys. Drawn apart, as leases are.
    pub(crate) fn with_types(mut self, seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x0074_7970_6573);
        if dice.chance(500) {
            self.clients.typed_per_mille = dice.pick(&[100, 300, 700]);
        }
        self
    }

    /// The same plan, in about half of the seeds with clients that watch. Drawn apart, as leases
    /// are.
    pub(crate) fn with_watches(mut self, seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x0077_6174_6368);
        if dice.chance(500) {
            self.clients.watchers = dice.pick(&[1, 2, 3, 6]);
            self.clients.changes_bytes_max = dice.pick(&[1, 300, CHANGES_BYTES_MAX]);
        }
        self
    }

    /// How long after the healing everything must be well: eighty election timeouts, and the
    /// longest that a client waits until it asks somebody else, a few times over.
    pub(crate) fn recovery_us(&self) -> u64 {
        80 * self.limits.election_timeout_us + 6 * PATIENCE_US_MAX + 2_000_000
    }
}

impl Limits {
    /// Whether snapshots are made.
    pub(crate) fn makes_snapshots(&self) -> bool {
        self.snapshot_log_bytes < u64::MAX
    }

    /// What is narrow is short: over a long way small windows let through less than clients ask
    /// for, and nothing would be seen but a log that grows.
    fn of(latency_us: (u64, u64), dice: &mut Dice) -> Self {
        let narrow = if latency_us.1 < 2_000 { 0 } else { 2 };
        let election_timeout_us = dice.pick(&[60_000, 150_000, 250_000]);
        Self {
            election_timeout_us,
            heartbeat_interval_us: election_timeout_us / dice.between((3, 6)),
            append_bytes_max: dice.pick(&[1, 500, 4_000, 1 << 20]),
            window_appends_max: dice.pick(&[1, 2, 8, 64][narrow..]),
            window_bytes_max: dice.pick(&[300, 2_000, 8_000, 8 << 20][narrow..]),
            tail_bytes_max: dice.pick(&[0, 500, 4_000, 16 << 20]),
            pending_bytes_max: dice.pick(&[2_000, 20_000, 64 << 20, 64 << 20]),
            segment_bytes: dice.pick(&[4 << 10, 16 << 10, 64 << 10]),
            snapshot_log_bytes: dice.pick(&[
                600,
                3_000,
                20_000,
                100_000,
                u64::MAX,
                u64::MAX,
                u64::MAX,
            ]),
            trailing_entries: dice.pick(&[0, 1, 10, 100, 10_000]),
            snapshot_piece_bytes: dice.pick(&[700, 2_000, 1 << 20]),
            lease_reads: false,
            sessions: SessionLimits::default(),
        }
    }
}

impl Traffic {
    fn of(dice: &mut Dice) -> Self {
        Self {
            clients: dice.pick(&[0, 1, 2, 3, 3, 3, 5, 5, 5, 5, 8, 8, 8]),
            in_flight_max: dice.pick(&[1, 4, 8, 8]),
            keys: dice.pick(&[1, 3, 20]),
            value_bytes: dice.pick(&[(1, 8), (1, 60), (100, 900)]),
            think_us: dice.pick(&[(500, 6_000), (2_000, 14_000), (5_000, 40_000)]),
            patience_us: dice.pick(&[(100_000, 400_000), (300_000, 1_500_000)]),
            timeout_us: dice.pick(&[(20_000, 400_000), (300_000, 3_000_000)]),
            loss_per_mille: dice.pick(&[0, 0, 10, 50, 150]),
            reads_per_mille: dice.pick(&[100, 300, 500]),
            typed_per_mille: 0,
            watchers: 0,
            changes_bytes_max: CHANGES_BYTES_MAX,
        }
    }
}

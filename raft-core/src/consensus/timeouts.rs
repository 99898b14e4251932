//! Timeouts that are changed while a node runs.

use std::fmt;

use super::config::RaftConfig;
use super::raft::Raft;

/// The longest election timeout that can be set. Units: microseconds.
pub const ELECTION_TIMEOUT_US_MAX: u64 = 60_000_000;

/// Why timeouts stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutsRefused {
    /// Zero, or longer than a minute.
    OutOfRange,
    /// An election timeout is at least three heartbeat intervals, as everywhere.
    TooFewHeartbeats,
    /// Nodes promise each other to elect nobody for an election timeout, and have noted on disk
    /// for how long that is at most.
    LeaseReads,
}

impl fmt::Display for TimeoutsRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfRange => "a timeout is at least 1 ms and at most a minute",
            Self::TooFewHeartbeats => {
                "the election timeout must be at least three heartbeat intervals; change the \
                 other one first"
            }
            Self::LeaseReads => {
                "with lease reads promises go by the election timeout, so it is set at the start \
                 only"
            }
        })
    }
}

/// Whether a node may take these timeouts. Units: microseconds.
///
/// Errors: `TimeoutsRefused`.
pub(crate) fn check(
    config: &RaftConfig,
    election_timeout_us: u64,
    heartbeat_interval_us: u64,
) -> Result<(), TimeoutsRefused> {
    if heartbeat_interval_us == 0 || ELECTION_TIMEOUT_US_MAX < election_timeout_us {
        return Err(TimeoutsRefused::OutOfRange);
    }
    if election_timeout_us < heartbeat_interval_us.saturating_mul(3) {
        return Err(TimeoutsRefused::TooFewHeartbeats);
    }
    if config.lease_reads && election_timeout_us != config.election_timeout_us {
        return Err(TimeoutsRefused::LeaseReads);
    }
    Ok(())
}

impl Raft {
    /// Takes other timeouts, each from the next time on at which it begins to run: what has been
    /// drawn already stays. Nodes may differ in them, so each is asked by itself, and safety does
    /// not depend on them (Raft §5.6). Units: microseconds.
    ///
    /// Errors: `TimeoutsRefused`; both stay as they are.
    pub fn set_timeouts(
        &mut self,
        election_timeout_us: u64,
        heartbeat_interval_us: u64,
    ) -> Result<(), TimeoutsRefused> {
        let config = &mut self.state.config;
        check(config, election_timeout_us, heartbeat_interval_us)?;
        config.election_timeout_us = election_timeout_us;
        config.heartbeat_interval_us = heartbeat_interval_us;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Configuration;
    use crate::types::{Incarnation, NodeId};

    #[test]
    fn timeouts_that_contradict_each_other_are_refused() {
        let id = NodeId::new(1).unwrap();
        let mut config = RaftConfig::new(id, Incarnation(1), Configuration::default());
        assert_eq!(check(&config, 300_000, 100_000), Ok(()));
        assert_eq!(check(&config, 299_999, 100_000), Err(TimeoutsRefused::TooFewHeartbeats));
        assert_eq!(check(&config, 300_000, 0), Err(TimeoutsRefused::OutOfRange));
        assert_eq!(check(&config, u64::MAX, 1), Err(TimeoutsRefused::OutOfRange));
        config.lease_reads = true;
        assert_eq!(check(&config, 300_000, 100_000), Err(TimeoutsRefused::LeaseReads));
        assert_eq!(check(&config, config.election_timeout_us, 10_000), Ok(()));
    }
}

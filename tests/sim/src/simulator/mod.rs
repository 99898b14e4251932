//! A deterministic simulator: one seed is one run of a whole cluster, with everything going
//! wrong that the design promises to survive.
//!
//! The replicas, their logs and their stores are the real ones. Time, the network, disks and
//! clients are made of a seed. First everything may fail and nothing may be wrong (safety);
//! then all faults end and everything must become well (liveness). See `docs/simulator.md`.

mod classes;
mod client;
mod dice;
mod disk;
mod disk_faults;
mod ending;
mod evidence;
mod faults;
mod files;
mod joining;
mod judge;
mod lives;
mod membership;
mod network;
mod node;
mod page_cache;
mod partitions;
mod plan;
mod report;
mod rot;
mod run;
mod schedule;
mod stalemate;
mod storage;
mod tale;
mod trace;
mod traffic;
mod turns;
mod typed;
mod watch_actor;
mod watch_traffic;
mod watchers;
mod wires;
mod witness;
mod world;

pub use evidence::Evidence;
pub use report::{Counts, Report};
pub use run::{Failure, Progress, Total, attempt, attempt_printing, run_all, run_all_watched};

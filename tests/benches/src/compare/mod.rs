//! The comparison: clusters in turn, one load after the other, ratios of neighbours.
//!
//! `plan` says what is run and in which order; `cluster` and `process` start and end it;
//! `fail_over` takes leaders away; `machine` describes where it ran; `table` turns it into
//! figures. Every process is held by a value that kills it when it is dropped, so whatever ends
//! the run ends them too.

pub mod alone;
pub mod builds;
pub mod cluster;
pub mod compaction;
pub mod dashboards;
pub mod doors;
pub mod fail_over;
pub mod leases;
pub mod load;
pub mod machine;
pub mod plan;
pub mod process;
pub mod snapshots;
pub mod soak;
pub mod table;

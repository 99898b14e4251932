//! Kvorum without sockets, disks, clocks and threads: whole clusters of real replicas, driven
//! by scripts that tell a story and by a simulator that breaks everything it can.

pub mod cluster;
pub mod entries;
pub mod linearizability;
pub mod lone_raft;
pub mod lone_replica;
pub mod machine;
pub mod programs;
pub mod revision_order;
pub mod script;
pub mod simulator;
pub mod teeth;

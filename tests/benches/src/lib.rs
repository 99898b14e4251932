//! Kvorum beside etcd, and beside what the machine can do at most.
//!
//! Five programs: `etcd-load` puts a closed loop of requests on an etcd cluster, `floor` is a
//! group-commit echo of three processes without a store, `no-op` speaks protocols without a
//! store, `compare` runs them and Kvorum in turn and prints ratios, and `watch-load` measures
//! watches. A package of its own, so that nobody else compiles a gRPC client.
//! How to run them and how to read what they print: `docs/benchmarks.md`.

pub mod clock;
pub mod compare;
pub mod error;
pub mod etcd;
pub mod floor;
pub mod keys;
pub mod latencies;
pub mod loaded_store;
pub mod measurement;
pub mod native;
pub mod no_op;
pub mod probe;
pub mod replicas;
pub mod resident;
pub mod server_cpu;
pub mod watch_load;

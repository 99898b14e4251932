//! The messages of etcd v3 and of what its clients ask beside it, without their meaning.
//!
//! They are described in `proto`, by the field numbers that clients use, and generated from
//! there by a test (`tests/it/generated.rs`), so that no other program is needed to build them.

/// Keys and what happens to them.
#[allow(missing_docs, clippy::all)]
#[rustfmt::skip]
#[path = "etcd/generated/mvccpb.rs"]
pub mod mvccpb;

/// What a role may do.
#[allow(missing_docs, clippy::all)]
#[rustfmt::skip]
#[path = "etcd/generated/authpb.rs"]
pub mod authpb;

/// Keys, watches, leases, members, maintenance, users.
#[allow(missing_docs, clippy::all)]
#[rustfmt::skip]
#[path = "etcd/generated/etcdserverpb.rs"]
pub mod etcdserverpb;

/// Locks.
#[allow(missing_docs, clippy::all)]
#[rustfmt::skip]
#[path = "etcd/generated/v3lockpb.rs"]
pub mod v3lockpb;

/// Elections.
#[allow(missing_docs, clippy::all)]
#[rustfmt::skip]
#[path = "etcd/generated/v3electionpb.rs"]
pub mod v3electionpb;

/// gRPC's health checking protocol.
#[allow(missing_docs, clippy::all)]
#[rustfmt::skip]
#[path = "etcd/generated/grpc.health.v1.rs"]
pub mod health;

/// gRPC's server reflection protocol.
#[allow(missing_docs, clippy::all)]
#[rustfmt::skip]
#[path = "etcd/generated/grpc.reflection.v1.rs"]
pub mod reflection;

/// The descriptions of all messages and services, as a `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!("etcd/generated/descriptors.bin");

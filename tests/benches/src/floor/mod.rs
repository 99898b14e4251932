//! The floor: three processes, real TCP, real syncs, group commit, and no store.
//!
//! Clients send requests of 300 bytes; the leader takes all that queued while the last round
//! was under way, sends them to two followers, and everybody appends them to a zero-filled file
//! and syncs it. When two of three have, every request is answered with 16 bytes. Nothing that
//! replicates on this machine with these system calls can be faster, so its figure, taken in
//! the same run, tells how much of the machine a real system leaves unused.
//!
//! It is no log: nothing is checked, elected or recovered.

pub mod follower;
pub mod leader;
pub mod load;
mod wal;

/// The length of a request: a put of 16 + 256 bytes with its envelope.
pub const REQUEST_BYTES: usize = 300;

/// The length of an answer: the request's first eight bytes and the round that wrote it.
pub const ANSWER_BYTES: usize = 16;

/// The bytes before a round on its way to a follower: how many follow, as a `u32`.
const ROUND_PREFIX_BYTES: usize = 4;

/// How much one read takes. Units: bytes.
const READ_BYTES: usize = 64 * 1024;

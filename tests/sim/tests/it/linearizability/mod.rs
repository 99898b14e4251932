//! The linearizability checker: right about histories that are known to be right or wrong, as a
//! naive checker is, and quick.

mod collections;
mod naive;
mod revision_order;
mod service;
mod stories;

use sim::linearizability::{History, Register};

/// More than any of these histories needs.
const STEPS_MAX: u64 = 100_000_000;

/// A history of one register or several, whose values are numbers.
type Registers = History<u8, Register<u64>>;

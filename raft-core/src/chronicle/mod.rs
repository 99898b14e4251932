//! What happened on a node, for those who watch it or read its story afterwards
//! (`docs/events.md`).
//!
//! A `Chronicle` sees what goes into a replica and what comes out, and makes happenings of it,
//! numbered without a gap. What is rare is told each time. What comes with every turn is told so
//! often at most, and then together with what was left out: entries as one range, messages as a
//! number of those that were skipped. Users' keys and values are in none of it.

mod happening;
mod message;
mod recorder;
mod sampling;

pub use happening::{Happening, SnapshotMove, TimerIs, What};
pub use message::Passed;
pub use recorder::Chronicle;

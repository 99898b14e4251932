//! What has happened on the nodes of a cluster, and the report that tells it (`docs/events.md`).
//!
//! Nodes write each event as a JSON document; here it is read as far as anybody needs it, put
//! into words, and written to a file that a browser shows or a program reads.

mod event;
mod gathering;
mod report;
mod words;

pub use event::{Event, KINDS, clock, merge};
pub(crate) use gathering::path;
pub use gathering::{Gathered, gather};
pub use report::{FileFormat, REPORT_BYTES_MAX, Report};

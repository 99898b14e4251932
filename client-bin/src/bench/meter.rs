//! What a connection measures when its requests have no sessions: they are asked once, and what
//! became of them is counted.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::tally::{Batch, SAMPLES_PER_BATCH, Sample};
use super::{Kind, Load, turned};

/// How often a connection tells what it has measured.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// How long a connection may take to come about.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long nothing is asked after a failure, so that a dead server does not cost a processor.
pub(super) const FAILURE_PAUSE: Duration = Duration::from_millis(10);

/// Errors and operations of one connection, and of those that follow it.
#[derive(Debug)]
pub(super) struct Meter {
    kind: Kind,
    start: Instant,
    stop_at: Instant,
    batch: Batch,
    batches: mpsc::Sender<Batch>,
}

/// What became of a request that brought no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server says that nothing was done.
    Refused,
    /// Nobody knows; of a read it does not matter.
    InDoubt,
}

impl Meter {
    pub(super) fn new(load: &Load, start: Instant, batches: mpsc::Sender<Batch>) -> Self {
        let stop_at = start + load.duration;
        Self { kind: load.kind, start, stop_at, batch: Batch::default(), batches }
    }

    /// Whether new requests are to be made.
    pub(super) fn is_measuring(&self, now: Instant) -> bool {
        now < self.stop_at
    }

    /// Counts an operation, if its answer came in time.
    pub(super) fn answered(&mut self, started: Instant, now: Instant) {
        if !self.is_measuring(now) {
            return;
        }
        self.batch.samples.push(Sample::new(now - self.start, now - started));
        if SAMPLES_PER_BATCH <= self.batch.samples.len() {
            self.tell();
        }
    }

    /// Counts requests that brought no answer.
    pub(super) fn failed(&mut self, count: u64, failure: Failure) {
        match failure {
            Failure::InDoubt if self.kind == Kind::Put => self.batch.unknown += count,
            Failure::InDoubt | Failure::Refused => self.batch.errors += count,
        }
    }

    /// Tells what was measured; it is kept while there is no room.
    pub(super) fn tell(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return;
        }
        if let Err(mpsc::error::TrySendError::Full(batch)) = self.batches.try_send(batch) {
            self.batch = batch;
        }
    }

    /// Tells the rest.
    pub(super) async fn end(self) {
        // Nobody listens if another connection has failed.
        let _ = self.batches.send(self.batch).await;
    }
}

/// The endpoints of a connection, of which a lost one is followed by the next.
#[derive(Debug)]
pub(super) struct Ring {
    addresses: Vec<String>,
    place: usize,
}

impl Ring {
    /// Those of connection number `place`.
    pub(super) fn new(load: &Load, place: usize) -> Self {
        Self { addresses: turned(&load.endpoints, place), place: 0 }
    }

    pub(super) fn current(&self) -> &str {
        &self.addresses[self.place]
    }

    pub(super) fn turn(&mut self) {
        self.place = (self.place + 1) % self.addresses.len();
    }
}

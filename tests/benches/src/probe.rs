//! How long nobody can write, seen from outside.
//!
//! A probe writes to every endpoint in a tight loop of its own and notes each acknowledged
//! write. Asked about a moment, such as the death of a leader, it tells how long it took until
//! a write that was begun afterwards was acknowledged by anybody. One loop per endpoint, so
//! that a client that is stuck at the dead node does not hide that the others are well.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::clock;
use crate::error::BenchError;
use crate::etcd::EtcdClient;
use crate::etcd::messages::PutRequest;
use crate::native::NativeClient;

/// How long one attempt may take. Far above a write without load, far below what is measured.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(50);

/// How long a loop rests after a failed attempt: a refused connection costs no time, and three
/// loops without rest would take the CPU that the election needs.
const FAILURE_PAUSE: Duration = Duration::from_millis(2);

const KEY: &[u8] = b"fail-over-probe";
const VALUE: &[u8] = &[b'v'; 256];

/// Which protocol a probe speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// etcd v3 over gRPC.
    Etcd,
    /// Kvorum's own.
    Native,
}

/// A probe at work. Stops when it is dropped.
#[derive(Debug)]
pub struct Probe {
    acknowledged: mpsc::UnboundedReceiver<Write>,
    last: Option<Instant>,
    _loops: JoinSet<()>,
}

/// What a probe saw around a moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Gap {
    /// From the moment to the first acknowledged write that was begun after it.
    pub after_ms: f64,
    /// From the last acknowledged write before the moment to that one.
    pub gap_ms: f64,
}

/// An acknowledged write.
#[derive(Clone, Copy, Debug)]
struct Write {
    began: Instant,
    ended: Instant,
}

enum Writer {
    Etcd(EtcdClient),
    Native { address: String, connection: Option<NativeClient> },
}

impl Probe {
    /// Begins to write to every one of `endpoints`, on the runtime of the caller.
    ///
    /// Errors: `BenchError::Setting` if an endpoint makes no sense.
    pub fn start(protocol: Protocol, endpoints: &[String]) -> Result<Self, BenchError> {
        let (sender, acknowledged) = mpsc::unbounded_channel();
        let mut loops = JoinSet::new();
        for address in endpoints {
            let writer = match protocol {
                Protocol::Etcd => Writer::Etcd(EtcdClient::new(address)?),
                Protocol::Native => Writer::Native { address: address.clone(), connection: None },
            };
            loops.spawn(write_on(writer, sender.clone()));
        }
        Ok(Self { acknowledged, last: None, _loops: loops })
    }

    /// Waits until `count` more writes are acknowledged.
    ///
    /// Errors: `BenchError::Deadline` if they are not within `patience`.
    pub async fn settle(&mut self, count: u64, patience: Duration) -> Result<(), BenchError> {
        for _ in 0..count {
            let write = self.next(patience).await?;
            self.last = Some(write.ended);
        }
        Ok(())
    }

    /// Waits for the first write that was begun after `moment` and is acknowledged.
    ///
    /// Errors: `BenchError::Deadline` if there is none within `patience`.
    pub async fn after(&mut self, moment: Instant, patience: Duration) -> Result<Gap, BenchError> {
        loop {
            let Write { began, ended } = self.next(patience).await?;
            // A write from before the moment may have been acknowledged by a node that was
            // dead by the time its answer was read.
            if began > moment {
                let last = self.last.unwrap_or(moment).min(moment);
                let after_ms = clock::millis(ended - moment);
                let gap_ms = clock::millis(ended - last);
                self.last = Some(ended);
                return Ok(Gap { after_ms, gap_ms });
            }
            self.last = Some(ended.min(moment));
        }
    }

    async fn next(&mut self, patience: Duration) -> Result<Write, BenchError> {
        let next = tokio::time::timeout(patience, self.acknowledged.recv()).await;
        next.ok().flatten().ok_or_else(|| BenchError::Deadline {
            what: "an acknowledged write".to_owned(),
            waited: patience,
        })
    }
}

async fn write_on(mut writer: Writer, acknowledged: mpsc::UnboundedSender<Write>) {
    loop {
        let began = clock::now();
        if matches!(tokio::time::timeout(ATTEMPT_TIMEOUT, writer.put()).await, Ok(true)) {
            if acknowledged.send(Write { began, ended: clock::now() }).is_err() {
                return;
            }
        } else {
            writer.give_up();
            tokio::time::sleep(FAILURE_PAUSE).await;
        }
    }
}

impl Writer {
    /// Whether the write was acknowledged.
    async fn put(&mut self) -> bool {
        match self {
            Self::Etcd(client) => {
                let (key, value) = (Bytes::from_static(KEY), Bytes::from_static(VALUE));
                client.put(PutRequest { key, value }).await.is_ok()
            }
            Self::Native { address, connection } => {
                // Taken out, so that an attempt that is cut off leaves no connection behind
                // on which its answer may still come.
                let client = match connection.take() {
                    Some(client) => Ok(client),
                    None => NativeClient::connect(address).await,
                };
                let Ok(mut client) = client else { return false };
                let is_acknowledged = client.put(KEY, VALUE).await.is_ok();
                if is_acknowledged {
                    *connection = Some(client);
                }
                is_acknowledged
            }
        }
    }

    fn give_up(&mut self) {
        match self {
            // gRPC tells answers apart, and opens lost connections again.
            Self::Etcd(_) => {}
            Self::Native { connection, .. } => *connection = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(writes: &[(u64, u64)], origin: Instant) -> Probe {
        let (sender, acknowledged) = mpsc::unbounded_channel();
        let at = |ms| origin + Duration::from_millis(ms);
        for (began, ended) in writes {
            sender.send(Write { began: at(*began), ended: at(*ended) }).unwrap();
        }
        Probe { acknowledged, last: None, _loops: JoinSet::new() }
    }

    #[tokio::test]
    async fn only_a_write_that_began_after_the_moment_counts() {
        let origin = clock::now();
        let moment = origin + Duration::from_millis(100);
        // The second write began before the moment and was acknowledged after it.
        let mut seen = probe(&[(80, 90), (95, 105), (100, 110), (130, 150)], origin);
        let gap = seen.after(moment, Duration::from_secs(60)).await.unwrap();
        assert_eq!((gap.after_ms.round(), gap.gap_ms.round()), (50.0, 50.0));
        let mut seen = probe(&[(80, 90), (130, 150)], origin);
        let gap = seen.after(moment, Duration::from_secs(60)).await.unwrap();
        assert_eq!((gap.after_ms.round(), gap.gap_ms.round()), (50.0, 60.0));
        let nothing = probe(&[(80, 90)], origin).after(moment, Duration::from_secs(60)).await;
        assert!(matches!(nothing, Err(BenchError::Deadline { .. })));
    }
}

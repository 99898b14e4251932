//! The method Snapshot of the service Maintenance: a fresh snapshot of this node, as its file.
//!
//! What is sent is the file of `docs/snapshot.md`, zero bytes up to a multiple of 512, and the
//! SHA-256 of all that, which is where `etcdctl` looks for one.

use std::sync::Arc;
use std::time::Duration;

use actix::Recipient;
use bytes::Bytes;
use raft_core::snapshot::SnapshotId;
use raft_core::types::Index;
use raft_net::etcd::etcdserverpb::{SnapshotRequest, SnapshotResponse};
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tonic::Status;

use super::error;
use super::keys::signed;
use super::maintenance::ETCD_VERSION;
use super::node::Behind;
use crate::consensus::WantSnapshot;
use crate::snapshot_store::{FindSnapshot, ReadSnapshot};

/// Bytes of a response, at most. As many as the responses of a stream have, and no more, wait for
/// a client that does not read.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// Clients that are sent a snapshot at a time; one more is refused as too many.
const READERS_MAX: usize = 4;

/// The file is filled up to a multiple of this. Units: bytes.
const BLOCK_BYTES: u64 = 512;

/// How often it is looked whether the snapshot is there. Units: milliseconds.
const LOOK_EVERY_MS: u64 = 20;

/// How long a snapshot may take to come into being. Units: milliseconds.
const BUILD_MS_MAX: u64 = 600_000;

type Told = mpsc::Sender<Result<SnapshotResponse, Status>>;

/// Where snapshots come from. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotSource {
    want: Recipient<WantSnapshot>,
    find: Recipient<FindSnapshot>,
    read: Recipient<ReadSnapshot>,
    readers: Arc<Semaphore>,
}

impl SnapshotSource {
    pub(crate) fn new(
        want: Recipient<WantSnapshot>,
        find: Recipient<FindSnapshot>,
        read: Recipient<ReadSnapshot>,
    ) -> Self {
        Self { want, find, read, readers: Arc::new(Semaphore::new(READERS_MAX)) }
    }

    async fn newest(&self) -> Result<Option<SnapshotId>, Status> {
        let (reply, found) = oneshot::channel();
        self.find.do_send(FindSnapshot { reply });
        found.await.map_err(|_| error::STOPPED.into())
    }

    async fn piece(&self, id: SnapshotId, offset: u64) -> Result<Bytes, Status> {
        let (reply, piece) = oneshot::channel();
        let bytes_max = PIECE_BYTES_MAX;
        self.read.do_send(ReadSnapshot { id, offset, bytes_max, reply });
        let piece = piece.await.map_err(|_| Status::from(error::STOPPED))?;
        piece.ok_or_else(|| {
            Status::aborted("kvorum: newer snapshots took the place of this one, ask again")
        })
    }
}

impl Behind {
    /// Sends a snapshot of everything that was answered before.
    pub(super) async fn snapshot(&self, _: SnapshotRequest, told: Told) {
        let Ok(_reader) = self.snapshots.readers.try_acquire() else {
            // A client that is gone needs no reason.
            let _ = told.send(Err(error::TOO_MANY_REQUESTS.into())).await;
            return;
        };
        let sent = tokio::select! {
            sent = self.send_snapshot(&told) => sent,
            () = told.closed() => return,
        };
        if let Err(status) = sent {
            let _ = told.send(Err(status)).await;
        }
    }

    async fn send_snapshot(&self, told: &Told) -> Result<(), Status> {
        // After this everything that was answered before is applied here.
        self.revision().await?;
        let id = self.fresh_snapshot(self.state().await?.applied_index).await?;
        let (mut sum, mut offset) = (Sha256::new(), 0);
        let filled = id.bytes.next_multiple_of(BLOCK_BYTES);
        while offset < filled {
            let blob = match offset < id.bytes {
                true => self.snapshots.piece(id, offset).await?,
                false => Bytes::from(vec![0; usize::try_from(filled - offset).unwrap_or(0)]),
            };
            sum.update(&blob);
            offset += blob.len() as u64;
            if !self.tell(told, filled - offset, blob).await? {
                return Ok(());
            }
        }
        let sum = sum.finalize();
        self.tell(told, 0, Bytes::copy_from_slice(&sum[..])).await.map(drop)
    }

    /// Returns whether the client still reads.
    async fn tell(&self, told: &Told, remaining_bytes: u64, blob: Bytes) -> Result<bool, Status> {
        let state = self.state().await?;
        let header = self.header(signed(state.revision), state.term);
        let version = ETCD_VERSION.to_owned();
        let response = SnapshotResponse { header, remaining_bytes, blob, version };
        Ok(told.send(Ok(response)).await.is_ok())
    }

    /// A snapshot that covers an entry.
    async fn fresh_snapshot(&self, covers: Index) -> Result<SnapshotId, Status> {
        let patience = Duration::from_millis(BUILD_MS_MAX);
        let built = tokio::time::timeout(patience, self.built_snapshot(covers)).await;
        built.unwrap_or_else(|_| Err(error::TIMEOUT.into()))
    }

    async fn built_snapshot(&self, covers: Index) -> Result<SnapshotId, Status> {
        loop {
            if self.state().await?.is_fenced {
                return Err(error::CORRUPT.into());
            }
            if let Some(id) = self.snapshots.newest().await?.filter(|it| covers <= it.last.index) {
                return Ok(id);
            }
            self.snapshots.want.do_send(WantSnapshot { covers });
            tokio::time::sleep(Duration::from_millis(LOOK_EVERY_MS)).await;
        }
    }
}

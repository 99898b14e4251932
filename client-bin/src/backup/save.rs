//! A backup is taken: a fresh snapshot of one node, written, read again and renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use raft_core::snapshot::SnapshotId;
use raft_core::wal::snapshots::backup::BackupHead;
use raft_net::client_protocol::{NodeStatus, Op, PIECE_BYTES_MAX, PieceWanted, Reply};
use tokio::time::{Instant, sleep};

use super::error::BackupError;
use super::file::{BackupFile, Contents};
use super::line::{Line, refused, reply};
use crate::error::ClientError;

/// How often it is looked whether the snapshot is there.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a snapshot may take to come into being.
const BUILD_TIME_MAX: Duration = Duration::from_secs(600);

/// How often a transfer begins anew whose snapshot has given way to newer ones.
const ATTEMPTS_MAX: usize = 5;

/// A backup that was written and verified.
#[derive(Clone, Debug)]
pub struct Saved {
    /// Whose it is.
    pub head: BackupHead,
    /// What it holds.
    pub contents: Contents,
    /// The length of the file. Units: bytes.
    pub bytes: u64,
    /// Whether it has everything that was answered before; without a leader it has what the node
    /// has.
    pub is_current: bool,
}

/// Takes a backup of the first node that answers, into a file that is there whole or not at all.
/// Each request may take `within`; the file says that it was made at `wall_time_us`, microseconds
/// since 1970.
///
/// Errors: `BackupError`; a file that was there under this name is as it was.
pub async fn save(
    endpoints: &[String],
    path: &Path,
    (within, wall_time_us): (Duration, u64),
) -> Result<Saved, BackupError> {
    let mut line = Line::open(endpoints, within).await?;
    let is_current = line.is_current().await;
    let status = line.status().await?;
    check(&line, &status)?;
    for _ in 0..ATTEMPTS_MAX {
        let snapshot = fresh_snapshot(&mut line, status.applied_index).await?;
        let head = BackupHead {
            cluster_id: status.cluster_id,
            node_id: status.node_id,
            wall_time_us,
            snapshot,
        };
        let mut unfinished = Unfinished::create(path)?;
        unfinished.write(&head.encode())?;
        if !fetch(&mut line, snapshot, &mut unfinished).await? {
            continue;
        }
        let contents = unfinished.complete(path)?;
        return Ok(Saved { head, contents, bytes: head.file_bytes(), is_current });
    }
    Err(BackupError::NoSnapshot(format!(
        "{} makes snapshots faster than they can be fetched; try again",
        line.address()
    )))
}

fn check(line: &Line, status: &NodeStatus) -> Result<(), BackupError> {
    let address = line.address();
    if status.fenced {
        return Err(BackupError::NoSnapshot(format!(
            "the state of {address} differs from the majority's; take the backup of another node \
             with --endpoints"
        )));
    }
    if status.applied_index == 0 {
        return Err(BackupError::NoSnapshot(format!(
            "{address} has applied nothing yet; wait until it is in a cluster, see kvctl status"
        )));
    }
    Ok(())
}

/// A snapshot of the node that covers an entry.
async fn fresh_snapshot(line: &mut Line, covers: u64) -> Result<SnapshotId, BackupError> {
    let give_up = Instant::now() + BUILD_TIME_MAX;
    while Instant::now() < give_up {
        let frame = line.ask(Op::Snapshot { covers }).await?;
        match reply(&frame)? {
            Reply::Snapshot(Some(name)) if covers <= name.index => return Ok((*name).into()),
            Reply::Snapshot(_) => sleep(LOOK_EVERY).await,
            other => return Err(refused(line.address(), &other).into()),
        }
    }
    Err(BackupError::NoSnapshot(format!(
        "{} has made no snapshot in {} s; see its log, its disk may be full",
        line.address(),
        BUILD_TIME_MAX.as_secs()
    )))
}

/// Fetches a snapshot; false if it is not there any more.
async fn fetch(
    line: &mut Line,
    id: SnapshotId,
    into: &mut Unfinished,
) -> Result<bool, BackupError> {
    let mut offset = 0;
    while offset < id.bytes {
        let wanted = PieceWanted { of: id.into(), offset, bytes_max: PIECE_BYTES_MAX };
        let frame = line.ask(Op::SnapshotPiece(Box::new(wanted))).await?;
        match reply(&frame)? {
            Reply::SnapshotPiece(Some(piece)) if !piece.is_empty() => {
                into.write(piece)?;
                offset += piece.len() as u64;
            }
            Reply::SnapshotPiece(_) => return Ok(false),
            other => return Err(refused(line.address(), &other).into()),
        }
    }
    if offset != id.bytes {
        return Err(ClientError::nonsense().into());
    }
    Ok(true)
}

/// A file that is being written under another name, and removed unless it is completed.
struct Unfinished {
    path: PathBuf,
    file: File,
}

impl Unfinished {
    fn create(target: &Path) -> Result<Self, BackupError> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(format!(".unfinished-{}", std::process::id()));
        let path = target.with_file_name(name);
        let opened = OpenOptions::new().write(true).create(true).truncate(true).open(&path);
        let file = opened.map_err(BackupError::file("write", &path))?;
        Ok(Self { path, file })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.file.write_all(bytes).map_err(BackupError::file("write", &self.path))
    }

    /// Syncs the file, reads it again, and gives it its name.
    fn complete(self, target: &Path) -> Result<Contents, BackupError> {
        self.file.sync_all().map_err(BackupError::file("write", &self.path))?;
        let contents = BackupFile::open(&self.path)?.contents()?;
        let renamed = || -> io::Result<()> {
            fs::rename(&self.path, target)?;
            let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
        };
        renamed().map_err(BackupError::file("write", target))?;
        Ok(contents)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Completed, it has another name; else nobody misses it.
        let _ = fs::remove_file(&self.path);
    }
}

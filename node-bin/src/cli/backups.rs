//! Backups that a node takes of itself, and an archive of its log's closed segments.
//!
//! A thread of its own asks the node as any client does, and another one copies segments, so that
//! nothing here can hold up the node, no segment is cut while a long backup is taken, and a
//! failure is a line in the log. Each node that is told to writes its own: a backup
//! needs no leader then, and does not stop when another one leads.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use kvorum_client::backup::{BackupError, BackupFile, save};
use kvorum_client::utc;
use raft_core::wal::archive::{SEGMENT_BEGINNING_BYTES, closed_segments, entry_before, segments};
use raft_core::wal::identity::IDENTITY_FILE;

use super::settings::wrong;
use crate::clock::Clock;
use crate::error::StartError;

/// How often it is looked whether a backup is to be taken.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often it is looked whether a segment was closed: snapshots may cut it soon.
const LOOK_FOR_SEGMENTS_EVERY: Duration = Duration::from_millis(200);

/// How long each request to the own node may take.
const WITHIN: Duration = Duration::from_secs(10);

/// How long to wait after a failure, unless backups are more frequent.
const AFTER_FAILURE: Duration = Duration::from_secs(60);

/// How modest the thread is (nice).
const NICE: i32 = 10;

const SUFFIX: &str = ".kvb";
const UNFINISHED: &str = "unfinished";

/// The flags.
#[derive(Debug, Args)]
pub(super) struct BackupArguments {
    /// A folder for backups that this node takes of itself, and for the closed segments of its
    /// log
    #[arg(long, value_name = "FOLDER", env = "KVORUM_BACKUP_DIR")]
    backup_dir: Option<PathBuf>,
    /// How often
    #[arg(long, value_name = "SECONDS", env = "KVORUM_BACKUP_INTERVAL", default_value_t = 3_600)]
    backup_interval: u64,
    /// How many of them stay, with the log behind the oldest
    #[arg(long, value_name = "N", env = "KVORUM_BACKUP_KEEP", default_value_t = 24)]
    backup_keep: usize,
}

/// A node that takes backups of itself.
#[derive(Clone, Debug)]
pub(super) struct Backups {
    /// Where it is reached.
    pub(super) endpoint: String,
    pub(super) cluster_id: u64,
    pub(super) node_id: u64,
    /// Where its log is.
    pub(super) data: PathBuf,
}

#[derive(Clone, Debug)]
struct Schedule {
    node: Backups,
    directory: PathBuf,
    interval: Duration,
    keep: usize,
    /// By the calendar, which a restart does not begin anew.
    next_at: Duration,
    /// What was said last, so that a full disk is not told of every second.
    told: String,
}

impl BackupArguments {
    /// Whether the flags make sense.
    ///
    /// Errors: names the one that does not.
    pub(super) fn check(&self) -> Result<(), StartError> {
        match self {
            Self { backup_interval: 0, .. } => {
                Err(wrong("--backup-interval must be at least 1".to_owned()))
            }
            Self { backup_keep: 0, .. } => {
                Err(wrong("--backup-keep must be at least 1".to_owned()))
            }
            Self { backup_dir: Some(directory), .. } => fs::create_dir_all(directory)
                .map_err(|error| wrong(format!("--backup-dir {}: {error}", directory.display()))),
            Self { backup_dir: None, .. } => Ok(()),
        }
    }

    /// Begins to take backups, if there is a folder for them, until what is returned is dropped.
    ///
    /// Errors: `Thread`.
    pub(super) fn start(&self, node: Backups) -> Result<Vec<Sender<()>>, StartError> {
        let Some(directory) = self.backup_dir.clone() else { return Ok(Vec::new()) };
        let mut schedule = Schedule {
            node,
            directory,
            interval: Duration::from_secs(self.backup_interval),
            keep: self.backup_keep,
            next_at: Duration::ZERO,
            told: String::new(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(StartError::Thread)?;
        schedule.resume();
        let mut archiving = schedule.clone();
        let pause = LOOK_EVERY.min(schedule.interval);
        Ok(vec![
            repeat("backups", pause, move || schedule.look(&runtime))?,
            repeat("archive", LOOK_FOR_SEGMENTS_EVERY, move || archiving.look_for_segments())?,
        ])
    }
}

/// Does something again and again on a modest thread, until what is returned is dropped.
///
/// Errors: `Thread`.
fn repeat(
    name: &str,
    pause: Duration,
    mut look: impl FnMut() + Send + 'static,
) -> Result<Sender<()>, StartError> {
    let (until, ends) = mpsc::channel();
    let run = move || {
        // Without the right to be modest it disturbs a little more.
        let _ = rustix::process::nice(NICE);
        loop {
            look();
            if ends.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    };
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.map(|_| until).map_err(StartError::Thread)
}

impl Schedule {
    /// How the names of this node's backups begin.
    fn prefix(&self) -> String {
        format!("kvorum-{:016x}-node-{}-", self.node.cluster_id, self.node.node_id)
    }

    fn archive(&self) -> PathBuf {
        self.directory.join(self.prefix() + "log")
    }

    /// Goes on where an earlier process has stopped.
    fn resume(&mut self) {
        let prefix = self.prefix();
        for (folder, prefix) in [(self.directory.clone(), prefix.as_str()), (self.archive(), "")] {
            // Others may be writing to the same folder.
            let is_left = |name: &String| name.starts_with(prefix) && name.contains(UNFINISHED);
            for name in names(&folder).into_iter().filter(is_left) {
                // Whatever stays harms nobody.
                let _ = fs::remove_file(folder.join(name));
            }
        }
        let newest = self.backups().pop();
        let made = newest.and_then(|path| fs::metadata(path).ok()?.modified().ok());
        let made = made.and_then(|made| made.duration_since(UNIX_EPOCH).ok());
        if let Some(made) = made {
            self.next_at = made + self.interval;
        }
    }

    /// The backups that are there, the oldest first.
    fn backups(&self) -> Vec<PathBuf> {
        let prefix = self.prefix();
        let is_one = |name: &String| name.starts_with(&prefix) && name.ends_with(SUFFIX);
        let mut backups: Vec<String> = names(&self.directory).into_iter().filter(is_one).collect();
        backups.sort_unstable();
        backups.into_iter().map(|name| self.directory.join(name)).collect()
    }

    fn look_for_segments(&mut self) {
        match self.archive_segments() {
            Ok(()) => self.told.clear(),
            Err(error) => self.tell(format!("the log is not archived: {error}")),
        }
    }

    fn look(&mut self, runtime: &tokio::runtime::Runtime) {
        let now = Duration::from_micros(Clock::wall_time());
        if now < self.next_at {
            return;
        }
        match self.take(runtime, now) {
            Ok(()) => {
                self.next_at = now + self.interval;
                self.told.clear();
            }
            Err(error) => {
                self.next_at = now + self.interval.min(AFTER_FAILURE);
                self.tell(format!("no backup was taken: {error}"));
            }
        }
    }

    fn tell(&mut self, what: String) {
        if self.told != what {
            tracing::warn!(node = self.node.node_id, "{what}");
            self.told = what;
        }
    }

    /// Takes a backup, and removes what is too old then.
    fn take(&self, runtime: &tokio::runtime::Runtime, now: Duration) -> Result<(), BackupError> {
        let wall_time_us = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        let stamp = utc::date(wall_time_us / 1_000);
        let name = format!("{}{}{SUFFIX}", self.prefix(), stamp.replace([':', '-'], ""));
        let path = self.directory.join(name);
        let endpoint = std::slice::from_ref(&self.node.endpoint);
        let saved = runtime.block_on(save(endpoint, &path, (WITHIN, wall_time_us)))?;
        let (index, bytes) = (saved.head.snapshot.last.index.0, saved.bytes);
        tracing::info!(node = self.node.node_id, index, bytes, "a backup was taken");
        let backups = self.backups();
        let old = backups.len().saturating_sub(self.keep);
        for path in &backups[..old] {
            // It is tried again with the next one.
            let _ = fs::remove_file(path);
        }
        if let Some(oldest) = backups.get(old) {
            self.forget_segments(BackupFile::open(oldest)?.snapshot.last.index.0);
        }
        Ok(())
    }

    /// Copies the closed segments that are not in the archive yet.
    fn archive_segments(&self) -> io::Result<()> {
        let archive = self.archive();
        let (there, here) = (names(&archive), names(&self.node.data));
        let missing = closed_segments(&here).into_iter().filter(|name| !there.contains(name));
        // One that was forgotten is not wanted again.
        let newest = segments(&there).pop();
        for name in missing.filter(|name| newest.as_ref().is_none_or(|newest| newest < name)) {
            fs::create_dir_all(&archive)?;
            if !there.iter().any(|name| name == IDENTITY_FILE) {
                copy(&self.node.data.join(IDENTITY_FILE), &archive, IDENTITY_FILE)?;
            }
            match copy(&self.node.data.join(&name), &archive, &name) {
                // A snapshot has taken its place meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                copied => copied?,
            }
        }
        Ok(())
    }

    /// Removes the segments all of whose entries the oldest backup has.
    fn forget_segments(&self, covered: u64) {
        let archive = self.archive();
        let archived = segments(&names(&archive));
        for pair in archived.windows(2) {
            let is_covered = beginning(&archive.join(&pair[1]))
                .and_then(|beginning| entry_before(&beginning))
                .is_some_and(|before| before.0 <= covered);
            if !is_covered {
                return;
            }
            // It is tried again with the next backup.
            let _ = fs::remove_file(archive.join(&pair[0]));
        }
    }
}

/// The names of the files in a folder; none if it cannot be read.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn beginning(path: &Path) -> Option<Vec<u8>> {
    let mut beginning = Vec::new();
    let file = File::open(path).ok()?;
    file.take(SEGMENT_BEGINNING_BYTES as u64).read_to_end(&mut beginning).ok()?;
    Some(beginning)
}

/// Copies a file into a folder, where it is whole or not at all.
fn copy(from: &Path, folder: &Path, name: &str) -> io::Result<()> {
    let unfinished = folder.join(format!("{name}.{UNFINISHED}"));
    let copied = fs::copy(from, &unfinished)
        .and_then(|_| File::open(&unfinished)?.sync_all())
        .and_then(|()| fs::rename(&unfinished, folder.join(name)))
        .and_then(|()| File::open(folder)?.sync_all());
    if copied.is_err() {
        // The error that counts is the first.
        let _ = fs::remove_file(&unfinished);
    }
    copied
}

//! What a node's disks hold, through crashes, wipes and rot: its log, with its snapshots.

use raft_core::consensus::log::RaftLog;
use raft_core::consensus::ready::{Fetch, Persist};
use raft_core::entry::Entries;
use raft_core::hard_state::Configuration;
use raft_core::replica::log_files::{LogFact, LogFiles};
use raft_core::snapshot::SnapshotId;
use raft_core::types::{EntryId, Incarnation, Index};
use raft_core::wal::disk::Disk as _;
use raft_core::wal::snapshots::SnapshotError;
use raft_core::wal::{OpenError, Recovered, Wal, WalError, WalOptions};

use crate::simulator::dice::Dice;
use crate::simulator::disk::{Crash, SimDisk, Troubles};
use crate::simulator::files::{Files, LoadedSnapshot};
use crate::simulator::report::Counts;

/// The disks of a machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disks {
    pub(crate) log: SimDisk,
    pub(crate) snapshots: SimDisk,
}

impl Disks {
    /// There is room again, and nothing fails any more.
    pub(crate) fn recover(&self) {
        self.log.recover();
        self.snapshots.recover();
    }

    /// How often something went wrong.
    pub(crate) fn troubles(&self) -> [Troubles; 2] {
        [self.log.troubles(), self.snapshots.troubles()]
    }

    /// Adds what went wrong.
    pub(crate) fn count(&self, counts: &mut Counts) {
        for troubles in self.troubles() {
            counts.read_errors += troubles.read_errors;
            counts.write_errors += troubles.write_errors;
            counts.sync_errors += troubles.sync_errors;
            counts.flipped_reads += troubles.flipped_reads;
        }
    }
}

/// The log of a running node.
#[derive(Debug)]
pub(crate) struct Storage {
    files: LogFiles<SimDisk>,
    disk: SimDisk,
}

/// A log that was opened, with all that is in it and the snapshot that it goes on behind.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) storage: Storage,
    pub(crate) recovered: Recovered,
    pub(crate) entries: Vec<Entries>,
    pub(crate) files: Files,
    pub(crate) snapshot: Option<LoadedSnapshot>,
    /// How many snapshots turned out to be damaged.
    pub(crate) snapshots_damaged: u64,
}

/// Why a node does not start.
#[derive(Debug)]
pub(crate) enum StartError {
    /// Its disks do not answer or have no room; the same start may be tried again.
    Disk(String),
    /// Its log says no.
    Log(OpenError),
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Disk { .. } => Self::Disk(error.to_string()),
            _ => Self::Log(error),
        }
    }
}

impl From<SnapshotError> for StartError {
    fn from(error: SnapshotError) -> Self {
        Self::Disk(error.to_string())
    }
}

impl Storage {
    /// Opens the snapshots and then the log on `disks`, perhaps only at the second attempt
    /// because the power fails in the first.
    ///
    /// Errors: as `SnapshotFiles::open` and `Wal::open`.
    pub(crate) fn open(
        disks: &Disks,
        (incarnation, configuration): (Incarnation, &Configuration),
        segment_bytes: u64,
        dice: &mut Dice,
    ) -> Result<Opened, StartError> {
        let disk = disks.log.clone();
        let (files, snapshot, snapshots_damaged) = Files::open(&disks.snapshots, dice)?;
        let base = snapshot.as_ref().map_or(EntryId::ZERO, |(id, _)| id.last);
        let configuration = configuration.encode();
        let options = WalOptions { segment_bytes, incarnation, configuration, base };
        if dice.chance(100) {
            disk.pull_plug_after(dice.below(12));
            // Whatever it answers, this attempt ends with the power.
            drop(Wal::open(disk.clone(), options.clone()));
            let crash = dice.pick(&[Crash::Torn, Crash::Clean]);
            disk.crash(dice, crash);
        }
        let (mut wal, recovered) = Wal::open(disk.clone(), options)?;
        let range = recovered.base.index.next()..recovered.last.index.next();
        let entries = match wal.read(range.start, range.end, usize::MAX) {
            Err(WalError::Unreadable { cause, .. }) => {
                return Err(StartError::Disk(cause.to_string()));
            }
            entries => entries.expect("recovery has verified it"),
        };
        let storage = Self { files: LogFiles::new(wal), disk };
        Ok(Opened { storage, recovered, entries, files, snapshot, snapshots_damaged })
    }

    /// Takes in a batch.
    pub(crate) fn add(&mut self, persist: Persist) {
        self.files.add(persist);
    }

    /// Whether batches wait for room.
    pub(crate) fn has_waiting(&self) -> bool {
        self.files.has_waiting()
    }

    /// Writes and syncs what waits. Errors: the node must end.
    pub(crate) fn flush(&mut self) -> Result<Vec<LogFact>, WalError> {
        self.files.flush()
    }

    /// Gives up what stands before `first`. Errors: the node must end.
    pub(crate) fn cut_before(&mut self, first: Index) -> Result<Vec<LogFact>, WalError> {
        self.files.cut_before(first)
    }

    /// Segments that are begun from now on say who is in the cluster.
    pub(crate) fn set_configuration(&mut self, configuration: &Configuration) {
        self.files.set_configuration(configuration.encode());
    }

    /// Says on disk that everything is synced. Errors: the node must end.
    pub(crate) fn mark(&mut self) -> Result<(), WalError> {
        self.files.mark()
    }

    /// Makes the next segment in advance, as a helper does who has the same disk.
    pub(crate) fn prepare_spare(&mut self) {
        let Some(order) = self.files.spare_wanted() else { return };
        if self.disk.create(order.name, order.length).is_ok() {
            self.files.spare_prepared();
        }
    }

    /// Reads entries back. Errors: the node must end.
    pub(crate) fn fetch(&mut self, fetch: Fetch) -> Result<Vec<LogFact>, WalError> {
        self.files.fetch(fetch)
    }

    /// Ends the process, perhaps in the middle of `under_way`.
    pub(crate) fn crash(mut self, under_way: Option<&UnderWay>, crash: Crash, dice: &mut Dice) {
        if let Some(job) = under_way.filter(|_| dice.chance(800)) {
            let bound = dice.pick(&[3, 8]);
            self.disk.pull_plug_after(dice.below(bound));
            // Whether it came to an end is what the next start will find out.
            let _ = match job {
                UnderWay::Persist(_) => self.files.flush(),
                UnderWay::Cut(first) => self.files.cut_before(*first),
            };
        }
        self.disk.crash(dice, crash);
    }
}

/// What a log was doing when its process ended.
#[derive(Debug)]
pub(crate) enum UnderWay {
    /// Writing the batches that it had taken in, none, some or all of which were written.
    Persist(Vec<Persist>),
    /// Letting go of what stands before this entry.
    Cut(Index),
}

impl Opened {
    /// The snapshot that was loaded.
    pub(crate) fn snapshot_id(&self) -> Option<SnapshotId> {
        self.snapshot.as_ref().map(|(id, _)| *id)
    }

    /// The log of Raft over what recovery found, with the newest entries, at most `tail_max` and
    /// at least one if there is any, in memory. `founding` is what a log without a snapshot
    /// begins with.
    pub(crate) fn raft_log(
        &self,
        founding: &Configuration,
        tail_max: u64,
        dice: &mut Dice,
    ) -> RaftLog {
        let Recovered { terms, base, last, hard_state, .. } = &self.recovered;
        let length = last.index.0 - base.index.0;
        let tail_from = Index(last.index.0 - dice.below(length.clamp(1, tail_max)));
        let range = tail_from..last.index.next();
        let tail = self.entries.iter().filter_map(|run| run.slice(range.clone(), usize::MAX));
        let log = RaftLog::restore(*base, terms.clone(), tail.collect(), hard_state.commit_index);
        let made = self.recovered.configurations.iter().filter_map(|(index, payload)| {
            Some((*index, Configuration::made_by(*index, payload)?))
        });
        let made = made.collect();
        match &self.snapshot {
            None => log.with_configurations((Index::ZERO, founding.clone()), made),
            Some((id, loaded)) => {
                let state = &loaded.state;
                let begins = (state.configured_at, state.configuration.clone());
                log.continue_from(id.last).with_configurations(begins, made)
            }
        }
    }
}

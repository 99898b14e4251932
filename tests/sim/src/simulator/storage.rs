//! What a node's disks hold, through crashes, wipes and rot: its log, with its snapshots.

use raft_core::configuration::Decision;
use raft_core::consensus::log::RaftLog;
use raft_core::consensus::ready::Persist;
use raft_core::entry::Entries;
use raft_core::hard_state::Configuration;
use raft_core::snapshot::SnapshotId;
use raft_core::types::{EntryId, Incarnation, Index};
use raft_core::wal::{OpenError, Recovered, Wal, WalError, WalOptions};

use crate::simulator::dice::Dice;
use crate::simulator::disk::{Crash, Plug, SimDisk};
use crate::simulator::files::{Files, LoadedSnapshot};

/// The disks of a machine.
#[derive(Debug, Default)]
pub(crate) struct Disks {
    pub(crate) log: SimDisk,
    pub(crate) snapshots: SimDisk,
}

/// The log of a running node.
#[derive(Debug)]
pub(crate) struct Storage {
    wal: Wal<SimDisk>,
    plug: Plug,
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

impl Storage {
    /// Opens the snapshots and then the log on `disks`, perhaps only at the second attempt
    /// because the power fails in the first.
    ///
    /// Errors: as `Wal::open`.
    pub(crate) fn open(
        disks: Disks,
        (incarnation, configuration): (Incarnation, &Configuration),
        segment_bytes: u64,
        dice: &mut Dice,
    ) -> Result<Opened, OpenError> {
        let Disks { mut log, snapshots } = disks;
        let (files, snapshot, snapshots_damaged) = Files::open(snapshots, dice);
        let base = snapshot.as_ref().map_or(EntryId::ZERO, |(id, _)| id.last);
        let configuration = configuration.encode();
        let options = WalOptions { segment_bytes, incarnation, configuration, base };
        if dice.chance(100) {
            log.plug().pull_after(dice.below(12));
            // Whatever it answers, this attempt ends with the power.
            drop(Wal::open(&mut log, options.clone()));
            let crash = dice.pick(&[Crash::Torn, Crash::Clean]);
            log.crash(dice, crash);
        }
        let plug = log.plug();
        let (mut wal, recovered) = Wal::open(log, options)?;
        let range = recovered.base.index.next()..recovered.last.index.next();
        let entries = wal.read(range.start, range.end, usize::MAX);
        let entries = entries.expect("recovery has verified it");
        let storage = Self { wal, plug };
        Ok(Opened { storage, recovered, entries, files, snapshot, snapshots_damaged })
    }

    /// Writes and syncs a batch.
    pub(crate) fn append(&mut self, persist: &Persist) {
        self.try_append(persist).expect("the disk works and has room");
    }

    fn try_append(&mut self, persist: &Persist) -> Result<(), WalError> {
        if let Some(base) = persist.base {
            self.wal.reset(base, &persist.hard_state)?;
        }
        self.wal.append(&persist.hard_state, &persist.entries)
    }

    /// Gives up what stands before `first`.
    pub(crate) fn cut_before(&mut self, first: Index) {
        self.wal.cut_before(first).expect("the disk works");
    }

    /// Segments that are begun from now on say who is in the cluster.
    pub(crate) fn set_configuration(&mut self, configuration: &Configuration) {
        self.wal.set_configuration(configuration.encode());
    }

    /// Says on disk that everything is synced.
    pub(crate) fn mark(&mut self) {
        self.wal.mark().expect("the disk works");
    }

    /// Reads entries back.
    pub(crate) fn read(&mut self, first: Index, end: Index, bytes_max: usize) -> Vec<Entries> {
        self.wal.read(first, end, bytes_max).expect("the disk works and nothing rots unseen")
    }

    /// Ends the process, perhaps in the middle of `under_way`.
    pub(crate) fn crash(
        mut self,
        under_way: Option<&UnderWay>,
        crash: Crash,
        dice: &mut Dice,
    ) -> SimDisk {
        if let Some(job) = under_way.filter(|_| dice.chance(800)) {
            let bound = dice.pick(&[3, 8]);
            self.plug.pull_after(dice.below(bound));
            // Whether it came to an end is what the next start will find out.
            let _ = match job {
                UnderWay::Persist(persist) => self.try_append(persist),
                UnderWay::Cut(first) => self.wal.cut_before(*first),
            };
        }
        let mut disk = self.wal.into_disk();
        disk.crash(dice, crash);
        disk
    }
}

/// What a log was doing when its process ended.
#[derive(Debug)]
pub(crate) enum UnderWay {
    /// Writing a batch.
    Persist(Persist),
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
            match Decision::decode(payload) {
                Some(Decision::Made { configuration, .. }) => Some((*index, configuration)),
                Some(Decision::Refused(_)) | None => None,
            }
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

//! Opening a log: survey it, set aside what is damaged, make durable what is accepted.
//!
//! The order of writes is what makes a crash in here harmless: the quarantine is on disk
//! before the first byte of evidence is moved, and nothing is counted as synced before it has
//! been written again and synced by us.

use bytes::Bytes;

use crate::hard_state::{HardState, Standing};
use crate::teeth::is_removed;
use crate::types::{EntryId, Index};
use crate::wal::disk::Disk;
use crate::wal::error::{Damage, OpenError};
use crate::wal::hard_state_file::{
    HARD_STATE_FILE, HARD_STATE_FILE_NEW, HardStateFile, Slot, Slots,
};
use crate::wal::judgement::Judgement;
use crate::wal::log::{NEW_SEGMENT_FILE, SPARE_FILE, Wal, WalOptions};
use crate::wal::reader::{SegmentReader, WINDOW_BYTES};
use crate::wal::recovery::Survey;
use crate::wal::segment::{Segment, segment_name, segment_number};

/// How many zeros are written at once over torn or damaged bytes.
const ZEROS_BYTES: u64 = 64 * 1024;

/// What the log held when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The newest hard state; quarantined if there is damage.
    pub hard_state: HardState,
    /// The configuration that the newest segment opened with.
    pub configuration: Vec<u8>,
    /// The payloads of all entries behind `base` that change the membership, ascending.
    pub configurations: Vec<(Index, Bytes)>,
    /// The entry before the first one that can be read, [`EntryId::ZERO`] for a whole log; never
    /// behind the one that the snapshot ends with.
    pub base: EntryId,
    /// The first entry of each term behind `base`, ascending; the term of `base` itself begins
    /// anew if it goes on.
    pub terms: Vec<EntryId>,
    /// The last entry, `base` if there is none.
    pub last: EntryId,
    /// Whether the log was made just now. A caller that finds an old identity beside a fresh
    /// log has lost the directory's content, and with it every promise.
    pub is_fresh: bool,
    /// What was lost, for the log of the program and for the operator.
    pub damage: Option<Damage>,
    /// What was damaged of a part of the log that the snapshot covers: nothing is lost, but the
    /// disk may be failing. The damaged segments are kept as `damage` is.
    pub damage_before_base: Option<Damage>,
    /// How much of a batch that was never acknowledged was dropped, zero after a clean stop.
    /// Units: bytes.
    pub torn_bytes: u64,
}

/// What the directory holds of a log.
struct Files {
    names: Vec<String>,
    /// The numbers of all segments, ascending.
    segments: Vec<u64>,
    slots: Slots,
}

impl Files {
    fn find<D: Disk>(disk: &mut D, options: &WalOptions) -> Result<Self, OpenError> {
        let names = disk.list().map_err(OpenError::disk("list", "the data directory"))?;
        let mut segments: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
        segments.sort_unstable();
        let has = |wanted: &str| names.iter().any(|name| name == wanted);
        // Nothing says whether these were finished, and nothing in them counts yet.
        for unfinished in [SPARE_FILE, NEW_SEGMENT_FILE, HARD_STATE_FILE_NEW] {
            if has(unfinished) {
                disk.remove(unfinished).map_err(OpenError::disk("remove", unfinished))?;
            }
        }
        let slots = if has(HARD_STATE_FILE) {
            Slots::load(disk, options.incarnation)?
        } else {
            Slots::Absent
        };
        Ok(Self { names, segments, slots })
    }
}

impl<D: Disk> Wal<D> {
    /// Opens the log in the directory, or makes one, and leaves it ready to be appended to.
    ///
    /// Everything in `Recovered` is durable when this returns. Damage is cut off, and copies
    /// of what is cut are kept in files whose names start with `damaged-`.
    ///
    /// Errors: `OpenError` as its variants say; the caller must not run on this directory.
    pub fn open(mut disk: D, options: WalOptions) -> Result<(Self, Recovered), OpenError> {
        let files = Files::find(&mut disk, &options)?;
        let known = (options.incarnation, options.base);
        let judgement = Judgement::of(&mut disk, known, &files.segments, &files.slots)?;
        let survey = &judgement.survey;
        if let Some(damage) = &survey.damage
            && !files.slots.are_whole()
        {
            return Err(OpenError::BothCopiesLost(damage.clone()));
        }
        let is_fresh = survey.segments.is_empty() && survey.damage.is_none();
        let hard_state = newest_hard_state(survey, &files.slots, options.base);
        // On a first start before the first segment, so that a directory with this file and
        // without segments has lost them; with damage before any evidence is touched.
        let is_first = is_fresh && files.slots == Slots::Absent;
        let hard_state_file = if survey.damage.is_some() || is_first {
            let number = if is_first { 0 } else { survey.number + 1 };
            let segment = survey.segments.last().map_or(0, |segment| segment.number);
            let slot = Slot { number, synced_through: survey.number, segment, hard_state };
            HardStateFile::replace(&mut disk, options.incarnation, &slot)?
        } else {
            HardStateFile::resume(options.incarnation, &files.slots)
        };
        set_aside_whole(&mut disk, &files.names, &judgement.dropped)?;
        if survey.damage.is_some() {
            set_aside(&mut disk, &options, &files, &judgement)?;
        }
        let mut recovered = Recovered {
            hard_state,
            configuration: survey.configuration.clone().unwrap_or(options.configuration.clone()),
            configurations: survey.configurations(),
            base: survey.base,
            terms: survey.terms(),
            last: survey.last,
            is_fresh,
            damage: survey.damage.clone(),
            damage_before_base: judgement.damage_before_base.clone(),
            torn_bytes: 0,
        };
        let base = options.base;
        let mut wal = Self::resume(disk, options, hard_state_file, &recovered, survey);
        wal.settle(&mut recovered, survey, &files.slots)?;
        if !survey.holds(base) {
            wal.reset(base, &recovered.hard_state)?;
            recovered.hard_state = *wal.hard_state();
            (recovered.base, recovered.last) = (base, base);
            (recovered.terms, recovered.configurations) = (Vec::new(), Vec::new());
        }
        Ok((wal, recovered))
    }

    /// Makes what was accepted durable and provable, and the tail behind it empty.
    fn settle(
        &mut self,
        recovered: &mut Recovered,
        survey: &Survey,
        slots: &Slots,
    ) -> Result<(), OpenError> {
        let is_new = survey.segments.is_empty();
        if is_new {
            self.begin_segment(0)?;
        }
        let current = self.current();
        let used = if is_new {
            // It was filled with zeros just now, and is long.
            current.end
        } else {
            let used = self.reader(&current, WINDOW_BYTES).used_end(current.end);
            used.map_err(OpenError::disk("read", &current.name()))?
        };
        recovered.torn_bytes = used - current.end;

        let is_proven = slots.readable().any(|slot| survey.number <= slot.synced_through);
        if is_proven {
            self.marked_through = survey.number;
        }
        let is_doubtful = !is_proven && !is_removed("cached-batches-are-written-again");
        if let Some(newest) = survey.newest.as_ref().filter(|_| is_doubtful) {
            // Written again because an earlier sync may have failed: then its pages look clean
            // and a sync alone would do nothing.
            let name = segment_name(newest.segment);
            let write = self.disk.write(&name, newest.offset, &newest.batch.bytes);
            write.map_err(OpenError::disk("write", &name))?;
            self.disk.sync(&name).map_err(OpenError::disk("sync", &name))?;
        }
        if 0 < recovered.torn_bytes {
            clear(&mut self.disk, &current, used)?;
        }
        // The log lacks what the newest slot stands for: a promise, or the repair that wrote both
        // slots. Without it the next promise would have the same number as the slot that it
        // leaves. That the snapshot raises the commit index needs no batch.
        let is_behind = slots.newest().is_some_and(|slot| survey.number < slot.number);
        let falls = recovered.hard_state.commit_index < survey.hard_state.commit_index;
        if recovered.damage.is_some() || is_behind || falls {
            self.write_opening_batch()?;
        }
        // The log's newest promise stood in a slot before. A slot with less is not what was
        // written and synced there, and a mark that is lost with the power would leave it so.
        let has_forgotten = slots.newest().is_some_and(|slot| {
            slot.number <= survey.number && survey.hard_state.promises_more_than(&slot.hard_state)
        });
        let has_forgotten = has_forgotten && !is_removed("lost-slots-are-written-again");
        let are_good = slots.are_whole() && !has_forgotten;
        if are_good || recovered.damage.is_some() || recovered.is_fresh {
            self.mark()?;
        } else if slots.newest().is_some() && self.has_both_slots()? {
            self.rewrite_slot()?;
        } else {
            self.replace_hard_state_file()?;
        }
        // The log began anew, and a crash came before these were removed.
        for name in survey.replaced.iter().map(|&number| segment_name(number)) {
            self.disk.remove(&name).map_err(OpenError::disk("remove", &name))?;
        }
        Ok(())
    }
}

/// The newer of the two copies, as far as it goes with what is left of the log.
fn newest_hard_state(survey: &Survey, slots: &Slots, snapshot: EntryId) -> HardState {
    let mut hard_state = match slots.newest() {
        Some(slot) if survey.number < slot.number => slot.hard_state,
        Some(_) | None => survey.hard_state,
    };
    if let Some((_, beyond)) = survey.beyond
        && !is_removed("proofs-of-damage-promise-too")
    {
        keep_promise(&mut hard_state, &beyond);
    }
    // A commit index says something only about the log that was written with it: entries that a
    // lost batch had replaced are back, and were never committed.
    hard_state.commit_index = survey.hard_state.commit_index.min(survey.last.index);
    if survey.holds(snapshot) {
        hard_state.commit_index = hard_state.commit_index.max(snapshot.index);
    }
    if survey.damage.is_some() {
        hard_state.standing = match hard_state.standing {
            // Stricter than a quarantine already, and it must not end as one does.
            Standing::Unbound => Standing::Unbound,
            Standing::Full | Standing::Quarantined => Standing::Quarantined,
        };
    }
    hard_state
}

/// Adds what `beyond`, which stands behind damage, promises more: the slot with it may be lost.
/// Numbers do not tell which of the two is newer, for a start that was cut short has perhaps
/// written a quarantine and left a part of what was to be set aside.
fn keep_promise(hard_state: &mut HardState, beyond: &HardState) {
    let strength = |state: &HardState| (state.term, state.vote.is_some());
    if strength(hard_state) < strength(beyond) {
        (hard_state.term, hard_state.vote) = (beyond.term, beyond.vote);
    }
    // A node that was admitted is so for ever, and has something to lose.
    if hard_state.standing == Standing::Unbound {
        hard_state.standing = beyond.standing;
    }
}

/// Gives segments other names, in this order, under which nothing reads them.
fn set_aside_whole<'n, D: Disk>(
    disk: &mut D,
    names: &[String],
    segments: impl IntoIterator<Item = &'n u64>,
) -> Result<(), OpenError> {
    for name in segments.into_iter().map(|&number| segment_name(number)) {
        let aside = name_aside(names, &name);
        disk.rename(&name, &aside).map_err(OpenError::disk("rename", &name))?;
    }
    Ok(())
}

/// Cuts the log to its good part and keeps what is cut under other names.
fn set_aside<D: Disk>(
    disk: &mut D,
    options: &WalOptions,
    files: &Files,
    judgement: &Judgement,
) -> Result<(), OpenError> {
    let survey = &judgement.survey;
    let good = judgement.dropped.len() + survey.replaced.len() + survey.segments.len();
    let cut = files.segments.get(good..).unwrap_or_default();
    // From the end, so that a crash in between leaves no gap.
    set_aside_whole(disk, &files.names, cut.iter().rev())?;
    let Some(segment) = survey.segments.last() else { return Ok(()) };
    let name = segment.name();
    let failed = |cause| OpenError::disk("set aside the end of", &name)(cause);
    let length = disk.len(&name).map_err(failed)?;
    let mut reader =
        SegmentReader::new(disk, options.incarnation, segment.number, length, WINDOW_BYTES);
    let used = reader.used_end(segment.end).map_err(failed)?;
    if segment.end < used {
        let aside = name_aside(&files.names, &name);
        reader.copy_to(segment.end..used, &aside, used - segment.end).map_err(failed)?;
    }
    if segment.end < used || length < segment.length {
        reader.copy_to(0..segment.end, NEW_SEGMENT_FILE, segment.length).map_err(failed)?;
        disk.rename(NEW_SEGMENT_FILE, &name).map_err(failed)?;
    }
    Ok(())
}

/// A name for the copy of a damaged file that no earlier copy has.
fn name_aside(names: &[String], name: &str) -> String {
    let mut aside = format!("damaged-{name}");
    let mut count = 1;
    while names.contains(&aside) {
        count += 1;
        aside = format!("damaged-{count}-{name}");
    }
    aside
}

/// Overwrites a torn batch, up to `used`, so that no later recovery takes old bytes for
/// evidence.
fn clear<D: Disk>(disk: &mut D, segment: &Segment, used: u64) -> Result<(), OpenError> {
    let name = segment.name();
    let mut at = segment.end;
    while at < used {
        let zeros = vec![0; usize::try_from(ZEROS_BYTES.min(used - at)).expect("64 KiB fit")];
        disk.write(&name, at, &zeros).map_err(OpenError::disk("clear", &name))?;
        at += zeros.len() as u64;
    }
    disk.sync(&name).map_err(OpenError::disk("sync", &name))
}

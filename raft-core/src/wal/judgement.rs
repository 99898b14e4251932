//! The log and the newest snapshot together: what of a damaged log the snapshot covers.

use crate::types::{EntryId, Incarnation};
use crate::wal::disk::Disk;
use crate::wal::error::{Damage, OpenError};
use crate::wal::hard_state_file::Slots;
use crate::wal::recovery::Survey;
use crate::wal::segment::segment_name;

/// What of a log still counts.
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) survey: Survey,
    /// Segments before the survey's, ascending, that are not used because of damage.
    pub(super) dropped: Vec<u64>,
    /// Why they are not used.
    pub(super) damage_before_base: Option<Damage>,
}

impl Judgement {
    /// Reads the segments with these numbers, ascending, and judges them by the slots and by
    /// the last entry that the newest valid snapshot covers.
    ///
    /// Errors: as [`Survey::of`].
    pub(super) fn of<D: Disk>(
        disk: &mut D,
        (incarnation, snapshot): (Incarnation, EntryId),
        numbers: &[u64],
        slots: &Slots,
    ) -> Result<Self, OpenError> {
        let (mut start, mut first_damage) = (0, None);
        let mut empty = Survey::empty(snapshot);
        while start < numbers.len() {
            let mut survey = Survey::of(disk, (incarnation, snapshot), &numbers[start..])?;
            survey.compare(slots);
            let is_good = survey.damage.is_none() || survey.holds(snapshot);
            if is_good && survey.base.index <= snapshot.index {
                let (dropped, damage_before_base) = (numbers[..start].to_vec(), first_damage);
                return Ok(Self { survey, dropped, damage_before_base });
            }
            let read = survey.replaced.len() + survey.segments.len();
            // Numbers go on, so that no batch that is to be set aside is ever newer than the
            // quarantine: a crash in between may leave a part that looks good by itself.
            if empty.number <= survey.number {
                (empty.number, empty.hard_state) = (survey.number, survey.hard_state);
            }
            // The first one has looked at all that follows.
            empty.beyond = empty.beyond.or(survey.beyond);
            let Some(damage) = survey.damage else {
                let before = segment_name(numbers[start].saturating_sub(1).max(1));
                let gap = Damage { file: before, offset: 0, lost_after: snapshot };
                return Ok(Self::nothing_left(empty, first_damage.unwrap_or(gap)));
            };
            first_damage.get_or_insert(damage);
            start += read.max(1);
        }
        if let Some(damage) = first_damage {
            return Ok(Self::nothing_left(empty, damage));
        }
        empty.compare(slots);
        Ok(Self { survey: empty, dropped: Vec::new(), damage_before_base: None })
    }

    /// No part of the log goes on where the snapshot ends.
    fn nothing_left(mut survey: Survey, damage: Damage) -> Self {
        survey.damage = Some(Damage { lost_after: survey.last, ..damage });
        Self { survey, dropped: Vec::new(), damage_before_base: None }
    }
}

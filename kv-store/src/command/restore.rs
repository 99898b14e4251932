//! Putting the keys and leases of a backup in the place of those that are there, step by step.

use serde::{Deserialize, Serialize};

use super::limits::{Excess, LimitError};

/// The most bytes of records in one piece, so that taking one in delays nobody; a piece of one
/// record may be longer. A longer piece is refused.
pub const RESTORE_PIECE_BYTES_MAX: usize = 128 * 1024;

/// The highest revision that a backup may have, which leaves room for all that are to come. A
/// restore of a higher one is refused.
pub const RESTORE_REVISION_MAX: u64 = 1 << 62;

/// A step of a restore. What it stages can be seen by nobody until `Finish`, which puts all of
/// it in the place of the keys and leases at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestoreStep<'a> {
    /// Begins; what another restore has staged is dropped. Answered by
    /// [`Answer::Done`](super::Answer::Done).
    #[serde(rename = "b")]
    Begin(RestorePlan),
    /// Stages a piece. Answered by [`Answer::Done`](super::Answer::Done), or by
    /// [`No::RestoreUnknown`](super::No::RestoreUnknown) or
    /// [`No::PieceExpected`](super::No::PieceExpected); a piece that makes no sense is answered
    /// as malformed and ends the restore.
    #[serde(rename = "p")]
    Piece {
        /// The restore.
        id: u64,
        /// Which piece it is, from 0.
        number: u64,
        /// Leases, keys and items, as [`backup`](crate::backup) makes them.
        #[serde(with = "serde_bytes", borrow)]
        records: &'a [u8],
    },
    /// Puts what was staged in the place of the keys and leases. Answered by
    /// [`Answer::Done`](super::Answer::Done) with the new revision, or as `Piece`.
    #[serde(rename = "f")]
    Finish {
        /// The restore.
        id: u64,
        /// How many pieces there were.
        pieces: u64,
    },
    /// Drops what was staged. Answered as `Finish`.
    #[serde(rename = "a")]
    Abandon {
        /// The restore.
        id: u64,
    },
}

/// What a restore is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorePlan {
    /// A number that no other restore has.
    pub id: u64,
    /// The revision of the backup.
    pub revision: u64,
    /// Whether its revisions are of another history than this cluster's: then every key takes a
    /// new one, and none means two things.
    pub is_foreign: bool,
    /// The log time of the backup, by which the time that its leases and keys had left is
    /// counted. Units: microseconds.
    pub log_time: u64,
    /// How long the restore may take before that time goes on. Units: milliseconds.
    pub grace_ms: u64,
}

impl RestoreStep<'_> {
    pub(super) fn check(&self) -> Result<(), LimitError> {
        match self {
            Self::Begin(plan) if RESTORE_REVISION_MAX < plan.revision => {
                Err(LimitError::RevisionTooHigh)
            }
            Self::Piece { records, .. } if super::COMMAND_BYTES_MAX < records.len() => {
                let (found, limit) = (records.len(), super::COMMAND_BYTES_MAX);
                Err(LimitError::CommandTooLong(Excess { found, limit }))
            }
            Self::Begin(_) | Self::Piece { .. } | Self::Finish { .. } | Self::Abandon { .. } => {
                Ok(())
            }
        }
    }

    /// Whether the step adds to what is in memory.
    pub(super) fn grows(&self) -> bool {
        match self {
            Self::Begin(_) | Self::Piece { .. } => true,
            Self::Finish { .. } | Self::Abandon { .. } => false,
        }
    }
}

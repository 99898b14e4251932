//! What is in a backup, and what of it a restore needs: the parts of a snapshot of the store, read
//! one after the other without building a store of them.
//!
//! A restore takes leases and the newest version of everything that exists. What was before, and
//! users and roles, it leaves out. What a restore had staged when the backup was made is no part
//! of the state that anybody could see, and is left out as well.

use std::collections::VecDeque;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use raft_core::replica::LoadError;

use crate::auth::{Role, User};
use crate::command::RESTORE_PIECE_BYTES_MAX;
use crate::keyspace::{Version, VersionRef, live_bytes_of};
use crate::leases::LEASE_COST_BYTES;
use crate::restoring::STAGED_HEAD_BYTES;
use crate::snapshot::{
    AUTH, BEGIN, END, FORMAT, ITEM, KEY, LEASE, LEASE_BYTES, MARK, ROLE, SEQUENCE, STAGED, Totals,
    USER, VERSION, take, take_head, take_totals,
};

/// What a backup holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The revision of the store.
    pub revision: u64,
    /// The oldest revision that could be read; 0 if all could.
    pub compacted: u64,
    /// The rolling hash of the store.
    pub state_hash: u64,
    /// Keys that exist.
    pub keys: u64,
    /// Fields and members of those.
    pub items: u64,
    /// Leases.
    pub leases: u64,
    /// Users.
    pub users: u64,
    /// Roles.
    pub roles: u64,
    /// Versions of keys and items, those of removed ones included.
    pub versions: u64,
    /// What keys, items and leases take in the memory of a node, about. Units: bytes.
    pub live_bytes: u64,
}

/// A key or an item with the newest version that has come.
#[derive(Debug)]
struct Pending {
    kind: u8,
    name: Vec<u8>,
    newest: Version,
}

/// Reads the parts of a snapshot of a store, in order.
#[derive(Debug, Default)]
pub struct Reader {
    begun: Option<Totals>,
    is_complete: bool,
    /// Whether what was staged has begun.
    is_staged: bool,
    records: u64,
    pending: Option<Pending>,
    summary: Summary,
    piece: BytesMut,
    pieces: VecDeque<Bytes>,
}

impl Reader {
    /// Takes the next part.
    ///
    /// Errors: `LoadError` for what is no part of a snapshot; nothing of it is of use then.
    pub fn read(&mut self, mut part: &[u8]) -> Result<(), LoadError> {
        while let Some((&kind, rest)) = part.split_first() {
            part = rest;
            match (self.begun, kind) {
                _ if self.is_complete => {
                    return Err(LoadError::because("something follows its end"));
                }
                (None, BEGIN) => self.begin(&mut part)?,
                (None, _) | (Some(_), BEGIN) => {
                    return Err(LoadError::because("it has no begin, or several"));
                }
                (Some(totals), END) => self.end(totals, &mut part)?,
                (Some(_), kind) => self.record(kind, &mut part)?,
            }
        }
        Ok(())
    }

    /// The next piece for a restore, once there is a whole one; the last one when all parts were
    /// read.
    pub fn take_piece(&mut self) -> Option<Bytes> {
        if self.is_complete && !self.piece.is_empty() {
            self.pieces.push_back(self.piece.split().freeze());
        }
        self.pieces.pop_front()
    }

    /// What all of it is.
    ///
    /// Errors: `LoadError` if parts are missing.
    pub fn finish(self) -> Result<Summary, LoadError> {
        if !self.is_complete {
            return Err(LoadError::because("its end is missing"));
        }
        Ok(self.summary)
    }

    fn begin(&mut self, part: &mut &[u8]) -> Result<(), LoadError> {
        let format = take(part, 1)?[0];
        if format != FORMAT {
            return Err(LoadError::because(format!("its format {format} is not known here")));
        }
        let totals = take_totals(part)?;
        self.begun = Some(totals);
        self.summary.revision = totals.revision;
        self.summary.compacted = totals.compacted;
        self.summary.state_hash = totals.hash;
        Ok(())
    }

    fn end(&mut self, totals: Totals, part: &mut &[u8]) -> Result<(), LoadError> {
        self.end_subject();
        let (found, records) = (take_totals(part)?, take(part, 8)?.get_u64_le());
        if found != totals || records != self.records {
            return Err(LoadError::because("its end does not go with its begin"));
        }
        self.is_complete = true;
        Ok(())
    }

    fn record(&mut self, kind: u8, part: &mut &[u8]) -> Result<(), LoadError> {
        self.records += u64::from(kind != MARK);
        match kind {
            MARK => take(part, 16).map(drop),
            LEASE => {
                let record = take(part, LEASE_BYTES - 1)?;
                if !self.is_staged {
                    self.summary.leases += 1;
                    self.summary.live_bytes += LEASE_COST_BYTES;
                    self.put(|piece| {
                        piece.put_u8(LEASE);
                        piece.put_slice(record);
                    });
                }
                Ok(())
            }
            AUTH => take(part, 8).map(drop),
            ROLE | USER => self.auth(kind, part),
            SEQUENCE => {
                let mut head = take(part, 12)?;
                head.advance(8);
                let ranks = head.get_u32_le() as usize;
                take(part, ranks.saturating_mul(4)).map(drop)
            }
            STAGED => {
                self.end_subject();
                self.is_staged = true;
                take(part, STAGED_HEAD_BYTES).map(drop)
            }
            KEY | ITEM => self.first(kind, part),
            VERSION => {
                let (bytes, mod_revision) = take_head(part)?;
                let newest = self.version(mod_revision, take(part, bytes)?)?;
                let pending = self.pending.as_mut();
                let pending = pending.ok_or_else(|| LoadError::because("a version has no key"))?;
                pending.newest = newest;
                Ok(())
            }
            other => Err(LoadError::because(format!("no record has the kind {other}"))),
        }
    }

    fn auth(&mut self, kind: u8, part: &mut &[u8]) -> Result<(), LoadError> {
        let name_bytes = take(part, 4)?.get_u32_le() as usize;
        take(part, name_bytes)?;
        let is_whole = if kind == ROLE {
            self.summary.roles += 1;
            Role::decode(part).is_some()
        } else {
            self.summary.users += 1;
            User::decode(part).is_some()
        };
        is_whole.then_some(()).ok_or_else(|| LoadError::because("a role or a user is cut short"))
    }

    fn first(&mut self, kind: u8, part: &mut &[u8]) -> Result<(), LoadError> {
        self.end_subject();
        let name_bytes = take(part, 4)?.get_u32_le() as usize;
        let (version_bytes, mod_revision) = take_head(part)?;
        let name = take(part, name_bytes)?.to_vec();
        let newest = self.version(mod_revision, take(part, version_bytes)?)?;
        if !self.is_staged {
            self.pending = Some(Pending { kind, name, newest });
        }
        Ok(())
    }

    fn version(&mut self, mod_revision: u64, bytes: &[u8]) -> Result<Version, LoadError> {
        self.summary.versions += u64::from(!self.is_staged);
        VersionRef::from_bytes(mod_revision, bytes)
            .map(VersionRef::to_owned)
            .ok_or_else(|| LoadError::because("a key has impossible revisions"))
    }

    /// The newest version of a key or an item is known: it goes into a piece if it exists.
    fn end_subject(&mut self) {
        let Some(Pending { kind, name, newest }) = self.pending.take() else { return };
        let newest = newest.read();
        if newest.is_gone() {
            return;
        }
        let owner_bytes = if kind == KEY { 0 } else { size_of::<u32>() };
        if kind == KEY {
            self.summary.keys += 1;
        } else {
            self.summary.items += 1;
        }
        self.summary.live_bytes += live_bytes_of(owner_bytes + name.len(), newest);
        let length =
            |bytes: &[u8]| u32::try_from(bytes.len()).expect("a record is shorter than a part");
        self.put(|piece| {
            piece.put_u8(kind);
            piece.put_u32_le(length(&name));
            piece.put_u32_le(length(newest.bytes()));
            piece.put_u64_le(newest.mod_revision);
            piece.put_slice(&name);
            piece.put_slice(newest.bytes());
        });
    }

    /// Adds a record to the piece that is being filled, or to the next one.
    fn put(&mut self, record: impl FnOnce(&mut BytesMut)) {
        let before = self.piece.len();
        record(&mut self.piece);
        if RESTORE_PIECE_BYTES_MAX < self.piece.len() && 0 < before {
            let rest = self.piece.split_off(before);
            let full = std::mem::replace(&mut self.piece, rest);
            self.pieces.push_back(full.freeze());
        }
    }
}

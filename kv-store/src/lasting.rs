//! What does not last for ever: leases with their keys, and keys and fields with an end.
//!
//! A leader notices that something has ended and proposes that it be removed; what has ended
//! is decided when that is applied, by the time that the entry bears. So a lease that was
//! renewed in the meantime stays, whoever proposed what.

use raft_core::types::Index;

use crate::command::{ANSWER_BYTES_MAX, ANSWER_KEYS_MAX, Answer, KeyRange, Kind, List, Name, No};
use crate::keyspace::{NEWEST, Tenure};
use crate::leases::{Lease, end_of};
use crate::store::Store;

/// Keys, items and leases that one entry removes, about: all that end at once go at once, and
/// so do all keys of a lease.
const ENDED_PER_COMMAND: usize = 1_000;

/// When a command was taken into the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) index: Index,
    /// Units: microseconds.
    pub(crate) log_time: u64,
    /// What lots depend on.
    pub(crate) seed: u64,
}

impl Store {
    /// Grants a lease; 0 asks for an id that is free.
    pub(crate) fn grant_lease(&mut self, at: At, id: u64, ttl_ms: u64) -> Answer<'static> {
        let revision = self.revision;
        let is_free = |store: &Self, id| store.leases.get(id).is_none();
        if id != 0 && !is_free(self, id) {
            return Answer::No { revision, why: No::LeaseExists { id } };
        }
        // No other entry has this index, and so many leases are not.
        let id = if id == 0 {
            (at.index.0..).find(|&id| is_free(self, id)).expect("ids do not run out")
        } else {
            id
        };
        let ends_at = end_of(at.log_time, ttl_ms);
        self.leases.set(id, Lease { ttl_ms, ends_at });
        self.hash.grant_lease(at.index, id, (ttl_ms, ends_at));
        Answer::Granted { id, ttl_ms, revision }
    }

    /// Ends a lease, and removes its keys in one revision.
    pub(crate) fn revoke_lease(&mut self, at: At, id: u64) -> Answer<'static> {
        if self.leases.get(id).is_none() {
            return Answer::No { revision: self.revision, why: No::LeaseUnknown { id } };
        }
        let count = self.end_lease(at, id) as u64;
        Answer::Deleted { count, revision: self.revision_so_far() }
    }

    fn end_lease(&mut self, at: At, id: u64) -> usize {
        self.leases.remove(id);
        self.hash.end_lease(at.index, id);
        let keys: Vec<Vec<u8>> =
            self.keyspace.keys_of_lease(id).into_iter().map(<[u8]>::to_vec).collect();
        for key in &keys {
            self.keyspace.remove(self.revision + 1, &KeyRange::single(key), |_| ());
        }
        keys.len()
    }

    /// Makes leases last as long again as they were granted for.
    pub(crate) fn renew_leases(&mut self, at: At, ids: &[u64]) -> Answer<'static> {
        let mut ttls_ms = List::new();
        for &id in ids {
            let Some(&Lease { ttl_ms, .. }) = self.leases.get(id) else {
                ttls_ms.push(0);
                continue;
            };
            let ends_at = end_of(at.log_time, ttl_ms);
            self.leases.set(id, Lease { ttl_ms, ends_at });
            self.hash.renew_lease(at.index, id, ends_at);
            ttls_ms.push(ttl_ms);
        }
        Answer::Renewed { revision: self.revision, ttls_ms }
    }

    /// How long a key may stay that is put now.
    ///
    /// Errors: `LeaseUnknown`.
    pub(crate) fn tenure(&self, log_time: u64, lease: u64, ttl_ms: u64) -> Result<Tenure, No> {
        if lease != 0 && self.leases.get(lease).is_none() {
            return Err(No::LeaseUnknown { id: lease });
        }
        let ends_at = if ttl_ms == 0 { 0 } else { end_of(log_time, ttl_ms) };
        Ok(Tenure { lease, ends_at })
    }

    /// Gives a key, or a field of a hash, an end, or takes it away with a TTL of 0. Returns how
    /// many there are to give it to.
    ///
    /// Errors: `WrongType`.
    pub(crate) fn expire(
        &mut self,
        at: At,
        (key, field): (&[u8], Option<&[u8]>),
        ttl_ms: u64,
    ) -> Result<u64, No> {
        let revision = self.revision + 1;
        let ends_at = if ttl_ms == 0 { 0 } else { end_of(at.log_time, ttl_ms) };
        let Some(field) = field else {
            if self.keyspace.get(key, NEWEST).is_none() {
                return Ok(0);
            }
            let lease = self.keyspace.tenure(key).lease;
            self.keyspace.set_tenure(revision, key, Tenure { lease, ends_at });
            return Ok(1);
        };
        self.check_kind(key, Kind::Hash, NEWEST)?;
        let Some((_, content)) = self.keyspace.item(key, field, NEWEST) else { return Ok(0) };
        let value = content.value.to_vec();
        let tenure = Tenure { lease: 0, ends_at };
        self.keyspace.put_item(revision, (key, Kind::Hash), (field, &value), tenure);
        Ok(1)
    }

    /// Removes what has ended, in one revision; what is left over is due again.
    pub(crate) fn remove_ended(&mut self, at: At) -> Answer<'static> {
        self.remove_idle_restore(at);
        let mut count = 0;
        while count < ENDED_PER_COMMAND
            && let Some(id) = self.leases.first_until(at.log_time)
        {
            count += 1 + self.end_lease(at, id);
        }
        if let Some(left @ 1..) = ENDED_PER_COMMAND.checked_sub(count) {
            self.keyspace.remove_ended(self.revision + 1, at.log_time, left);
        }
        Answer::Done { revision: self.revision_so_far() }
    }

    /// Whether something has ended.
    pub(crate) fn has_ended(&self, log_time: u64) -> bool {
        let ends = [self.leases.first_end(), self.keyspace.first_end()];
        let has_ended = ends.into_iter().flatten().any(|ends_at| ends_at <= log_time);
        has_ended || self.has_idle_restore(log_time)
    }

    /// What a lease is, and its keys from one on.
    pub(crate) fn lease(&self, id: u64, from: &[u8], log_time: u64) -> Answer<'_> {
        let revision = self.revision_so_far();
        let Some(lease) = self.leases.get(id) else {
            return Answer::No { revision, why: No::LeaseUnknown { id } };
        };
        let (mut keys, mut more, mut bytes) = (List::new(), false, 0);
        for key in self.keyspace.keys_of_lease(id).into_iter().filter(|key| from <= *key) {
            bytes += key.len();
            more = keys.len() == ANSWER_KEYS_MAX || ANSWER_BYTES_MAX / 2 < bytes;
            if more {
                break;
            }
            keys.push(Name(key));
        }
        let (ttl_ms, remaining_ms) = (lease.ttl_ms, lease.remaining_ms(log_time));
        Answer::Lease { revision, ttl_ms, remaining_ms, keys, more }
    }

    /// The leases from an id on.
    pub(crate) fn list_leases(&self, from: u64) -> Answer<'_> {
        let mut all = self.leases.from(from).map(|(id, _)| id);
        let ids = all.by_ref().take(ANSWER_KEYS_MAX).collect();
        let more = all.next().is_some();
        Answer::Leases { revision: self.revision_so_far(), ids, more }
    }

    /// How long a key, or a field of a hash, stays yet; of a key with a lease the shorter of
    /// both times counts.
    pub(crate) fn remaining(
        &self,
        key: &[u8],
        field: Option<&[u8]>,
        log_time: u64,
    ) -> Result<Answer<'static>, No> {
        let found = match field {
            Some(field) => {
                self.check_kind(key, Kind::Hash, NEWEST)?;
                self.keyspace.item(key, field, NEWEST)
            }
            None => self.keyspace.get(key, NEWEST),
        };
        let tenure = found.map(|(_, content)| content.tenure);
        let ends = tenure.map(|Tenure { lease, ends_at }| {
            let of_lease = self.leases.get(lease).map(|lease| lease.ends_at);
            [of_lease, Some(ends_at).filter(|&at| at != 0)].into_iter().flatten().min()
        });
        let remaining = |ends_at: u64| ends_at.saturating_sub(log_time).div_ceil(1_000);
        Ok(Answer::Remaining {
            revision: self.revision_so_far(),
            exists: ends.is_some(),
            remaining_ms: ends.flatten().map(remaining),
        })
    }
}

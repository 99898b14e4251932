//! The rolling hash: one number by which nodes see whether they did the same.
//!
//! Its definition, with arithmetic modulo 2^64 and bytes read as little-endian words:
//! - `mix(s, w)` is `x ^ (x >> 32)` with `x = (s ^ w) * FACTOR`.
//! - `digest(bytes)`: four lanes start at 1, 2, 3, 4. The bytes are filled with zeros to a
//!   multiple of 32, and each block of four words is mixed into the four lanes. The lanes are
//!   then mixed, in order, into a number that starts as the count of bytes.
//! - The hash starts at 0. An effect mixes into it the entry's index, the kind (1 put, 2 delete,
//!   3 compaction, 4 set an item, 5 remove one, 6 lease granted, 7 lease renewed, 8 lease ended,
//!   9 user set, 10 user removed, 11 role set, 12 role removed, 13 restore begun, 14 piece staged,
//!   15 restore dropped, 16 restore finished), the digest of the key, for an
//!   item the digest of its name, for a put or an item that is set the digest of the version
//!   (head and value, `keyspace/version.rs`), and the revision. A compaction has no key. A lease
//!   has its id, when granted its TTL, and unless it ended its end, and neither key nor revision.
//!   A user or a role has the digest of its name, that of its record in a snapshot behind the
//!   name (of nothing when it is removed), and the auth revision. A restore has its id and the
//!   revision that its keys take, a piece its number and the digest of its records, a restore that
//!   is dropped nothing, and one that is finished the revision.
//!
//! For a fixed word, `mix` never maps two states to one: hashes that differ once stay
//! different while the same effects follow. It is no defence against intent.

use bytes::BytesMut;
use raft_core::types::Index;

use crate::auth::{Role, User};

const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

const PUT: u64 = 1;
const DELETE: u64 = 2;
const COMPACTION: u64 = 3;
const SET_ITEM: u64 = 4;
const REMOVE_ITEM: u64 = 5;
const GRANT_LEASE: u64 = 6;
const RENEW_LEASE: u64 = 7;
const END_LEASE: u64 = 8;
const SET_USER: u64 = 9;
const REMOVE_USER: u64 = 10;
const SET_ROLE: u64 = 11;
const REMOVE_ROLE: u64 = 12;
const BEGIN_RESTORE: u64 = 13;
const STAGE: u64 = 14;
const DROP_RESTORE: u64 = 15;
const RESTORE: u64 = 16;

/// Bytes that four lanes take in at once.
const BLOCK_BYTES: usize = 32;

/// What became of a user or a role.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AuthEffect<'a> {
    User(&'a str, &'a User),
    UserGone(&'a str),
    Role(&'a str, &'a Role),
    RoleGone(&'a str),
}

/// The hash over every effect so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RollingHash(u64);

impl RollingHash {
    /// The hash with this value, to go on from.
    pub(crate) fn resume(value: u64) -> Self {
        Self(value)
    }

    /// The hash as a number.
    pub(crate) fn value(self) -> u64 {
        self.0
    }

    /// Takes in that the entry at `index` set a key.
    pub(crate) fn put(&mut self, index: Index, revision: u64, key: &[u8], value: &[u8]) {
        self.fold([index.0, PUT, digest(key), digest(value), revision]);
    }

    /// Takes in that the entry at `index` removed a key.
    pub(crate) fn delete(&mut self, index: Index, revision: u64, key: &[u8]) {
        self.fold([index.0, DELETE, digest(key), revision]);
    }

    /// Takes in that the entry at `index` set a field or member of a key.
    pub(crate) fn set_item(
        &mut self,
        (index, revision): (Index, u64),
        (key, name): (&[u8], &[u8]),
        version: &[u8],
    ) {
        self.fold([index.0, SET_ITEM, digest(key), digest(name), digest(version), revision]);
    }

    /// Takes in that the entry at `index` removed a field or member of a key.
    pub(crate) fn remove_item(
        &mut self,
        (index, revision): (Index, u64),
        (key, name): (&[u8], &[u8]),
    ) {
        self.fold([index.0, REMOVE_ITEM, digest(key), digest(name), revision]);
    }

    /// Takes in that the entry at `index` compacted the store.
    pub(crate) fn compact(&mut self, index: Index, revision: u64) {
        self.fold([index.0, COMPACTION, revision]);
    }

    /// Takes in that the entry at `index` granted a lease, with its TTL and its end.
    pub(crate) fn grant_lease(&mut self, index: Index, id: u64, (ttl_ms, ends_at): (u64, u64)) {
        self.fold([index.0, GRANT_LEASE, id, ttl_ms, ends_at]);
    }

    /// Takes in that the entry at `index` moved the end of a lease.
    pub(crate) fn renew_lease(&mut self, index: Index, id: u64, ends_at: u64) {
        self.fold([index.0, RENEW_LEASE, id, ends_at]);
    }

    /// Takes in that with the entry at `index` a lease ended.
    pub(crate) fn end_lease(&mut self, index: Index, id: u64) {
        self.fold([index.0, END_LEASE, id]);
    }

    /// Takes in what the entry at `index` made of a user or a role, at an auth revision.
    pub(crate) fn auth(&mut self, (index, revision): (Index, u64), effect: AuthEffect<'_>) {
        let mut record = BytesMut::new();
        let (kind, name) = match effect {
            AuthEffect::User(name, user) => {
                user.encode(&mut record);
                (SET_USER, name)
            }
            AuthEffect::UserGone(name) => (REMOVE_USER, name),
            AuthEffect::Role(name, role) => {
                role.encode(&mut record);
                (SET_ROLE, name)
            }
            AuthEffect::RoleGone(name) => (REMOVE_ROLE, name),
        };
        self.fold([index.0, kind, digest(name.as_bytes()), digest(&record), revision]);
    }

    /// Takes in that the entry at `index` began a restore whose keys take a revision, or keep
    /// theirs.
    pub(crate) fn begin_restore(&mut self, index: Index, id: u64, mod_revision: u64) {
        self.fold([index.0, BEGIN_RESTORE, id, mod_revision]);
    }

    /// Takes in that the entry at `index` staged a piece.
    pub(crate) fn stage(&mut self, index: Index, number: u64, records: &[u8]) {
        self.fold([index.0, STAGE, number, digest(records)]);
    }

    /// Takes in that with the entry at `index` what was staged is dropped.
    pub(crate) fn drop_restore(&mut self, index: Index) {
        self.fold([index.0, DROP_RESTORE]);
    }

    /// Takes in that the entry at `index` put what was staged in the place of everything.
    pub(crate) fn restore(&mut self, index: Index, revision: u64) {
        self.fold([index.0, RESTORE, revision]);
    }

    fn fold<const N: usize>(&mut self, words: [u64; N]) {
        self.0 = words.into_iter().fold(self.0, mix);
    }
}

fn mix(state: u64, word: u64) -> u64 {
    let product = (state ^ word).wrapping_mul(FACTOR);
    product ^ (product >> 32)
}

fn digest(bytes: &[u8]) -> u64 {
    let mut lanes = [1, 2, 3, 4];
    let (blocks, tail) = bytes.as_chunks::<BLOCK_BYTES>();
    for block in blocks {
        mix_block(&mut lanes, block);
    }
    if !tail.is_empty() {
        let mut block = [0; BLOCK_BYTES];
        block[..tail.len()].copy_from_slice(tail);
        mix_block(&mut lanes, &block);
    }
    lanes.into_iter().fold(bytes.len() as u64, mix)
}

fn mix_block(lanes: &mut [u64; 4], block: &[u8; BLOCK_BYTES]) {
    let (words, _) = block.as_chunks::<8>();
    for (lane, word) in lanes.iter_mut().zip(words) {
        *lane = mix(*lane, u64::from_le_bytes(*word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_gives_these_numbers() {
        let bytes: Vec<u8> = (0..=99).collect();
        let digests = [0, 1, 8, 31, 32, 33, 100].map(|length| digest(&bytes[..length]));
        let expected = [
            0xe821_a9cc_1f06_a6e9,
            0xd301_bd18_52b2_56e0,
            0x40b2_f03b_2a95_34e6,
            0x198e_1e51_020b_1c4f,
            0x47a9_5efd_3404_9d5d,
            0x7a4e_2acf_78a6_e5a9,
            0x5a6d_0c9c_8be3_ed9a,
        ];
        assert_eq!(digests, expected);
        let mut hash = RollingHash::default();
        hash.put(Index(7), 2, b"key", b"value");
        assert_eq!(hash.value(), 0x8dbc_f8a4_427f_d7dd);
        hash.delete(Index(8), 3, b"key");
        assert_eq!(hash.value(), 0x1452_2909_1d64_f315);
    }

    #[test]
    fn every_byte_and_the_length_count() {
        let bytes = [0x5a; 70];
        for length in 0..bytes.len() {
            let original = digest(&bytes[..length]);
            assert_ne!(original, digest(&bytes[..=length]), "one byte more than {length}");
            for at in 0..length {
                let mut flipped = bytes;
                flipped[at] ^= 0x10;
                assert_ne!(original, digest(&flipped[..length]), "byte {at} of {length}");
            }
        }
        assert_ne!(digest(&[0; 5]), digest(&[0; 6]));
    }
}

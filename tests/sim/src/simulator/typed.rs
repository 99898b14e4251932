//! Commands on hashes, sets, numbers, leases and several keys, which meet on a few keys of their
//! own, so that wrong types, ends and removals happen.

use bytes::{Bytes, BytesMut};
use kv_store::command::{
    Collection, Command, Compare, Item, KeyRange, List, Name, OnNo, Operation, PutOptions,
    Relation, Target, Transaction,
};

use crate::simulator::dice::Dice;

/// Keys that typed commands are about; none begins as those that are read.
const KEYS: u64 = 4;

/// Names of fields and members.
const NAMES: [&[u8]; 3] = [b"a", b"b", b"c"];

/// Leases that clients ask for.
const LEASES: u64 = 3;

/// How long leases and keys last. Units: milliseconds.
const TTL_MS: (u64, u64) = (20, 3_000);

/// A command of any kind.
pub(crate) fn command(dice: &mut Dice) -> Bytes {
    let key = format!("typed-{}", dice.below(KEYS)).into_bytes();
    let name = dice.pick(&NAMES);
    let ttl_ms = dice.between(TTL_MS);
    let id = 1 + dice.below(LEASES);
    let mut body = BytesMut::new();
    match dice.below(12) {
        0 => Command::GrantLease { id, ttl_ms },
        1 => Command::RenewLeases { ids: [id, 1].into_iter().collect() },
        2 => Command::RevokeLease { id },
        3 | 4 => {
            let options = PutOptions { lease: id, ..PutOptions::default() };
            Command::PutWith { key: &key, value: name, options }
        }
        5 => Command::Expire { key: &key, field: None, ttl_ms },
        6 => Command::Expire { key: &key, field: Some(Name(name)), ttl_ms },
        7 => Command::Delete { ranges: [KeyRange::single(&key)].into_iter().collect() },
        8 => transaction(&key, name, dice),
        _ => on_one_key(&key, name, dice),
    }
    .encode(&mut body);
    body.freeze()
}

fn on_one_key<'a>(key: &'a [u8], name: &'a [u8], dice: &mut Dice) -> Command<'a> {
    match dice.below(6) {
        0 => {
            let fields = [Item { name, value: b"1" }].into_iter().collect();
            Command::SetFields { key, fields }
        }
        1 => Command::AddMembers { key, members: [Name(name)].into_iter().collect() },
        2 => {
            let of = if dice.chance(500) { Collection::Hash } else { Collection::Set };
            Command::RemoveItems { of, key, names: [Name(name)].into_iter().collect() }
        }
        3 => Command::Increment { key, field: Some(Name(name)), by: 1 },
        _ => Command::Increment { key, field: None, by: 1 },
    }
}

/// Two changes or none, depending on whether the key exists; the second may be of a wrong type.
fn transaction<'a>(key: &'a [u8], name: &'a [u8], dice: &mut Dice) -> Command<'a> {
    let target = Target::Exists(dice.chance(500));
    let when = Compare { range: KeyRange::single(key), relation: Relation::Equal, target };
    let other = Command::Put { key: b"typed-0", value: name };
    let then: List<Operation<'_>> =
        [Operation::Write(other), Operation::Write(on_one_key(key, name, dice))]
            .into_iter()
            .collect();
    let transaction =
        Transaction { when: [when].into_iter().collect(), then, otherwise: List::new() };
    let on_no = if dice.chance(500) { OnNo::Undo } else { OnNo::GoOn };
    Command::Transaction { on_no, transaction: Box::new(transaction) }
}

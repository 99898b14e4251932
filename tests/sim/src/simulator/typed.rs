//! Commands on hashes, sets, numbers, leases and several keys, and questions about them. Half of
//! them meet on a few keys that may be anything, so that wrong types, ends and removals happen;
//! the others are about hashes, sets and counters that are nothing else.

use bytes::{Bytes, BytesMut};
use kv_store::command::{
    Collection, Command, Compare, Direction, Filter, Item, KeyRange, List, Name, OnNo, Operation,
    Order, OrderBy, PutOptions, Query, RangeEnd, Relation, Selection, Show, Target, Transaction,
};

use crate::simulator::dice::Dice;

/// Keys that may be anything; none begins as those that are put, removed and read.
const KEYS: u64 = 4;

/// Hashes, sets and counters, of each.
const OF_ONE_KIND: u64 = 2;

/// Names of fields and members.
const NAMES: [&[u8]; 3] = [b"a", b"b", b"c"];

/// Leases that clients ask for.
const LEASES: u64 = 3;

/// How long leases and keys last. Units: milliseconds.
const TTL_MS: (u64, u64) = (20, 3_000);

/// How far back questions go, and how far ahead. Units: revisions.
const BACK: u64 = 40;
const AHEAD: u64 = 3;

/// A command of any kind, with a number that no other one has, of a client that knows of a
/// revision.
pub(crate) fn command((number, known): (u64, u64), dice: &mut Dice) -> Bytes {
    let mut body = BytesMut::new();
    if dice.chance(500) {
        on_one_kind(number, dice, &mut body);
    } else {
        on_any_key(known, dice, &mut body);
    }
    body.freeze()
}

fn on_any_key(known: u64, dice: &mut Dice, body: &mut BytesMut) {
    let key = format!("typed-{}", dice.below(KEYS)).into_bytes();
    let name = dice.pick(&NAMES);
    let ttl_ms = dice.between(TTL_MS);
    let id = 1 + dice.below(LEASES);
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
        8 | 9 => transaction((&key, name), known, dice),
        _ => on_one_key(&key, name, dice),
    }
    .encode(body);
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
/// Between them what is there, or was.
fn transaction<'a>((key, name): (&'a [u8], &'a [u8]), known: u64, dice: &mut Dice) -> Command<'a> {
    let target = Target::Exists(dice.chance(500));
    let when = Compare { range: KeyRange::single(key), relation: Relation::Equal, target };
    let other = Command::Put { key: b"typed-0", value: name };
    let mut then: List<Operation<'_>> = [Operation::Write(other)].into_iter().collect();
    if dice.chance(500) {
        then.push(Operation::Read(Query::Select(selection(b"typed", known, dice))));
    }
    then.push(Operation::Write(on_one_key(key, name, dice)));
    let transaction =
        Transaction { when: [when].into_iter().collect(), then, otherwise: List::new() };
    let on_no = if dice.chance(500) { OnNo::Undo } else { OnNo::GoOn };
    Command::Transaction { on_no, transaction: Box::new(transaction) }
}

/// Some of the names.
fn some_names(dice: &mut Dice) -> Vec<&'static [u8]> {
    (0..1 + dice.below(2)).map(|_| dice.pick(&NAMES)).collect()
}

fn on_one_kind(number: u64, dice: &mut Dice, body: &mut BytesMut) {
    let (names, which) = (some_names(dice), dice.below(OF_ONE_KIND));
    let list = || names.iter().map(|name| Name(name)).collect();
    let value = number.to_string();
    let kind = dice.pick(&["hash", "set", "count"]);
    let key = format!("{kind}-{which}").into_bytes();
    let key = &key[..];
    if dice.chance(60) {
        Command::Delete { ranges: [KeyRange::single(key)].into_iter().collect() }.encode(body);
        return;
    }
    let removes = dice.chance(350);
    match kind {
        "hash" if removes => Command::RemoveItems { of: Collection::Hash, key, names: list() },
        "hash" if dice.chance(300) => {
            Command::Increment { key, field: Some(Name(names[0])), by: 1 }
        }
        "hash" => {
            let item = |name: &&'static [u8]| Item { name, value: value.as_bytes() };
            Command::SetFields { key, fields: names.iter().map(item).collect() }
        }
        "set" if removes => Command::RemoveItems { of: Collection::Set, key, names: list() },
        "set" => Command::AddMembers { key, members: list() },
        _ => Command::Increment { key, field: None, by: dice.pick(&[1, 1, 1, -2]) },
    }
    .encode(body);
}

/// A question of any kind by a client that knows of a revision.
pub(crate) fn query(known: u64, dice: &mut Dice) -> Bytes {
    let mut body = BytesMut::new();
    let (names, which) = (some_names(dice), dice.below(OF_ONE_KIND));
    let list = || names.iter().map(|name| Name(name)).collect();
    let (is_kept, is_hash) = (dice.chance(600), dice.chance(500));
    let of = if is_hash { Collection::Hash } else { Collection::Set };
    let key = match (is_kept, is_hash) {
        (true, true) => format!("hash-{which}"),
        (true, false) => format!("set-{which}"),
        (false, _) => format!("typed-{}", dice.below(KEYS)),
    };
    let key = key.as_bytes();
    let revision = if is_kept { 0 } else { revision(known, dice) };
    let counter = format!("count-{which}");
    match dice.below(8) {
        0 | 1 => Query::Items { of, key, from: b"", limit: 0, revision },
        2 if is_hash => Query::Fields { key, names: list(), revision },
        2 | 3 => Query::Has { of, key, names: list(), revision },
        4 => Query::Length { of, key, revision },
        5 | 6 => Query::Range { range: KeyRange::single(counter.as_bytes()), limit: 0 },
        _ => Query::Select(selection(dice.pick(&[&b"typed"[..], b"key", b""]), known, dice)),
    }
    .encode(&mut body);
    body.freeze()
}

/// The newest revision, one of the past, or one that is perhaps yet to come.
fn revision(known: u64, dice: &mut Dice) -> u64 {
    match dice.below(3) {
        0 => 0,
        1 => known.saturating_sub(dice.below(BACK)).max(1),
        _ => known + dice.below(AHEAD),
    }
}

fn selection<'a>(from: &'a [u8], known: u64, dice: &mut Dice) -> Selection<'a> {
    let end = match dice.below(3) {
        0 => RangeEnd::Prefix,
        1 => RangeEnd::From,
        _ => RangeEnd::HalfOpen(b"typed-2"),
    };
    let by = dice.pick(&[
        OrderBy::Key,
        OrderBy::Version,
        OrderBy::CreateRevision,
        OrderBy::ModRevision,
        OrderBy::Value,
    ]);
    let direction = dice.pick(&[Direction::Ascending, Direction::Descending]);
    let mod_revision_min =
        if dice.chance(200) { known.saturating_sub(dice.below(BACK)) } else { 0 };
    Selection {
        range: KeyRange { from, end },
        revision: revision(known, dice),
        limit: dice.below(4),
        order: Order { by, direction },
        filter: Filter { mod_revision_min, ..Filter::ALL },
        show: dice.pick(&[Show::Pairs, Show::Pairs, Show::Keys, Show::Count]),
    }
}

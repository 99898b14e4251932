//! Commands on hashes.

use kv_store::command::{Collection, Command, Edit, Item, List, Name, Operation, Query};

use super::keys::{Step, draws, step};
use super::numbers::{check_decimal, integer};
use super::plan::{Made, Making, Plan, SYNTAX_ERROR, either, has, is, wrong_count};
use super::shape::{Scan, Shape, Show};

const OF: Collection = Collection::Hash;

fn set<'w>(words: &[&'w [u8]]) -> Command<'w> {
    let fields = words[2..].chunks_exact(2).map(|pair| Item { name: pair[0], value: pair[1] });
    Command::SetFields { key: words[1], fields: fields.collect() }
}

fn names<'w>(words: &[&'w [u8]]) -> List<Name<'w>> {
    words.iter().map(|name| Name(name)).collect()
}

pub(super) fn hset<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let is_hset = is(words[0], "hset");
    if words.len() % 2 == 1 {
        return Err(wrong_count(if is_hset { "hset" } else { "hmset" }));
    }
    Ok(Plan::write(set(words), if is_hset { Shape::Count } else { Shape::Ok }))
}

pub(super) fn hsetnx<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let is_new = has(words[1], OF, words[2], false);
    let operation = either([is_new], [Operation::Write(set(words))], []);
    Ok(Plan::choice(operation, Shape::either(Shape::Int(1), Shape::Int(0))))
}

fn fields<'w>(words: &[&'w [u8]], shape: Shape) -> Made<'w> {
    let query = Query::Fields { key: words[1], names: names(&words[2..]), revision: 0 };
    Ok(Plan::read(query, shape))
}

pub(super) fn hget<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    fields(words, Shape::Field)
}

pub(super) fn hmget<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    fields(words, Shape::Fields)
}

pub(super) fn hstrlen<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    fields(words, Shape::LengthOfField)
}

pub(super) fn hdel<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let command = Command::RemoveItems { of: OF, key: words[1], names: names(&words[2..]) };
    Ok(Plan::write(command, Shape::Count))
}

pub(super) fn hexists<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let query = Query::Has { of: OF, key: words[1], names: names(&words[2..]), revision: 0 };
    Ok(Plan::read(query, Shape::HasOne))
}

pub(super) fn hlen<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    Ok(Plan::read(Query::Length { of: OF, key: words[1], revision: 0 }, Shape::Count))
}

pub(super) fn all<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let show = match words[0].len() {
        5 if is(words[0], "hkeys") => Show::Names,
        5 => Show::Values,
        _ => Show::Map,
    };
    let query = Query::Items { of: OF, key: words[1], from: b"", limit: 0, revision: 0 };
    Ok(Plan::read(query, Shape::Items(show)))
}

pub(super) fn hincrby<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let by = integer(words[3])?;
    let command = Command::Increment { key: words[1], field: Some(Name(words[2])), by };
    Ok(Plan::write(command, Shape::Number { of_field: true }))
}

pub(super) fn hincrbyfloat<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    check_decimal(words[3])?;
    let edit = Edit::AddDecimal(words[3]);
    let command = Command::Edit { key: words[1], field: Some(Name(words[2])), edit };
    Ok(Plan::write(command, Shape::Decimal { of_field: true }))
}

pub(super) fn hscan<'w>(making: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let Step { from, limit, scan } = step(making, &words[2..], false)?;
    let scan = Scan { has_values: true, ..scan };
    let query = Query::Items { of: OF, key: words[1], from, limit, revision: 0 };
    Ok(Plan::read(query, Shape::Scan(Box::new(scan))))
}

pub(super) fn hrandfield<'w>(making: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let sample =
        |count, repeats, seed| Query::Sample { of: OF, key: words[1], count, repeats, seed };
    let Some(count) = words.get(2) else {
        return Ok(Plan::read(sample(1, false, making.seed), Shape::OneItem));
    };
    let show = match words.get(3..).unwrap_or_default() {
        [] => Show::Names,
        [word] if is(word, "withvalues") => Show::Pairs,
        _ => return Err(SYNTAX_ERROR.into()),
    };
    let (count, repeats) = draws(count)?;
    Ok(Plan::read(sample(count, repeats, making.seed), Shape::Items(show)))
}

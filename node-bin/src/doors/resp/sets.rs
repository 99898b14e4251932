//! Commands on sets.

use kv_store::command::{
    Collection, Combination, Command, ITEMS_PER_REQUEST_MAX, Kind, List, Name, Operation, Query,
};

use super::keys::{Step, draws, number_of_keys, step};
use super::numbers::integer;
use super::plan::{Made, Making, Plan, SYNTAX_ERROR, WRONG_TYPE, either, has, is, is_other_than};
use super::shape::{Shape, Show};

const OF: Collection = Collection::Set;

fn names<'w>(words: &[&'w [u8]]) -> List<Name<'w>> {
    words.iter().map(|name| Name(name)).collect()
}

pub(super) fn sadd<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let command = Command::AddMembers { key: words[1], members: names(&words[2..]) };
    Ok(Plan::write(command, Shape::Count))
}

pub(super) fn srem<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let command = Command::RemoveItems { of: OF, key: words[1], names: names(&words[2..]) };
    Ok(Plan::write(command, Shape::Count))
}

pub(super) fn smembers<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let query = Query::Items { of: OF, key: words[1], from: b"", limit: 0, revision: 0 };
    Ok(Plan::read(query, Shape::Items(Show::Set)))
}

fn has_members<'w>(words: &[&'w [u8]], shape: Shape) -> Made<'w> {
    let query = Query::Has { of: OF, key: words[1], names: names(&words[2..]), revision: 0 };
    Ok(Plan::read(query, shape))
}

pub(super) fn sismember<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    has_members(words, Shape::HasOne)
}

pub(super) fn smismember<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    has_members(words, Shape::HasEach)
}

pub(super) fn scard<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    Ok(Plan::read(Query::Length { of: OF, key: words[1], revision: 0 }, Shape::Count))
}

pub(super) fn spop<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let (count, shape) = match &words[2..] {
        [] => (1, Shape::OneItem),
        [text] => {
            let count = integer(text).ok().and_then(|count| u64::try_from(count).ok());
            let count = count.ok_or("ERR value is out of range, must be positive")?;
            (count.min(ITEMS_PER_REQUEST_MAX as u64), Shape::Items(Show::Set))
        }
        _ => return Err(SYNTAX_ERROR.into()),
    };
    Ok(Plan::write(Command::Take { key: words[1], count }, shape))
}

pub(super) fn srandmember<'w>(making: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let ((count, repeats), shape) = match &words[2..] {
        [] => ((1, false), Shape::OneItem),
        [text] => (draws(text)?, Shape::Items(Show::Names)),
        _ => return Err(SYNTAX_ERROR.into()),
    };
    let query = Query::Sample { of: OF, key: words[1], count, repeats, seed: making.seed };
    Ok(Plan::read(query, shape))
}

/// Both keys must be sets, if the first exists; then the member goes over if it is there.
pub(super) fn smove<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let (from, to, member) = (words[1], words[2], words[3]);
    let name = || std::iter::once(Name(member)).collect();
    let remove = Command::RemoveItems { of: OF, key: from, names: name() };
    let add = Command::AddMembers { key: to, members: name() };
    let is_there = has(from, OF, member, true);
    // To itself it stays where it is.
    let moves =
        if from == to { vec![] } else { vec![Operation::Write(add), Operation::Write(remove)] };
    let goes = either([is_there], moves, []);
    let to_set = either([is_other_than(to, Kind::Set)], [], [goes]);
    let from_set = either([is_other_than(from, Kind::Set)], [], [to_set]);
    let operation = either([super::plan::exists(from, false)], [], [from_set]);
    let wrong = || Shape::Error(WRONG_TYPE);
    let goes = Shape::either(Shape::Int(1), Shape::Int(0));
    let shape = Shape::either(wrong(), Shape::either(wrong(), goes));
    Ok(Plan::choice(operation, Shape::either(Shape::Int(0), shape)))
}

fn combination(command: &[u8]) -> Combination {
    match command.get(1).map(u8::to_ascii_lowercase) {
        Some(b'i') => Combination::Intersection,
        Some(b'u') => Combination::Union,
        _ => Combination::Difference,
    }
}

pub(super) fn combine<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let query = Query::Combined { how: combination(words[0]), keys: names(&words[1..]) };
    Ok(Plan::read(query, Shape::Items(Show::Set)))
}

pub(super) fn store_combined<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let (how, keys) = (combination(words[0]), names(&words[2..]));
    Ok(Plan::write(Command::StoreCombined { to: words[1], how, keys }, Shape::Count))
}

pub(super) fn sintercard<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let count = number_of_keys(words[1])?;
    let rest = words.get(2..).unwrap_or_default();
    let Some((keys, rest)) = rest.split_at_checked(count) else {
        return Err("ERR Number of keys can't be greater than number of args".into());
    };
    let limit = match rest {
        [] => 0,
        [word, text] if is(word, "limit") => {
            let limit = integer(text).ok().and_then(|limit| u64::try_from(limit).ok());
            limit.ok_or("ERR LIMIT can't be negative")?
        }
        _ => return Err(SYNTAX_ERROR.into()),
    };
    let most = if limit == 0 { u64::MAX } else { limit };
    let query = Query::Combined { how: Combination::Intersection, keys: names(keys) };
    Ok(Plan::read(query, Shape::CountUpTo(most)))
}

pub(super) fn sscan<'w>(making: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let Step { from, limit, scan } = step(making, &words[2..], false)?;
    let query = Query::Items { of: OF, key: words[1], from, limit, revision: 0 };
    Ok(Plan::read(query, Shape::Scan(Box::new(scan))))
}

//! Commands on keys of any type.

use bytes::Bytes;
use kv_store::command::{
    ANSWER_KEYS_MAX, Command, Direction, Filter, KeyRange, Kind, Operation, Order, OrderBy, Query,
    RANGES_PER_DELETE_MAX, RangeEnd, Relation, Selection, Show, TTL_MS_MAX, Target,
};

use super::numbers::{integer, ttl_ms};
use super::plan::{
    Made, Making, Plan, Refused, SYNTAX_ERROR, compare, delete, either, exists, get, is, look,
    wrong_count,
};
use super::server::unknown_subcommand;
use super::shape::{Scan, Shape};
use crate::glob;

const EVERYTHING: KeyRange<'static> = KeyRange::prefix(b"");

/// Longer than anything stays that has an end.
const FOR_EVER: u64 = u64::MAX;

pub(super) fn del<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let mut parts = words[1..].chunks(RANGES_PER_DELETE_MAX).map(|keys| Command::Delete {
        ranges: keys.iter().map(|key| KeyRange::single(key)).collect(),
    });
    match (parts.next(), parts.next()) {
        (Some(only), None) => Ok(Plan::write(only, Shape::Count)),
        (first, second) => {
            let all = first.into_iter().chain(second).chain(parts);
            Ok(Plan::writes(all, Shape::Sum))
        }
    }
}

pub(super) fn exists_count<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    if let [_, key] = words {
        return Ok(Plan::read(look(key), Shape::Count));
    }
    Ok(Plan::reads(words[1..].iter().map(|key| look(key)), Shape::Sum))
}

pub(super) fn type_of<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    Ok(Plan::read(look(words[1]), Shape::Type))
}

/// On which end of a key it depends whether it is given another.
#[derive(Default)]
struct Conditions {
    no_end: bool,
    any_end: bool,
    later: bool,
    earlier: bool,
}

fn conditions(words: &[&[u8]]) -> Result<Conditions, Refused> {
    let mut found = Conditions::default();
    for word in words {
        match word {
            word if is(word, "nx") => found.no_end = true,
            word if is(word, "xx") => found.any_end = true,
            word if is(word, "gt") => found.later = true,
            word if is(word, "lt") => found.earlier = true,
            word => {
                let text = String::from_utf8_lossy(word);
                return Err(format!("ERR Unsupported option {text}").into());
            }
        }
    }
    if found.no_end && (found.any_end || found.later || found.earlier) {
        return Err("ERR NX and XX, GT or LT options at the same time are not compatible".into());
    }
    if found.later && found.earlier {
        return Err("ERR GT and LT options at the same time are not compatible".into());
    }
    Ok(found)
}

pub(super) fn expire<'w>(making: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let (unit_ms, is_moment, name) = match words[0].len() {
        6 => (1_000, false, "expire"),
        7 => (1, false, "pexpire"),
        8 => (1_000, true, "expireat"),
        _ => (1, true, "pexpireat"),
    };
    let key = words[1];
    let conditions = conditions(&words[3..])?;
    let ttl_ms = ttl_ms((words[2], unit_ms), is_moment, (making.now_ms, name))?;
    let (command, ttl_ms) = match u64::try_from(ttl_ms) {
        Ok(0) | Err(_) => (delete(key), 0),
        Ok(ttl_ms) => {
            let ttl_ms = ttl_ms.min(TTL_MS_MAX);
            (Command::Expire { key, field: None, ttl_ms }, ttl_ms)
        }
    };
    let stays = |relation, ttl_ms| compare(key, relation, Target::Stays(ttl_ms));
    let when = [
        conditions.no_end.then(|| stays(Relation::Equal, FOR_EVER)),
        conditions.any_end.then(|| stays(Relation::Less, FOR_EVER)),
        conditions.later.then(|| stays(Relation::Less, ttl_ms)),
        conditions.earlier.then(|| stays(Relation::Greater, ttl_ms)),
    ];
    if when.iter().all(Option::is_none) {
        return Ok(Plan::write(command, Shape::Count));
    }
    let operation = either(when.into_iter().flatten(), [Operation::Write(command)], []);
    Ok(Plan::choice(operation, Shape::either(Shape::Count, Shape::Int(0))))
}

pub(super) fn persist<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let key = words[1];
    let has_end = compare(key, Relation::Less, Target::Stays(FOR_EVER));
    let stay = Command::Expire { key, field: None, ttl_ms: 0 };
    let operation = either([has_end], [Operation::Write(stay)], []);
    Ok(Plan::choice(operation, Shape::either(Shape::Count, Shape::Int(0))))
}

pub(super) fn ttl<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let in_ms = is(&words[0][..1], "p");
    let is_moment = 4 < words[0].len();
    let query = Query::Remaining { key: words[1], field: None };
    Ok(Plan::read(query, Shape::Remaining { in_ms, is_moment }))
}

const OBJECT_HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Return how Redis would keep the value; of a hash or a set always hashtable.",
    "REFCOUNT <key>",
    "    Return 1.",
    "HELP",
    "    Prints this help.",
];

pub(super) fn object<'w>(making: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let (subcommand, arguments) = (words[1], &words[2..]);
    match (subcommand, arguments) {
        (word, []) if is(word, "help") => Ok(Plan::said(making.client.protocol, |out| {
            out.array(OBJECT_HELP.len());
            OBJECT_HELP.iter().for_each(|line| out.status(line));
        })),
        (word, [key]) if is(word, "encoding") => Ok(Plan::read(get(key), Shape::Encoding)),
        (word, [key]) if is(word, "refcount") => {
            Ok(Plan::read(look(key), Shape::IfThere(Box::new(Shape::Int(1)))))
        }
        (word, [key]) if is(word, "freq") => {
            let text = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. \
                        Please note that when switching between policies at runtime LRU and LFU \
                        data will take some time to adjust.";
            Ok(Plan::read(look(key), Shape::IfThere(Box::new(Shape::Error(text)))))
        }
        (word, [key]) if is(word, "idletime") => {
            let text = "ERR this node does not note when a key was read";
            Ok(Plan::read(look(key), Shape::IfThere(Box::new(Shape::Error(text)))))
        }
        (word, _) => {
            let known = ["encoding", "refcount", "freq", "idletime", "help"];
            match known.into_iter().find(|name| is(word, name)) {
                Some(name) => Err(wrong_count(&format!("object|{name}"))),
                None => Err(unknown_subcommand(word, "OBJECT")),
            }
        }
    }
}

const NO_SUCH_KEY: &str = "ERR no such key";

pub(super) fn rename<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let rename = Operation::Write(Command::Rename { from: words[1], to: words[2] });
    let operation = either([exists(words[1], true)], [rename], []);
    Ok(Plan::choice(operation, Shape::either(Shape::Ok, Shape::Error(NO_SUCH_KEY))))
}

pub(super) fn renamenx<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let rename = Operation::Write(Command::Rename { from: words[1], to: words[2] });
    let free = either([exists(words[2], false)], [rename], []);
    let operation = either([exists(words[1], true)], [free], []);
    let renamed = Shape::either(Shape::Int(1), Shape::Int(0));
    Ok(Plan::choice(operation, Shape::either(renamed, Shape::Error(NO_SUCH_KEY))))
}

pub(super) fn keys<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let range = KeyRange::prefix(glob::prefix(words[1]));
    let shape = Shape::Keys(Bytes::copy_from_slice(words[1]));
    Ok(Plan::read(Query::Keys { range, limit: 0 }, shape))
}

pub(super) fn random_key<'w>(making: &mut Making<'_, 'w>, _: &[&'w [u8]]) -> Made<'w> {
    Ok(Plan::read(Query::AnyKey { seed: making.seed }, Shape::AnyKey))
}

pub(super) fn dbsize<'w>(_: &mut Making<'_, 'w>, _: &[&'w [u8]]) -> Made<'w> {
    let order = Order { by: OrderBy::Key, direction: Direction::Ascending };
    let (filter, show) = (Filter::ALL, Show::Count);
    let selection = Selection { range: EVERYTHING, revision: 0, limit: 0, order, filter, show };
    Ok(Plan::read(Query::Select(selection), Shape::CountOfRange))
}

pub(super) fn flush<'w>(making: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    match words.get(1) {
        Some(how) if !is(how, "async") && !is(how, "sync") => return Err(SYNTAX_ERROR.into()),
        Some(_) | None => {}
    }
    if !making.options.allows_flush {
        return Err("ERR this node does not remove everything at once; start it with \
                    --resp-flush"
            .into());
    }
    let ranges = std::iter::once(EVERYTHING).collect();
    Ok(Plan::write(Command::Delete { ranges }, Shape::Ok))
}

/// What a step of a scan begins at, how many it looks at, and what it shows.
pub(super) struct Step<'w> {
    pub(super) from: &'w [u8],
    pub(super) limit: u64,
    pub(super) scan: Scan,
}

/// Reads a cursor and the options behind it.
pub(super) fn step<'w>(
    making: &Making<'_, 'w>,
    words: &[&'w [u8]],
    of_keys: bool,
) -> Result<Step<'w>, Refused> {
    let cursor = std::str::from_utf8(words[0]).ok().and_then(|text| text.parse().ok());
    let cursor: u64 = cursor.ok_or("ERR invalid cursor")?;
    let from = making.cursors.find(cursor).ok_or(
        "ERR invalid cursor: it was given long ago or by another node, begin again with 0",
    )?;
    let (mut limit, mut scan) = (10, Scan { pattern: None, kind: None, has_values: false });
    let mut words = words[1..].iter();
    while let Some(word) = words.next() {
        let value = words.next().ok_or(SYNTAX_ERROR)?;
        match word {
            word if is(word, "count") => {
                let count = integer(value)?;
                limit = u64::try_from(count).ok().filter(|count| 0 < *count).ok_or(SYNTAX_ERROR)?;
            }
            word if is(word, "match") => scan.pattern = Some(value.to_vec()),
            word if of_keys && is(word, "type") => {
                let kinds = [("string", Kind::String), ("hash", Kind::Hash), ("set", Kind::Set)];
                scan.kind = Some(kinds.into_iter().find(|it| is(value, it.0)).map(|it| it.1));
            }
            _ => return Err(SYNTAX_ERROR.into()),
        }
    }
    Ok(Step { from, limit: limit.min(ANSWER_KEYS_MAX as u64), scan })
}

pub(super) fn scan<'w>(making: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let Step { from, limit, scan } = step(making, &words[1..], true)?;
    let range = KeyRange { from, end: RangeEnd::From };
    Ok(Plan::read(Query::Keys { range, limit }, Shape::Scan(Box::new(scan))))
}

/// A number of items to draw: how many, and whether one may come again.
pub(super) fn draws(text: &[u8]) -> Result<(u64, bool), Refused> {
    let count = integer(text)?;
    match u64::try_from(count) {
        Ok(count) => Ok((count.min(ANSWER_KEYS_MAX as u64), false)),
        Err(_) if count == i64::MIN => Err("ERR value is out of range".into()),
        Err(_) => Ok((count.unsigned_abs(), true)),
    }
}

/// How many of something, from one on.
pub(super) fn number_of_keys(text: &[u8]) -> Result<usize, Refused> {
    let count = integer(text).ok().and_then(|count| usize::try_from(count).ok());
    let count = count.filter(|count| 0 < *count);
    count.ok_or("ERR numkeys should be greater than 0".into())
}

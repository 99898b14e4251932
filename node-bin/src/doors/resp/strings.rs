//! Commands on strings.

use kv_store::command::{
    Command, Edit, Existing, KeyRange, Kind, Operation, PutOptions, TTL_MS_MAX,
};

use super::numbers::{integer, ttl_ms};
use super::plan::{
    Made, Making, Plan, Refused, SYNTAX_ERROR, WRONG_TYPE, either, exists, get, is, is_other_than,
    wrong_count,
};
use super::shape::Shape;

/// When a string is to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// As nothing is said of it.
    Unsaid,
    /// As it was to end before.
    Kept,
    /// Never any more.
    Never,
    /// Units: milliseconds from now.
    In(u64),
    /// It has ended already.
    Past,
}

/// What the words behind a value, or behind a key, ask for.
struct Options {
    /// Only if the key exists, or does not.
    exists: Option<bool>,
    shows_previous: bool,
    end: End,
}

/// Reads the options of SET, or of GETEX.
fn options(
    making: &Making<'_, '_>,
    words: &[&[u8]],
    command: &'static str,
) -> Result<Options, Refused> {
    let is_set = command == "set";
    let mut options = Options { exists: None, shows_previous: false, end: End::Unsaid };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let condition = options.exists;
        match word {
            word if is_set && is(word, "nx") && condition != Some(true) => {
                options.exists = Some(false);
            }
            word if is_set && is(word, "xx") && condition != Some(false) => {
                options.exists = Some(true);
            }
            word if is_set && is(word, "get") => options.shows_previous = true,
            _ if options.end != End::Unsaid => return Err(SYNTAX_ERROR.into()),
            word if is_set && is(word, "keepttl") => options.end = End::Kept,
            word if !is_set && is(word, "persist") => options.end = End::Never,
            word => {
                let units = [("ex", 1_000, false), ("px", 1, false), ("exat", 1_000, true)];
                let mut units = units.into_iter().chain([("pxat", 1, true)]);
                let Some((_, unit_ms, is_moment)) = units.find(|(name, ..)| is(word, name)) else {
                    return Err(SYNTAX_ERROR.into());
                };
                let text = words.next().ok_or(SYNTAX_ERROR)?;
                options.end = end((text, unit_ms), is_moment, (making.now_ms, command))?;
            }
        }
    }
    Ok(options)
}

/// When something ends, as SET and its like take it: a number that is not above zero is wrong
/// also for a moment.
fn end(
    text: (&[u8], i64),
    is_moment: bool,
    (now_ms, command): (u64, &str),
) -> Result<End, Refused> {
    if integer(text.0)? <= 0 {
        return Err(format!("ERR invalid expire time in '{command}' command").into());
    }
    let ttl_ms = ttl_ms(text, is_moment, (now_ms, command))?;
    Ok(match u64::try_from(ttl_ms) {
        Ok(0) | Err(_) => End::Past,
        Ok(ttl_ms) => End::In(ttl_ms.min(TTL_MS_MAX)),
    })
}

/// The put that sets a key and lets it end so.
fn put<'w>(key: &'w [u8], value: &'w [u8], end: End, returns_previous: bool) -> Command<'w> {
    let (ttl_ms, keeps_end) = match end {
        End::Unsaid | End::Never if !returns_previous => return Command::Put { key, value },
        End::Unsaid | End::Never => (0, false),
        End::Kept => (0, true),
        End::In(ttl_ms) => (ttl_ms, false),
        End::Past => {
            let ranges = std::iter::once(KeyRange::single(key)).collect();
            return Command::DeleteReturning { ranges };
        }
    };
    let existing = Existing::Any;
    let options = PutOptions { returns_previous, lease: 0, ttl_ms, keeps_end, existing };
    Command::PutWith { key, value, options }
}

pub(super) fn get_value<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    Ok(Plan::read(get(words[1]), Shape::Value))
}

pub(super) fn set<'w>(making: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let (key, value) = (words[1], words[2]);
    if words.len() == 3 {
        return Ok(Plan::write(Command::Put { key, value }, Shape::Ok));
    }
    let Options { exists: condition, shows_previous, end } = options(making, &words[3..], "set")?;
    let put = put(key, value, end, shows_previous);
    let (set, unset) = match shows_previous {
        true => (Shape::Value, Shape::Value),
        false => (Shape::Ok, Shape::Null),
    };
    let unset_read = shows_previous.then(|| Operation::Read(get(key)));
    let (operation, shape) = match condition {
        None => (Operation::Write(put), set),
        Some(wanted) => (
            either([exists(key, wanted)], [Operation::Write(put)], unset_read),
            Shape::either(set, unset),
        ),
    };
    if shows_previous {
        return Ok(if_string(key, operation, shape));
    }
    Ok(Plan { operation: Some(operation), is_write: true, shape })
}

/// Does something unless the key exists and is no string.
fn if_string<'w>(key: &'w [u8], operation: Operation<'w>, shape: Shape) -> Plan<'w> {
    let operation = either([is_other_than(key, Kind::String)], [], [operation]);
    Plan::choice(operation, Shape::either(Shape::Error(WRONG_TYPE), shape))
}

pub(super) fn setnx<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let put = Operation::Write(Command::Put { key: words[1], value: words[2] });
    let operation = either([exists(words[1], false)], [put], []);
    Ok(Plan::choice(operation, Shape::either(Shape::Int(1), Shape::Int(0))))
}

pub(super) fn setex<'w>(making: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let (unit_ms, name) = if is(words[0], "setex") { (1_000, "setex") } else { (1, "psetex") };
    let end = end((words[2], unit_ms), false, (making.now_ms, name))?;
    Ok(Plan::write(put(words[1], words[3], end, false), Shape::Ok))
}

pub(super) fn getset<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let put = Operation::Write(put(words[1], words[2], End::Unsaid, true));
    Ok(if_string(words[1], put, Shape::Value))
}

pub(super) fn getdel<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let delete = Operation::Write(put(words[1], b"", End::Past, true));
    Ok(if_string(words[1], delete, Shape::Value))
}

pub(super) fn getex<'w>(making: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let key = words[1];
    let Options { end, .. } = options(making, &words[2..], "getex")?;
    let ttl_ms = match end {
        End::Unsaid | End::Kept => return Ok(Plan::read(get(key), Shape::Value)),
        End::Past => return getdel(making, words),
        End::Never => 0,
        End::In(ttl_ms) => ttl_ms,
    };
    let expire = Operation::Write(Command::Expire { key, field: None, ttl_ms });
    let operation =
        either([is_other_than(key, Kind::String)], [], [Operation::Read(get(key)), expire]);
    Ok(Plan::choice(operation, Shape::either(Shape::Error(WRONG_TYPE), Shape::Value)))
}

fn pairs<'w, 'a>(words: &'a [&'w [u8]]) -> impl Iterator<Item = Command<'w>> + use<'w, 'a> {
    words[1..].chunks_exact(2).map(|pair| Command::Put { key: pair[0], value: pair[1] })
}

pub(super) fn mset<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    if words.len().is_multiple_of(2) {
        return Err(wrong_count("mset"));
    }
    Ok(Plan::writes(pairs(words), Shape::Ok))
}

pub(super) fn msetnx<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    if words.len().is_multiple_of(2) {
        return Err(wrong_count("msetnx"));
    }
    let when = words[1..].chunks_exact(2).map(|pair| exists(pair[0], false));
    let operation = either(when, pairs(words).map(Operation::Write), []);
    Ok(Plan::choice(operation, Shape::either(Shape::Int(1), Shape::Int(0))))
}

pub(super) fn mget<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let shape = Shape::Each(Box::new(Shape::ValueIfString));
    Ok(Plan::reads(words[1..].iter().map(|key| get(key)), shape))
}

pub(super) fn append<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let edit = Edit::Append(words[2]);
    Ok(Plan::write(Command::Edit { key: words[1], field: None, edit }, Shape::Count))
}

pub(super) fn strlen<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    Ok(Plan::read(get(words[1]), Shape::LengthOfValue))
}

pub(super) fn incr<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let sign = if is(&words[0][..1], "d") { -1 } else { 1 };
    let by = match words.get(2) {
        None => sign,
        Some(text) => integer(text)?.checked_mul(sign).ok_or("ERR decrement would overflow")?,
    };
    let command = Command::Increment { key: words[1], field: None, by };
    Ok(Plan::write(command, Shape::Number { of_field: false }))
}

pub(super) fn incrbyfloat<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let edit = Edit::AddDecimal(words[2]);
    let command = Command::Edit { key: words[1], field: None, edit };
    Ok(Plan::write(command, Shape::Decimal { of_field: false }))
}

pub(super) fn getrange<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let (from, to) = (integer(words[2])?, integer(words[3])?);
    Ok(Plan::read(get(words[1]), Shape::Part(from, to)))
}

pub(super) fn setrange<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let at = integer(words[2])?;
    let at = u64::try_from(at).map_err(|_| "ERR offset is out of range")?;
    if words[3].is_empty() {
        return Ok(Plan::read(get(words[1]), Shape::LengthOfValue));
    }
    let edit = Edit::Overwrite { at, bytes: words[3] };
    Ok(Plan::write(Command::Edit { key: words[1], field: None, edit }, Shape::Count))
}

//! How an answer of the store is told to a Redis client.

use bytes::Bytes;
use kv_store::command::{Answer, Item, KeyValue, Kind, List, No};
use raft_net::resp::{Protocol, ReplyWriter};

use super::cursors::Cursors;
use super::plan::{Refused, WRONG_TYPE};
use super::subscribing::{self, Speaking};
use crate::glob;

/// What the reply to a command looks like.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// As it stands here, whatever is answered.
    Said(Bytes),
    /// What a command about channels does, these being its words.
    Speak(Box<[Bytes]>),
    /// `OK`.
    Ok,
    /// This number, once it is done.
    Int(i64),
    /// Nothing, where a value could be.
    Null,
    /// An error.
    Error(&'static str),
    /// How many there were, or are.
    Count,
    /// How many keys the whole range has.
    CountOfRange,
    /// The sum of the counts of several answers.
    Sum,
    /// How many members, but no more than this.
    CountUpTo(u64),
    /// A sum of whole numbers, of a field if it says so.
    Number { of_field: bool },
    /// A sum of decimal numbers.
    Decimal { of_field: bool },
    /// A string, or what one was before.
    Value,
    /// The same, and nothing if the key is no string.
    ValueIfString,
    /// How long a string is.
    LengthOfValue,
    /// Bytes of a string from one place to another, both included; below 0 from the end.
    Part(i64, i64),
    /// What a key is.
    Type,
    /// The value of one field.
    Field,
    /// How long the value of one field is.
    LengthOfField,
    /// The values of fields.
    Fields,
    /// Whether one item exists.
    HasOne,
    /// Whether each item exists.
    HasEach,
    /// Items.
    Items(Show),
    /// One item that was drawn.
    OneItem,
    /// How long something stays; in milliseconds, or until when.
    Remaining { in_ms: bool, is_moment: bool },
    /// How Redis would keep what a key is.
    Encoding,
    /// This if the key exists, else nothing.
    IfThere(Box<Shape>),
    /// Keys that match a pattern.
    Keys(Bytes),
    /// A key that was drawn.
    AnyKey,
    /// Keys or items of one step of a scan.
    Scan(Box<Scan>),
    /// One or the other, by what the compares said.
    Either(Box<[Shape; 2]>),
    /// The same for each answer.
    Each(Box<Shape>),
    /// The replies to the commands of a transaction, if its compares held.
    Exec(Box<[Shape]>),
}

/// What is shown of items.
#[derive(Clone, Copy, Debug)]
pub(super) enum Show {
    /// Names as a set.
    Set,
    /// Names as an array.
    Names,
    /// Values.
    Values,
    /// Names with values as a map.
    Map,
    /// Names with values as an array of pairs, flat in RESP2.
    Pairs,
}

/// What one step of a scan shows.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    pub(super) pattern: Option<Vec<u8>>,
    /// Keys of this type only; nothing at all if there is no such type.
    pub(super) kind: Option<Option<Kind>>,
    /// Whether values stand beside the names.
    pub(super) has_values: bool,
}

impl Shape {
    pub(super) fn either(yes: Self, no: Self) -> Self {
        Self::Either(Box::new([yes, no]))
    }
}

/// What replies are told with.
pub(super) struct Telling<'t> {
    pub(super) out: ReplyWriter<'t>,
    pub(super) cursors: &'t mut Cursors,
    /// Units: milliseconds since 1970.
    pub(super) now_ms: u64,
    pub(super) speaking: Speaking<'t>,
}

const ANOTHER_KIND: &str = "ERR the request id was used for a command of another kind";

const TOO_MANY: &str = "ERR there is more than an answer can hold, use SCAN, HSCAN or SSCAN";

impl Telling<'_> {
    /// Appends the reply that an answer comes to.
    pub(super) fn tell(&mut self, shape: &Shape, answer: Option<&Answer<'_>>) {
        match (shape, answer) {
            (Shape::ValueIfString, Some(Answer::No { .. })) => self.out.null(),
            (_, Some(Answer::No { why, .. })) => self.refuse(shape, *why),
            (_, Some(Answer::Undone { why, .. })) => self.out.error(&format!("ERR {why}")),
            (_, Some(Answer::Malformed { why })) => self.out.error(&format!("ERR {why}")),
            (Shape::Said(bytes), _) => self.out.raw(bytes),
            (Shape::Speak(words), _) => {
                let words: Vec<&[u8]> = words.iter().map(|word| &word[..]).collect();
                let done = subscribing::carry_out(&words, &mut self.speaking, &mut self.out);
                done.unwrap_or_else(|refused: Refused| self.out.error(&refused));
            }
            (Shape::IfThere(shape), Some(Answer::Range { kvs, .. })) if !kvs.is_empty() => {
                self.tell(shape, answer);
            }
            (Shape::IfThere(_), Some(Answer::Range { .. })) => self.out.null(),
            (Shape::Ok, _) => self.out.status("OK"),
            (Shape::Int(number), _) => self.out.integer(*number),
            (Shape::Null, _) => self.out.null(),
            (Shape::Error(text), _) => self.out.error(text),
            (Shape::Either(shapes), Some(Answer::Transaction(told))) => {
                let [yes, no] = &**shapes;
                let shape = if told.succeeded { yes } else { no };
                self.tell(shape, told.answers.first());
            }
            (Shape::Each(shape), Some(Answer::Transaction(told))) => {
                self.out.array(told.answers.len());
                told.answers.iter().for_each(|answer| self.tell(shape, Some(answer)));
            }
            (Shape::Exec(shapes), Some(Answer::Transaction(told))) => {
                if !told.succeeded {
                    self.out.null_array();
                    return;
                }
                self.tell_all(shapes, told.answers.iter());
            }
            // Nothing of it is of the store.
            (Shape::Exec(shapes), None) => self.tell_all(shapes, [].iter()),
            (Shape::Sum, Some(Answer::Transaction(told))) => {
                self.out.count(told.answers.iter().filter_map(count).sum());
            }
            (Shape::Count, Some(answer)) if count(answer).is_some() => {
                self.out.count(count(answer).unwrap_or_default());
            }
            (_, Some(answer)) => self.tell_one(shape, answer),
            (_, None) => self.out.error(ANOTHER_KIND),
        }
    }

    /// Tells the replies to the commands of a transaction.
    fn tell_all<'a>(
        &mut self,
        shapes: &[Shape],
        mut answers: impl Iterator<Item = &'a Answer<'a>>,
    ) {
        self.out.array(shapes.len());
        for shape in shapes {
            let is_said = matches!(shape, Shape::Said(_) | Shape::Speak(_));
            let answer = if is_said { None } else { answers.next() };
            self.tell(shape, answer);
        }
    }

    /// Tells an answer to one question.
    fn tell_one(&mut self, shape: &Shape, answer: &Answer<'_>) {
        match (shape, answer) {
            (Shape::CountOfRange, Answer::Range { count, .. }) => self.out.count(*count),
            (Shape::CountUpTo(most), Answer::Items { count, .. }) => {
                self.out.count((*count).min(*most));
            }
            (Shape::Number { .. }, Answer::Number { number, .. }) => self.out.integer(*number),
            (Shape::Decimal { .. } | Shape::Field, Answer::Values { values, .. }) => {
                match values.first() {
                    Some(Some(value)) => self.out.bulk(value.0),
                    Some(None) | None => self.out.null(),
                }
            }
            (Shape::Fields, Answer::Values { values, .. }) => {
                self.out.array(values.len());
                for value in values.iter() {
                    match value {
                        Some(value) => self.out.bulk(value.0),
                        None => self.out.null(),
                    }
                }
            }
            (Shape::LengthOfField, Answer::Values { values, .. }) => {
                let length = values.first().copied().flatten().map_or(0, |value| value.0.len());
                self.out.count(length as u64);
            }
            (Shape::HasOne, Answer::Has { has, .. }) => {
                self.out.integer(i64::from(has.first().copied().unwrap_or_default()));
            }
            (Shape::HasEach, Answer::Has { has, .. }) => {
                self.out.array(has.len());
                has.iter().for_each(|has| self.out.integer(i64::from(*has)));
            }
            (Shape::Items(show), Answer::Items { items, more, .. }) => {
                self.tell_items(*show, items, *more);
            }
            (Shape::OneItem, Answer::Items { items, .. }) => match items.first() {
                Some(item) => self.out.bulk(item.name),
                None => self.out.null(),
            },
            (Shape::Scan(scan), Answer::Items { items, more, .. }) => {
                self.scan_items(scan, items, *more);
            }
            (
                Shape::Remaining { in_ms, is_moment },
                Answer::Remaining { exists, remaining_ms, .. },
            ) => {
                self.tell_remaining((*in_ms, *is_moment), *exists, *remaining_ms);
            }
            (
                Shape::Value
                | Shape::ValueIfString
                | Shape::LengthOfValue
                | Shape::Part(..)
                | Shape::Type
                | Shape::Encoding
                | Shape::AnyKey
                | Shape::Keys(_)
                | Shape::Scan(_),
                _,
            ) => self.tell_keys(shape, answer),
            _ => self.out.error(ANOTHER_KIND),
        }
    }

    /// Tells an answer that has keys.
    fn tell_keys(&mut self, shape: &Shape, answer: &Answer<'_>) {
        let previous;
        let (kvs, more): (&[KeyValue<'_>], bool) = match answer {
            Answer::Range { kvs, more, .. } | Answer::DeletedKeys { kvs, more, .. } => (kvs, *more),
            Answer::PutOver { previous: before, .. } => {
                previous = *before;
                (previous.as_slice(), false)
            }
            _ => return self.out.error(ANOTHER_KIND),
        };
        let found = kvs.first();
        let is_string = found.is_none_or(|kv| kv.attributes.kind == Kind::String);
        match shape {
            Shape::Keys(pattern) if !more => {
                let shown = || kvs.iter().filter(|kv| glob::matches(pattern, kv.key));
                self.out.array(shown().count());
                shown().for_each(|kv| self.out.bulk(kv.key));
            }
            Shape::Keys(_) => self.out.error(TOO_MANY),
            Shape::Scan(scan) => self.scan_keys(scan, kvs, more),
            Shape::AnyKey => match found {
                Some(kv) => self.out.bulk(kv.key),
                None => self.out.null(),
            },
            Shape::Type => self.out.status(found.map_or("none", |kv| name(kv.attributes.kind))),
            Shape::Encoding => match found {
                Some(kv) => self.out.bulk(encoding(kv).as_bytes()),
                None => self.out.null(),
            },
            Shape::ValueIfString if !is_string => self.out.null(),
            _ if !is_string => self.out.error(WRONG_TYPE),
            Shape::LengthOfValue => {
                self.out.count(found.map_or(0, |kv| kv.value.len() as u64));
            }
            Shape::Part(from, to) => {
                self.out.bulk(part(found.map_or(b"", |kv| kv.value), *from, *to));
            }
            _ => match found {
                Some(kv) => self.out.bulk(kv.value),
                None => self.out.null(),
            },
        }
    }

    fn tell_items(&mut self, show: Show, items: &List<Item<'_>>, more: bool) {
        if more {
            return self.out.error(TOO_MANY);
        }
        let is_resp3 = self.out.protocol() == Protocol::Resp3;
        match show {
            Show::Set => self.out.set(items.len()),
            Show::Map => self.out.map(items.len()),
            Show::Pairs if !is_resp3 => self.out.array(2 * items.len()),
            Show::Names | Show::Values | Show::Pairs => self.out.array(items.len()),
        }
        for item in items.iter() {
            match show {
                Show::Set | Show::Names => self.out.bulk(item.name),
                Show::Values => self.out.bulk(item.value),
                Show::Map | Show::Pairs => {
                    if is_resp3 && matches!(show, Show::Pairs) {
                        self.out.array(2);
                    }
                    self.out.bulk(item.name);
                    self.out.bulk(item.value);
                }
            }
        }
    }

    fn begin_scan(&mut self, last: Option<&[u8]>, more: bool) {
        let cursor = last.filter(|_| more).map_or(0, |last| self.cursors.behind(last));
        self.out.array(2);
        self.out.bulk(cursor.to_string().as_bytes());
    }

    fn scan_items(&mut self, scan: &Scan, items: &List<Item<'_>>, more: bool) {
        self.begin_scan(items.last().map(|item| item.name), more);
        let is_shown =
            |item: &&Item<'_>| scan.pattern.as_ref().is_none_or(|it| glob::matches(it, item.name));
        let count = items.iter().filter(is_shown).count();
        self.out.array(if scan.has_values { 2 * count } else { count });
        for item in items.iter().filter(is_shown) {
            self.out.bulk(item.name);
            if scan.has_values {
                self.out.bulk(item.value);
            }
        }
    }

    fn scan_keys(&mut self, scan: &Scan, kvs: &[KeyValue<'_>], more: bool) {
        self.begin_scan(kvs.last().map(|kv| kv.key), more);
        let is_shown = |kv: &&KeyValue<'_>| {
            scan.pattern.as_ref().is_none_or(|it| glob::matches(it, kv.key))
                && scan.kind.is_none_or(|kind| kind == Some(kv.attributes.kind))
        };
        self.out.array(kvs.iter().filter(is_shown).count());
        kvs.iter().filter(is_shown).for_each(|kv| self.out.bulk(kv.key));
    }

    fn tell_remaining(
        &mut self,
        (in_ms, is_moment): (bool, bool),
        exists: bool,
        remaining_ms: Option<u64>,
    ) {
        let Some(remaining_ms) = remaining_ms else {
            return self.out.integer(if exists { -1 } else { -2 });
        };
        let ms = if is_moment { self.now_ms + remaining_ms } else { remaining_ms };
        self.out.count(if in_ms { ms } else { (ms + 500) / 1_000 });
    }

    fn refuse(&mut self, shape: &Shape, why: No) {
        let of_field =
            matches!(shape, Shape::Number { of_field: true } | Shape::Decimal { of_field: true });
        let is_decimal = matches!(shape, Shape::Decimal { .. });
        let text = match why {
            No::WrongType { .. } => WRONG_TYPE,
            No::NotANumber => match (is_decimal, of_field) {
                (false, false) => super::numbers::NOT_AN_INTEGER,
                (false, true) => "ERR hash value is not an integer",
                (true, false) => "ERR value is not a valid float",
                (true, true) => "ERR hash value is not a float",
            },
            No::Overflow if is_decimal => "ERR increment would produce NaN or Infinity",
            No::Overflow => "ERR increment or decrement would overflow",
            No::ValueTooLong { .. } => {
                "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
            }
            why => return self.out.error(&format!("ERR {why}")),
        };
        self.out.error(text);
    }
}

/// How many something was, if the answer says so.
fn count(answer: &Answer<'_>) -> Option<u64> {
    match answer {
        Answer::Deleted { count, .. }
        | Answer::DeletedKeys { count, .. }
        | Answer::Changed { count, .. }
        | Answer::Length { count, .. }
        | Answer::Range { count, .. } => Some(*count),
        _ => None,
    }
}

pub(super) fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::String => "string",
        Kind::Hash => "hash",
        Kind::Set => "set",
    }
}

/// Up to so long Redis keeps a string beside its key. Units: bytes.
const EMBEDDED_BYTES_MAX: usize = 44;

fn encoding(kv: &KeyValue<'_>) -> &'static str {
    match kv.attributes.kind {
        Kind::Hash | Kind::Set => "hashtable",
        Kind::String if super::numbers::integer(kv.value).is_ok() => "int",
        Kind::String if kv.value.len() <= EMBEDDED_BYTES_MAX => "embstr",
        Kind::String => "raw",
    }
}

/// The part of a value between two places, as `GETRANGE` counts them.
fn part(value: &[u8], from: i64, to: i64) -> &[u8] {
    let length = i64::try_from(value.len()).unwrap_or(i64::MAX);
    if from < 0 && to < 0 && to < from {
        return b"";
    }
    let place = |at: i64| if at < 0 { (length.saturating_add(at)).max(0) } else { at };
    let (from, to) = (place(from), place(to).min(length - 1));
    if length == 0 || to < from {
        return b"";
    }
    let place = |at: i64| usize::try_from(at).unwrap_or_default();
    &value[place(from)..=place(to)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_from_both_ends() {
        let table: [(i64, i64, &[u8]); 9] = [
            (0, 3, b"This"),
            (-3, -1, b"ing"),
            (0, -1, b"This is a string"),
            (10, 100, b"string"),
            (5, 3, b""),
            (-1, -3, b""),
            (-100, 1, b"Th"),
            (16, 20, b""),
            (i64::MIN, i64::MAX, b"This is a string"),
        ];
        for (from, to, expected) in table {
            assert_eq!(part(b"This is a string", from, to), expected, "{from} to {to}");
        }
        assert_eq!(part(b"", 0, -1), b"");
    }
}

//! Hashes, sets, numbers and what does not last as they are typed: words to requests, answers
//! to lines.
//!
//! Fields are written `field:value`, split at the first colon; `\:` is a colon in a field, and
//! `\\` a backslash. Answers are bare values, `null`, `true`, `false` and numbers.

mod lasting;

use bytes::{Bytes, BytesMut};
use kv_store::command::{Answer, Collection, Command, Item, Limits, List, Name, Query};

use crate::client::{no_answer_to_a_read, no_answer_to_a_write};
use crate::error::ClientError;

/// The commands: name, what follows it, what it does.
pub const TYPED: &[(&str, &str, &str)] = &[
    ("hset", "KEY FIELD:VALUE...", "sets fields of a hash"),
    ("hget", "KEY FIELD...", "prints the values of fields, or null"),
    ("hdel", "KEY FIELD...", "removes fields and prints how many there were"),
    ("hgetall", "KEY", "prints every field as FIELD:VALUE"),
    ("hlen", "KEY", "prints how many fields there are"),
    ("hexists", "KEY FIELD...", "prints true for fields that exist, else false"),
    ("sset", "KEY MEMBER...", "adds members to a set"),
    ("sdel", "KEY MEMBER...", "removes members and prints how many there were"),
    ("shas", "KEY MEMBER...", "prints true for members that exist, else false"),
    ("smembers", "KEY", "prints every member"),
    ("scard", "KEY", "prints how many members there are"),
    ("incr", "KEY [[FIELD] BY]", "adds to a number, 1 if not told, and prints the sum"),
    ("expire", "KEY [FIELD] SECONDS", "lets a key or a field go after a time, and prints true"),
    ("persist", "KEY [FIELD]", "lets a key or a field stay for ever, and prints true"),
    ("ttl", "KEY [FIELD]", "prints for how many seconds a key or a field stays, or forever"),
    ("lease", LEASE_USAGE, "leases, with which keys go (put --lease)"),
];

const LEASE_USAGE: &str = "grant SECONDS [ID] | revoke ID | renew ID... | show ID | list";

/// A command that was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// The encoded command or query.
    pub body: Bytes,
    /// Whether it is a command.
    pub is_write: bool,
}

/// What is said to whoever typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Lines, each with its end.
    pub lines: Vec<u8>,
    /// Whether all of it is a no: null, or false.
    pub is_no: bool,
    /// Whether there is more than one answer can hold.
    pub more: bool,
}

impl Typed {
    /// Reads words, of which the first is one of [`TYPED`] in any case; `None` if it is not.
    ///
    /// Errors: a line that says what is wrong.
    #[must_use]
    pub fn parse(words: &[Vec<u8>]) -> Option<Result<Self, String>> {
        let (name, arguments) = words.split_first()?;
        let name = name.to_ascii_lowercase();
        let (name, usage, _) = TYPED.iter().find(|(known, ..)| known.as_bytes() == name)?;
        let wrong = || format!("usage: {name} {usage}");
        Some(request(name, arguments).unwrap_or_else(|| Err(wrong())))
    }

    fn is_expiry(&self) -> bool {
        self.is_write && matches!(Command::decode(&self.body), Ok(Command::Expire { .. }))
    }

    /// What the answer to the command says.
    ///
    /// Errors: `DecidedNo`, `Rejected`, and `Unknown` if the answer of a command makes no sense.
    pub fn said(&self, answer: &[u8]) -> Result<Said, ClientError> {
        let strange = if self.is_write { no_answer_to_a_write } else { no_answer_to_a_read };
        let nonsense = if self.is_write { ClientError::Unknown } else { ClientError::nonsense() };
        let answer = Answer::decode(answer).map_err(|_| nonsense)?;
        let (mut lines, mut is_no, mut is_cut) = (Vec::new(), false, false);
        let mut line = |parts: &[&[u8]]| {
            parts.iter().for_each(|part| lines.extend_from_slice(part));
            lines.push(b'\n');
        };
        match &answer {
            Answer::Changed { count, .. } if self.is_expiry() => {
                is_no = *count == 0;
                line(&[if is_no { b"false" } else { b"true" }]);
            }
            Answer::Changed { count, .. } | Answer::Length { count, .. } => {
                line(&[count.to_string().as_bytes()]);
            }
            Answer::Number { number, .. } => line(&[number.to_string().as_bytes()]),
            Answer::Values { values, .. } => {
                values.iter().for_each(|value| line(&[value.map_or(b"null", |value| value.0)]));
                is_no = values.iter().all(Option::is_none);
            }
            Answer::Has { has, .. } => {
                has.iter().for_each(|has| line(&[has.to_string().as_bytes()]));
                is_no = has.iter().all(|has| !has);
            }
            Answer::Items { items, more, .. } => {
                is_cut = *more;
                for Item { name, value } in items.iter() {
                    // Members are written as they are, and so are values.
                    match Query::decode(&self.body) {
                        Ok(Query::Items { of: Collection::Hash, .. }) => {
                            line(&[&escaped(name), b":", value]);
                        }
                        _ => line(&[name]),
                    }
                }
            }
            Answer::Deleted { count, .. } => line(&[count.to_string().as_bytes()]),
            other => {
                (lines, is_no) = lasting::lines(other).ok_or_else(|| strange(other))?;
                is_cut = matches!(
                    other,
                    Answer::Lease { more: true, .. } | Answer::Leases { more: true, .. }
                );
            }
        }
        Ok(Said { lines, is_no, more: is_cut })
    }
}

/// The request; `None` if there are too few or too many words.
fn request(name: &str, arguments: &[Vec<u8>]) -> Option<Result<Typed, String>> {
    if matches!(name, "expire" | "persist" | "ttl" | "lease") {
        return lasting::request(name, arguments);
    }
    let (key, rest) = arguments.split_first()?;
    let names = || -> Option<List<Name<'_>>> {
        (!rest.is_empty()).then(|| rest.iter().map(|name| Name(name)).collect())
    };
    let (hash, set, revision) = (Collection::Hash, Collection::Set, 0);
    let all = |of| {
        let items = Query::Items { of, key, from: b"", limit: 0, revision };
        rest.is_empty().then_some(items)
    };
    let length = |of| rest.is_empty().then_some(Query::Length { of, key, revision });
    Some(match name {
        "hset" if !rest.is_empty() => {
            let fields: Option<Vec<_>> = rest.iter().map(|word| split_field(word)).collect();
            let Some(fields) = fields else {
                return Some(Err("a field is written FIELD:VALUE".to_owned()));
            };
            let item = |(name, value)| Item { name, value };
            let fields = fields.iter().map(|(name, value)| item((name, value))).collect();
            write(&Command::SetFields { key, fields })
        }
        "hget" => read(&Query::Fields { key, names: names()?, revision }),
        "hdel" => write(&Command::RemoveItems { of: hash, key, names: names()? }),
        "hgetall" => read(&all(hash)?),
        "hlen" => read(&length(hash)?),
        "hexists" => read(&Query::Has { of: hash, key, names: names()?, revision }),
        "sset" => write(&Command::AddMembers { key, members: names()? }),
        "sdel" => write(&Command::RemoveItems { of: set, key, names: names()? }),
        "shas" => read(&Query::Has { of: set, key, names: names()?, revision }),
        "smembers" => read(&all(set)?),
        "scard" => read(&length(set)?),
        "incr" => {
            let (field, by) = match rest {
                [] => (None, None),
                [by] => (None, Some(by)),
                [field, by] => (Some(Name(field)), Some(by)),
                _ => return None,
            };
            let number = |by: &Vec<u8>| std::str::from_utf8(by).ok()?.parse().ok();
            let Some(by) = by.map_or(Some(1), number) else {
                return Some(Err("BY is a number of 64 bits".to_owned()));
            };
            write(&Command::Increment { key, field, by })
        }
        _ => return None,
    })
}

fn write(command: &Command<'_>) -> Result<Typed, String> {
    command.check(&Limits::default()).map_err(|error| error.to_string())?;
    let mut body = BytesMut::new();
    command.encode(&mut body);
    Ok(Typed { body: body.freeze(), is_write: true })
}

fn read(query: &Query<'_>) -> Result<Typed, String> {
    query.check(&Limits::default()).map_err(|error| error.to_string())?;
    let mut body = BytesMut::new();
    query.encode(&mut body);
    Ok(Typed { body: body.freeze(), is_write: false })
}

/// Field and value of `FIELD:VALUE`; `None` without a colon.
fn split_field(word: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut field, mut bytes) = (Vec::new(), word.iter());
    while let Some(&byte) = bytes.next() {
        match (byte, bytes.as_slice().first()) {
            (b':', _) => return Some((field, bytes.as_slice().to_vec())),
            (b'\\', Some(&next @ (b':' | b'\\'))) => {
                field.push(next);
                bytes.next();
            }
            _ => field.push(byte),
        }
    }
    None
}

/// A field as it is typed.
fn escaped(field: &[u8]) -> Vec<u8> {
    let escape = |&byte: &u8| match byte {
        b':' | b'\\' => vec![b'\\', byte],
        byte => vec![byte],
    };
    field.iter().flat_map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_split_at_the_first_colon_that_is_not_escaped() {
        let split = |word: &str| split_field(word.as_bytes());
        let pair = |field: &str, value: &str| Some((field.into(), value.into()));
        assert_eq!(split("a:1"), pair("a", "1"));
        assert_eq!(split("a:1:2\\:3"), pair("a", "1:2\\:3"));
        assert_eq!(split("a\\:b:1"), pair("a:b", "1"));
        assert_eq!(split("a\\\\:1"), pair("a\\", "1"));
        assert_eq!(split("a\\b:"), pair("a\\b", ""));
        assert_eq!(split(":1"), pair("", "1"));
        assert_eq!(split("a"), None);
        for field in ["", "a:b", "\\", "\\:", "a\\b"] {
            let typed = [escaped(field.as_bytes()), b":v".to_vec()].concat();
            assert_eq!(split_field(&typed), pair(field, "v"));
        }
    }

    #[test]
    fn what_makes_no_sense_is_said_with_what_would() {
        let parse = |line: &str| {
            let words: Vec<Vec<u8>> =
                line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            Typed::parse(&words)
        };
        assert_eq!(parse("put a b"), None);
        for (line, words) in [
            ("hset a", "usage: hset KEY FIELD:VALUE..."),
            ("HSET a b", "a field is written FIELD:VALUE"),
            ("hget a", "usage: hget KEY FIELD..."),
            ("smembers a b", "usage: smembers KEY"),
            ("incr a b", "BY is a number of 64 bits"),
            ("incr a b 1 2", "usage: incr KEY [[FIELD] BY]"),
            ("hlen", "usage: hlen KEY"),
        ] {
            assert_eq!(parse(line), Some(Err(words.to_owned())), "{line}");
        }
    }
}

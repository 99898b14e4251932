//! Hashes, sets, numbers, transactions and what does not last as they are typed: words to
//! requests, answers to lines.
//!
//! Fields are written `field:value`, split at the first colon; `\:` is a colon in a field, and
//! `\\` a backslash. Answers are bare values, `null`, `true`, `false` and numbers.

mod lasting;
mod transaction;

use bytes::{Bytes, BytesMut};
use kv_store::command::{
    Answer, Collection, Command, Item, Limits, List, Name, Operation, Query, Transacted,
    Transaction,
};

pub use self::transaction::Parts;

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
    ("txn", transaction::USAGE, "does one thing or another, all of it at once"),
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
    /// Whether all of it is a no: null, false, or compares that do not hold.
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
        if *name == "txn" {
            return Some(Parts::of_line(arguments).and_then(|parts| parts.typed()));
        }
        Some(request(name, arguments).unwrap_or_else(|| Err(wrong())))
    }

    /// What is asked for, which was written by this module.
    fn operation(&self) -> Option<Operation<'_>> {
        if self.is_write {
            Command::decode(&self.body).ok().map(Operation::Write)
        } else {
            Query::decode(&self.body).ok().map(Operation::Read)
        }
    }

    /// What the answer to the command says.
    ///
    /// Errors: `DecidedNo`, `Undone`, `Rejected`, and `Unknown` if the answer of a command makes
    /// no sense.
    pub fn said(&self, answer: &[u8]) -> Result<Said, ClientError> {
        let strange = if self.is_write { no_answer_to_a_write } else { no_answer_to_a_read };
        let nonsense = if self.is_write { ClientError::Unknown } else { ClientError::nonsense() };
        let answer = Answer::decode(answer).map_err(|_| nonsense)?;
        let mut said = Said { lines: Vec::new(), is_no: false, more: false };
        let has_said = match (&answer, self.operation()) {
            (
                Answer::Transaction(transacted),
                Some(Operation::Write(Command::Transaction { transaction, .. })),
            ) => said.transaction(&transaction, transacted),
            (answer, Some(operation)) => said.answer(answer, &operation),
            (_, None) => false,
        };
        if has_said { Ok(said) } else { Err(strange(&answer)) }
    }
}

impl Said {
    fn line(&mut self, parts: &[&[u8]]) {
        parts.iter().for_each(|part| self.lines.extend_from_slice(part));
        self.lines.push(b'\n');
    }

    /// Says the answer to what was asked for; returns whether there is a way to say it.
    fn answer(&mut self, answer: &Answer<'_>, asked: &Operation<'_>) -> bool {
        match answer {
            Answer::Changed { count, .. }
                if matches!(asked, Operation::Write(Command::Expire { .. })) =>
            {
                self.is_no = *count == 0;
                self.line(&[if self.is_no { b"false" } else { b"true" }]);
            }
            Answer::Changed { count, .. } | Answer::Length { count, .. } => {
                self.line(&[count.to_string().as_bytes()]);
            }
            Answer::Number { number, .. } => self.line(&[number.to_string().as_bytes()]),
            Answer::Values { values, .. } => {
                values.iter().for_each(|v| self.line(&[v.map_or(b"null", |value| value.0)]));
                self.is_no = values.iter().all(Option::is_none);
            }
            Answer::Has { has, .. } => {
                has.iter().for_each(|has| self.line(&[has.to_string().as_bytes()]));
                self.is_no = has.iter().all(|has| !has);
            }
            Answer::Items { items, more, .. } => {
                self.more |= *more;
                let are_fields =
                    matches!(asked, Operation::Read(Query::Items { of: Collection::Hash, .. }));
                for Item { name, value } in items.iter() {
                    // Members are written as they are, and so are values.
                    if are_fields {
                        self.line(&[&escaped(name), b":", value]);
                    } else {
                        self.line(&[name]);
                    }
                }
            }
            Answer::Deleted { count, .. } => self.line(&[count.to_string().as_bytes()]),
            other => {
                let Some((lines, is_no)) = lasting::lines(other) else { return false };
                self.lines.extend_from_slice(&lines);
                self.is_no = is_no;
                self.more |= matches!(
                    other,
                    Answer::Lease { more: true, .. } | Answer::Leases { more: true, .. }
                );
            }
        }
        true
    }

    /// As etcdctl: whether the compares held, then each answer behind an empty line.
    fn transaction(&mut self, asked: &Transaction<'_>, done: &Transacted<'_>) -> bool {
        let (word, branch) =
            if done.succeeded { ("SUCCESS", &asked.then) } else { ("FAILURE", &asked.otherwise) };
        self.line(&[word.as_bytes()]);
        // Another transaction may have been answered, under the same request id.
        let is_answered = branch.len() == done.answers.len();
        let has_said = branch.iter().zip(done.answers.iter()).all(|(operation, answer)| {
            self.line(&[]);
            self.operation(operation, answer)
        });
        self.is_no = !done.succeeded;
        is_answered && has_said
    }

    fn operation(&mut self, operation: &Operation<'_>, answer: &Answer<'_>) -> bool {
        match (operation, answer) {
            (Operation::Nested(nested), Answer::Transaction(transacted)) => {
                return self.transaction(nested, transacted);
            }
            (_, Answer::Put { .. } | Answer::PutOver { .. }) => self.line(&[b"OK"]),
            (_, Answer::Range { kvs, more, .. }) => {
                self.more |= *more;
                for kv in kvs.iter() {
                    self.line(&[kv.key]);
                    self.line(&[kv.value]);
                }
            }
            (_, Answer::No { why, .. }) => self.line(&[b"no: ", why.to_string().as_bytes()]),
            (operation, answer) => return self.answer(answer, operation),
        }
        true
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
    Command::check_encoded(&body).map_err(|error| error.to_string())?;
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

//! Transactions as they are typed: on one line, or in parts as for `etcdctl txn`.
//!
//! Everything is words, so that quotes serve as anywhere else. A line is
//! `txn [--each-alone] [if COMPARE [and COMPARE]...] [then OPERATION [; OPERATION]...]
//! [else OPERATION [; OPERATION]...]`; in parts, compares and operations stand on a line each.

use kv_store::command::{
    Collection, Command, Compare, KeyRange, OnNo, Operation, PutOptions, Query, RangeEnd, Relation,
    Target, Transaction,
};

use super::lasting::{id_of, milliseconds};
use super::{Typed, read, write};

/// What follows `txn`, in short.
pub(super) const USAGE: &str =
    "[--each-alone] [if COMPARE [and ...]] [then OPERATION [; ...]] [else OPERATION [; ...]]";

/// What a compare looks like.
const COMPARES: &str = "a compare is version|create|mod|lease|value KEY [--prefix] =|!=|<|> WHAT, \
                        exists KEY [--prefix], hget KEY FIELD =|!=|<|> VALUE, hexists KEY FIELD \
                        or shas KEY MEMBER; not stands before the last ones";

const PUT_USAGE: &str = "usage: put KEY VALUE [--lease ID] [--ttl SECONDS]";

/// Words of a compare or an operation.
type Words = Vec<Vec<u8>>;

/// A transaction in words, part by part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// What an operation's no means for the others.
    pub on_no: OnNo,
    /// Compares.
    pub when: Vec<Vec<Vec<u8>>>,
    /// Operations, if all of them hold.
    pub then: Vec<Vec<Vec<u8>>>,
    /// Operations otherwise.
    pub otherwise: Vec<Vec<Vec<u8>>>,
}

impl Parts {
    /// Splits the words of one line, behind `txn`.
    ///
    /// Errors: a line that says what is wrong.
    pub(super) fn of_line(words: &[Vec<u8>]) -> Result<Self, String> {
        let mut parts = Self::default();
        let words = match words.split_first() {
            Some((first, rest)) if first == b"--each-alone" => {
                parts.on_no = OnNo::GoOn;
                rest
            }
            _ => words,
        };
        // Which part the words belong to: 0 none yet, then in the order in which they stand.
        let mut part = 0;
        for word in words {
            let opens = match (part, &word.to_ascii_lowercase()[..]) {
                (0, b"if") => 1,
                (0 | 1, b"then") => 2,
                (0..=2, b"else") => 3,
                _ => part,
            };
            let goes_on = match part {
                1 => word.eq_ignore_ascii_case(b"and"),
                2 | 3 => word == b";",
                _ => false,
            };
            let list = match opens {
                1 => &mut parts.when,
                2 => &mut parts.then,
                3 => &mut parts.otherwise,
                _ => return Err(format!("usage: txn {USAGE}")),
            };
            if opens != part || goes_on {
                part = opens;
                list.push(Words::new());
                continue;
            }
            // It would be taken for the end of a value.
            if word.ends_with(b";") {
                return Err("put blanks around ;".to_owned());
            }
            list.last_mut().expect("a part begins with an element").push(word.clone());
        }
        let lists = [&mut parts.when, &mut parts.then, &mut parts.otherwise];
        // What ends with its sign, as lists of statements do, says nothing more.
        lists.into_iter().for_each(|list| list.retain(|words| !words.is_empty()));
        Ok(parts)
    }

    /// The request.
    ///
    /// Errors: a line that says what is wrong.
    pub fn typed(&self) -> Result<Typed, String> {
        let operations =
            |list: &[Words]| -> Result<Vec<Typed>, String> { list.iter().map(operation).collect() };
        let (then, otherwise) = (operations(&self.then)?, operations(&self.otherwise)?);
        let mut transaction = Transaction::default();
        for words in &self.when {
            transaction.when.push(compare(words).ok_or_else(|| wrong_compare(words))?);
        }
        for typed in &then {
            transaction.then.push(decoded(typed)?);
        }
        for typed in &otherwise {
            transaction.otherwise.push(decoded(typed)?);
        }
        write(&Command::Transaction { on_no: self.on_no, transaction: Box::new(transaction) })
    }
}

fn wrong_compare(words: &Words) -> String {
    format!("{:?}: {COMPARES}", String::from_utf8_lossy(&words.join(&b' ')))
}

fn decoded(typed: &Typed) -> Result<Operation<'_>, String> {
    let operation = if typed.is_write {
        Command::decode(&typed.body).map(Operation::Write)
    } else {
        Query::decode(&typed.body).map(Operation::Read)
    };
    operation.map_err(|error| error.to_string())
}

/// One of the commands on keys, or one of those on types.
fn operation(words: &Words) -> Result<Typed, String> {
    let (name, arguments) = words.split_first().ok_or("an operation is missing")?;
    let is_prefix = |word: &Vec<u8>| word == b"--prefix";
    let (flags, arguments): (Vec<_>, Vec<_>) = arguments.iter().partition(|word| is_prefix(word));
    let end = if flags.is_empty() { RangeEnd::Single } else { RangeEnd::Prefix };
    match (&name.to_ascii_lowercase()[..], &arguments[..]) {
        (b"put" | b"set", _) => put(&words[1..]).unwrap_or_else(|| Err(PUT_USAGE.to_owned())),
        (b"get", [key]) => read(&Query::Range { range: KeyRange { from: key, end }, limit: 0 }),
        (b"get", _) => Err("usage: get KEY [--prefix]".to_owned()),
        (b"del", [_, ..]) => {
            let ranges = arguments.iter().map(|key| KeyRange { from: key, end }).collect();
            write(&Command::Delete { ranges })
        }
        (b"del", _) => Err("usage: del KEY... [--prefix]".to_owned()),
        (b"txn", _) => Err("a transaction that is typed cannot be nested".to_owned()),
        (name, _) => Typed::parse(words).unwrap_or_else(|| {
            let name = String::from_utf8_lossy(name).into_owned();
            Err(format!("{name:?} cannot be part of a transaction"))
        }),
    }
}

/// `None` if there are too few or too many words.
fn put(words: &[Vec<u8>]) -> Option<Result<Typed, String>> {
    let (key, words) = words.split_first()?;
    let (value, mut words) = words.split_first()?;
    let mut options = PutOptions::default();
    while let [flag, what, rest @ ..] = words {
        let read = match &flag[..] {
            b"--lease" => id_of(what).map(|id| options.lease = id),
            b"--ttl" => milliseconds(what).map(|ttl_ms| options.ttl_ms = ttl_ms),
            _ => return None,
        };
        if let Err(why) = read {
            return Some(Err(why));
        }
        words = rest;
    }
    words.is_empty().then(|| match options == PutOptions::default() {
        true => write(&Command::Put { key, value }),
        false => write(&Command::PutWith { key, value, options }),
    })
}

/// `None` if it makes no sense.
fn compare(words: &Words) -> Option<Compare<'_>> {
    let (is_so, words) = match words.split_first()? {
        (first, rest) if first.eq_ignore_ascii_case(b"not") => (false, rest),
        _ => (true, &words[..]),
    };
    let (first, rest) = words.split_first()?;
    // etcdctl: version("key").
    let (name, in_brackets) = match first.iter().position(|&byte| byte == b'(') {
        Some(at) => (&first[..at], Some(first[at + 1..].strip_suffix(b")")?)),
        None => (&first[..], None),
    };
    let (key, rest) = match in_brackets {
        Some(key) => (key, rest),
        None => rest.split_first().map(|(key, rest)| (&key[..], rest))?,
    };
    let (end, rest) = match rest.split_first() {
        Some((first, rest)) if first == b"--prefix" => (RangeEnd::Prefix, rest),
        _ => (RangeEnd::Single, rest),
    };
    let (relation, target) = match (&name.to_ascii_lowercase()[..], rest) {
        (b"exists", []) => (Relation::Equal, Target::Exists(is_so)),
        (b"hexists", [name]) => {
            (Relation::Equal, Target::Has { of: Collection::Hash, name, has: is_so })
        }
        (b"shas", [name]) => {
            (Relation::Equal, Target::Has { of: Collection::Set, name, has: is_so })
        }
        (b"hget", [name, sign, value]) if is_so => (relation(sign)?, Target::Field { name, value }),
        (name, [sign, what]) if is_so => (relation(sign)?, target(name, what)?),
        _ => return None,
    };
    Some(Compare { range: KeyRange { from: key, end }, relation, target })
}

fn relation(sign: &[u8]) -> Option<Relation> {
    Some(match sign {
        b"=" | b"==" => Relation::Equal,
        b"!=" => Relation::NotEqual,
        b"<" => Relation::Less,
        b">" => Relation::Greater,
        _ => return None,
    })
}

/// What is compared, also by the names that etcdctl has for it.
fn target<'w>(name: &[u8], what: &'w [u8]) -> Option<Target<'w>> {
    let number = || std::str::from_utf8(what).ok()?.parse().ok();
    Some(match name {
        b"version" | b"ver" => Target::Version(number()?),
        b"create" | b"c" => Target::CreateRevision(number()?),
        b"mod" | b"m" => Target::ModRevision(number()?),
        b"lease" => Target::Lease(number()?),
        b"value" | b"val" => Target::Value(what),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Words {
        line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
    }

    fn typed(line: &str) -> Result<Typed, String> {
        Typed::parse(&words(line)).expect("it begins with txn")
    }

    /// The command that a line is, as Rust would show it.
    fn shown(line: &str) -> String {
        let typed = typed(line).unwrap();
        let Ok(Command::Transaction { on_no, transaction }) = Command::decode(&typed.body) else {
            panic!("{line} is no transaction")
        };
        assert!(typed.is_write);
        format!("{on_no:?} {transaction:?}")
    }

    #[test]
    fn a_line_is_split_into_its_parts() {
        let parts = Parts::of_line(&words(
            "--each-alone IF version(a) = 0 AND value b != x then put a 1 ; get b ; \
             else del a --prefix",
        ));
        let list = |lines: &[&str]| lines.iter().map(|line| words(line)).collect();
        let expected = Parts {
            on_no: OnNo::GoOn,
            when: list(&["version(a) = 0", "value b != x"]),
            then: list(&["put a 1", "get b"]),
            otherwise: list(&["del a --prefix"]),
        };
        assert_eq!(parts, Ok(expected));
        assert_eq!(Parts::of_line(&[]), Ok(Parts::default()));
        let only_else = Parts::of_line(&words("else put if then")).unwrap();
        assert_eq!((only_else.then, only_else.otherwise), (vec![], list(&["put if then"])));
    }

    #[test]
    fn compares_are_written_in_brackets_or_without() {
        for (one, other) in [
            ("version(a) = 1", "ver a == 1"),
            ("create(a) > 1", "c a > 1"),
            ("mod(a) < 1", "m(a) < 1"),
            ("value(a) != 1", "val a != 1"),
            ("exists(a)", "EXISTS a"),
            ("not exists(a) --prefix", "not exists a --prefix"),
        ] {
            assert_eq!(shown(&format!("txn if {one}")), shown(&format!("txn if {other}")));
        }
        let compare = |line: &str| shown(&format!("txn if {line} then"));
        assert!(compare("lease(a) = 0").contains("Single }, relation: Equal, target: Lease(0)"));
        assert!(compare("mod a --prefix < 9").contains("Prefix }, relation: Less, target: Mod"));
        assert!(compare("not exists a").contains("Equal, target: Exists(false)"));
        assert!(compare("hget h f = v").contains("Field { name: [102], value: [118] }"));
        assert!(compare("hexists h f").contains("Has { of: Hash, name: [102], has: true }"));
        let put = |line: &str| shown(&format!("txn then {line}"));
        assert!(put("put a 1 --lease 7 --ttl 2").contains("lease: 7, ttl_ms: 2000"));
        assert!(put("put a --prefix").contains("Put { key: [97]"));
        assert!(compare("not shas s m").contains("Has { of: Set, name: [109], has: false }"));
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (line, words) in [
            ("txn put a 1", "usage: txn [--each-alone]"),
            ("txn if a = 1", "\"a = 1\": a compare is"),
            ("txn if version(a = 1", "a compare is"),
            ("txn if version(a) ~ 1", "a compare is"),
            ("txn if version(a) = x", "a compare is"),
            ("txn if not version(a) = 1", "a compare is"),
            ("txn if size(a) = 1", "a compare is"),
            ("txn then put a", "usage: put KEY VALUE"),
            ("txn then put a b --lease", "usage: put KEY VALUE"),
            ("txn then put a b --lease x", "a lease is a number above 0"),
            ("txn then lease grant 5", "the command cannot be part of a transaction"),
            ("txn then get", "usage: get KEY"),
            ("txn then del", "usage: del KEY"),
            ("txn then put a 1; get b", "put blanks around ;"),
            ("txn then compact 3", "\"compact\" cannot be part of a transaction"),
            ("txn then txn then", "cannot be nested"),
            ("txn then hset a b", "FIELD:VALUE"),
            ("txn if exists(a) then put a 1 if exists(b)", "usage: put KEY VALUE"),
        ] {
            let error = typed(line).unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}

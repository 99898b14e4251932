//! `kvctl txn`: a transaction from words or from standard input, and its answer.

use std::io::{self, BufRead, Read, Write};
use std::os::unix::ffi::OsStringExt;

use bytes::Bytes;
use kv_store::command::Answer;
use serde::Serialize;
use tokio::time::Instant;

use super::arguments::{Format, TransactionArguments};
use super::commands::{Target, Told, tell_of_more};
use super::output;
use super::{CommandError, DECIDED_NO};
use crate::document::{Pair, text_or_base64};
use crate::leases::milliseconds;
use crate::prompt::split;
use crate::transaction::{OnNo, Outcome, Reply};
use crate::typed::{Parts, Typed};

/// The most that is read of a transaction; nodes take less. Units: bytes.
const INPUT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Reads a transaction from the words, or without any from `input`, if that is free.
///
/// Errors: `CommandError::Usage`.
pub(crate) fn typed(
    arguments: TransactionArguments,
    input: Option<&mut Box<dyn BufRead + Send>>,
) -> Result<Typed, CommandError> {
    let TransactionArguments { words, each_alone } = arguments;
    let on_no = if each_alone { OnNo::GoOn } else { OnNo::Undo };
    if words.is_empty() {
        let input = input.ok_or_else(|| {
            CommandError::Usage("the shell's input is commands; write txn on one line".to_owned())
        })?;
        let parts = Parts { on_no, ..read(input)? };
        return parts.typed().map_err(CommandError::Usage);
    }
    let flag = each_alone.then(|| b"--each-alone".to_vec());
    let words = words.into_iter().map(OsStringExt::into_vec);
    let words: Vec<Vec<u8>> = [b"txn".to_vec()].into_iter().chain(flag).chain(words).collect();
    let typed = Typed::parse(&words).expect("txn is known");
    typed.map_err(CommandError::Usage)
}

/// Reads compares, operations and further operations, a line each, the parts set off by empty
/// lines (etcdctl: `txn`).
fn read(input: &mut dyn Read) -> Result<Parts, CommandError> {
    let unreadable = |error: io::Error| {
        CommandError::Usage(format!("cannot read the transaction from standard input: {error}"))
    };
    let mut text = String::new();
    let limit = u64::try_from(INPUT_BYTES_MAX).expect("a limit fits in 64 bits");
    input.take(limit + 1).read_to_string(&mut text).map_err(unreadable)?;
    if INPUT_BYTES_MAX < text.len() {
        let what = format!("no transaction may be longer than {INPUT_BYTES_MAX} bytes");
        return Err(CommandError::Usage(what));
    }
    let (mut lists, mut part) = ([const { Vec::new() }; 3], 0);
    for (number, line) in (1..).zip(text.lines()) {
        let at = |what: String| CommandError::Usage(format!("line {number}: {what}"));
        let words = split(line).map_err(|error| at(error.to_string()))?;
        if words.is_empty() {
            part += 1;
        } else if let Some(list) = lists.get_mut(part) {
            list.push(words.into_iter().map(String::into_bytes).collect());
        } else {
            let what = "a transaction has three parts: compares, operations if they hold, \
                        operations otherwise; what follows them?";
            return Err(at(what.to_owned()));
        }
    }
    let [when, then, otherwise] = lists;
    Ok(Parts { on_no: OnNo::Undo, when, then, otherwise })
}

/// Carries a transaction out and writes the answer. Returns the exit code.
pub(crate) async fn run(
    typed: Typed,
    target: &Target<'_>,
    deadline: Instant,
    format: Format,
    (output, errors): Told<'_>,
) -> Result<u8, CommandError> {
    let client = target.client(deadline).await?;
    let (outcome, answer) = client.transact_encoded(typed.body.clone()).await?;
    match format {
        Format::Simple | Format::Table => {
            let said = typed.said(&answer).map_err(|_| client.answer_of_another_kind())?;
            output.write_all(&said.lines)?;
            tell_of_more(said.more, errors);
        }
        Format::Json => output::json(output, &Document::from(&outcome))?,
    }
    Ok(if outcome.succeeded { 0 } else { DECIDED_NO })
}

/// Writes the answer to any command as JSON; returns whether it is one that has such a form.
pub(super) fn document_of(output: &mut dyn Write, answer: &Bytes) -> io::Result<bool> {
    let Ok(decoded) = Answer::decode(answer) else { return Ok(false) };
    match &decoded {
        Answer::Granted { id, ttl_ms, .. } => {
            output::json(output, &Said::Granted { id: *id, ttl_ms: *ttl_ms })?;
        }
        Answer::Renewed { ttls_ms, .. } => output::json(output, &Said::Renewed { ttls_ms })?,
        decoded => match Reply::owned(answer, decoded) {
            Some(reply) => output::json(output, &Said::from(&reply))?,
            None => return Ok(false),
        },
    }
    Ok(true)
}

#[derive(Serialize)]
struct Document<'a> {
    succeeded: bool,
    revision: u64,
    answers: Vec<Said<'a>>,
}

impl<'a> From<&'a Outcome> for Document<'a> {
    fn from(outcome: &'a Outcome) -> Self {
        let Outcome { succeeded, revision, answers } = outcome;
        let answers = answers.iter().map(Said::from).collect();
        Self { succeeded: *succeeded, revision: *revision, answers }
    }
}

/// The answer to an operation, named by what it is about.
#[derive(Serialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
enum Said<'a> {
    Put {
        revision: u64,
        previous: Option<Pair<'a>>,
    },
    Deleted {
        count: u64,
        revision: u64,
        kvs: Vec<Pair<'a>>,
        more: bool,
    },
    Range {
        kvs: Vec<Pair<'a>>,
        more: bool,
        count: u64,
        revision: u64,
    },
    Changed {
        count: u64,
        revision: u64,
    },
    Number {
        number: i64,
    },
    Values {
        values: Vec<Option<Text<'a>>>,
    },
    Has {
        has: &'a [bool],
    },
    Items {
        items: Vec<Named<'a>>,
        more: bool,
        count: u64,
    },
    Length {
        count: u64,
    },
    Remaining {
        exists: bool,
        remaining_ms: Option<u64>,
    },
    Lease {
        ttl_ms: u64,
        remaining_ms: u64,
        keys: Vec<Text<'a>>,
        more: bool,
    },
    Leases {
        ids: &'a [u64],
    },
    Granted {
        id: u64,
        ttl_ms: u64,
    },
    /// 0 where there is no such lease.
    Renewed {
        ttls_ms: &'a [u64],
    },
    No {
        why: String,
    },
    Transaction(Document<'a>),
}

#[derive(Serialize)]
struct Text<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

#[derive(Serialize)]
struct Named<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_base64: Option<String>,
    #[serde(flatten)]
    value: Text<'a>,
}

fn text(bytes: &[u8]) -> Text<'_> {
    let (value, value_base64) = text_or_base64(bytes);
    Text { value, value_base64 }
}

impl<'a> From<&'a Reply> for Said<'a> {
    fn from(reply: &'a Reply) -> Self {
        match reply {
            Reply::Put { revision, previous } => {
                Self::Put { revision: *revision, previous: previous.as_ref().map(Pair::from) }
            }
            Reply::Deleted { deleted, kvs, more } => Self::Deleted {
                count: deleted.count,
                revision: deleted.revision,
                kvs: kvs.iter().map(Pair::from).collect(),
                more: *more,
            },
            Reply::Page(page) => Self::Range {
                kvs: page.kvs.iter().map(Pair::from).collect(),
                more: page.more,
                count: page.count,
                revision: page.revision,
            },
            &Reply::Changed { count, revision } => Self::Changed { count, revision },
            &Reply::Number(number) => Self::Number { number },
            Reply::Values(values) => {
                let values = values.iter().map(|value| value.as_ref().map(|bytes| text(bytes)));
                Self::Values { values: values.collect() }
            }
            Reply::Has(has) => Self::Has { has },
            Reply::Items { items, more, count } => {
                let named = |(name, value): &'a (Bytes, Bytes)| {
                    let (name, name_base64) = text_or_base64(name);
                    Named { name, name_base64, value: text(value) }
                };
                let items = items.iter().map(named).collect();
                Self::Items { items, more: *more, count: *count }
            }
            &Reply::Length(count) => Self::Length { count },
            &Reply::Remaining { exists, remaining } => {
                Self::Remaining { exists, remaining_ms: remaining.map(milliseconds) }
            }
            Reply::Lease(lease) => Self::Lease {
                ttl_ms: milliseconds(lease.ttl),
                remaining_ms: milliseconds(lease.remaining),
                keys: lease.keys.iter().map(|key| text(key)).collect(),
                more: lease.more,
            },
            Reply::Leases(ids) => Self::Leases { ids },
            Reply::No(why) => Self::No { why: why.to_string() },
            Reply::Nested(outcome) => Self::Transaction(Document::from(outcome)),
        }
    }
}

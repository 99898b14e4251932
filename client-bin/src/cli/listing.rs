//! `kvctl ls`, `tree` and `revert`: keys as paths, and back to what a key was.

use std::io::Write;

use super::arguments::Format;
use super::{CommandError, DECIDED_NO, output};
use crate::client::Client;
use crate::error::ClientError;
use crate::transaction::{Relation, Transaction, delete, key, put};
use crate::{KeyRange, Kind, No, RangeEnd, Selection, Show};

/// What parts of a path stand between.
const SEPARATOR: u8 = b'/';

/// Keys that are asked for at once.
const PAGE_KEYS: u64 = 500;

/// How often a key that changes meanwhile is looked at again.
const REVERT_ATTEMPTS: usize = 10;

/// Writes what stands directly below a prefix, a line each: keys as what follows the prefix, and
/// everything with a further separator as one line that ends with it. Returns the exit code.
pub(super) async fn ls(
    client: &Client,
    prefix: &[u8],
    format: Format,
    output: &mut dyn Write,
) -> Result<u8, CommandError> {
    let (mut from, mut names) = (prefix.to_vec(), Vec::new());
    'pages: loop {
        let page = client.select(keys_from(&from)).await?;
        for kv in &page.kvs {
            let Some(rest) = kv.key.strip_prefix(prefix) else { break 'pages };
            let Some(at) = rest.iter().position(|&byte| byte == SEPARATOR) else {
                names.push(rest.to_vec());
                continue;
            };
            // All other keys of the folder are passed over without being read.
            names.push(rest[..=at].to_vec());
            from = [prefix, &rest[..at], &[SEPARATOR + 1]].concat();
            continue 'pages;
        }
        match page.kvs.last().filter(|_| page.more) {
            Some(last) => from = [&last.key[..], &[0]].concat(),
            None => break,
        }
    }
    output::names(output, format, &names)?;
    Ok(if names.is_empty() { DECIDED_NO } else { 0 })
}

fn keys_from(from: &[u8]) -> Selection<'_> {
    let range = KeyRange { from, end: RangeEnd::From };
    Selection { limit: PAGE_KEYS, show: Show::Keys, ..Selection::of(range) }
}

/// Writes the keys below a prefix as a tree of their parts, with their values. Returns the exit
/// code.
pub(super) async fn tree(
    client: &Client,
    prefix: &[u8],
    output: &mut dyn Write,
) -> Result<u8, CommandError> {
    let mut pages = client.range(KeyRange::prefix(prefix));
    let (mut above, mut count) = (Vec::<Vec<u8>>::new(), 0);
    while let Some(page) = pages.next().await? {
        for kv in &page.kvs {
            let parts: Vec<&[u8]> = kv.key.split(|&byte| byte == SEPARATOR).collect();
            let (name, folders) = parts.split_last().expect("a split has a part");
            let known = above.iter().zip(folders).take_while(|(one, other)| one == *other).count();
            above.truncate(known);
            for folder in &folders[known..] {
                let depth = above.len();
                writeln!(output, "{}{}/", indent(depth), output::printable(folder))?;
                above.push(folder.to_vec());
            }
            let value = match kv.kind {
                Kind::String => output::printable(&kv.value),
                kind => format!("({kind})"),
            };
            writeln!(output, "{}{} = {value}", indent(above.len()), output::printable(name))?;
            count += 1;
        }
    }
    Ok(if count == 0 { DECIDED_NO } else { 0 })
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}

/// Gives a key the value that it had at a revision, or removes it if it did not exist then, as a
/// change like any other. Returns the exit code.
pub(super) async fn revert(
    client: &Client,
    (name, revision): (&[u8], u64),
    format: Format,
    output: &mut dyn Write,
) -> Result<u8, CommandError> {
    let selection = Selection::of(KeyRange::single(name));
    let before = client.select(Selection { revision, ..selection }).await?.kvs.into_iter().next();
    if let Some(kind) = before.as_ref().map(|kv| kv.kind).filter(|kind| *kind != Kind::String) {
        return Err(ClientError::DecidedNo(No::WrongType { found: kind }).into());
    }
    for _ in 0..REVERT_ATTEMPTS {
        let now = client.get(name).await?.map_or(0, |kv| kv.mod_revision);
        let range = [KeyRange::single(name)];
        let change = before.as_ref().map_or_else(|| delete(&range), |kv| put(name, &kv.value));
        // Nobody else's change is undone that nobody has seen.
        let unchanged = key(name).mod_revision(Relation::Equal, now);
        let done = client.transact(&Transaction::new().when(unchanged).then(change)).await?;
        if done.succeeded {
            output::put(output, format, done.revision)?;
            return Ok(0);
        }
    }
    Err(CommandError::Busy(String::from_utf8_lossy(name).into_owned()))
}

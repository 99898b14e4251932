//! The versions of a key that can still be read, newest first.

use http::{Response, StatusCode};
use kv_store::command::{Answer, Collection, KeyRange, KeyValue, Kind, No, Query, Selection, Show};
use kvorum_client::document::text_or_base64;
use serde::Serialize;
use serde_json::{Map, Value};
use tonic::body::Body;

use super::super::super::etcd::Behind;
use super::super::pages;
use super::asked::History;
use super::backwards::Backwards;
use super::document::{Items, Page};
use super::node;
use super::read::put_number;
use super::refused::{REVISION, Refused};

/// Answers of the node that are read at most: what is older than those is not shown, and `more`
/// says so.
const PAGES_MAX: usize = 256;

/// As much is shown, and the version with which it is reached. Units: bytes.
const SHOWN_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Fields or members that are shown of each version.
const ITEMS_MAX: u64 = 100;

/// What is shown.
#[derive(Serialize)]
struct Versions<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    versions: Vec<Value>,
    more: bool,
    compacted: u64,
    revision: u64,
}

/// The newest versions, as far as there is room for them.
struct Shown {
    versions: Vec<Value>,
    bytes: usize,
    limit: usize,
    more: bool,
}

/// Shows the newest versions of a key.
pub(super) async fn show(behind: &Behind, asked: &History) -> Result<Response<Body>, Refused> {
    let first = Query::History { key: &asked.key, since: 0, limit: 1 };
    let said = node::read(behind, &first, false).await?;
    let Answer::Range { revision, kvs, .. } = said.answer()? else {
        return Err(Refused::other_answer());
    };
    if kvs.is_empty() {
        return Err(Refused::no_key(revision));
    }
    let compacted = compacted(behind, &asked.key).await?;
    let shown = shown(behind, asked, (revision, compacted)).await?;
    let (key, key_base64) = text_or_base64(&asked.key);
    let Shown { versions, more, .. } = shown;
    let document = Versions { key, key_base64, versions, more, compacted, revision };
    let text = serde_json::to_string(&document).expect("versions are text and numbers");
    let mut response = pages::json(StatusCode::OK, text + "\n");
    put_number(&mut response, REVISION, revision);
    Ok(response)
}

/// Goes from the newest version back until enough is shown. What is compacted meanwhile is shown
/// as far as it was read.
async fn shown(
    behind: &Behind,
    asked: &History,
    (revision, compacted): (u64, u64),
) -> Result<Shown, Refused> {
    let limit = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let mut shown = Shown { versions: Vec::new(), bytes: 0, limit, more: false };
    let mut backwards = Backwards::new(revision, compacted, asked.limit);
    for _ in 0..PAGES_MAX {
        let since = backwards.since();
        // One more than is shown says that there are more.
        let left = limit.saturating_sub(shown.versions.len()).saturating_add(1);
        let limit = u64::try_from(left).unwrap_or(u64::MAX);
        let query = Query::History { key: &asked.key, since, limit };
        let said = node::read(behind, &query, true).await?;
        if let Some(No::Compacted { oldest }) = said.decided_no() {
            backwards.raise_floor(oldest);
            continue;
        }
        let Answer::Range { kvs, more, .. } = said.answer()? else {
            return Err(Refused::other_answer());
        };
        let until = backwards.until();
        let count = kvs.iter().take_while(|kv| kv.mod_revision < until).count();
        let newest = kvs.iter().take(count).next_back().map(|kv| kv.mod_revision);
        if !backwards.found(newest, more && count == kvs.len()) {
            continue;
        }
        let found: Vec<&KeyValue<'_>> = kvs.iter().take(count).collect();
        for kv in found.into_iter().rev() {
            if !shown.has_room() {
                shown.more = true;
                return Ok(shown);
            }
            shown.push(document(behind, kv).await?);
        }
        if !backwards.go_on() {
            return Ok(shown);
        }
    }
    shown.more = true;
    Ok(shown)
}

impl Shown {
    fn has_room(&self) -> bool {
        self.versions.len() < self.limit && self.bytes < SHOWN_BYTES_MAX
    }

    fn push(&mut self, version: Value) {
        self.bytes = self.bytes.saturating_add(version.to_string().len());
        self.versions.push(version);
    }
}

/// Up to which revision the past is gone; 0 if all of it can be read.
async fn compacted(behind: &Behind, key: &[u8]) -> Result<u64, Refused> {
    let range = KeyRange::single(key);
    let first = Selection { revision: 1, limit: 1, show: Show::Count, ..Selection::of(range) };
    let said = node::read(behind, &Query::Select(first), true).await?;
    Ok(match said.decided_no() {
        Some(No::Compacted { oldest }) => oldest,
        Some(_) | None => 0,
    })
}

/// A version as it is shown.
async fn document(behind: &Behind, kv: &KeyValue<'_>) -> Result<Value, Refused> {
    let mut document = Map::new();
    document.insert("revision".to_owned(), kv.mod_revision.into());
    if kv.version == 0 {
        document.insert("event".to_owned(), "del".into());
        return Ok(Value::Object(document));
    }
    put_value(&mut document, kv);
    if kv.attributes.lease != 0 {
        document.insert("lease".to_owned(), kv.attributes.lease.into());
    }
    let kind = kv.attributes.kind;
    let of = match kind {
        Kind::String => return Ok(Value::Object(document)),
        Kind::Hash => Collection::Hash,
        Kind::Set => Collection::Set,
    };
    document.remove("value");
    document.insert("kind".to_owned(), kind.to_string().into());
    if let Some(Value::Object(items)) = items(behind, (of, kv.key), kv.mod_revision).await? {
        document.extend(items.into_iter().filter(|(name, _)| name != "next"));
    }
    Ok(Value::Object(document))
}

fn put_value(document: &mut Map<String, Value>, kv: &KeyValue<'_>) {
    document.insert("event".to_owned(), "put".into());
    document.insert("version".to_owned(), kv.version.into());
    let (value, value_base64) = text_or_base64(kv.value);
    match (value, value_base64) {
        (Some(text), _) => document.insert("value".to_owned(), text.into()),
        (None, Some(base64)) => document.insert("value_base64".to_owned(), base64.into()),
        (None, None) => None,
    };
}

/// The fields or members at a revision, unless that was compacted meanwhile.
async fn items(
    behind: &Behind,
    (of, key): (Collection, &[u8]),
    revision: u64,
) -> Result<Option<Value>, Refused> {
    let query = Query::Items { of, key, from: b"", limit: ITEMS_MAX, revision };
    let said = node::read(behind, &query, true).await?;
    if said.decided_no().is_some() {
        return Ok(None);
    }
    let Answer::Items { items, more, count, .. } = said.answer()? else {
        return Err(Refused::other_answer());
    };
    let page = Page { more, next: None };
    let items = match of {
        Collection::Hash => Items::of_hash(&items, count, page),
        Collection::Set => Items::of_set(&items, count, page),
    };
    Ok(serde_json::to_value(&items).ok())
}

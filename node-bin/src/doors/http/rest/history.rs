//! The versions of a key that can still be read, newest first.

use std::collections::VecDeque;

use http::{Response, StatusCode};
use kv_store::command::{Answer, Collection, KeyRange, KeyValue, Kind, No, Query, Selection, Show};
use kvorum_client::document::text_or_base64;
use serde::Serialize;
use serde_json::{Map, Value};
use tonic::body::Body;

use super::super::super::etcd::Behind;
use super::super::pages;
use super::asked::History;
use super::document::{Items, Page};
use super::node::{self, Said};
use super::read::put_number;
use super::refused::{REVISION, Refused};

/// Answers of the node that are read at most, each with as many versions as it can hold: what
/// is newer than those is shown.
const PAGES_MAX: usize = 64;

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

/// A version as it is kept until it is known to be among the newest.
struct Version {
    said: std::rc::Rc<Said>,
    revision: u64,
}

/// Shows the newest versions of a key.
pub(super) async fn show(behind: &Behind, asked: &History) -> Result<Response<Body>, Refused> {
    let limit = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let (mut newest, mut since, mut more) = (VecDeque::<Version>::new(), 0, false);
    let mut revision = 0;
    for _ in 0..PAGES_MAX {
        let query = Query::History { key: &asked.key, since, limit: 0 };
        let said = std::rc::Rc::new(node::read(behind, &query, since != 0).await?);
        let Answer::Range { revision: now, kvs, more: goes_on, .. } = said.answer()? else {
            return Err(Refused::other_answer());
        };
        revision = now;
        for kv in kvs.iter() {
            newest.push_back(Version { said: said.clone(), revision: kv.mod_revision });
            more |= limit < newest.len();
            while limit < newest.len() {
                newest.pop_front();
            }
        }
        let last = kvs.last().map(|kv| kv.mod_revision);
        match last.filter(|_| goes_on) {
            Some(last) => since = last + 1,
            None => break,
        }
    }
    if newest.is_empty() {
        return Err(Refused::no_key(revision));
    }
    let mut versions = Vec::new();
    for version in newest.iter().rev() {
        versions.push(version.document(behind, &asked.key).await?);
    }
    let (key, key_base64) = text_or_base64(&asked.key);
    let compacted = compacted(behind, &asked.key).await?;
    let document = Versions { key, key_base64, versions, more, compacted, revision };
    let text = serde_json::to_string(&document).expect("versions are text and numbers");
    let mut response = pages::json(StatusCode::OK, text + "\n");
    put_number(&mut response, REVISION, revision);
    Ok(response)
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

impl Version {
    async fn document(&self, behind: &Behind, key: &[u8]) -> Result<Value, Refused> {
        let mut document = Map::new();
        document.insert("revision".to_owned(), self.revision.into());
        let (kind, lease) = match self.said.answer()? {
            Answer::Range { kvs, .. } => {
                let kv = kvs.iter().find(|kv| kv.mod_revision == self.revision);
                let Some(kv) = kv.filter(|kv| kv.version != 0) else {
                    document.insert("event".to_owned(), "del".into());
                    return Ok(Value::Object(document));
                };
                put_value(&mut document, kv);
                (kv.attributes.kind, kv.attributes.lease)
            }
            _ => return Err(Refused::other_answer()),
        };
        if lease != 0 {
            document.insert("lease".to_owned(), lease.into());
        }
        let of = match kind {
            Kind::String => return Ok(Value::Object(document)),
            Kind::Hash => Collection::Hash,
            Kind::Set => Collection::Set,
        };
        document.remove("value");
        document.insert("kind".to_owned(), kind.to_string().into());
        if let Some(Value::Object(items)) = items(behind, (of, key), self.revision).await? {
            document.extend(items.into_iter().filter(|(name, _)| name != "next"));
        }
        Ok(Value::Object(document))
    }
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

//! GET: a key, the keys with a prefix, and both when something has changed.

use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use kv_store::command::{Answer, Collection, KeyRange, KeyValue, Kind, Query, Selection, Show};
use kvorum_client::document::Pair;
use raft_net::rest::{Address, Parameters, etag};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;

use super::super::super::etcd::Behind;
use super::super::pages;
use super::asked::{Read, Wait};
use super::document::{Age, Items, List, One, Page};
use super::node::{self, Said};
use super::refused::{REVISION, Refused};
use super::watcher::{Heard, Watcher};

/// The last entry that the node has applied, of a local read.
const APPLIED_INDEX: HeaderName = HeaderName::from_static("kvorum-applied-index");

/// When the node last heard of a leader, of a local read. Units: milliseconds.
const CONTACT_AGE: HeaderName = HeaderName::from_static("kvorum-contact-age-ms");

/// Shows what is asked for.
pub(super) async fn read(behind: &Behind, asked: &Read) -> Result<Response<Body>, Refused> {
    if asked.is_prefix { list(behind, asked).await } else { one(behind, asked).await }
}

/// Shows what is asked for when something has changed.
pub(super) async fn wait(
    behind: &Behind,
    asked: &Read,
    Wait { after, within }: Wait,
) -> Result<Response<Body>, Refused> {
    let deadline = Instant::now() + within;
    let is_conditional = asked.conditions.if_none_match.is_some();
    let after = match after {
        None if is_conditional => {
            let response = read(behind, asked).await?;
            if response.status() != StatusCode::NOT_MODIFIED {
                return Ok(response);
            }
            revision_of(&response)
        }
        after => after,
    };
    let range = range_of(asked);
    let mut watcher = Watcher::begin(behind, &range, after, false).await?;
    let mut seen = watcher.begun_after;
    loop {
        match timeout_at(deadline, watcher.next()).await {
            Ok(Ok(Heard::Changed { .. })) => break,
            Ok(Ok(Heard::Mark(revision))) => seen = seen.max(revision),
            Ok(Err(over)) => return Err(over.refused()),
            Err(_) => {
                let is_304 = is_conditional && !asked.is_prefix;
                let status = if is_304 { StatusCode::NOT_MODIFIED } else { StatusCode::NO_CONTENT };
                let mut response = Response::new(Body::empty());
                *response.status_mut() = status;
                put_number(&mut response, REVISION, seen);
                return Ok(response);
            }
        }
    }
    drop(watcher);
    read(behind, &Read { conditions: Default::default(), ..asked.clone() }).await
}

/// The keys that a request is about.
pub(super) fn range_of(asked: &Read) -> KeyRange<'_> {
    if asked.is_prefix { KeyRange::prefix(&asked.key) } else { KeyRange::single(&asked.key) }
}

async fn one(behind: &Behind, asked: &Read) -> Result<Response<Body>, Refused> {
    let range = KeyRange::single(&asked.key);
    let selection = Selection { revision: asked.revision, limit: 1, ..Selection::of(range) };
    let said = node::read(behind, &Query::Select(selection), asked.is_local).await?;
    let Answer::Range { revision, kvs, .. } = said.answer()? else {
        return Err(Refused::other_answer());
    };
    let Some(kv) = kvs.first() else {
        if asked.conditions.if_match.is_some() {
            return Err(Refused::unlike(None, revision));
        }
        return Err(Refused::no_key(revision));
    };
    let mut response = match asked.conditions.shows(kv.mod_revision) {
        Ok(()) => show(behind, asked, (&said, kv), revision).await?,
        Err(StatusCode::NOT_MODIFIED) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        }
        Err(_) => return Err(Refused::unlike(Some(kv.mod_revision), revision)),
    };
    let tag = HeaderValue::from_str(&etag(kv.mod_revision)).expect("a quoted number is a header");
    response.headers_mut().insert(header::ETAG, tag);
    put_number(&mut response, REVISION, revision);
    put_age(&mut response, &said);
    Ok(response)
}

/// The body that shows a key.
async fn show(
    behind: &Behind,
    asked: &Read,
    (said, kv): (&Said, &KeyValue<'_>),
    revision: u64,
) -> Result<Response<Body>, Refused> {
    let kind = kv.attributes.kind;
    let of = match kind {
        Kind::String if asked.is_raw => return Ok(pages::bytes(said.share(kv.value))),
        Kind::String => return json(&One { pair: Pair::from(kv), items: None }),
        Kind::Hash => Collection::Hash,
        Kind::Set => Collection::Set,
    };
    if asked.is_raw {
        let why = format!("the key is a {kind}, which has no one value; ask without raw");
        return Err(Refused::new(StatusCode::CONFLICT, why));
    }
    let query =
        Query::Items { of, key: &asked.key, from: &asked.from, limit: asked.limit, revision };
    let said = node::read(behind, &query, asked.is_local).await?;
    let Answer::Items { items, more, count, .. } = said.answer()? else {
        return Err(Refused::other_answer());
    };
    let last = items.last().map(|item| item.name).filter(|_| more);
    let page = Page { more, next: last.map(|last| next(asked, last, revision)) };
    let items = match of {
        Collection::Hash => Items::of_hash(&items, count, page),
        Collection::Set => Items::of_set(&items, count, page),
    };
    json(&One { pair: Pair::from(kv), items: Some(items) })
}

async fn list(behind: &Behind, asked: &Read) -> Result<Response<Body>, Refused> {
    let mut buffer = Vec::new();
    let range = KeyRange::prefix(&asked.key);
    // Where the prefix ends, as what comes after its first key does.
    let end = range.after(&asked.key, &mut buffer).end;
    let range = if asked.from <= asked.key { range } else { KeyRange { from: &asked.from, end } };
    let show = if asked.keys_only { Show::Keys } else { Show::Pairs };
    let selection =
        Selection { revision: asked.revision, limit: asked.limit, show, ..Selection::of(range) };
    let said = node::read(behind, &Query::Select(selection), asked.is_local).await?;
    let Answer::Range { revision, kvs, more, .. } = said.answer()? else {
        return Err(Refused::other_answer());
    };
    let last = kvs.last().map(|kv| kv.key).filter(|_| more);
    let shown = if asked.revision == 0 { revision } else { asked.revision };
    let document = List {
        kvs: kvs.iter().map(Pair::from).collect(),
        count: kvs.len(),
        page: Page { more, next: last.map(|last| next(asked, last, shown)) },
        revision,
        age: said.staleness.map(Age::from),
    };
    let mut response = json(&document)?;
    put_number(&mut response, REVISION, revision);
    put_age(&mut response, &said);
    Ok(response)
}

/// The address of what comes behind the last key, field or member, at the same revision.
fn next(asked: &Read, last: &[u8], revision: u64) -> String {
    let parameters = Parameters {
        prefix: asked.is_prefix,
        local: asked.is_local,
        keys: asked.keys_only,
        revision: Some(revision),
        limit: Some(asked.limit),
        from: Some([last, &[0]].concat()),
        ..Parameters::default()
    };
    Address { key: asked.key.clone(), parameters }.to_string()
}

fn json<T: Serialize>(document: &T) -> Result<Response<Body>, Refused> {
    let text = serde_json::to_string(document).map_err(|error| {
        Refused::new(StatusCode::INTERNAL_SERVER_ERROR, format!("this cannot be shown: {error}"))
    })?;
    Ok(pages::json(StatusCode::OK, text + "\n"))
}

pub(super) fn put_number(response: &mut Response<Body>, name: HeaderName, number: u64) {
    response.headers_mut().insert(name, number.into());
}

/// Says how old a local read may be.
fn put_age(response: &mut Response<Body>, said: &Said) {
    let Some(age) = said.staleness.map(Age::from) else { return };
    put_number(response, APPLIED_INDEX, age.applied_index);
    if let Some(age_ms) = age.contact_age_ms {
        put_number(response, CONTACT_AGE, age_ms);
    }
}

fn revision_of(response: &Response<Body>) -> Option<u64> {
    response.headers().get(REVISION)?.to_str().ok()?.parse().ok()
}

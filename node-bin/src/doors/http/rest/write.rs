//! PUT and DELETE: transactions whose compares are the conditions of the request.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use kv_store::command::{
    Answer, Command, Compare, KeyRange, OnNo, Operation, PutOptions, Query, Transacted, Transaction,
};
use raft_net::rest::etag;
use tonic::body::Body;

use super::super::super::etcd::Behind;
use super::super::pages;
use super::asked::{Delete, Put};
use super::document::Written;
use super::node::{self, Said};
use super::read::put_number;
use super::refused::{REVISION, Refused};

/// Sets a key: 201 if there was none.
pub(super) async fn put(
    behind: &Behind,
    asked: &Put,
    value: &Bytes,
) -> Result<Response<Body>, Refused> {
    let key = &asked.key[..];
    let options = PutOptions { lease: asked.lease, ttl_ms: asked.ttl_ms, ..PutOptions::default() };
    let put = if options == PutOptions::default() {
        Command::Put { key, value }
    } else {
        Command::PutWith { key, value, options }
    };
    let then = [look(key), Operation::Write(put)];
    let command = conditionally(key, asked.conditions.compares(key), then);
    let said = node::write(behind, &command, asked.session).await?;
    let transacted = transacted(&said)?;
    let revision = transacted.revision;
    let is_new = match &transacted.answers[..] {
        [Answer::Range { kvs, .. }, Answer::Put { .. } | Answer::PutOver { .. }]
            if transacted.succeeded =>
        {
            kvs.is_empty()
        }
        other => return Err(unlike(other, revision)),
    };
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = written(status, &Written { count: None, revision });
    let tag = HeaderValue::from_str(&etag(revision)).expect("a quoted number is a header");
    response.headers_mut().insert(header::ETAG, tag);
    Ok(response)
}

/// Removes a key, or those with a prefix.
pub(super) async fn delete(behind: &Behind, asked: &Delete) -> Result<Response<Body>, Refused> {
    let key = &asked.key[..];
    let range = if asked.is_prefix { KeyRange::prefix(key) } else { KeyRange::single(key) };
    let delete = Command::Delete { ranges: [range].into_iter().collect() };
    let compares = asked.conditions.compares(key);
    let (said, is_plain) = if compares.is_empty() {
        (node::write(behind, &delete, asked.session).await?, true)
    } else {
        let command = conditionally(key, compares, [Operation::Write(delete)]);
        (node::write(behind, &command, asked.session).await?, false)
    };
    let deleted = |answer: &Answer<'_>| match answer {
        Answer::Deleted { count, revision } => Some((*count, *revision)),
        _ => None,
    };
    let (count, revision) = if is_plain {
        deleted(&said.answer()?).ok_or_else(Refused::other_answer)?
    } else {
        let transacted = transacted(&said)?;
        let first = transacted.answers.first().filter(|_| transacted.succeeded);
        match first.and_then(deleted) {
            Some(deleted) => deleted,
            None => return Err(unlike(&transacted.answers, transacted.revision)),
        }
    };
    if count == 0 && !asked.is_prefix {
        return Err(Refused::no_key(revision));
    }
    Ok(written(StatusCode::OK, &Written { count: Some(count), revision }))
}

/// Looks at a key without its value.
pub(super) fn look(key: &[u8]) -> Operation<'_> {
    Operation::Read(Query::Keys { range: KeyRange::single(key), limit: 1 })
}

/// What is done if all of it holds; otherwise the key is looked at.
pub(super) fn conditionally<'k>(
    key: &'k [u8],
    when: Vec<Compare<'k>>,
    then: impl IntoIterator<Item = Operation<'k>>,
) -> Command<'k> {
    let transaction = Transaction {
        when: when.into_iter().collect(),
        then: then.into_iter().collect(),
        otherwise: [look(key)].into_iter().collect(),
    };
    Command::Transaction { on_no: OnNo::Undo, transaction: Box::new(transaction) }
}

pub(super) fn transacted(said: &Said) -> Result<Box<Transacted<'_>>, Refused> {
    match said.answer()? {
        Answer::Transaction(transacted) => Ok(transacted),
        _ => Err(Refused::other_answer()),
    }
}

/// That a condition does not hold, of a key that was looked at.
pub(super) fn unlike(answers: &[Answer<'_>], revision: u64) -> Refused {
    match answers {
        [Answer::Range { kvs, .. }] => {
            Refused::unlike(kvs.first().map(|kv| kv.mod_revision), revision)
        }
        _ => Refused::other_answer(),
    }
}

pub(super) fn written(status: StatusCode, document: &Written) -> Response<Body> {
    let text = serde_json::to_string(document).expect("numbers are written");
    let mut response = pages::json(status, text + "\n");
    put_number(&mut response, REVISION, document.revision);
    response
}

//! Server-sent events: what a watch says, for `EventSource` and whoever reads lines.
//!
//! The id of an event is its revision, and stands at the last event of a revision only: who
//! reconnects in between is shown all of that revision again. An id without an event says how
//! far an idle watch is, so that who reconnects after days is not told of compaction.
//! Source: the section "Server-sent events" of the HTML standard.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use kv_store::command::{Change, KeyRange};
use kv_store::watching::End;
use kvorum_client::document::{Event, Pair};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;

use super::super::super::etcd::Behind;
use super::Place;
use super::asked::Watched;
use super::refused::Refused;
use super::watcher::{Heard, Over, Watcher};

/// Parts of the stream that wait for the client to read. When it is full nothing more is taken
/// from the node, which keeps 8 MiB for the watch, ends it then, and goes on when it is read.
const EVENTS_MAX: usize = 2;

/// How long a part may wait; then the stream is over, and goes on where it was when the client
/// asks again.
const READ_DEADLINE: Duration = Duration::from_secs(60);

/// After so long without a word a comment is sent, so that whoever stands between sees life, and
/// the node sees who is gone.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// When a client that lost the stream asks again. Units: milliseconds.
const RETRY_MS: u64 = 1_000;

type Part = Result<Frame<Bytes>, Infallible>;

/// Begins to show changes.
pub(super) async fn watch(
    behind: &Behind,
    asked: Watched,
    place: Place,
) -> Result<Response<Body>, Refused> {
    let Watched { key, is_prefix, previous, after } = asked;
    let range = if is_prefix { KeyRange::prefix(&key) } else { KeyRange::single(&key) };
    let watcher = Watcher::begin(behind, &range, after, previous).await?;
    let (parts, shown) = mpsc::channel(EVENTS_MAX);
    actix_rt::spawn(async move {
        show(watcher, parts).await;
        drop(place);
    });
    let mut response = Response::new(Body::new(StreamBody::new(ReceiverStream::new(shown))));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Shows what the watch says until it is over, or nobody reads.
async fn show(mut watcher: Watcher, parts: mpsc::Sender<Part>) {
    let mut text = format!("retry: {RETRY_MS}\nid: {}\n\n", watcher.begun_after);
    loop {
        let part = Ok(Frame::data(Bytes::from(std::mem::take(&mut text))));
        if !matches!(timeout(READ_DEADLINE, parts.send(part)).await, Ok(Ok(()))) {
            return;
        }
        let heard = tokio::select! {
            heard = timeout(HEARTBEAT, watcher.next()) => heard,
            () = parts.closed() => return,
        };
        text = match heard {
            Err(_) => ": idle\n\n".to_owned(),
            Ok(Ok(Heard::Mark(revision))) => format!("id: {revision}\n\n"),
            Ok(Ok(Heard::Changed { changes, is_cut })) => match events(&changes, is_cut) {
                Some(text) => text,
                None => return,
            },
            Ok(Err(over)) => {
                let last = Ok(Frame::data(Bytes::from(farewell(&over))));
                // Who does not read it asks again, and is told then.
                let _ = timeout(READ_DEADLINE, parts.send(last)).await;
                return;
            }
        };
    }
}

/// Changes as events; `None` if they make no sense.
fn events(changes: &Bytes, is_cut: bool) -> Option<String> {
    let changes = Change::decode_all(changes).ok()?;
    let mut text = String::new();
    for (place, change) in changes.iter().enumerate() {
        let Change { revision, key, item, next, previous } = change;
        let pair = |state| Pair::of_state(key, state);
        let states = (next.as_ref().map(pair), previous.as_ref().map(pair));
        let event = Event::new(*revision, (key, item.map(|item| item.0)), states);
        let document = serde_json::to_string(&event).ok()?;
        let is_last = match changes.get(place + 1) {
            Some(other) => other.revision != *revision,
            None => !is_cut,
        };
        if is_last {
            let _ = writeln!(text, "id: {revision}");
        }
        let _ = write!(text, "event: {}\ndata: {document}\n\n", event.name());
    }
    Some(text)
}

/// Why no more is shown.
fn farewell(over: &Over) -> String {
    let document = over.refused().document();
    let error = format!("event: error\ndata: {document}\n\n");
    match over {
        // Who asks again goes on behind it.
        Over::Ended(End::TooLarge { revision }) => format!("id: {revision}\n{error}"),
        _ => error,
    }
}

//! Keys as HTTP resources: `/kv/<key>`.
//!
//! What a request asks for is pure (`asked`), and so is how keys are shown (`document`); the
//! rest asks Api by messages, in the futures of the connections. Limits: `BODY_BYTES_MAX` and
//! `BODY_DEADLINE` of what is sent, `LIST_LIMIT` of what is listed, `TIMEOUT_MS_MAX` of a wait,
//! `WAITING_MAX` of those who wait, `EVENTS_MAX` and `READ_DEADLINE` of a client that does not
//! read what it watches.

mod asked;
mod backwards;
mod document;
mod events;
mod history;
pub(super) mod node;
mod patch;
mod read;
mod refused;
mod watcher;
mod write;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, Limited};
use raft_core::replica::event::Refusal;
use raft_net::rest::{self, Address};
use tonic::body::Body;

use self::asked::Asked;
pub(super) use self::refused::Refused;
use super::super::etcd::Behind;
use super::host::{self, Hosts};
use super::incoming::Incoming;

/// The longest body: a value in JSON may take several times its length. A longer one is refused.
/// Units: bytes.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long a body may take to arrive; a slower one is refused.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// Requests of a node that wait or watch at a time, fewer than there may be connections: one whose
/// client is gone may be noticed late. Further ones are refused.
const WAITING_MAX: usize = 5_000;

/// Counts who waits. Connections share one.
#[derive(Debug, Default)]
pub(super) struct Waiting(Arc<()>);

/// A place among those who wait, given back when it is dropped.
struct Place(#[expect(dead_code, reason = "it is counted")] Arc<()>);

impl Waiting {
    fn enter(&self) -> Result<Place, Refused> {
        if WAITING_MAX < Arc::strong_count(&self.0) {
            return Err(Refused::of_refusal(Refusal::Overloaded, false));
        }
        Ok(Place(self.0.clone()))
    }
}

/// Whether a path is that of a key, or of all keys.
pub(super) fn is_key(path: &str) -> bool {
    path.starts_with(rest::PATH) || path == rest::PATH.trim_end_matches('/')
}

pub(super) async fn answer(
    behind: &Behind,
    (hosts, waiting): (&Hosts, &Waiting),
    request: Request<Incoming>,
) -> Response<Body> {
    serve(behind, (hosts, waiting), request).await.unwrap_or_else(Refused::response)
}

async fn serve(
    behind: &Behind,
    (hosts, waiting): (&Hosts, &Waiting),
    request: Request<Incoming>,
) -> Result<Response<Body>, Refused> {
    check_names(hosts, &request)?;
    let (head, body) = request.into_parts();
    let query = head.uri.query().unwrap_or_default();
    let address = Address::parse(head.uri.path().as_bytes(), query.as_bytes())
        .map_err(|error| Refused::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    let has_body = !body.is_end_stream();
    match Asked::of(&head.method, address, &head.headers, has_body)? {
        Asked::Read(asked) => read::read(behind, &asked).await,
        Asked::Wait(asked, wait) => {
            let _place = waiting.enter()?;
            read::wait(behind, &asked, wait).await
        }
        Asked::Watch(asked) => events::watch(behind, asked, waiting.enter()?).await,
        Asked::Put(asked) => {
            let value = asked.form.value(&collect(body, BODY_BYTES_MAX).await?)?;
            write::put(behind, &asked, &value).await
        }
        Asked::Patch(asked) => {
            patch::patch(behind, &asked, &collect(body, BODY_BYTES_MAX).await?).await
        }
        Asked::History(asked) => history::show(behind, &asked).await,
        Asked::Delete(asked) => write::delete(behind, &asked).await,
    }
}

/// Lets in whoever asks for this node by one of its names, and no page of another origin.
pub(super) fn check_names(hosts: &Hosts, request: &Request<Incoming>) -> Result<(), Refused> {
    let authority = host::authority(request);
    let authority = authority.as_deref();
    if !authority.is_some_and(|authority| hosts.know(authority)) {
        let why = format!(
            "this node is not known as {:?}; ask by its address, or name it with --http-hosts",
            authority.unwrap_or_default()
        );
        return Err(Refused::new(StatusCode::MISDIRECTED_REQUEST, why));
    }
    if host::is_foreign(authority, request.headers()) {
        let why = "a page of another origin may not ask this node".to_owned();
        return Err(Refused::new(StatusCode::FORBIDDEN, why));
    }
    Ok(())
}

/// What is sent, if it is not too long and does not take too long.
///
/// Errors: why it is not taken.
pub(super) async fn collect(body: Incoming, bytes_max: usize) -> Result<Bytes, Refused> {
    let too_long = || {
        let why = format!("the body is longer than {bytes_max} bytes; send less");
        Refused::new(StatusCode::PAYLOAD_TOO_LARGE, why)
    };
    if usize::try_from(body.size_hint().lower()).is_ok_and(|length| bytes_max < length) {
        return Err(too_long());
    }
    let collected = Limited::new(body, bytes_max).collect();
    match tokio::time::timeout(BODY_DEADLINE, collected).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_long()),
        Ok(Err(error)) => {
            Err(Refused::new(StatusCode::BAD_REQUEST, format!("the body is cut: {error}")))
        }
        Err(_) => {
            let why = format!(
                "the body did not arrive within {} s; nothing was done",
                BODY_DEADLINE.as_secs()
            );
            Err(Refused::new(StatusCode::REQUEST_TIMEOUT, why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_wait_at_a_time() {
        let waiting = Waiting::default();
        let mut places: Vec<Place> =
            (0..WAITING_MAX).map(|_| waiting.enter().expect("there is room")).collect();
        assert!(waiting.enter().is_err());
        drop(places.pop());
        assert!(waiting.enter().is_ok());
    }
}

//! Why a request is not served, in a line of JSON that says what to do.

use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use kv_store::command::{LimitError, No};
use raft_core::replica::event::{Refusal, SessionRefusal};
use raft_net::rest::etag;
use tonic::body::Body;

use super::super::pages;

/// When to try again what is refused for now. Units: seconds.
const RETRY_AFTER: &str = "1";

/// The revision of the store that an answer shows.
pub(super) const REVISION: HeaderName = HeaderName::from_static("kvorum-revision");

/// A refusal on its way to the client.
#[derive(Debug)]
pub(in super::super) struct Refused {
    status: StatusCode,
    why: String,
    /// The last change of the key, if the refusal is about it.
    mod_revision: Option<u64>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refused {
    pub(in super::super) fn new(status: StatusCode, why: String) -> Self {
        Self { status, why, mod_revision: None, headers: Vec::new() }
    }

    pub(in super::super) fn bad(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why.into())
    }

    /// The same, with a header.
    pub(in super::super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        // Numbers and fixed texts may stand in a header.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// That there is no such key at a revision.
    pub(in super::super) fn no_key(revision: u64) -> Self {
        let why = format!("there is no such key at revision {revision}");
        Self::new(StatusCode::NOT_FOUND, why).with(REVISION, &revision.to_string())
    }

    /// That a condition does not hold of the key, which was changed last at this revision, or is
    /// not there.
    pub(in super::super) fn unlike(mod_revision: Option<u64>, revision: u64) -> Self {
        let why = match mod_revision {
            Some(found) => format!(
                "the condition does not hold, nothing was done: the key was changed last at \
                 revision {found}; read it and try again"
            ),
            None => {
                "the condition does not hold, nothing was done: there is no such key".to_owned()
            }
        };
        let refused = Self { mod_revision, ..Self::new(StatusCode::PRECONDITION_FAILED, why) };
        let refused = refused.with(REVISION, &revision.to_string());
        match mod_revision {
            Some(found) => refused.with(header::ETAG, &etag(found)),
            None => refused,
        }
    }

    /// What was not decided.
    pub(in super::super) fn of_refusal(refusal: Refusal, is_write: bool) -> Self {
        let later = |why: &str| {
            let refused = Self::new(StatusCode::SERVICE_UNAVAILABLE, why.to_owned());
            refused.with(header::RETRY_AFTER, RETRY_AFTER)
        };
        let no = |status, why: &str| Self::new(status, why.to_owned());
        match refusal {
            Refusal::NoLeader => {
                later("no leader was reached in time, nothing was done; try again")
            }
            Refusal::Overloaded => {
                later("too much is in flight at this node, nothing was done; try again later")
            }
            Refusal::Stopping => later("this node is stopping, nothing was done; ask another node"),
            Refusal::Fenced => later(
                "the state of this node differs from the majority's, nothing was done; ask \
                 another node",
            ),
            Refusal::NotHandedOver => later("nobody took over leadership in time; try again"),
            Refusal::TooLarge => no(
                StatusCode::PAYLOAD_TOO_LARGE,
                "key and value are longer than an entry of the log may be, nothing was done",
            ),
            Refusal::NoSpace => no(
                StatusCode::INSUFFICIENT_STORAGE,
                "there is no room for it in memory or on the disks of a majority, nothing was \
                 done; delete something, or give the nodes more",
            ),
            Refusal::Unknown if is_write => no(
                StatusCode::GATEWAY_TIMEOUT,
                "no answer came in time: the write may or may not have taken effect; only with \
                 the same kvorum-request-id it is safe to try again",
            ),
            Refusal::Unknown => {
                no(StatusCode::GATEWAY_TIMEOUT, "no answer came in time; try again")
            }
        }
    }

    /// What the session rules decided about a request that its client has named.
    pub(in super::super) fn of_session(refusal: SessionRefusal) -> Self {
        let why = match refusal {
            SessionRefusal::AlreadyAcknowledged => {
                "the request id was acknowledged, or named something else; take the next serial"
            }
            SessionRefusal::WindowExceeded => {
                "too many requests of this client are kept; wait for their answers"
            }
            SessionRefusal::SessionExpired => {
                "the client of the request id is not known, or not any more; take a new one \
                 (kvctl session open)"
            }
        };
        Self::new(StatusCode::CONFLICT, format!("nothing was done: {why}"))
    }

    /// What the store decided against.
    pub(in super::super) fn of_no(why: &No) -> Self {
        let status = match why {
            No::Compacted { .. } => StatusCode::GONE,
            No::Future { .. } => StatusCode::BAD_REQUEST,
            No::WrongType { .. }
            | No::LeaseUnknown { .. }
            | No::LeaseExists { .. }
            | No::NotANumber
            | No::Overflow
            | No::KeyUnknown => StatusCode::CONFLICT,
            No::TooLong { .. } | No::ValueTooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            // No request for a key is one of these.
            No::NotInTransaction
            | No::RestoreUnknown { .. }
            | No::PieceExpected { .. }
            | No::UserExists
            | No::UserUnknown
            | No::RoleExists
            | No::RoleUnknown
            | No::RoleNotGranted
            | No::PermissionNotGranted
            | No::AuthFull { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, format!("{why}"))
    }

    /// What is beyond the limits of the node.
    pub(in super::super) fn of_limit(error: &LimitError) -> Self {
        let status = match error {
            LimitError::KeyTooLong(_) => StatusCode::URI_TOO_LONG,
            LimitError::ValueTooLong(_) | LimitError::CommandTooLong(_) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            LimitError::KeyEmpty
            | LimitError::TtlTooLong { .. }
            | LimitError::TtlZero
            | LimitError::TooManyOperations(_)
            | LimitError::TooManyCompares(_)
            | LimitError::NestedTooDeep(_)
            | LimitError::TooManyRanges(_)
            | LimitError::NameTooLong(_)
            | LimitError::TooManyItems(_)
            | LimitError::TooManyLeases(_)
            | LimitError::NotInTransaction
            | LimitError::AuthNameEmpty
            | LimitError::AuthNameTooLong(_)
            | LimitError::RevisionTooHigh
            | LimitError::WritesInQuery => StatusCode::BAD_REQUEST,
        };
        Self::new(status, format!("{error}; nothing was done"))
    }

    /// That the node has ended meanwhile.
    pub(in super::super) fn stopped() -> Self {
        Self::of_refusal(Refusal::Stopping, false)
    }

    /// An answer that is none to what was asked.
    pub(in super::super) fn other_answer() -> Self {
        let why = "this is the answer to another request: the request id named that one; take \
                   the next serial";
        Self::new(StatusCode::CONFLICT, why.to_owned())
    }

    /// The reason alone.
    pub(in super::super) fn document(&self) -> String {
        let mut document = serde_json::Map::new();
        document.insert("error".to_owned(), self.why.as_str().into());
        if let Some(mod_revision) = self.mod_revision {
            document.insert("mod_revision".to_owned(), mod_revision.into());
        }
        serde_json::Value::Object(document).to_string()
    }

    pub(in super::super) fn response(self) -> Response<Body> {
        let mut response = pages::json(self.status, self.document() + "\n");
        response.headers_mut().extend(self.headers);
        response
    }
}

//! What a request asks for, from its method, address and headers; nobody is asked here.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use kv_store::command::{Compare, KeyRange, Relation, Target};
use kvorum_client::RequestId;
use kvorum_client::document::from_base64;
use raft_core::entry::SessionStamp;
use raft_net::rest::{Address, Condition, Parameter, Parameters};

use super::super::super::etcd::REQUEST_ID;
use super::refused::Refused;

/// What may be done with a key.
const METHODS: &str = "GET, HEAD, PUT, PATCH, DELETE";

/// What is listed if nobody says how much.
const LIST_LIMIT: u64 = 1_000;

/// How many versions a history has if nobody says how many, and at most.
const VERSIONS: u64 = 50;
const VERSIONS_MAX: u64 = 500;

/// How long a wait lasts if nobody says it, and the longest. Units: milliseconds.
const TIMEOUT_MS: u64 = 30_000;
const TIMEOUT_MS_MAX: u64 = 60_000;

/// What `EventSource` asks for.
const EVENT_STREAM: &str = "text/event-stream";

/// The number of the last event that an `EventSource` has seen.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A revision that never comes.
const NEVER: u64 = u64::MAX;

/// A request that makes sense.
#[derive(Debug)]
pub(super) enum Asked {
    Read(Read),
    Wait(Read, Wait),
    Watch(Watched),
    Put(Put),
    Delete(Delete),
    Patch(Patch),
    History(History),
}

/// Which keys are to be shown, and how.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) key: Vec<u8>,
    pub(super) is_prefix: bool,
    pub(super) is_local: bool,
    pub(super) is_raw: bool,
    pub(super) keys_only: bool,
    /// 0 is the newest one.
    pub(super) revision: u64,
    pub(super) limit: u64,
    /// The first key, field or member that is wanted.
    pub(super) from: Vec<u8>,
    pub(super) conditions: Conditions,
}

/// What is to have happened before that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    /// A change after this revision; by default after what the node has now.
    pub(super) after: Option<u64>,
    pub(super) within: Duration,
}

/// Which changes are to be shown.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) key: Vec<u8>,
    pub(super) is_prefix: bool,
    pub(super) previous: bool,
    pub(super) after: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Put {
    pub(super) key: Vec<u8>,
    pub(super) form: Form,
    /// 0 is for ever.
    pub(super) ttl_ms: u64,
    /// 0 is none.
    pub(super) lease: u64,
    pub(super) conditions: Conditions,
    pub(super) session: SessionStamp,
}

#[derive(Debug)]
pub(super) struct Delete {
    pub(super) key: Vec<u8>,
    pub(super) is_prefix: bool,
    pub(super) conditions: Conditions,
    pub(super) session: SessionStamp,
}

/// Some fields or members are to be changed.
#[derive(Debug)]
pub(super) struct Patch {
    pub(super) key: Vec<u8>,
    pub(super) conditions: Conditions,
    pub(super) session: SessionStamp,
}

/// The versions of a key are to be shown.
#[derive(Debug)]
pub(super) struct History {
    pub(super) key: Vec<u8>,
    pub(super) limit: u64,
}

/// How a value is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `{"value": ...}` or `{"value_base64": ...}`.
    Json,
    /// The bytes themselves.
    Bytes,
}

/// What must be true of the key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Conditions {
    pub(super) if_match: Option<Condition>,
    pub(super) if_none_match: Option<Condition>,
}

impl Asked {
    /// Reads a request.
    ///
    /// Errors: what is wrong with it.
    pub(super) fn of(
        method: &Method,
        address: Address,
        headers: &HeaderMap,
        has_body: bool,
    ) -> Result<Self, Refused> {
        let Address { key, parameters } = address;
        let conditions = Conditions::of(headers)?;
        let has_events = has_token(headers, header::ACCEPT, EVENT_STREAM);
        match *method {
            Method::GET if parameters.watch || has_events => {
                watch(key, &parameters, headers).map(Self::Watch)
            }
            Method::GET | Method::HEAD if parameters.history => {
                history(key, &parameters).map(Self::History)
            }
            Method::GET | Method::HEAD => {
                let wait = wait(&parameters, conditions)?;
                if *method == Method::HEAD && (wait.is_some() || parameters.watch) {
                    return Err(Refused::bad("HEAD does not wait; ask with GET"));
                }
                let asked = read(key, parameters, conditions)?;
                Ok(match wait {
                    Some(wait) => Self::Wait(asked, wait),
                    None => Self::Read(asked),
                })
            }
            Method::PUT => put(key, &parameters, headers, conditions).map(Self::Put),
            Method::PATCH => patch(key, &parameters, headers, conditions).map(Self::Patch),
            Method::DELETE if has_body => {
                Err(Refused::bad("a DELETE has no body; nothing was done"))
            }
            Method::DELETE => delete(key, &parameters, headers, conditions).map(Self::Delete),
            _ => {
                let why = format!("a key takes {METHODS}; nothing was done");
                let refused = Refused::new(StatusCode::METHOD_NOT_ALLOWED, why);
                Err(refused.with(header::ALLOW, METHODS))
            }
        }
    }
}

/// Refuses what says nothing about such a request.
fn only(parameters: &Parameters, known: &[Parameter], of: &str) -> Result<(), Refused> {
    match parameters.other_than(known) {
        Some(other) => Err(Refused::bad(format!("the parameter {other} is not for {of}"))),
        None => Ok(()),
    }
}

fn check_key(key: &[u8], is_prefix: bool) -> Result<(), Refused> {
    if key.is_empty() && !is_prefix {
        return Err(Refused::bad("the key is empty; give it behind /kv/"));
    }
    Ok(())
}

fn read(key: Vec<u8>, parameters: Parameters, conditions: Conditions) -> Result<Read, Refused> {
    let Parameters { prefix: is_prefix, local, raw, keys, .. } = parameters;
    check_key(&key, is_prefix)?;
    if raw && is_prefix {
        return Err(Refused::bad("raw shows one value; ask without prefix"));
    }
    if parameters.prev {
        return Err(Refused::bad("the parameter prev is for watch"));
    }
    if keys && !is_prefix {
        return Err(Refused::bad("the parameter keys is for prefix"));
    }
    if parameters.limit == Some(0) {
        return Err(Refused::bad("limit is at least 1"));
    }
    if parameters.ttl_ms.is_some() || parameters.lease.is_some() {
        return Err(Refused::bad("the parameters ttl and lease are for PUT"));
    }
    if !parameters.wait && (parameters.after.is_some() || parameters.timeout_ms.is_some()) {
        return Err(Refused::bad("the parameters after and timeout are for wait and watch"));
    }
    Ok(Read {
        key,
        is_prefix,
        is_local: local,
        is_raw: raw,
        keys_only: keys,
        revision: parameters.revision.unwrap_or(0),
        limit: parameters.limit.unwrap_or(LIST_LIMIT),
        from: parameters.from.unwrap_or_default(),
        conditions,
    })
}

fn wait(parameters: &Parameters, conditions: Conditions) -> Result<Option<Wait>, Refused> {
    if !parameters.wait {
        return Ok(None);
    }
    if parameters.local || parameters.revision.is_some() {
        return Err(Refused::bad("who waits is shown the present; ask without local and revision"));
    }
    let is_vague = |condition| matches!(condition, Some(Condition::Any | Condition::Other));
    if conditions.if_match.is_some() || is_vague(conditions.if_none_match) {
        return Err(Refused::bad("to wait, give after=REVISION, or If-None-Match with an ETag"));
    }
    let within_ms = parameters.timeout_ms.unwrap_or(TIMEOUT_MS);
    if TIMEOUT_MS_MAX < within_ms {
        return Err(Refused::bad(format!("a wait lasts {TIMEOUT_MS_MAX} ms at most")));
    }
    Ok(Some(Wait { after: parameters.after, within: Duration::from_millis(within_ms) }))
}

fn watch(key: Vec<u8>, parameters: &Parameters, headers: &HeaderMap) -> Result<Watched, Refused> {
    let known = [Parameter::Watch, Parameter::Prefix, Parameter::Prev, Parameter::After];
    only(parameters, &known, "watch")?;
    check_key(&key, parameters.prefix)?;
    let after = match headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty()) {
        // What was seen since the address was written counts.
        Some(id) => {
            let id = id.to_str().ok().and_then(|id| id.parse().ok());
            Some(id.ok_or_else(|| Refused::bad("last-event-id is a revision"))?)
        }
        None => parameters.after,
    };
    Ok(Watched { key, is_prefix: parameters.prefix, previous: parameters.prev, after })
}

fn put(
    key: Vec<u8>,
    parameters: &Parameters,
    headers: &HeaderMap,
    conditions: Conditions,
) -> Result<Put, Refused> {
    only(parameters, &[Parameter::Ttl, Parameter::Lease], "PUT")?;
    check_key(&key, false)?;
    let (ttl_ms, lease) = (parameters.ttl_ms.unwrap_or(0), parameters.lease.unwrap_or(0));
    if ttl_ms != 0 && lease != 0 {
        return Err(Refused::bad("a key has a lease or a time to live; give one of them"));
    }
    let session = session(headers)?;
    Ok(Put { key, form: Form::of(headers)?, ttl_ms, lease, conditions, session })
}

fn delete(
    key: Vec<u8>,
    parameters: &Parameters,
    headers: &HeaderMap,
    conditions: Conditions,
) -> Result<Delete, Refused> {
    only(parameters, &[Parameter::Prefix], "DELETE")?;
    if key.is_empty() {
        return Err(Refused::bad("a key or a prefix of at least one byte is needed"));
    }
    let is_prefix = parameters.prefix;
    if is_prefix && (conditions.if_match.is_some() || conditions.if_none_match.is_some()) {
        return Err(Refused::bad("conditions are on one key; ask without prefix"));
    }
    Ok(Delete { key, is_prefix, conditions, session: session(headers)? })
}

fn patch(
    key: Vec<u8>,
    parameters: &Parameters,
    headers: &HeaderMap,
    conditions: Conditions,
) -> Result<Patch, Refused> {
    only(parameters, &[], "PATCH")?;
    check_key(&key, false)?;
    if Form::of(headers)? != Form::Json {
        let why = "a PATCH is sent as application/json; set Content-Type".to_owned();
        return Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    }
    Ok(Patch { key, conditions, session: session(headers)? })
}

fn history(key: Vec<u8>, parameters: &Parameters) -> Result<History, Refused> {
    only(parameters, &[Parameter::History, Parameter::Limit], "history")?;
    check_key(&key, false)?;
    let limit = parameters.limit.unwrap_or(VERSIONS);
    if !(1..=VERSIONS_MAX).contains(&limit) {
        return Err(Refused::bad(format!("a history has 1 to {VERSIONS_MAX} versions")));
    }
    Ok(History { key, limit })
}

/// The write that a request is, if its client names it.
fn session(headers: &HeaderMap) -> Result<SessionStamp, Refused> {
    let Some(name) = headers.get(REQUEST_ID) else { return Ok(SessionStamp::default()) };
    let id = name.to_str().ok().and_then(|name| name.parse::<RequestId>().ok());
    id.map(RequestId::stamp).ok_or_else(|| {
        Refused::bad(format!("{REQUEST_ID} is CLIENT:SERIAL, with serials from 1 on"))
    })
}

/// Whether a header lists a token, whatever weight it is given.
fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    let mut tokens = values.flat_map(|value| value.split(','));
    tokens.any(|it| media_type(it).eq_ignore_ascii_case(token))
}

/// A media type without its parameters.
fn media_type(text: &str) -> &str {
    text.split(';').next().unwrap_or_default().trim()
}

impl Form {
    fn of(headers: &HeaderMap) -> Result<Self, Refused> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = media_type(kind.unwrap_or_default()).to_ascii_lowercase();
        match kind.as_str() {
            "application/json" => Ok(Self::Json),
            "application/octet-stream" => Ok(Self::Bytes),
            _ => {
                let why = format!(
                    "a value is sent as application/json or application/octet-stream, not as \
                     {kind:?}; set Content-Type"
                );
                Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why))
            }
        }
    }

    /// The value in a body.
    ///
    /// Errors: what is wrong with it.
    pub(super) fn value(self, body: &Bytes) -> Result<Bytes, Refused> {
        if self == Self::Bytes {
            return Ok(body.clone());
        }
        let takes = || {
            Refused::bad(
                "the body takes {\"value\": \"text\"} or {\"value_base64\": \"...\"} and nothing \
                 else",
            )
        };
        let mut document: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body)
            .map_err(|error| Refused::bad(format!("the body is no JSON object: {error}")))?;
        if document.len() != 1 {
            return Err(takes());
        }
        match (document.remove("value"), document.remove("value_base64")) {
            (Some(serde_json::Value::String(text)), None) => Ok(text.into()),
            (None, Some(serde_json::Value::String(base64))) => from_base64(&base64)
                .map(Bytes::from)
                .ok_or_else(|| Refused::bad("value_base64 is no Base64 (RFC 4648 §4)")),
            _ => Err(takes()),
        }
    }
}

impl Conditions {
    fn of(headers: &HeaderMap) -> Result<Self, Refused> {
        let read = |name: HeaderName| {
            let mut values = headers.get_all(name).into_iter();
            let condition = values.next().map(|value| Condition::parse(value.as_bytes()));
            match (condition, values.next()) {
                (None, _) => Ok(None),
                (Some(Ok(condition)), None) => Ok(Some(condition)),
                (Some(Err(error)), _) => Err(Refused::bad(error.to_string())),
                (Some(Ok(_)), Some(_)) => Err(Refused::bad("a condition stands there twice")),
            }
        };
        Ok(Self { if_match: read(header::IF_MATCH)?, if_none_match: read(header::IF_NONE_MATCH)? })
    }

    /// The same as compares of a transaction on a key.
    pub(super) fn compares<'k>(&self, key: &'k [u8]) -> Vec<Compare<'k>> {
        let range = KeyRange::single(key);
        let compare = |relation, target| Compare { range, relation, target };
        let matches = self.if_match.map(|condition| match condition {
            Condition::Any => compare(Relation::Equal, Target::Exists(true)),
            Condition::Revision { revision, is_weak: false } if revision != 0 => {
                compare(Relation::Equal, Target::ModRevision(revision))
            }
            Condition::Revision { .. } | Condition::Other => {
                compare(Relation::Equal, Target::ModRevision(NEVER))
            }
        });
        let differs = self.if_none_match.and_then(|condition| match condition {
            Condition::Any => Some(compare(Relation::Equal, Target::Exists(false))),
            Condition::Revision { revision, .. } if revision != 0 => {
                Some(compare(Relation::NotEqual, Target::ModRevision(revision)))
            }
            Condition::Revision { .. } | Condition::Other => None,
        });
        matches.into_iter().chain(differs).collect()
    }

    /// Whether a key that was changed last at this revision is to be shown; what to say
    /// otherwise.
    pub(super) fn shows(&self, mod_revision: u64) -> Result<(), StatusCode> {
        let is_same = |condition: Condition, takes_weak: bool| match condition {
            Condition::Any => true,
            Condition::Revision { revision, is_weak } => {
                revision == mod_revision && (takes_weak || !is_weak)
            }
            Condition::Other => false,
        };
        if self.if_match.is_some_and(|condition| !is_same(condition, false)) {
            return Err(StatusCode::PRECONDITION_FAILED);
        }
        if self.if_none_match.is_some_and(|condition| is_same(condition, true)) {
            return Err(StatusCode::NOT_MODIFIED);
        }
        Ok(())
    }
}

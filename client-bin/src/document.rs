//! Keys and changes as JSON documents: what `kvctl -w json` prints, and what a node says by HTTP.
//!
//! Bytes are a string if they are UTF-8 (`"key"`, `"value"`), and Base64 under another name if
//! they are not (`"key_base64"`, `"value_base64"`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kv_store::command::{self, Attributes, State};
use serde::Serialize;

use crate::Kind;
use crate::client::KeyValue;

/// A key with its value.
#[derive(Debug, Serialize)]
pub struct Pair<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    create_revision: u64,
    mod_revision: u64,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<u64>,
}

impl<'a> Pair<'a> {
    /// What a key is at a revision.
    #[must_use]
    pub fn of_state(key: &'a [u8], state: &State<'a>) -> Self {
        let State { value, create_revision, mod_revision, version, attributes } = *state;
        let Attributes { kind, lease } = attributes;
        let (key, key_base64) = text_or_base64(key);
        let (value, value_base64) = text_or_base64(value);
        Self {
            key,
            key_base64,
            value,
            value_base64,
            create_revision,
            mod_revision,
            version,
            kind: (kind != Kind::String).then(|| kind.to_string()),
            lease: (lease != 0).then_some(lease),
        }
    }
}

impl<'a> From<&command::KeyValue<'a>> for Pair<'a> {
    fn from(kv: &command::KeyValue<'a>) -> Self {
        let command::KeyValue { key, value, create_revision, mod_revision, version, attributes } =
            *kv;
        let state = State { value, create_revision, mod_revision, version, attributes };
        Self::of_state(key, &state)
    }
}

impl<'a> From<&'a KeyValue> for Pair<'a> {
    fn from(kv: &'a KeyValue) -> Self {
        let &KeyValue { create_revision, mod_revision, version, kind, lease, .. } = kv;
        let attributes = Attributes { kind, lease };
        let value = &kv.value[..];
        let state = State { value, create_revision, mod_revision, version, attributes };
        Self::of_state(&kv.key, &state)
    }
}

/// One change of one key, field or member.
#[derive(Debug, Serialize)]
pub struct Event<'a> {
    revision: u64,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Pair<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<Pair<'a>>,
}

impl<'a> Event<'a> {
    /// That at `revision` the key, or one of its items, became what is `next`, after what was
    /// `previous`.
    #[must_use]
    pub fn new(
        revision: u64,
        (key, item): (&'a [u8], Option<&'a [u8]>),
        (next, previous): (Option<Pair<'a>>, Option<Pair<'a>>),
    ) -> Self {
        let (key, key_base64) = text_or_base64(key);
        let (item, item_base64) = item.map_or((None, None), text_or_base64);
        let event = what(next.is_some());
        Self { revision, event, key, key_base64, item, item_base64, next, previous }
    }

    /// `put` or `del`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.event
    }
}

/// The name of a change, after which there is something or nothing.
pub(crate) fn what(is_there: bool) -> &'static str {
    if is_there { "put" } else { "del" }
}

/// Bytes as text if they are, else in Base64.
#[must_use]
pub fn text_or_base64(bytes: &[u8]) -> (Option<&str>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(to_base64(bytes))),
    }
}

/// Bytes in Base64 (RFC 4648 §4).
#[must_use]
pub fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes that Base64 stands for; `None` if it is none.
#[must_use]
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

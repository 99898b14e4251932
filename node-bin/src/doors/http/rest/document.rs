//! How keys are shown: as `kvctl -w json` shows them, with the items of a hash or a set.

use kv_store::command::Item;
use kvorum_client::document::{Pair, to_base64};
use raft_core::replica::event::Staleness;
use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};

/// A key with its value, or with its items.
#[derive(Serialize)]
pub(super) struct One<'a> {
    #[serde(flatten)]
    pub(super) pair: Pair<'a>,
    #[serde(flatten)]
    pub(super) items: Option<Items<'a>>,
}

/// Some of the fields of a hash or the members of a set. What is not text stands beside the
/// others, as Base64.
#[derive(Serialize)]
pub(super) struct Items<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fields: Option<Fields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fields_base64: Option<FieldsInBase64<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) members: Option<Members<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) members_base64: Option<MembersInBase64<'a>>,
    /// How many there are in all.
    pub(super) count: u64,
    #[serde(flatten)]
    pub(super) page: Page,
}

/// Whether there is more, and where.
#[derive(Serialize)]
pub(super) struct Page {
    pub(super) more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

/// Keys in their order.
#[derive(Serialize)]
pub(super) struct List<'a> {
    pub(super) kvs: Vec<Pair<'a>>,
    pub(super) count: usize,
    #[serde(flatten)]
    pub(super) page: Page,
    pub(super) revision: u64,
    #[serde(flatten)]
    pub(super) age: Option<Age>,
}

/// How old a local read may be.
#[derive(Serialize)]
pub(super) struct Age {
    pub(super) applied_index: u64,
    pub(super) contact_age_ms: Option<u64>,
}

impl From<Staleness> for Age {
    fn from(staleness: Staleness) -> Self {
        Self {
            applied_index: staleness.applied_index.0,
            contact_age_ms: staleness.contact_age_us.map(|us| us / 1_000),
        }
    }
}

/// What a write has made.
#[derive(Serialize)]
pub(super) struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) count: Option<u64>,
    pub(super) revision: u64,
}

pub(super) struct Fields<'a>(Vec<(&'a str, &'a str)>);
pub(super) struct FieldsInBase64<'a>(Vec<&'a Item<'a>>);
pub(super) struct Members<'a>(Vec<&'a str>);
pub(super) struct MembersInBase64<'a>(Vec<&'a [u8]>);

impl<'a> Items<'a> {
    pub(super) fn of_hash(items: &'a [Item<'a>], count: u64, page: Page) -> Self {
        let (mut text, mut other) = (Vec::new(), Vec::new());
        for item in items {
            match (std::str::from_utf8(item.name), std::str::from_utf8(item.value)) {
                (Ok(name), Ok(value)) => text.push((name, value)),
                (Err(_), _) | (_, Err(_)) => other.push(item),
            }
        }
        Self {
            fields: Some(Fields(text)),
            fields_base64: (!other.is_empty()).then_some(FieldsInBase64(other)),
            members: None,
            members_base64: None,
            count,
            page,
        }
    }

    pub(super) fn of_set(items: &'a [Item<'a>], count: u64, page: Page) -> Self {
        let (mut text, mut other) = (Vec::new(), Vec::new());
        for Item { name, value: _ } in items {
            match std::str::from_utf8(name) {
                Ok(name) => text.push(name),
                Err(_) => other.push(*name),
            }
        }
        Self {
            fields: None,
            fields_base64: None,
            members: Some(Members(text)),
            members_base64: (!other.is_empty()).then_some(MembersInBase64(other)),
            count,
            page,
        }
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

impl Serialize for FieldsInBase64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for item in &self.0 {
            map.serialize_entry(&to_base64(item.name), &to_base64(item.value))?;
        }
        map.end()
    }
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl Serialize for MembersInBase64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for member in &self.0 {
            list.serialize_element(&to_base64(member))?;
        }
        list.end()
    }
}

//! The few messages of etcd v3 that a load needs, by their field numbers.
//!
//! Fields that are missing here are skipped when they arrive and have their defaults when they
//! are sent, so the messages need not be complete.

use bytes::Bytes;
use prost::Message;

/// Stands at the head of every response.
#[derive(Clone, PartialEq, Message)]
pub struct ResponseHeader {
    /// The cluster.
    #[prost(uint64, tag = "1")]
    pub cluster_id: u64,
    /// The member that answers.
    #[prost(uint64, tag = "2")]
    pub member_id: u64,
    /// The store's revision.
    #[prost(int64, tag = "3")]
    pub revision: i64,
    /// The member's term.
    #[prost(uint64, tag = "4")]
    pub raft_term: u64,
}

/// A key and what is known of it.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The revision that made it.
    #[prost(int64, tag = "2")]
    pub create_revision: i64,
    /// The revision that changed it last.
    #[prost(int64, tag = "3")]
    pub mod_revision: i64,
    /// How often it was put since it was made.
    #[prost(int64, tag = "4")]
    pub version: i64,
    /// Its value.
    #[prost(bytes = "bytes", tag = "5")]
    pub value: Bytes,
}

/// Sets a key.
#[derive(Clone, PartialEq, Message)]
pub struct PutRequest {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// Its new value.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// The key is set.
#[derive(Clone, PartialEq, Message)]
pub struct PutResponse {
    /// At which revision.
    #[prost(message, optional, tag = "1")]
    pub header: Option<ResponseHeader>,
}

/// Reads a key, or the keys from `key` up to `range_end`.
#[derive(Clone, PartialEq, Message)]
pub struct RangeRequest {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// Empty for a single key.
    #[prost(bytes = "bytes", tag = "2")]
    pub range_end: Bytes,
}

/// The keys that were found.
#[derive(Clone, PartialEq, Message)]
pub struct RangeResponse {
    /// At which revision.
    #[prost(message, optional, tag = "1")]
    pub header: Option<ResponseHeader>,
    /// In order of their keys.
    #[prost(message, repeated, tag = "2")]
    pub kvs: Vec<KeyValue>,
    /// How many there are in the range.
    #[prost(int64, tag = "4")]
    pub count: i64,
}

/// Asks a member what it is doing.
#[derive(Clone, PartialEq, Message)]
pub struct StatusRequest {}

/// What a member is doing.
#[derive(Clone, PartialEq, Message)]
pub struct StatusResponse {
    /// Who answers, and in which term.
    #[prost(message, optional, tag = "1")]
    pub header: Option<ResponseHeader>,
    /// Who leads; 0 if nobody does.
    #[prost(uint64, tag = "4")]
    pub leader: u64,
    /// The last entry that the member knows to be committed.
    #[prost(uint64, tag = "5")]
    pub raft_index: u64,
    /// The last entry that it has applied.
    #[prost(uint64, tag = "7")]
    pub raft_applied_index: u64,
}

/// Begins a watch on a stream of them.
#[derive(Clone, PartialEq, Message)]
pub struct WatchRequest {
    /// What is to be watched.
    #[prost(message, optional, tag = "1")]
    pub create_request: Option<WatchCreateRequest>,
}

/// A watch of a key from now on.
#[derive(Clone, PartialEq, Message)]
pub struct WatchCreateRequest {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
}

/// What happened to a watch.
#[derive(Clone, PartialEq, Message)]
pub struct WatchResponse {
    /// Whether it has begun.
    #[prost(bool, tag = "3")]
    pub created: bool,
    /// Whether it is over.
    #[prost(bool, tag = "4")]
    pub canceled: bool,
    /// Changes, which are counted and not read.
    #[prost(bytes = "bytes", repeated, tag = "11")]
    pub events: Vec<Bytes>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_bytes_of_the_protocol() {
        let put = PutRequest { key: Bytes::from_static(b"k"), value: Bytes::from_static(b"v") };
        assert_eq!(put.encode_to_vec(), b"\x0a\x01k\x12\x01v");
        // A response with a field that is not known here (3: more) between those that are.
        let answer: &[u8] = b"\x0a\x02\x18\x07\x12\x06\x0a\x01k\x2a\x01v\x18\x01\x20\x02";
        let answer = RangeResponse::decode(answer).unwrap();
        assert_eq!((answer.count, answer.header.unwrap().revision), (2, 7));
        assert_eq!((&answer.kvs[0].key[..], &answer.kvs[0].value[..]), (&b"k"[..], &b"v"[..]));
    }
}

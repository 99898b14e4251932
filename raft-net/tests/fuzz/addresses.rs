//! Addresses and conditions of keys by HTTP.

use raft_net::rest::{Address, BadAddress, Condition, etag};

use super::drive::Reached;
use super::mutate::Numbers;

pub(super) const WORDS: &[&[u8]] = &[
    b"/kv/",
    b"?",
    b"&",
    b"=",
    b"%",
    b"%2F",
    b"%00",
    b"+",
    b"prefix",
    b"local",
    b"raw=true",
    b"keys",
    b"wait",
    b"watch=0",
    b"prev",
    b"revision=",
    b"limit=",
    b"from=",
    b"after=",
    b"ttl=",
    b"lease=",
    b"timeout=",
    b"ms",
    b"h",
    b"W/",
    b"\"",
    b"*",
];

/// An input is a path, a question mark and a query, and by itself the value of a condition.
pub(super) fn check(input: &[u8], _: &mut Numbers) -> Reached {
    let mark = input.iter().position(|&byte| byte == b'?');
    let (path, query) = match mark {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, &b""[..]),
    };
    let condition = Condition::parse(input);
    if let Ok(Condition::Revision { revision, is_weak: false }) = condition {
        assert_eq!(input.trim_ascii(), etag(revision).as_bytes(), "a revision has one ETag");
    }
    let read = Address::parse(path, query);
    let outcome = match &read {
        Ok(address) => {
            assert!(address.key.len() <= path.len(), "more than was asked for");
            let from = address.parameters.from.as_deref().unwrap_or_default();
            assert!(from.len() <= query.len(), "more than was asked for");
            let written = address.to_string();
            // It may stand in a request line, and in one only.
            let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"<>#".contains(&byte);
            assert!(written.bytes().all(is_plain), "{written}");
            let (path, query) = written.split_once('?').unwrap_or((&written, ""));
            let again = Address::parse(path.as_bytes(), query.as_bytes());
            assert_eq!(again.as_ref(), Ok(address), "written as {written}");
            let names = written.split_once('?').map_or("", |(_, query)| query);
            let names = names.split('&').map(|part| part.split('=').next().unwrap_or_default());
            format!("{:?}", names.collect::<Vec<_>>())
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.len() < 500 && !text.contains('\n'), "{text}");
            match error {
                BadAddress::Unknown(_) => "unknown".to_owned(),
                other => other.to_string(),
            }
        }
    };
    let condition = match condition {
        Ok(Condition::Revision { is_weak, .. }) => format!("revision {is_weak}"),
        other => format!("{other:?}"),
    };
    format!("{outcome} {condition}")
}

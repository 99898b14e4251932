//! Leases and times to live as they are typed.

use kv_store::command::{Answer, Command, Name, Query};

use super::{Typed, read, write};
use crate::seconds;

/// The request for what does not last for ever; `None` if there are too few or too many words.
pub(super) fn request(name: &str, arguments: &[Vec<u8>]) -> Option<Result<Typed, String>> {
    if name == "lease" {
        return lease(arguments);
    }
    let (key, rest) = arguments.split_first()?;
    Some(match (name, rest) {
        ("expire", [time]) => expire(key, None, time),
        ("expire", [field, time]) => expire(key, Some(Name(field)), time),
        ("persist", []) => write(&Command::Expire { key, field: None, ttl_ms: 0 }),
        ("persist", [field]) => {
            write(&Command::Expire { key, field: Some(Name(field)), ttl_ms: 0 })
        }
        ("ttl", []) => read(&Query::Remaining { key, field: None }),
        ("ttl", [field]) => read(&Query::Remaining { key, field: Some(Name(field)) }),
        _ => return None,
    })
}

fn expire(key: &[u8], field: Option<Name<'_>>, time: &[u8]) -> Result<Typed, String> {
    let ttl_ms = milliseconds(time)?;
    write(&Command::Expire { key, field, ttl_ms })
}

fn lease(arguments: &[Vec<u8>]) -> Option<Result<Typed, String>> {
    let (action, rest) = arguments.split_first()?;
    Some(match (action.to_ascii_lowercase().as_slice(), rest) {
        (b"grant", [time]) => grant(0, time),
        (b"grant", [time, id]) => id_of(id).and_then(|id| grant(id, time)),
        (b"revoke", [id]) => id_of(id).and_then(|id| write(&Command::RevokeLease { id })),
        (b"renew", [_, ..]) => {
            let ids: Result<_, String> =
                rest.iter().map(|id| id_of(id)).collect::<Result<Vec<_>, _>>();
            ids.and_then(|ids| write(&Command::RenewLeases { ids: ids.into_iter().collect() }))
        }
        (b"show", [id]) => id_of(id).and_then(|id| read(&Query::Lease { id, from: b"" })),
        (b"list", []) => read(&Query::Leases { from: 0 }),
        _ => return None,
    })
}

fn grant(id: u64, time: &[u8]) -> Result<Typed, String> {
    let ttl_ms = milliseconds(time)?;
    write(&Command::GrantLease { id, ttl_ms })
}

pub(super) fn id_of(word: &[u8]) -> Result<u64, String> {
    let id = std::str::from_utf8(word).ok().and_then(|text| text.parse().ok());
    id.filter(|&id| id != 0).ok_or_else(|| "a lease is a number above 0".to_owned())
}

/// A time to live of at least a millisecond.
pub(super) fn milliseconds(word: &[u8]) -> Result<u64, String> {
    let time = std::str::from_utf8(word).ok().and_then(seconds::parse);
    let ms = time.and_then(|time| u64::try_from(time.as_millis()).ok());
    ms.filter(|&ms| 0 < ms)
        .ok_or_else(|| "a time to live is seconds above 0, or 500ms, 10s, 5m, 2h".to_owned())
}

/// The lines of an answer about what does not last, and whether they say no; `None` for any
/// other answer.
pub(super) fn lines(answer: &Answer<'_>) -> Option<(Vec<u8>, bool)> {
    let mut lines = Vec::new();
    let mut line = |words: &[&[u8]]| {
        lines.extend_from_slice(&words.join(&b' '));
        lines.push(b'\n');
    };
    let spell_or_null = |ttl_ms: &u64| match ttl_ms {
        0 => "null".to_owned(),
        &ms => seconds::spell(ms),
    };
    let mut is_no = false;
    match answer {
        Answer::Granted { id, .. } => line(&[id.to_string().as_bytes()]),
        Answer::Renewed { ttls_ms, .. } => {
            ttls_ms.iter().for_each(|ttl_ms| line(&[spell_or_null(ttl_ms).as_bytes()]));
            is_no = ttls_ms.iter().all(|&ttl_ms| ttl_ms == 0);
        }
        Answer::Lease { ttl_ms, remaining_ms, keys, .. } => {
            line(&[b"ttl", seconds::spell(*ttl_ms).as_bytes()]);
            line(&[b"remaining", seconds::spell(*remaining_ms).as_bytes()]);
            keys.iter().for_each(|key| line(&[b"key", key.0]));
        }
        Answer::Leases { ids, .. } => {
            ids.iter().for_each(|id| line(&[id.to_string().as_bytes()]));
        }
        Answer::Remaining { exists, remaining_ms, .. } => {
            is_no = !exists;
            match remaining_ms {
                Some(ms) => line(&[seconds::spell(*ms).as_bytes()]),
                None => line(&[if *exists { b"forever" } else { b"null" }]),
            }
        }
        _ => return None,
    }
    Some((lines, is_no))
}

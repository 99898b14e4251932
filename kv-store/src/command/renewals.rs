//! Renewals of leases that share one command, and what is answered to each.

use std::ops::Range;

use bytes::BytesMut;

use super::{Answer, Command, LEASES_PER_REQUEST_MAX, List};

/// How a renewal begins, so that hardly any other command has to be read.
const RENEWAL: &[u8] = b"\x81\xa1K";

/// How many leases a command renews; 0 if it does something else.
pub(crate) fn leases_renewed(command: &[u8]) -> u32 {
    if !command.starts_with(RENEWAL) {
        return 0;
    }
    match Command::decode(command) {
        Ok(Command::RenewLeases { ids }) if ids.len() <= LEASES_PER_REQUEST_MAX => {
            u32::try_from(ids.len()).expect("a request has few leases")
        }
        Ok(_) | Err(_) => 0,
    }
}

/// Appends one renewal of the leases of all of these.
///
/// Panics: if one of them is no renewal.
pub(crate) fn join(commands: &[&[u8]], joined: &mut BytesMut) {
    let ids_of = |command: &&[u8]| match Command::decode(command) {
        Ok(Command::RenewLeases { ids }) => ids,
        other => panic!("a renewal is joined, and not {other:?}"),
    };
    let all: Vec<List<u64>> = commands.iter().map(ids_of).collect();
    let ids = all.iter().flat_map(|ids| ids.iter().copied()).collect();
    Command::RenewLeases { ids }.encode(joined);
}

/// Appends what is answered to whoever asked for these of the leases.
///
/// Panics: if the answer is none to a renewal of as many.
pub(crate) fn split(answer: &[u8], parts: Range<u32>, own: &mut BytesMut) {
    match Answer::decode(answer) {
        Ok(Answer::Renewed { revision, ttls_ms }) => {
            let count = (parts.end - parts.start) as usize;
            let own_ttls = ttls_ms.iter().copied().skip(parts.start as usize).take(count);
            let ttls_ms: List<u64> = own_ttls.collect();
            assert_eq!(ttls_ms.len(), count, "each lease has a part of the answer");
            Answer::Renewed { revision, ttls_ms }.encode(own);
        }
        other => panic!("a renewal is answered by the times, and not by {other:?}"),
    }
}

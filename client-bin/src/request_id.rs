//! Names for single writes, for callers who ask again themselves: from another process, after a
//! crash, through another node.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use raft_core::entry::{ClientId, SessionStamp};
use raft_core::replica::sessions::WINDOW;
use tokio::time::Instant;

use crate::client::first_link;
use crate::dial::Endpoints;
use crate::error::ClientError;

/// A session that a cluster has handed out, as text `<issued at>-<random>` in the way in which
/// `kvorum log dump` shows it.
///
/// The cluster remembers it for an hour after its last write, and an unused one for about as
/// long after it was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionId(ClientId);

/// One write of a session, as text `<session>:<serial>`.
///
/// The first time a cluster is asked for a write under this name it executes it, every further
/// time it gives the same answer, whoever asks through whichever node. The newest 1,024 serials
/// of a session can be asked for again: naming a serial says that those 1,024 below it and
/// earlier are done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId {
    session: SessionId,
    serial: u64,
}

/// Why a text is no [`SessionId`] or [`RequestId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadId {
    /// It names no session.
    #[error("a client id is a number of your own, or what kvctl session open prints")]
    Session,
    /// It has no serial from 1 on.
    #[error("a request id is CLIENT:SERIAL, with serials from 1 on")]
    Serial,
}

impl SessionId {
    /// Asks the first of `endpoints` at which a node answers for a new session. Nothing is
    /// written for it until its first write.
    ///
    /// Errors: as [`Client::connect`](crate::Client::connect).
    pub async fn open(endpoints: Vec<String>, within: Duration) -> Result<Self, ClientError> {
        let mut endpoints = Endpoints::new(endpoints)?;
        let link = first_link(&mut endpoints, Instant::now() + within).await?;
        Ok(Self(link.hello.client))
    }

    pub(crate) fn of(client: ClientId) -> Self {
        Self(client)
    }

    /// The name of a write of this session; `None` if the serial is zero.
    #[must_use]
    pub fn request(self, serial: u64) -> Option<RequestId> {
        (serial != 0).then_some(RequestId { session: self, serial })
    }
}

impl RequestId {
    /// What the write carries.
    #[must_use]
    pub fn stamp(self) -> SessionStamp {
        let Self { session: SessionId(client), serial } = self;
        SessionStamp { client, serial, acknowledged: serial.saturating_sub(WINDOW) }
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.0.issued_at, self.0.random)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.session, self.serial)
    }
}

impl FromStr for SessionId {
    type Err = BadId;

    /// Reads what `Display` writes.
    ///
    /// Errors: [`BadId::Session`].
    fn from_str(text: &str) -> Result<Self, BadId> {
        let (issued_at, random) = text.split_once('-').ok_or(BadId::Session)?;
        let is_plain = random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
        let random = u64::from_str_radix(random, 16).ok().filter(|_| is_plain);
        let issued_at = number(issued_at);
        match (issued_at, random) {
            (Some(issued_at), Some(random)) => Ok(Self(ClientId { issued_at, random })),
            (None, _) | (_, None) => Err(BadId::Session),
        }
    }
}

impl FromStr for RequestId {
    type Err = BadId;

    /// Reads what `Display` writes.
    ///
    /// Errors: [`BadId`].
    fn from_str(text: &str) -> Result<Self, BadId> {
        let (session, serial) = text.rsplit_once(':').ok_or(BadId::Serial)?;
        let serial = number(serial).ok_or(BadId::Serial)?;
        session.parse::<SessionId>()?.request(serial).ok_or(BadId::Serial)
    }
}

/// Digits and nothing else.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written_and_nothing_else_is() {
        let text = "12345-00000000000000ff:7";
        let id: RequestId = text.parse().unwrap();
        let client = ClientId { issued_at: 12_345, random: 255 };
        assert_eq!(id.stamp(), SessionStamp { client, serial: 7, acknowledged: 0 });
        assert_eq!(id.to_string(), text);
        let late: RequestId = "0-ffffffffffffffff:1025".parse().unwrap();
        assert_eq!(late.stamp().acknowledged, 1, "1,024 serials can be asked for again");
        for (bad, why) in [
            ("", BadId::Serial),
            ("1-00000000000000ff", BadId::Serial),
            ("1-00000000000000ff:", BadId::Serial),
            ("1-00000000000000ff:0", BadId::Serial),
            ("1-00000000000000ff:+1", BadId::Serial),
            ("1-00000000000000ff:18446744073709551616", BadId::Serial),
            ("1-ff:1", BadId::Session),
            ("1-+0000000000000ff:1", BadId::Session),
            ("-00000000000000ff:1", BadId::Session),
            ("x:1", BadId::Session),
        ] {
            assert_eq!(bad.parse::<RequestId>(), Err(why), "{bad}");
        }
    }
}

//! Names for clients that outlive a process: what a cluster handed out, or a number that a user
//! chose.
//!
//! A cluster tells a client that it has forgotten from one that it has never seen by when it handed
//! out the id, and a number says nothing of that. So a number stands for an id: the first who
//! writes under it asks for a session and puts its id at a key of the number, if nobody has yet;
//! everybody after that reads it there. Every write under the number is one of that session, with
//! all that the cluster promises of sessions. The binding does not change: when the session is
//! forgotten, the number stands for a forgotten session, and writes under it are refused with
//! `SessionExpired` rather than carried out again. Who deletes the key says that no write under the
//! number will ever be repeated.

use std::fmt;
use std::str::FromStr;

use tokio::time::Instant;

use crate::client::Client;
use crate::error::ClientError;
use crate::request_id::{BadId, RequestId, SessionId, number};
use crate::transaction::{Relation, Transaction, key, put};

/// What the keys begin with at which it stands for which sessions numbers stand.
const NUMBERS_PREFIX: &str = "kvorum/clients/";

/// A client as a user names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientName {
    /// A session that the cluster handed out.
    Session(SessionId),
    /// A number that stands for one, from its first write on.
    Number(u64),
}

/// One write of a client, as text `<client>:<serial>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestName {
    client: ClientName,
    serial: u64,
}

impl ClientName {
    /// The session that the name stands for. For the first who asks for a number it is a new one,
    /// from one of `endpoints`, and from then on it is the same for everybody.
    ///
    /// Errors: as for a get and a put; `Rejected` if the key of the number holds something else.
    pub async fn session(
        self,
        client: &Client,
        endpoints: &[String],
        deadline: Instant,
    ) -> Result<SessionId, ClientError> {
        let number = match self {
            Self::Session(session) => return Ok(session),
            Self::Number(number) => number,
        };
        let name = format!("{NUMBERS_PREFIX}{number}");
        if let Some(found) = read(client, &name).await? {
            return Ok(found);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let fresh = SessionId::open(endpoints.to_vec(), left).await?;
        let text = fresh.to_string();
        let is_free = key(name.as_bytes()).version(Relation::Equal, 0);
        let bind = Transaction::new().when(is_free).then(put(name.as_bytes(), text.as_bytes()));
        if client.transact(&bind).await?.succeeded {
            return Ok(fresh);
        }
        // Somebody else was first.
        read(client, &name).await?.ok_or_else(|| strange(&name))
    }

    /// The name of a write of this client; `None` if the serial is zero.
    #[must_use]
    pub fn request(self, serial: u64) -> Option<RequestName> {
        (serial != 0).then_some(RequestName { client: self, serial })
    }
}

impl RequestName {
    /// The write that the name stands for.
    ///
    /// Errors: as [`ClientName::session`].
    pub async fn id(
        self,
        client: &Client,
        endpoints: &[String],
        deadline: Instant,
    ) -> Result<RequestId, ClientError> {
        let session = self.client.session(client, endpoints, deadline).await?;
        Ok(session.request(self.serial).expect("a name has a serial from 1 on"))
    }
}

async fn read(client: &Client, name: &str) -> Result<Option<SessionId>, ClientError> {
    let Some(found) = client.get(name.as_bytes()).await? else { return Ok(None) };
    let text = std::str::from_utf8(&found.value).ok();
    let session = text.and_then(|text| text.parse().ok());
    session.map(Some).ok_or_else(|| strange(name))
}

fn strange(name: &str) -> ClientError {
    ClientError::Rejected(format!("{name:?} holds no client id; take another number"))
}

impl FromStr for ClientName {
    type Err = BadId;

    /// Reads a number, or what `SessionId` writes.
    ///
    /// Errors: [`BadId::Session`].
    fn from_str(text: &str) -> Result<Self, BadId> {
        match number(text) {
            Some(number) => Ok(Self::Number(number)),
            None => text.parse().map(Self::Session),
        }
    }
}

impl FromStr for RequestName {
    type Err = BadId;

    /// Reads what `Display` writes.
    ///
    /// Errors: [`BadId`].
    fn from_str(text: &str) -> Result<Self, BadId> {
        let (client, serial) = text.rsplit_once(':').ok_or(BadId::Serial)?;
        let serial = number(serial).ok_or(BadId::Serial)?;
        client.parse::<ClientName>()?.request(serial).ok_or(BadId::Serial)
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(session) => session.fmt(f),
            Self::Number(number) => number.fmt(f),
        }
    }
}

impl fmt::Display for RequestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.client, self.serial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sessions_name_clients_and_nothing_else_does() {
        for (text, is_number) in [("7", true), ("0", true), ("12345-00000000000000ff", false)] {
            let name: ClientName = text.parse().unwrap();
            assert_eq!(matches!(name, ClientName::Number(_)), is_number, "{text}");
            assert_eq!(name.to_string(), text);
            let request: RequestName = format!("{text}:3").parse().unwrap();
            assert_eq!(Some(request), name.request(3));
            assert_eq!(request.to_string(), format!("{text}:3"));
        }
        for (bad, why) in [
            ("7", BadId::Serial),
            ("7:0", BadId::Serial),
            ("7:", BadId::Serial),
            (":1", BadId::Session),
            ("+7:1", BadId::Session),
            ("seven:1", BadId::Session),
            ("18446744073709551616:1", BadId::Session),
        ] {
            assert_eq!(bad.parse::<RequestName>(), Err(why), "{bad}");
        }
    }
}

//! The client and what does not last: leases, and keys that go after a time.

use std::time::Duration;

use bytes::Bytes;
use kv_store::command::{Answer, Command, List, PutOptions, Query};

use crate::client::{
    Client, Deleted, KeyValue, decode, encode_command, encode_query, no_answer_to_a_read,
};
use crate::error::ClientError;
use crate::requests::Work;

/// How many times a lease is renewed within its time to live, so that a renewal may be lost.
const RENEWALS_PER_TTL: u32 = 3;

/// The shortest pause between two renewals.
const RENEWAL_PAUSE_MIN: Duration = Duration::from_millis(10);

/// What a lease is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// How long it was granted for.
    pub ttl: Duration,
    /// How long it lasts yet; zero if it has ended and is about to go.
    pub remaining: Duration,
    /// The keys that go with it, in order.
    pub keys: Vec<Bytes>,
    /// Whether there are more keys than an answer can hold.
    pub more: bool,
}

impl Lease {
    /// The lease of an answer, without copying its keys; `None` if the answer is none.
    pub(crate) fn owned(bytes: &Bytes, answer: &Answer<'_>) -> Option<Self> {
        let Answer::Lease { ttl_ms, remaining_ms, keys, more, .. } = answer else { return None };
        Some(Self {
            ttl: Duration::from_millis(*ttl_ms),
            remaining: Duration::from_millis(*remaining_ms),
            keys: keys.iter().map(|key| bytes.slice_ref(key.0)).collect(),
            more: *more,
        })
    }
}

impl Client {
    /// Grants a lease, and returns its id. Keys that are put with it go with it, unless somebody
    /// renews it in time: [`Client::keep_alive`]. Time is that of the cluster; while nobody
    /// leads, none passes.
    ///
    /// ```no_run
    /// # use kvorum_client::{Client, ClientError, PutOptions};
    /// # async fn example(client: Client) -> Result<(), ClientError> {
    /// use std::time::Duration;
    ///
    /// let lease = client.grant_lease(Duration::from_secs(10)).await?;
    /// let options = PutOptions { lease, ..PutOptions::default() };
    /// client.put_with(b"workers/7", b"here", options).await?;
    /// // For as long as this runs, the key is there.
    /// let error = client.keep_alive(lease).await;
    /// # let _ = error;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Errors: `Rejected` for less than a millisecond and for more than 285 years; otherwise as
    /// [`Client::put`].
    pub async fn grant_lease(&self, ttl: Duration) -> Result<u64, ClientError> {
        let command = Command::GrantLease { id: 0, ttl_ms: milliseconds(ttl) };
        let answer = self.ask(Work::Write(encode_command(&command))).await?;
        match decode(&answer)? {
            Answer::Granted { id, .. } => Ok(id),
            other => Err(self.no_answer_to_a_write(&other)),
        }
    }

    /// Ends a lease and removes its keys, in one revision.
    ///
    /// Errors: `DecidedNo` if there is no such lease; otherwise as [`Client::put`].
    pub async fn revoke_lease(&self, id: u64) -> Result<Deleted, ClientError> {
        let command = Command::RevokeLease { id };
        let answer = self.ask(Work::Write(encode_command(&command))).await?;
        match decode(&answer)? {
            Answer::Deleted { count, revision } => Ok(Deleted { count, revision }),
            other => Err(self.no_answer_to_a_write(&other)),
        }
    }

    /// Makes a lease last as long again as it was granted for, and returns how long that is;
    /// `None` if there is no such lease, because it has ended.
    ///
    /// It has no session, and may be done twice: a renewal that was done twice is done. So nodes
    /// make one entry of the log of all renewals that come together.
    ///
    /// Errors: as [`Client::put`], except `Unknown`.
    pub async fn renew_lease(&self, id: u64) -> Result<Option<Duration>, ClientError> {
        let command = Command::RenewLeases { ids: [id].into_iter().collect::<List<u64>>() };
        let answer = self.ask(Work::Repeatable(encode_command(&command))).await?;
        match decode(&answer)? {
            Answer::Renewed { ttls_ms, .. } if ttls_ms.len() == 1 => {
                Ok(Some(Duration::from_millis(ttls_ms[0])).filter(|ttl| !ttl.is_zero()))
            }
            other => Err(no_answer_to_a_read(&other)),
        }
    }

    /// Renews a lease again and again, three times within its time to live, for as long as this
    /// is awaited. Returns when the lease is gone: without an error if the cluster said so, with
    /// the last error if nobody could be asked for so long that it may be. Whoever holds a lock
    /// by the lease has lost it then.
    ///
    /// Errors: as [`Client::put`].
    pub async fn keep_alive(&self, id: u64) -> Result<(), ClientError> {
        let mut ttl = match self.renew_lease(id).await? {
            Some(ttl) => ttl,
            None => return Ok(()),
        };
        let mut renewed_at = tokio::time::Instant::now();
        loop {
            let pause = (ttl / RENEWALS_PER_TTL).max(RENEWAL_PAUSE_MIN);
            tokio::time::sleep(pause).await;
            let asked_at = tokio::time::Instant::now();
            match self.until(renewed_at + ttl).renew_lease(id).await {
                Ok(Some(next)) => (ttl, renewed_at) = (next, asked_at),
                Ok(None) => return Ok(()),
                Err(error) if renewed_at + ttl <= tokio::time::Instant::now() => return Err(error),
                // There is time for another attempt.
                Err(_) => {}
            }
        }
    }

    /// What a lease is, and its keys.
    ///
    /// Errors: `DecidedNo` if there is no such lease; otherwise as [`Client::get`].
    pub async fn lease(&self, id: u64) -> Result<Lease, ClientError> {
        let bytes = self.ask(Work::Read(encode_query(&Query::Lease { id, from: b"" }))).await?;
        let answer = Answer::decode(&bytes).map_err(|_| ClientError::nonsense())?;
        Lease::owned(&bytes, &answer).ok_or_else(|| no_answer_to_a_read(&answer))
    }

    /// The ids of all leases, in order; as many as an answer can hold, from this one on.
    ///
    /// Errors: as [`Client::get`].
    pub async fn leases(&self, from: u64) -> Result<Vec<u64>, ClientError> {
        let bytes = self.ask(Work::Read(encode_query(&Query::Leases { from }))).await?;
        match Answer::decode(&bytes).map_err(|_| ClientError::nonsense())? {
            Answer::Leases { ids, .. } => Ok(ids.iter().copied().collect()),
            other => Err(no_answer_to_a_read(&other)),
        }
    }

    /// Sets a key as [`Client::put`] does, with a lease or a time to live; returns the revision
    /// that this made, and what the key was before if that was asked for.
    ///
    /// Errors: `DecidedNo` if there is no such lease; otherwise as [`Client::put`].
    pub async fn put_with(
        &self,
        key: &[u8],
        value: &[u8],
        options: PutOptions,
    ) -> Result<(u64, Option<KeyValue>), ClientError> {
        let body = encode_command(&Command::PutWith { key, value, options });
        let answer = self.ask(Work::Write(body)).await?;
        match decode(&answer)? {
            Answer::PutOver { revision, previous } => {
                Ok((revision, previous.map(|kv| KeyValue::owned(&answer, &kv))))
            }
            other => Err(self.no_answer_to_a_write(&other)),
        }
    }

    /// Lets a key go after a time, or stay for ever; returns whether it exists.
    ///
    /// Errors: as [`Client::grant_lease`].
    pub async fn expire(&self, key: &[u8], ttl: Option<Duration>) -> Result<bool, ClientError> {
        let ttl_ms = ttl.map_or(0, |ttl| milliseconds(ttl).max(1));
        let command = Command::Expire { key, field: None, ttl_ms };
        let answer = self.ask(Work::Write(encode_command(&command))).await?;
        match decode(&answer)? {
            Answer::Changed { count, .. } => Ok(count != 0),
            other => Err(self.no_answer_to_a_write(&other)),
        }
    }
}

pub(crate) fn milliseconds(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)
}

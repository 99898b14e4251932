//! Locks and elections: who came first to a name, for as long as a lease lasts.
//!
//! Whoever contends for a name puts a key below it, `NAME/LEASE` with the lease in hexadecimal,
//! and holds the name when no key below it is older. The revision that made the key is the
//! fencing token: it rises from holder to holder, and a write that is guarded by it is refused
//! once the name has gone to somebody else. The keys are those of etcd's `concurrency` package,
//! so that its clients and these can contend with each other.

use std::fmt;

use bytes::Bytes;

use crate::back_off::pause;
use crate::client::{Client, KeyValue};
use crate::error::ClientError;
use crate::transaction::{
    Compare, Outcome, Relation, Reply, Transaction, delete, get, key, put_with,
};
use crate::watch::{Update, WatchOptions};
use crate::{Direction, Filter, Interest, KeyRange, No, Order, OrderBy, PutOptions, Selection};

/// A lock that was taken, or an election that was won.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    /// The key that stands for the claim. It goes with the lease of the claim.
    pub key: Bytes,
    /// The revision that made it: the fencing token, which rises from holder to holder.
    pub revision: u64,
}

impl Held {
    /// Reads what `Display` writes, from any bytes; `None` if they are not of that form.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let at = text.iter().rposition(|&byte| byte == b'@')?;
        let revision = std::str::from_utf8(&text[at + 1..]).ok()?.parse().ok()?;
        let is_some = 0 < at && revision != 0;
        is_some.then(|| Self { key: Bytes::copy_from_slice(&text[..at]), revision })
    }

    /// What must be true for a transaction of whoever holds this.
    #[must_use]
    pub fn is_held(&self) -> Compare<'_> {
        key(&self.key).create_revision(Relation::Equal, self.revision)
    }
}

/// `KEY@REVISION`; what is not text in the key is replaced.
impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", String::from_utf8_lossy(&self.key), self.revision)
    }
}

impl Client {
    /// Waits until the lock of this name is held, for as long as that takes; who asked first is
    /// first. The lease is the caller's, who keeps it alive meanwhile ([`Client::keep_alive`])
    /// and as long as the lock is to be held; when it ends, so does the claim.
    ///
    /// If the future is dropped, the claim stays until the lease ends.
    ///
    /// Errors: `DecidedNo` with `LeaseUnknown` if the lease ended before; `Rejected` without a
    /// lease or for a name beyond the limits of keys. While nobody can be asked it waits on.
    ///
    /// ```no_run
    /// # use kvorum_client::{Client, ClientError, PutOptions};
    /// # async fn example(client: Client) -> Result<(), ClientError> {
    /// use std::time::Duration;
    ///
    /// let lease = client.grant_lease(Duration::from_secs(10)).await?;
    /// let guarded = async {
    ///     let held = client.lock(b"printer", lease).await?;
    ///     client.put_if_held(b"page", b"1", PutOptions::default(), &held).await?;
    ///     client.release(&held).await
    /// };
    /// tokio::select! {
    ///     done = guarded => println!("released: {}", done?),
    ///     lost = client.keep_alive(lease) => println!("lost: {lost:?}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn lock(&self, name: &[u8], lease: u64) -> Result<Held, ClientError> {
        self.campaign(name, b"", lease).await
    }

    /// As [`Client::lock`], and shows everybody this value: waits until the election of this name
    /// is won ([`Client::winner`]).
    ///
    /// Errors: as [`Client::lock`].
    pub async fn campaign(
        &self,
        name: &[u8],
        value: &[u8],
        lease: u64,
    ) -> Result<Held, ClientError> {
        if lease == 0 {
            return Err(ClientError::rejected("a claim needs a lease"));
        }
        let held = patiently(async || self.claim(name, value, lease).await).await?;
        let prefix = claims(name);
        loop {
            let older = patiently(async || self.next_older(&prefix, &held, lease).await).await?;
            let Some((older, revision)) = older else { return Ok(held) };
            patiently(async || self.wait_until_gone(&older, 1 + revision).await).await?;
        }
    }

    /// Puts the key of a claim, or finds the one that an earlier attempt has put.
    async fn claim(&self, name: &[u8], value: &[u8], lease: u64) -> Result<Held, ClientError> {
        let claim = [&claims(name)[..], format!("{lease:x}").as_bytes()].concat();
        let options = PutOptions { lease, ..PutOptions::default() };
        let transaction = Transaction::new()
            .when(key(&claim).create_revision(Relation::Equal, 0))
            .then(put_with(&claim, value, options))
            .otherwise(get(&claim));
        let done = match self.transact(&transaction).await {
            Err(ClientError::Undone { why, .. }) => return Err(ClientError::DecidedNo(why)),
            done => done?,
        };
        let revision = match &done {
            Outcome { succeeded: true, revision, .. } => *revision,
            Outcome { answers, .. } => match answers.first() {
                Some(Reply::Page(page)) if !page.kvs.is_empty() => page.kvs[0].create_revision,
                _ => return Err(ClientError::Unknown),
            },
        };
        Ok(Held { key: claim.into(), revision })
    }

    /// The claim before this one, as of a revision; none if this one is the first.
    async fn next_older(
        &self,
        prefix: &[u8],
        held: &Held,
        lease: u64,
    ) -> Result<Option<(Bytes, u64)>, ClientError> {
        let selection = Selection {
            limit: 2,
            order: Order { by: OrderBy::CreateRevision, direction: Direction::Descending },
            filter: Filter { create_revision_max: held.revision, ..Filter::ALL },
            ..Selection::of(KeyRange::prefix(prefix))
        };
        let page = self.select(selection).await?;
        match &page.kvs[..] {
            [own, rest @ ..] if own.key == held.key && own.create_revision == held.revision => {
                Ok(rest.first().map(|older| (older.key.clone(), page.revision)))
            }
            _ => Err(ClientError::DecidedNo(No::LeaseUnknown { id: lease })),
        }
    }

    /// Waits until a key is removed, at this revision or later.
    async fn wait_until_gone(&self, key: &[u8], since: u64) -> Result<(), ClientError> {
        let interest = Interest { puts: false, ..Interest::of(KeyRange::single(key)) };
        let options = WatchOptions { since, ..WatchOptions::default() };
        let mut watch = match self.watch(&interest, options).await {
            // Much has happened: it is looked at anew.
            Err(ClientError::DecidedNo(No::Compacted { .. })) => return Ok(()),
            watch => watch?,
        };
        loop {
            match watch.next().await {
                Ok(Update::Changes { .. }) => return Ok(()),
                Ok(Update::Progress { .. }) => {}
                Err(ClientError::DecidedNo(No::Compacted { .. })) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives back what was held; returns whether it was held until now.
    ///
    /// Errors: as [`Client::put`].
    pub async fn release(&self, held: &Held) -> Result<bool, ClientError> {
        let transaction =
            Transaction::new().when(held.is_held()).then(delete(&[KeyRange::single(&held.key)]));
        Ok(self.transact(&transaction).await?.succeeded)
    }

    /// Sets a key if this is held; returns the revision that this made, or `None` if it is not
    /// held any more, and nothing has changed then.
    ///
    /// Errors: as [`Client::put_with`].
    pub async fn put_if_held(
        &self,
        key: &[u8],
        value: &[u8],
        options: PutOptions,
        held: &Held,
    ) -> Result<Option<u64>, ClientError> {
        let transaction =
            Transaction::new().when(held.is_held()).then(put_with(key, value, options));
        let done = match self.transact(&transaction).await {
            Err(ClientError::Undone { why, .. }) => return Err(ClientError::DecidedNo(why)),
            done => done?,
        };
        Ok(done.succeeded.then_some(done.revision))
    }

    /// Who holds a name now: the key of the claim, with the value that it shows; `None` if nobody
    /// does.
    ///
    /// Errors: as [`Client::get`].
    pub async fn winner(&self, name: &[u8]) -> Result<Option<KeyValue>, ClientError> {
        let prefix = claims(name);
        let selection = Selection {
            limit: 1,
            order: Order { by: OrderBy::CreateRevision, direction: Direction::Ascending },
            ..Selection::of(KeyRange::prefix(&prefix))
        };
        Ok(self.select(selection).await?.kvs.into_iter().next())
    }
}

/// Tries again while nobody can be asked or nobody knows what was done: each step of a claim may
/// be repeated, and who waits for a lock waits for the cluster too.
async fn patiently<T>(step: impl AsyncFn() -> Result<T, ClientError>) -> Result<T, ClientError> {
    for pass in 1.. {
        match step().await {
            Err(
                ClientError::Unreachable { .. }
                | ClientError::NoQuorum { .. }
                | ClientError::Unknown,
            ) => tokio::time::sleep(pause(pass)).await,
            result => return result,
        }
    }
    unreachable!("passes do not run out")
}

/// What all claims to a name begin with.
fn claims(name: &[u8]) -> Vec<u8> {
    [name, b"/"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_written_and_read() {
        let held = Held { key: Bytes::from_static(b"a@b/1f"), revision: 12 };
        assert_eq!(held.to_string(), "a@b/1f@12");
        assert_eq!(Held::parse(b"a@b/1f@12"), Some(held));
        for text in ["", "a", "a@", "@1", "a@0", "a@x", "a@-1"] {
            assert_eq!(Held::parse(text.as_bytes()), None, "{text}");
        }
    }
}

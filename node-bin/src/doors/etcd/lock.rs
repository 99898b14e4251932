//! The services Lock and Election: what etcd's servers do for clients, as a row of the requests
//! that any client could make.
//!
//! Whoever wants a lock, or to lead, puts a key of its own under the name and waits until every
//! key that was made before it is gone; its lease decides how long it is believed to live.

use kv_store::command::{
    Answer, Command, Compare, Direction, Filter, KeyRange, KeyValue, OnNo, Operation, Order,
    OrderBy, PutOptions, Query, Relation, Selection, Show, Target, Transaction,
};
use kv_store::watching::Word;
use raft_core::entry::SessionStamp;
use raft_core::types::Term;
use raft_net::etcd::mvccpb;
use raft_net::etcd::v3electionpb::{
    CampaignRequest, CampaignResponse, LeaderKey, LeaderRequest, LeaderResponse, ProclaimRequest,
    ProclaimResponse, ResignRequest, ResignResponse,
};
use raft_net::etcd::v3lockpb::{LockRequest, LockResponse, UnlockRequest, UnlockResponse};
use tonic::Status;

use super::keys::{self, Said, signed, unlike};
use super::kv::revision_said;
use super::node::Behind;
use super::watch::Open;
use crate::api::{StreamOrder, StreamOrders};

/// How long a lock lasts whose client names no lease, as in etcd. Units: milliseconds.
const TTL_MS: u64 = 60_000;

/// A key that waits for its turn, or has it.
struct Standing {
    key: Vec<u8>,
    /// The revision that made it.
    revision: u64,
    lease: u64,
}

/// Takes a key away again if its client stops waiting for it.
struct Waiting<'a> {
    behind: &'a Behind,
    key: Option<Vec<u8>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let ranges = [KeyRange::single(&key)].into_iter().collect();
        // Whether it is taken away or its lease ends, the next one has its turn.
        if let Ok(command) = keys::encode(&Command::Delete { ranges }) {
            self.behind.write_unheard(command);
        }
    }
}

/// The keys under a name.
fn prefix(name: &[u8]) -> Vec<u8> {
    [name, b"/"].concat()
}

impl Behind {
    pub(super) async fn lock(&self, request: LockRequest) -> Result<LockResponse, Status> {
        let (standing, revision, term) = self.stand(&request.name, request.lease, b"").await?;
        let key = standing.key.into();
        Ok(LockResponse { header: self.header(revision, term), key })
    }

    pub(super) async fn unlock(&self, request: UnlockRequest) -> Result<UnlockResponse, Status> {
        let said = self.remove(&request.key).await?;
        Ok(UnlockResponse { header: self.header(revision_said(&said)?, said.term) })
    }

    pub(super) async fn campaign(
        &self,
        request: CampaignRequest,
    ) -> Result<CampaignResponse, Status> {
        let CampaignRequest { name, lease, value } = request;
        let (standing, revision, term) = self.stand(&name, lease, &value).await?;
        let leader = LeaderKey {
            name,
            key: standing.key.into(),
            rev: signed(standing.revision),
            lease: standing.lease.cast_signed(),
        };
        Ok(CampaignResponse { header: self.header(revision, term), leader: Some(leader) })
    }

    pub(super) async fn proclaim(
        &self,
        request: ProclaimRequest,
    ) -> Result<ProclaimResponse, Status> {
        let leader = leader_key(request.leader)?;
        let options = PutOptions { lease: leader.lease.cast_unsigned(), ..PutOptions::default() };
        let put = Command::PutWith { key: &leader.key, value: &request.value, options };
        let said = self.if_made(&leader, put).await?;
        let Answer::Transaction(transacted) = said.answer()? else {
            return Err(unlike(&said.answer()?));
        };
        if !transacted.succeeded {
            return Err(Status::unknown("election: not leader"));
        }
        Ok(ProclaimResponse { header: self.header(signed(transacted.revision), said.term) })
    }

    pub(super) async fn resign(&self, request: ResignRequest) -> Result<ResignResponse, Status> {
        let leader = leader_key(request.leader)?;
        let ranges = [KeyRange::single(&leader.key)].into_iter().collect();
        let said = self.if_made(&leader, Command::Delete { ranges }).await?;
        let Answer::Transaction(transacted) = said.answer()? else {
            return Err(unlike(&said.answer()?));
        };
        Ok(ResignResponse { header: self.header(signed(transacted.revision), said.term) })
    }

    pub(super) async fn leader(&self, request: LeaderRequest) -> Result<LeaderResponse, Status> {
        let (kv, revision, term) = self.first(&prefix(&request.name)).await?;
        if kv.is_none() {
            return Err(Status::unknown("election: no leader"));
        }
        Ok(LeaderResponse { header: self.header(revision, term), kv })
    }

    /// Waits for another leader, or another word of the leader, than the one that was shown; at
    /// first for any.
    pub(super) async fn next_leader(
        &self,
        name: &[u8],
        shown: Option<i64>,
    ) -> Result<LeaderResponse, Status> {
        let prefix = prefix(name);
        loop {
            let (kv, revision, term) = self.first(&prefix).await?;
            if let Some(found) = kv.as_ref().filter(|kv| Some(kv.mod_revision) != shown) {
                let header = self.header(revision, term);
                return Ok(LeaderResponse { header, kv: Some(found.clone()) });
            }
            let next = u64::try_from(revision).unwrap_or(0) + 1;
            self.wait_for_change(KeyRange::prefix(&prefix), next, false).await?;
        }
    }

    /// Does something if the key is still the one with which somebody came to lead.
    async fn if_made(&self, leader: &LeaderKey, command: Command<'_>) -> Result<Said, Status> {
        let made = Compare {
            range: KeyRange::single(&leader.key),
            relation: Relation::Equal,
            target: Target::CreateRevision(u64::try_from(leader.rev).unwrap_or(0)),
        };
        let transaction = Transaction {
            when: [made].into_iter().collect(),
            then: [Operation::Write(command)].into_iter().collect(),
            ..Transaction::default()
        };
        self.done(&Command::Transaction { on_no: OnNo::Undo, transaction: Box::new(transaction) })
            .await
    }

    async fn remove(&self, key: &[u8]) -> Result<Said, Status> {
        let ranges = [KeyRange::single(key)].into_iter().collect();
        self.done(&Command::Delete { ranges }).await
    }

    /// Puts a key under a name and waits until it is the first one there.
    async fn stand(
        &self,
        name: &[u8],
        lease: i64,
        value: &[u8],
    ) -> Result<(Standing, i64, Term), Status> {
        let lease = if lease == 0 { self.lease().await? } else { lease.cast_unsigned() };
        let key = format!("{lease:x}").into_bytes();
        let key = [prefix(name), key].concat();
        let revision = self.enter(&key, lease, value).await?;
        let standing = Standing { key, revision, lease };
        let mut waiting = Waiting { behind: self, key: Some(standing.key.clone()) };
        let prefix = prefix(name);
        while let Some((ahead, seen)) = self.last_before(&prefix, revision).await? {
            self.wait_for_change(KeyRange::single(&ahead), seen + 1, true).await?;
        }
        let single = Query::Range { range: KeyRange::single(&standing.key), limit: 0 };
        let said = self.read(&single, false).await?;
        let Answer::Range { revision: now, kvs, .. } = said.answer()? else {
            return Err(unlike(&said.answer()?));
        };
        if kvs.first().is_none_or(|kv| kv.create_revision != standing.revision) {
            return Err(Status::unknown("mutex: session is expired"));
        }
        waiting.key = None;
        Ok((standing, signed(now), said.term))
    }

    /// A lease of its own, which nobody renews.
    async fn lease(&self) -> Result<u64, Status> {
        let said = self.done(&Command::GrantLease { id: 0, ttl_ms: TTL_MS }).await?;
        match said.answer()? {
            Answer::Granted { id, .. } => Ok(id),
            answer => Err(unlike(&answer)),
        }
    }

    /// Puts a key unless it is there, when it gets another value only; returns the revision that
    /// made it.
    async fn enter(&self, key: &[u8], lease: u64, value: &[u8]) -> Result<u64, Status> {
        let options = PutOptions { lease, ..PutOptions::default() };
        let put = || Operation::Write(Command::PutWith { key, value, options });
        let get = || Operation::Read(Query::Range { range: KeyRange::single(key), limit: 0 });
        let is_new = Compare {
            range: KeyRange::single(key),
            relation: Relation::Equal,
            target: Target::Exists(false),
        };
        let transaction = Transaction {
            when: [is_new].into_iter().collect(),
            then: [put(), get()].into_iter().collect(),
            otherwise: if value.is_empty() {
                [get()].into_iter().collect()
            } else {
                [put(), get()].into_iter().collect()
            },
        };
        let command =
            Command::Transaction { on_no: OnNo::Undo, transaction: Box::new(transaction) };
        let said = self.write(keys::encode(&command)?, SessionStamp::default()).await?;
        let Answer::Transaction(transacted) = said.answer()? else {
            return Err(unlike(&said.answer()?));
        };
        match transacted.answers.last() {
            Some(Answer::Range { kvs, .. }) if !kvs.is_empty() => Ok(kvs[0].create_revision),
            _ => Err(unlike(&said.answer()?)),
        }
    }

    /// The newest key under a name that was made before a revision, and the revision at which
    /// it was seen.
    async fn last_before(
        &self,
        prefix: &[u8],
        revision: u64,
    ) -> Result<Option<(Vec<u8>, u64)>, Status> {
        let selection = Selection {
            limit: 1,
            order: Order { by: OrderBy::CreateRevision, direction: Direction::Descending },
            filter: Filter { create_revision_max: revision - 1, ..Filter::ALL },
            show: Show::Keys,
            ..Selection::of(KeyRange::prefix(prefix))
        };
        let said = self.read(&Query::Select(selection), false).await?;
        let Answer::Range { revision, kvs, .. } = said.answer()? else {
            return Err(unlike(&said.answer()?));
        };
        Ok(kvs.first().map(|kv: &KeyValue<'_>| (kv.key.to_vec(), revision)))
    }

    /// The oldest key under a name.
    async fn first(&self, prefix: &[u8]) -> Result<(Option<mvccpb::KeyValue>, i64, Term), Status> {
        let selection = Selection {
            limit: 1,
            order: Order { by: OrderBy::CreateRevision, direction: Direction::Ascending },
            ..Selection::of(KeyRange::prefix(prefix))
        };
        let said = self.read(&Query::Select(selection), false).await?;
        let Answer::Range { revision, kvs, .. } = said.answer()? else {
            return Err(unlike(&said.answer()?));
        };
        Ok((kvs.first().map(|kv| said.pair(kv)), signed(revision), said.term))
    }

    /// Waits until something of a range changes, or is removed, from a revision on.
    async fn wait_for_change(
        &self,
        range: KeyRange<'_>,
        start: u64,
        only_removed: bool,
    ) -> Result<(), Status> {
        let (stream, mut words) = self.open_stream().await?;
        let open = Open { behind: self.clone(), stream };
        let interest = super::watch_state::interest_in(range, !only_removed);
        let order = StreamOrder::Watch { watch: 1, start, marks: false, interest };
        let orders = vec![order];
        open.behind.orders.do_send(StreamOrders { stream, orders, unread_bytes: None });
        while let Some(told) = words.recv().await {
            match told.word {
                Word::Begun { .. } | Word::Mark { .. } => {}
                // Whatever ended the watch, the caller looks again.
                Word::Changed { .. }
                | Word::Ended(_)
                | Word::Malformed { .. }
                | Word::Overloaded => return Ok(()),
            }
        }
        Err(super::error::STOPPED.into())
    }
}

fn leader_key(leader: Option<LeaderKey>) -> Result<LeaderKey, Status> {
    leader.ok_or_else(|| Status::invalid_argument("\"leader\" field must be provided"))
}

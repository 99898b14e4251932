//! The service Lease.

use kv_store::command::{Answer, Command, Query, TTL_MS_MAX};
use raft_core::entry::SessionStamp;
use raft_net::etcd::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse,
    LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseStatus,
    LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
};
use tonic::Status;

use super::error;
use super::keys::{self, signed, unlike};
use super::kv::revision_said;
use super::node::Behind;

/// The shortest time for which a lease is granted, as in etcd with its defaults; whoever asks
/// for less gets this. Units: seconds.
const TTL_SECONDS_MIN: i64 = 2;

impl Behind {
    pub(super) async fn lease_grant(
        &self,
        request: LeaseGrantRequest,
        session: SessionStamp,
    ) -> Result<LeaseGrantResponse, Status> {
        let seconds = u64::try_from(request.ttl.max(TTL_SECONDS_MIN)).unwrap_or(u64::MAX);
        let ttl_ms = seconds.saturating_mul(1_000);
        if TTL_MS_MAX < ttl_ms {
            return Err(error::LEASE_TTL_TOO_LARGE.into());
        }
        let grant = Command::GrantLease { id: request.id.cast_unsigned(), ttl_ms };
        let said = self.write(keys::encode(&grant)?, session).await?;
        let Answer::Granted { revision, id, ttl_ms } = said.answer()? else {
            return Err(unlike(&said.answer()?));
        };
        Ok(LeaseGrantResponse {
            header: self.header(signed(revision), said.term),
            id: id.cast_signed(),
            ttl: signed(ttl_ms / 1_000),
            error: String::new(),
        })
    }

    pub(super) async fn lease_revoke(
        &self,
        request: LeaseRevokeRequest,
        session: SessionStamp,
    ) -> Result<LeaseRevokeResponse, Status> {
        let revoke = Command::RevokeLease { id: request.id.cast_unsigned() };
        let said = self.write(keys::encode(&revoke)?, session).await?;
        let header = self.header(revision_said(&said)?, said.term);
        Ok(LeaseRevokeResponse { header })
    }

    /// Renews leases, all in one entry. One that does not exist has a time of 0, and is no error.
    pub(super) async fn lease_keep_alive(
        &self,
        requests: &[LeaseKeepAliveRequest],
    ) -> Result<Vec<LeaseKeepAliveResponse>, Status> {
        let ids = requests.iter().map(|request| request.id.cast_unsigned()).collect();
        let said = self.done(&Command::RenewLeases { ids }).await?;
        let Answer::Renewed { revision, ttls_ms } = said.answer()? else {
            return Err(unlike(&said.answer()?));
        };
        let response = |(request, ttl_ms): (&LeaseKeepAliveRequest, &u64)| LeaseKeepAliveResponse {
            header: self.header(signed(revision), said.term),
            id: request.id,
            ttl: signed(*ttl_ms / 1_000),
        };
        Ok(requests.iter().zip(ttls_ms.iter()).map(response).collect())
    }

    /// A lease that does not exist has a time of -1, and is no error.
    pub(super) async fn lease_time_to_live(
        &self,
        request: LeaseTimeToLiveRequest,
    ) -> Result<LeaseTimeToLiveResponse, Status> {
        let mut response = LeaseTimeToLiveResponse { id: request.id, ..Default::default() };
        let mut from = Vec::new();
        loop {
            let id = request.id.cast_unsigned();
            let asked = self.read(&Query::Lease { id, from: &from }, false).await;
            let said = asked?;
            let (ttl_ms, remaining_ms, found, more, revision) = match Answer::decode(&said.bytes) {
                Ok(Answer::Lease { ttl_ms, remaining_ms, keys, more, revision }) => {
                    (ttl_ms, remaining_ms, keys, more, revision)
                }
                Ok(Answer::No { revision, .. }) => {
                    response.header = self.header(signed(revision), said.term);
                    response.ttl = -1;
                    response.keys.clear();
                    return Ok(response);
                }
                Ok(_) | Err(_) => return Err(unlike(&said.answer()?)),
            };
            response.header = self.header(signed(revision), said.term);
            response.ttl = signed(remaining_ms / 1_000);
            response.granted_ttl = signed(ttl_ms / 1_000);
            if !request.keys {
                return Ok(response);
            }
            response.keys.extend(found.iter().map(|name| said.bytes.slice_ref(name.0)));
            let Some(last) = response.keys.last().filter(|_| more) else { return Ok(response) };
            from = [last, &b"\0"[..]].concat();
        }
    }

    pub(super) async fn lease_leases(&self) -> Result<LeaseLeasesResponse, Status> {
        let (mut leases, mut from) = (Vec::new(), 0);
        loop {
            let said = self.read(&Query::Leases { from }, false).await?;
            let Answer::Leases { revision, ids, more } = said.answer()? else {
                return Err(unlike(&said.answer()?));
            };
            leases.extend(ids.iter().map(|id| LeaseStatus { id: id.cast_signed() }));
            match ids.last().and_then(|last| last.checked_add(1)).filter(|_| more) {
                Some(next) => from = next,
                None => {
                    let header = self.header(signed(revision), said.term);
                    return Ok(LeaseLeasesResponse { header, leases });
                }
            }
        }
    }
}

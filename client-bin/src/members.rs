//! Who is in the cluster, who leads it, and how leadership moves.

use std::time::Duration;

use raft_core::configuration::ChangeRefusal;
use raft_core::types::NodeId;
use raft_net::client_protocol::{ChangeRefused, Op, Reply};
use tokio::time::{Instant, timeout};

use crate::client::{Client, first_link};
use crate::dial::Endpoints;
use crate::error::ClientError;
use crate::status::cluster_status;

pub use raft_net::client_protocol::{KEPT_LEARNER, LEARNER, OUTGOING, VOTER};
pub use raft_net::member_change::MemberChange;

/// The pause before a change is asked for again that cannot be made yet.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a node may take beyond what a request allows it. Units: milliseconds.
const GRACE_MS: u64 = 500;

/// One member of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: u64,
    /// [`VOTER`], [`LEARNER`], [`KEPT_LEARNER`] or [`OUTGOING`].
    pub role: String,
    /// Where it is reached.
    pub address: String,
    /// Whether it leads, as far as is known.
    pub leads: bool,
}

/// Every member, by the word of the node that knows best among those that can be asked.
///
/// Errors: as [`cluster_status`].
pub async fn members(endpoints: &[String], within: Duration) -> Result<Vec<Member>, ClientError> {
    let cluster = cluster_status(endpoints, within).await?;
    let Some(newest) = cluster.newest() else { return Ok(Vec::new()) };
    let role = |id: u64| {
        let known = newest.member_roles.iter().find(|(member, _)| *member == id);
        // A node of an earlier version has voters only.
        known.map_or(VOTER, |(_, role)| role).to_owned()
    };
    let member = |(id, address): &(u64, String)| Member {
        id: *id,
        role: role(*id),
        address: address.clone(),
        leads: newest.leader_id == Some(*id),
    };
    Ok(newest.members.iter().map(member).collect())
}

/// Changes the members, and asks again until `until` while another change is under way and, if
/// it `waits_for_learners`, while one has not caught up. A leader that has just been elected
/// says "under way" too.
///
/// Errors: as [`Client::change_members`].
pub async fn change_when_possible(
    client: &Client,
    change: &MemberChange,
    waits_for_learners: bool,
    until: Instant,
) -> Result<Vec<u64>, ClientError> {
    loop {
        match client.change_members(change).await {
            Err(ClientError::ChangeRefused(refused))
                if may_be_made_later(&refused, waits_for_learners)
                    && Instant::now() + PAUSE < until =>
            {
                tokio::time::sleep(PAUSE).await;
            }
            result => return result,
        }
    }
}

fn may_be_made_later(refused: &ChangeRefused, waits_for_learners: bool) -> bool {
    let about = refused.about.and_then(NodeId::new);
    match ChangeRefusal::from_code(refused.code, about) {
        Some(ChangeRefusal::InProgress) => true,
        Some(ChangeRefusal::NotCaughtUp(_)) => waits_for_learners,
        Some(_) | None => false,
    }
}

/// Hands leadership over to `to`, or to the voter that has most; returns when somebody else, or
/// whoever was named, leads.
///
/// Errors: `NotHandedOver` if nobody took over in time, or the node that is named cannot;
/// otherwise `ClientError`, except `Unknown`.
pub async fn transfer(
    endpoints: &[String],
    to: Option<u64>,
    within: Duration,
) -> Result<(), ClientError> {
    let deadline = Instant::now() + within;
    let mut endpoints = Endpoints::new(endpoints.to_vec())?;
    loop {
        let link = first_link(&mut endpoints, deadline).await?;
        let endpoint = link.address.clone();
        let left = deadline.saturating_duration_since(Instant::now());
        let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        let timeout_ms = left_ms.saturating_sub(GRACE_MS).max(left_ms / 2).max(1);
        let answered = exchange_transfer(link, to, timeout_ms);
        match timeout(left, answered).await {
            Ok(Some(result)) => return result,
            // The connection ended; to ask once more asks for the same, if somebody is named.
            Ok(None) if Instant::now() < deadline => {
                endpoints.failed(&endpoint, None, Instant::now());
                tokio::time::sleep(PAUSE).await;
            }
            Ok(None) | Err(_) => return Err(ClientError::NoQuorum { endpoint, last: None }),
        }
    }
}

async fn exchange_transfer(
    link: crate::dial::Link,
    to: Option<u64>,
    timeout_ms: u64,
) -> Option<Result<(), ClientError>> {
    let endpoint = link.address.clone();
    let read = |reply: &Reply<'_>| {
        Some(match reply {
            Reply::Transferred => Ok(()),
            Reply::Refused(_) => Err(ClientError::NotHandedOver(match to {
                Some(to) => format!(
                    "node {to} did not take over in time, or is no voter; see: kvctl member list"
                ),
                None => "nobody took over in time; who leads stays as it is".to_owned(),
            })),
            Reply::Malformed(text) => Err(ClientError::rejected(text)),
            _ => Err(ClientError::NotKvorum { endpoint: endpoint.clone() }),
        })
    };
    crate::exchange::exchange(link, Op::Transfer { timeout_ms, to }, read).await
}

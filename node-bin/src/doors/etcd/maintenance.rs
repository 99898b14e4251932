//! The service Maintenance, and gRPC's health check.

use std::time::Duration;

use kv_store::command::{Answer, KeyRange, No, Query, RangeEnd, Selection};
use raft_core::replica::event::Status as NodeState;
use raft_core::types::NodeId;
use raft_net::etcd::etcdserverpb::alarm_request::AlarmAction;
use raft_net::etcd::etcdserverpb::downgrade_request::DowngradeAction;
use raft_net::etcd::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmResponse, AlarmType, DefragmentRequest, DefragmentResponse,
    DowngradeInfo, DowngradeRequest, DowngradeResponse, HashKvRequest, HashKvResponse, HashRequest,
    HashResponse, MoveLeaderRequest, MoveLeaderResponse, StatusRequest, StatusResponse,
};
use raft_net::etcd::health::health_check_response::ServingStatus;
use raft_net::etcd::health::{HealthCheckRequest, HealthCheckResponse};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tonic::Status;

use super::error;
use super::keys::{signed, unlike};
use super::node::Behind;
use crate::monitor::health;
use crate::monitor::machine::memory_bytes;

/// The version of etcd whose interface this is: clients switch features by it.
pub(crate) const ETCD_VERSION: &str = "3.6.0";

/// The check for which the others are asked.
const LINEARIZABLE_READ: &str = "linearizable_read";

/// How long a node that is asked whether it is ready waits for the others.
const READ_PATIENCE: Duration = Duration::from_secs(2);

/// How often it is looked at how a node is, for those who watch that. Units: milliseconds.
const HEALTH_EVERY_MS: u64 = 250;

/// The version to which etcd's rules would let such a cluster go back.
const DOWNGRADE_TARGET: &str = "3.5";

/// What is wrong with a node, as far as etcd has a name for it.
fn alarms(state: &NodeState) -> Vec<AlarmMember> {
    let member_id = state.node.number();
    let is_full = state.live_bytes_max <= state.live_bytes;
    [(is_full, AlarmType::Nospace), (state.is_fenced, AlarmType::Corrupt)]
        .into_iter()
        .filter(|(is_on, _)| *is_on)
        .map(|(_, alarm)| AlarmMember { member_id, alarm: alarm.into() })
        .collect()
}

impl Behind {
    pub(super) async fn status(&self, _: StatusRequest) -> Result<StatusResponse, Status> {
        let state = self.state().await?;
        let mut errors = Vec::new();
        if state.leader.is_none() {
            errors.push(error::NO_LEADER.text.to_owned());
        }
        errors.extend(alarms(&state).iter().map(|alarm| {
            format!("memberID:{} alarm:{} ", alarm.member_id, alarm.alarm().as_str_name())
        }));
        Ok(StatusResponse {
            header: self.header(signed(state.revision), state.term),
            version: ETCD_VERSION.to_owned(),
            db_size: signed(memory_bytes()),
            leader: state.leader.map_or(0, NodeId::number),
            raft_index: state.commit_index.0,
            raft_term: state.term.0,
            raft_applied_index: state.applied_index.0,
            errors,
            db_size_in_use: signed(state.live_bytes),
            is_learner: !state.configuration.is_voter(state.node),
            storage_version: ETCD_VERSION.to_owned(),
            db_size_quota: signed(state.live_bytes_max),
            downgrade_info: Some(DowngradeInfo::default()),
        })
    }

    /// The alarms of this node. None can be raised or taken away by hand: what is wrong ends by
    /// itself.
    pub(super) async fn alarm(&self, request: AlarmRequest) -> Result<AlarmResponse, Status> {
        if request.action() == AlarmAction::Activate {
            return Err(Status::unimplemented("kvorum: alarms are not raised by hand"));
        }
        let state = self.state().await?;
        let header = self.header(signed(state.revision), state.term);
        Ok(AlarmResponse { header, alarms: alarms(&state) })
    }

    /// Nothing is left over that could be given back.
    pub(super) async fn defragment(
        &self,
        _: DefragmentRequest,
    ) -> Result<DefragmentResponse, Status> {
        let state = self.state().await?;
        Ok(DefragmentResponse { header: self.header(signed(state.revision), state.term) })
    }

    /// The rolling hash over everything that happened.
    pub(super) async fn hash(&self, _: HashRequest) -> Result<HashResponse, Status> {
        let state = self.state().await?;
        let [_, _, _, _, bytes @ ..] = state.state_hash.to_be_bytes();
        let header = self.header(signed(state.revision), state.term);
        Ok(HashResponse { header, hash: u32::from_be_bytes(bytes) })
    }

    /// The hash of all keys at a revision, as this node has them.
    pub(super) async fn hash_kv(&self, request: HashKvRequest) -> Result<HashKvResponse, Status> {
        let all = Selection::of(KeyRange { from: b"", end: RangeEnd::From });
        let mut revision = u64::try_from(request.revision).unwrap_or(0);
        let (mut sum, mut last) = (Sha256::new(), None::<Vec<u8>>);
        loop {
            let (mut selection, mut buffer) = (Selection { revision, ..all }, Vec::new());
            if let Some(last) = &last {
                selection.range = all.range.after(last, &mut buffer);
            }
            let said = self.read(&Query::Select(selection), true).await?;
            let Answer::Range { revision: now, kvs, more, .. } = said.answer()? else {
                return Err(unlike(&said.answer()?));
            };
            if revision == 0 {
                revision = now;
            }
            for kv in kvs.iter() {
                for part in [kv.key, kv.value] {
                    sum.update(u64::try_from(part.len()).unwrap_or(0).to_be_bytes());
                    sum.update(part);
                }
                let numbers =
                    [kv.create_revision, kv.mod_revision, kv.version, kv.attributes.lease];
                numbers.iter().for_each(|number| sum.update(number.to_be_bytes()));
            }
            if let Some(kv) = kvs.last().filter(|_| more) {
                last = Some(kv.key.to_vec());
                continue;
            }
            let sum = sum.finalize();
            return Ok(HashKvResponse {
                header: self.header(signed(now), said.term),
                hash: u32::from_be_bytes([sum[0], sum[1], sum[2], sum[3]]),
                compact_revision: signed(self.compacted().await?),
                hash_revision: signed(revision),
            });
        }
    }

    /// The oldest revision of this node that can be read; 0 while all can be.
    async fn compacted(&self) -> Result<u64, Status> {
        let mut selection = Selection::of(KeyRange::single(b"\0"));
        selection.revision = 1;
        let said = self.read(&Query::Select(selection), true).await?;
        match Answer::decode(&said.bytes) {
            Ok(Answer::No { why: No::Compacted { oldest }, .. }) => Ok(oldest),
            Ok(_) | Err(_) => Ok(0),
        }
    }

    pub(super) async fn move_leader(
        &self,
        request: MoveLeaderRequest,
    ) -> Result<MoveLeaderResponse, Status> {
        let state = self.state().await?;
        if state.leader != Some(state.node) {
            return Err(error::NOT_LEADER.into());
        }
        let target = NodeId::new(request.target_id);
        let target = target.filter(|id| state.configuration.is_voter(*id));
        let Some(target) = target else { return Err(error::BAD_LEADER_TRANSFEREE.into()) };
        if target != state.node {
            self.transfer(target).await?;
        }
        let state = self.state().await?;
        Ok(MoveLeaderResponse { header: self.header(signed(state.revision), state.term) })
    }

    /// Nothing that an older etcd could read is kept, so going back is only checked.
    pub(super) async fn downgrade(
        &self,
        request: DowngradeRequest,
    ) -> Result<DowngradeResponse, Status> {
        match request.action() {
            DowngradeAction::Cancel => return Err(error::NO_DOWNGRADE.into()),
            DowngradeAction::Validate | DowngradeAction::Enable => {}
        }
        let mut parts = request.version.split('.').map(str::parse::<u32>);
        if !matches!((parts.next(), parts.next()), (Some(Ok(_)), Some(Ok(_)))) {
            return Err(error::WRONG_DOWNGRADE_VERSION.into());
        }
        let is_target = request.version.trim_end_matches(".0") == DOWNGRADE_TARGET;
        if !is_target || request.action() == DowngradeAction::Enable {
            return Err(error::INVALID_DOWNGRADE_TARGET.into());
        }
        let state = self.state().await?;
        let header = self.header(signed(state.revision), state.term);
        Ok(DowngradeResponse { header, version: ETCD_VERSION.to_owned() })
    }

    /// The whole server is asked for by an empty name; it serves while somebody leads.
    pub(super) async fn health_check(
        &self,
        request: HealthCheckRequest,
    ) -> Result<HealthCheckResponse, Status> {
        if !request.service.is_empty() {
            return Err(Status::not_found("unknown service"));
        }
        Ok(HealthCheckResponse { status: self.serving_status().await?.into() })
    }

    async fn serving_status(&self) -> Result<ServingStatus, Status> {
        let state = self.state().await?;
        let is_serving = state.leader.is_some() && !state.is_fenced;
        Ok(if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing })
    }

    /// Tells how the server is, and again whenever that has changed. Of a service that there is
    /// not it says so and waits, since one might come.
    pub(super) async fn health_watch(
        &self,
        request: &HealthCheckRequest,
        responses: &mpsc::Sender<Result<HealthCheckResponse, Status>>,
    ) {
        let mut told = None;
        loop {
            let status = match request.service.is_empty() {
                true => self.serving_status().await,
                false => Ok(ServingStatus::ServiceUnknown),
            };
            let (news, is_over) = match status {
                Ok(status) if told == Some(status) => (None, false),
                Ok(status) => {
                    told = Some(status);
                    (Some(Ok(HealthCheckResponse { status: status.into() })), false)
                }
                Err(status) => (Some(Err(status)), true),
            };
            if let Some(news) = news
                && (responses.send(news).await.is_err() || is_over)
            {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(HEALTH_EVERY_MS)) => {}
                () = responses.closed() => return,
            }
        }
    }
}

impl Behind {
    /// Whether the node can serve.
    ///
    /// Errors: why not, in etcd's words.
    pub(crate) async fn is_well(&self, is_serializable: bool) -> Result<(), String> {
        let stopping = |_| error::STOPPED.text.to_owned();
        let state = self.state().await.map_err(stopping)?;
        if let Some(alarm) = alarms(&state).first() {
            return Err(format!("ALARM {}", alarm.alarm().as_str_name()));
        }
        if !is_serializable {
            if state.leader.is_none() {
                return Err("RAFT NO LEADER".to_owned());
            }
            let read = self.revision().await;
            read.map_err(|status| format!("QGET ERROR:{}", status.message()))?;
        }
        Ok(())
    }

    /// Whether one thing is well.
    ///
    /// Errors: why not.
    pub(crate) async fn check(&self, name: &str) -> Result<(), String> {
        let state = self.state().await.map_err(|status| status.message().to_owned())?;
        health::check(name, &state)?;
        if name == LINEARIZABLE_READ {
            let read = tokio::time::timeout(READ_PATIENCE, self.revision()).await;
            let read = read.map_err(|_| format!("no answer within {READ_PATIENCE:?}"))?;
            read.map_err(|status| status.message().to_owned())?;
        }
        Ok(())
    }
}

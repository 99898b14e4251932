//! The service Cluster: members as etcd shows them.
//!
//! A node has one address, for peers and clients alike, so both URLs of a member are that one.

use std::collections::{BTreeMap, BTreeSet};

use raft_core::configuration::{Change, Configuration};
use raft_core::types::NodeId;
use raft_net::etcd::etcdserverpb::{
    Member, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse,
    MemberPromoteRequest, MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse,
    MemberUpdateRequest, MemberUpdateResponse, ResponseHeader,
};
use tonic::Status;

use super::error::{self, EtcdError};
use super::node::Behind;

/// The address that URLs name, if they name one.
///
/// Errors: as etcd says it of URLs that make no sense.
fn address(urls: &[String]) -> Result<String, EtcdError> {
    let [url] = urls else { return Err(error::MEMBER_BAD_URLS) };
    let address = url.strip_prefix("http://").ok_or(error::MEMBER_BAD_URLS)?;
    let (host, port) = address.rsplit_once(':').ok_or(error::MEMBER_BAD_URLS)?;
    let is_sound = !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok();
    is_sound.then(|| address.to_owned()).ok_or(error::MEMBER_BAD_URLS)
}

fn member_id(id: u64) -> Result<NodeId, EtcdError> {
    NodeId::new(id).ok_or(error::MEMBER_NOT_FOUND)
}

/// What a node is called.
pub(super) fn name(id: NodeId) -> String {
    format!("node-{id}")
}

fn member(configuration: &Configuration, id: NodeId, address: &str) -> Member {
    let urls = vec![format!("http://{address}")];
    Member {
        id: id.number(),
        name: name(id),
        peer_ur_ls: urls.clone(),
        client_ur_ls: urls,
        is_learner: !configuration.is_voter(id),
    }
}

impl Behind {
    /// Who is in the cluster, as far as this node knows.
    async fn members(&self) -> Result<(Option<ResponseHeader>, Vec<Member>), Status> {
        let state = self.state().await?;
        let configuration = &state.configuration;
        let members = configuration.members.iter();
        let members = members.map(|(id, at)| member(configuration, *id, at)).collect();
        // As with etcd, what concerns members says no revision.
        Ok((self.header(0, state.term), members))
    }

    pub(super) async fn member_list(
        &self,
        request: MemberListRequest,
    ) -> Result<MemberListResponse, Status> {
        if request.linearizable {
            // What this node knows after that is as new as the question.
            self.revision().await?;
        }
        let (header, members) = self.members().await?;
        Ok(MemberListResponse { header, members })
    }

    /// A voter that is added is a learner until it has caught up; it is promoted by itself.
    pub(super) async fn member_add(
        &self,
        request: MemberAddRequest,
    ) -> Result<MemberAddResponse, Status> {
        let address = address(&request.peer_ur_ls)?;
        let state = self.state().await?;
        let configuration = state.configuration;
        if configuration.members.values().any(|taken| *taken == address) {
            return Err(error::PEER_URL_EXISTS.into());
        }
        let added = self.change(Change { add: vec![address], ..Change::default() }).await?;
        self.revision().await?;
        let (header, members) = self.members().await?;
        let added = added.first().map(|id| id.number());
        let member = members.iter().find(|member| Some(member.id) == added).cloned();
        Ok(MemberAddResponse { header, member, members })
    }

    pub(super) async fn member_remove(
        &self,
        request: MemberRemoveRequest,
    ) -> Result<MemberRemoveResponse, Status> {
        let remove = BTreeSet::from([member_id(request.id)?]);
        self.change(Change { remove, ..Change::default() }).await?;
        let (header, members) = self.members().await?;
        Ok(MemberRemoveResponse { header, members })
    }

    pub(super) async fn member_update(
        &self,
        request: MemberUpdateRequest,
    ) -> Result<MemberUpdateResponse, Status> {
        let id = member_id(request.id)?;
        let readdress = BTreeMap::from([(id, address(&request.peer_ur_ls)?)]);
        self.change(Change { readdress, ..Change::default() }).await?;
        let (header, members) = self.members().await?;
        Ok(MemberUpdateResponse { header, members })
    }

    pub(super) async fn member_promote(
        &self,
        request: MemberPromoteRequest,
    ) -> Result<MemberPromoteResponse, Status> {
        let promote = BTreeSet::from([member_id(request.id)?]);
        self.change(Change { promote, ..Change::default() }).await?;
        let (header, members) = self.members().await?;
        Ok(MemberPromoteResponse { header, members })
    }
}

//! Discovery: finds the nodes of the cluster. For now it is told them.
//!
//! Facts: `PeersFound`, once at the start.

use std::collections::BTreeMap;

use actix::prelude::*;
use raft_core::types::NodeId;

/// Says which nodes there are and where.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct PeersFound {
    /// Every known node with its address, as the transport understands it.
    pub peers: BTreeMap<NodeId, String>,
}

/// The actor.
#[derive(Debug)]
pub struct Discovery {
    listed: BTreeMap<NodeId, String>,
    found: Recipient<PeersFound>,
}

impl Discovery {
    /// Will report the nodes of this list.
    #[must_use]
    pub fn of_list(listed: BTreeMap<NodeId, String>, found: Recipient<PeersFound>) -> Self {
        Self { listed, found }
    }
}

impl Actor for Discovery {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.found.do_send(PeersFound { peers: self.listed.clone() });
    }
}

//! What a page is told first.

use std::collections::BTreeMap;

use serde::Serialize;

/// What may be done to a node that may be played with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PlaysWith {
    /// Everything, to every node of a cluster in one process.
    Cluster,
    /// What concerns the node alone; the whole cluster is asked to hand leadership over.
    Node,
}

/// What a node says of itself to its pages.
#[derive(Clone, Debug)]
pub(crate) struct Introduced {
    pub(crate) node_id: u64,
    pub(crate) cluster_id: u64,
    /// What a page must say to change something by a way that only pages use.
    pub(crate) token: String,
    /// `None` if nobody may play with the node.
    pub(crate) playground: Option<PlaysWith>,
}

/// The first word of a stream.
#[derive(Serialize)]
pub(super) struct Hello<'a> {
    node: u64,
    version: &'static str,
    cluster: String,
    token: &'a str,
    playground: Option<PlaysWith>,
    doors: &'a BTreeMap<u64, String>,
}

impl Introduced {
    /// The same in the words of a stream, with where the page of each node is.
    pub(super) fn hello<'a>(&'a self, doors: &'a BTreeMap<u64, String>) -> Hello<'a> {
        Hello {
            node: self.node_id,
            version: env!("CARGO_PKG_VERSION"),
            cluster: format!("{:016x}", self.cluster_id),
            token: &self.token,
            playground: self.playground,
            doors,
        }
    }
}

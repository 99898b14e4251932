//! The folders of a cluster that keeps its data: one for each node, below that of the cluster.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use raft_core::types::NodeId;
use raft_core::wal::identity::Identity;

use super::{ClusterOptions, Storage};
use crate::directory::owner;
use crate::error::StartError;

/// How the folder of a node begins, and that of one that was removed.
const NODE: &str = "node-";
const REMOVED: &str = "removed-node-";

/// The cluster that a folder was used for before.
pub(super) struct Known {
    pub(super) cluster_id: u64,
    /// Its members.
    pub(super) ids: BTreeSet<NodeId>,
}

pub(super) fn node_directory(root: &Path, id: NodeId) -> PathBuf {
    root.join(format!("{NODE}{id}"))
}

/// Puts the folder of a node aside that is no member any more.
///
/// Errors: in the words of the system; the folder stays.
pub(super) fn set_aside(root: &Path, id: NodeId) -> io::Result<()> {
    fs::rename(node_directory(root, id), root.join(format!("{REMOVED}{id}")))
}

/// The nodes of which there is a folder that begins like this.
fn numbered(root: &Path, prefix: &str) -> BTreeSet<NodeId> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let id = |name: String| name.strip_prefix(prefix)?.parse().ok().and_then(NodeId::new);
    entries.filter_map(|entry| id(entry.file_name().to_string_lossy().into_owned())).collect()
}

/// The cluster that the folder was used for before, with the nodes that have joined since and
/// without those that were removed.
///
/// Errors: `StartError::Setting` if it has another number of nodes.
pub(super) fn known_cluster(options: &ClusterOptions) -> Result<Option<Known>, StartError> {
    let Storage::Directory(root) = &options.storage else { return Ok(None) };
    let (mut ids, mut cluster_id) = (BTreeSet::new(), None);
    for id in numbered(root, NODE) {
        let Some(identity) = owner(&node_directory(root, id))? else { continue };
        let Identity { members, .. } = &identity;
        ids.extend(members.keys().copied().chain([id]));
        cluster_id.get_or_insert(identity.cluster_id);
    }
    let Some(cluster_id) = cluster_id else { return Ok(None) };
    for removed in numbered(root, REMOVED) {
        ids.remove(&removed);
    }
    let found = ids.len() as u64;
    if found != options.nodes {
        return Err(StartError::Setting(format!(
            "{} holds a cluster of {found} nodes, not of {}; \
             use --nodes {found}, or another --data-dir",
            root.display(),
            options.nodes
        )));
    }
    Ok(Some(Known { cluster_id, ids }))
}

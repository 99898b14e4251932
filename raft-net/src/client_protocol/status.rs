//! What a node says of itself.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

/// What a node says of itself. Travels as a map, so that any program may read what it knows of
/// it and later versions may say more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// The node.
    pub node_id: u64,
    /// The cluster.
    pub cluster_id: u64,
    /// `leader`, `follower`, `candidate`, `pre-candidate`, `learner` or `removed`.
    pub role: String,
    /// The node's term.
    pub term: u64,
    /// Who leads, as far as the node knows.
    pub leader_id: Option<u64>,
    /// The highest index that the node knows to be committed.
    pub commit_index: u64,
    /// The last entry that its state machine has applied.
    pub applied_index: u64,
    /// The last entry of its log.
    pub last_index: u64,
    /// The state machine's revision.
    pub revision: u64,
    /// The version of the program.
    pub version: String,
    /// Where the node can be reached, as `host:port`.
    pub address: String,
    /// For whom the node waits before it may take part, if it has an empty directory.
    pub waiting_for: Vec<u64>,
    /// The state machine's hash at `applied_index`.
    pub state_hash: u64,
    /// Every member with its address, as far as this node knows.
    pub members: Vec<(u64, String)>,
    /// The last entry that the node's newest snapshot covers, zero without one.
    pub snapshot_index: u64,
    /// Whether the node's state differs from the majority's and waits to be replaced.
    pub fenced: bool,
    /// Every member with its part in the cluster: `voter`, `learner`, `kept-learner` for one that
    /// was demoted and is not promoted by leaders, or `outgoing` for one that votes only until the
    /// change that is under way is complete.
    pub member_roles: Vec<(u64, String)>,
    /// What live data takes in the node's memory, about. Units: bytes.
    pub live_bytes: u64,
    /// From so much on the node refuses what would add to it; 0 if it does not say.
    /// Units: bytes.
    pub live_bytes_max: u64,
    /// The feature level that the cluster has agreed on, as far as the node has applied; 0 if it
    /// does not say.
    pub feature_level: u16,
    /// The highest feature level that the node applies.
    pub feature_level_max: u16,
    /// Which incarnation of a data directory answers for an id: nodes of two clusters never share
    /// one. Empty if the node does not say.
    pub incarnations: Vec<(u64, u64)>,
}

impl NodeStatus {
    /// Whether the node refuses what would add to its live data.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.live_bytes_max != 0 && self.live_bytes_max <= self.live_bytes
    }
}

/// The part of a member that votes.
pub const VOTER: &str = "voter";
/// The part of a member that receives everything and decides nothing.
pub const LEARNER: &str = "learner";
/// The part of a learner that stays one until somebody promotes it.
pub const KEPT_LEARNER: &str = "kept-learner";
/// The part of a member that votes until a change is complete.
pub const OUTGOING: &str = "outgoing";

/// By hand because everything else after the preface travels as arrays.
impl Serialize for NodeStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Left out when nothing is said, as by a program that did not know it.
        let has_roles = !self.member_roles.is_empty();
        let has_room = self.live_bytes_max != 0;
        let has_levels = self.feature_level != 0;
        let has_incarnations = !self.incarnations.is_empty();
        let pairs = usize::from(has_room) + usize::from(has_levels);
        let entries = 16 + usize::from(has_roles) + 2 * pairs + usize::from(has_incarnations);
        let mut map = serializer.serialize_map(Some(entries))?;
        map.serialize_entry("node_id", &self.node_id)?;
        map.serialize_entry("cluster_id", &self.cluster_id)?;
        map.serialize_entry("role", &self.role)?;
        map.serialize_entry("term", &self.term)?;
        map.serialize_entry("leader_id", &self.leader_id)?;
        map.serialize_entry("commit_index", &self.commit_index)?;
        map.serialize_entry("applied_index", &self.applied_index)?;
        map.serialize_entry("last_index", &self.last_index)?;
        map.serialize_entry("revision", &self.revision)?;
        map.serialize_entry("version", &self.version)?;
        map.serialize_entry("address", &self.address)?;
        map.serialize_entry("waiting_for", &self.waiting_for)?;
        map.serialize_entry("state_hash", &self.state_hash)?;
        map.serialize_entry("members", &self.members)?;
        map.serialize_entry("snapshot_index", &self.snapshot_index)?;
        map.serialize_entry("fenced", &self.fenced)?;
        if has_roles {
            map.serialize_entry("member_roles", &self.member_roles)?;
        }
        if has_room {
            map.serialize_entry("live_bytes", &self.live_bytes)?;
            map.serialize_entry("live_bytes_max", &self.live_bytes_max)?;
        }
        if has_levels {
            map.serialize_entry("feature_level", &self.feature_level)?;
            map.serialize_entry("feature_level_max", &self.feature_level_max)?;
        }
        if has_incarnations {
            map.serialize_entry("incarnations", &self.incarnations)?;
        }
        map.end()
    }
}

//! What a node does about its place in the cluster without being told: it has the cluster know
//! where it is, and gives a cluster without anything in it up for an older one.
//!
//! A task on the thread of the node that speaks to its actors by messages; what it decides is
//! decided by [`care`].

use std::time::Duration;

use actix::Recipient;
use raft_core::configuration::{Change, ChangeRefusal, Decision};
use raft_core::entry::SessionStamp;
use raft_core::replica::event::Status;
use raft_core::types::NodeId;
use raft_net::discovery::Stand;
use raft_net::discovery::belonging::Elder;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::api::{Call, CallOutcome, Operation};
use crate::node::Control;

/// How often the node looks how it is. A founder gives way as soon as it has heard of another
/// cluster and looked.
const LOOK: Duration = Duration::from_millis(500);

/// How long the cluster may take to note an address before it is asked again. Units:
/// milliseconds.
const CHANGE_TIMEOUT_MS: u64 = 5_000;

/// Whom the caretaker speaks to.
#[derive(Debug)]
pub(crate) struct Caretaker {
    /// To Api.
    pub(crate) calls: Recipient<Call>,
    /// To Discovery.
    pub(crate) stand: Recipient<Stand>,
    /// To the thread of the node.
    pub(crate) control: UnboundedSender<Control>,
    /// Where others reach this node, if the cluster is to know.
    pub(crate) address: Option<String>,
    /// Whether the node may give its cluster up.
    pub(crate) may_give_way: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Care {
    /// As [`stands`] says.
    stands: Option<(bool, bool)>,
    /// The cluster must be told that this node is elsewhere.
    moves: Option<Change>,
}

/// Whether a node is its whole cluster, and whether there may be anything of a client's in that;
/// `None` while it cannot tell yet.
pub(crate) fn stands(status: &Status, may_give_way: bool) -> Option<(bool, bool)> {
    let is_alone = status.configuration.members.keys().eq([&status.node]);
    let has_data = !may_give_way || status.has_commands;
    // What a founder has not applied yet may be anything; of others it makes no difference.
    let can_tell = !is_alone || has_data || 0 < status.applied_index.0;
    can_tell.then_some((is_alone, has_data))
}

/// What follows from how a node is. `address` is where it is reached.
fn care(status: &Status, address: Option<&str>, may_give_way: bool) -> Care {
    let (configuration, node) = (&status.configuration, status.node);
    let stands = stands(status, may_give_way);
    // A change in the log of a cluster that may be given up would be something in it; whoever
    // joins that finds its founder by the founder's calls.
    let may_end = stands.is_none_or(|(is_alone, has_data)| is_alone && !has_data);
    let recorded = configuration.members.get(&node);
    let is_settled = status.leader.is_some() && !configuration.is_joint() && !status.is_removed;
    let moves = address
        .filter(|_| !may_end)
        .filter(|at| is_settled && recorded.is_some_and(|recorded| recorded != at))
        .map(|at| readdress(node, at));
    Care { stands, moves }
}

fn readdress(node: NodeId, address: &str) -> Change {
    Change { readdress: [(node, address.to_owned())].into(), ..Change::default() }
}

impl Caretaker {
    /// Looks after the node until that has ended.
    pub(crate) async fn run(self) {
        let mut refused = None;
        loop {
            let Some(status) = self.status().await else { return };
            let Care { stands, moves } = care(&status, self.address.as_deref(), self.may_give_way);
            if let Some(stands) = stands
                && let Some(elder) = self.stand(stands).await
            {
                // A node that has ended already has no need to be told.
                let _ = self.control.send(Control::GiveWay(elder));
                return;
            }
            if let Some(change) = moves {
                refused = self.have_noted(change, refused).await;
            }
            sleep(LOOK).await;
        }
    }

    async fn stand(&self, (is_alone, has_data): (bool, bool)) -> Option<Elder> {
        let (reply, elder) = oneshot::channel();
        self.stand.do_send(Stand { is_alone, has_data, reply });
        elder.await.ok().flatten()
    }

    async fn status(&self) -> Option<Status> {
        match self.call(Operation::Describe, 1_000).await? {
            CallOutcome::Described(status) => Some(*status),
            CallOutcome::Answered(_)
            | CallOutcome::AnsweredLocally(..)
            | CallOutcome::Session(_)
            | CallOutcome::Refused(_) => None,
        }
    }

    async fn call(&self, operation: Operation, timeout_ms: u64) -> Option<CallOutcome> {
        let (reply, outcome) = oneshot::channel();
        self.calls.do_send(Call { operation, timeout_ms, reply });
        outcome.await.ok().map(|called| called.outcome)
    }

    /// Has the cluster note where this node is; returns why it would not, which is said once.
    async fn have_noted(
        &self,
        change: Change,
        refused: Option<ChangeRefusal>,
    ) -> Option<ChangeRefusal> {
        let session = SessionStamp::default();
        let address = self.address.as_deref().unwrap_or_default();
        let outcome = self.call(Operation::Change { change, session }, CHANGE_TIMEOUT_MS).await;
        let Some(CallOutcome::Answered(bytes)) = outcome else { return refused };
        match Decision::decode(&bytes) {
            Some(Decision::Made { .. }) => {
                tracing::info!("the cluster has noted that this node is at {address} now");
                None
            }
            Some(Decision::Refused(ChangeRefusal::InProgress)) | None => refused,
            Some(Decision::Refused(refusal)) => {
                if refused != Some(refusal) {
                    tracing::warn!(
                        "the cluster does not note that this node is at {address}: {refusal}; \
                         give each node its own --advertise"
                    );
                }
                Some(refusal)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use raft_core::configuration::Configuration;
    use raft_core::consensus::ready::RoleName;
    use raft_core::types::{Index, Term};

    use super::*;

    fn status(members: &[(u64, &str)]) -> Status {
        let id = |number| NodeId::new(number).unwrap();
        let members: BTreeMap<NodeId, String> =
            members.iter().map(|(number, at)| (id(*number), (*at).to_owned())).collect();
        Status {
            node: id(1),
            role: RoleName::Leader,
            term: Term(1),
            leader: Some(id(1)),
            commit_index: Index(2),
            applied_index: Index(2),
            last_index: Index(2),
            revision: 1,
            log_time: 0,
            state_hash: 0,
            live_bytes: 0,
            leases: 0,
            live_bytes_max: 1,
            waiting_for: Vec::new(),
            is_fenced: false,
            snapshot_index: Index::ZERO,
            configuration: Configuration::known(members, &BTreeSet::new()),
            is_removed: false,
            feature_level: 1,
            feature_level_max: 1,
            bindings: BTreeMap::new(),
            has_commands: false,
            peers: Vec::new(),
        }
    }

    #[test]
    fn a_founder_without_commands_may_give_way_and_nobody_else() {
        let alone = status(&[(1, "a:1")]);
        assert_eq!(care(&alone, Some("a:1"), true).stands, Some((true, false)));
        assert_eq!(care(&alone, Some("a:1"), false).stands, Some((true, true)));
        let used = Status { has_commands: true, ..alone.clone() };
        assert_eq!(care(&used, None, true).stands, Some((true, true)));
        let replaying = Status { applied_index: Index::ZERO, ..alone };
        assert_eq!(care(&replaying, None, true).stands, None, "nobody can tell yet");
        let two = status(&[(1, "a:1"), (2, "b:1")]);
        assert_eq!(care(&two, None, true).stands, Some((false, false)));
    }

    #[test]
    fn the_cluster_is_told_of_a_node_that_moved_when_somebody_leads() {
        let two = status(&[(1, "a:1"), (2, "b:1")]);
        assert_eq!(care(&two, Some("a:1"), true).moves, None);
        assert_eq!(care(&two, None, true).moves, None);
        let moved = care(&two, Some("c:1"), true).moves.unwrap();
        assert_eq!(moved, readdress(two.node, "c:1"));
        let alone = status(&[(1, "a:1")]);
        assert_eq!(care(&alone, Some("c:1"), true).moves, None, "it may be given up");
        assert!(care(&alone, Some("c:1"), false).moves.is_some());
        let led_by_nobody = Status { leader: None, ..two.clone() };
        assert_eq!(care(&led_by_nobody, Some("c:1"), true).moves, None);
        let removed = Status { is_removed: true, ..two.clone() };
        assert_eq!(care(&removed, Some("c:1"), true).moves, None);
        let unknown = status(&[(2, "b:1")]);
        assert_eq!(care(&unknown, Some("c:1"), true).moves, None);
    }
}

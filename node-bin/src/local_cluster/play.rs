//! Carries out what somebody wants to see, and says what became of it in one line.

use std::time::Duration;

use raft_core::replica::StateMachine;
use raft_core::types::NodeId;
use raft_net::client_protocol::playground::{NodeName, Play, TimeScale};

use super::playground::{LOOK_INTERVAL, now};
use super::{LocalCluster, PlaceError, Way};
use crate::node::Node;
use crate::playground::Asked;

/// How long a leader is waited for, a little less than the ten seconds that are promised.
pub(crate) const PATIENCE: Duration = Duration::from_millis(9_500);

/// The same while too few nodes live for anybody to lead: the user is told soon.
const PATIENCE_WITHOUT_QUORUM: Duration = Duration::from_secs(3);

/// The longest wait in slow motion: meanwhile nothing else is done.
const PATIENCE_MAX: Duration = Duration::from_secs(30);

/// How long a revived node may take to catch up before its user goes on without it.
const CATCH_UP: Duration = Duration::from_secs(2);

impl<S: StateMachine + Send + Unpin + 'static> LocalCluster<S> {
    /// Carries out what somebody wants to see. Returns what was done, on one line.
    ///
    /// Errors: `PlaceError`; nothing was changed then, unless it says so.
    pub async fn play(&mut self, play: Play) -> Result<String, PlaceError> {
        let within = self.patience();
        match play {
            Play::Kill(name) => {
                let id = self.find(name).await?;
                self.kill(id)?;
                Ok(format!("node {id} killed"))
            }
            Play::Revive(name) => self.revive_named(name).await,
            Play::Pause { node, for_ms } => {
                let id = self.find(node).await?;
                self.pause(id, for_ms.map(Duration::from_millis))?;
                Ok(paused(id, for_ms))
            }
            Play::Resume(name) => self.resume_named(name).await,
            Play::Cut { link, one_way } => {
                let (from, to) = self.find_link(link).await?;
                self.cut(from, to, way(one_way))?;
                Ok(format!("{} cut", link_name(from, to, one_way)))
            }
            Play::Heal(None) => self.heal_all().map(|()| "every link healed".to_owned()),
            Play::Heal(Some(link)) => {
                let (one, other) = self.find_link(link).await?;
                self.heal(one, other)?;
                Ok(format!("{} healed", link_name(one, other, false)))
            }
            Play::Delay { link, one_way, delay_ms } => {
                let (from, to) = self.find_link(link).await?;
                self.delay((from, to), way(one_way), delay_ms)?;
                let link = link_name(from, to, one_way);
                Ok(match delay_ms {
                    0 => format!("{link} delayed no more"),
                    _ => format!("{link} delayed by {delay_ms} ms"),
                })
            }
            Play::Add => Ok(format!("node {} added", self.add(None, within).await?)),
            Play::Remove(name) => {
                let id = self.find(name).await?;
                self.remove(id, within).await?;
                Ok(format!("node {id} removed"))
            }
            Play::Transfer(name) => {
                let id = self.find(name).await?;
                self.transfer(id, within).await?;
                Ok(format!("node {id} leads"))
            }
            Play::Campaign(name) => self.campaign_named(name, within).await,
            Play::StepDown(name) => self.step_down_named(name, within).await,
            Play::TimeScale(scale) => {
                self.set_time_scale(scale)?;
                Ok(scaled(scale))
            }
            Play::Freeze => self.freeze().map(|()| "time stands still".to_owned()),
            Play::Thaw => self.thaw().map(|()| "time goes on".to_owned()),
            Play::Step(ms) => {
                self.step(Duration::from_millis(ms)).await?;
                Ok(format!("{ms} ms have passed; time stands still"))
            }
        }
    }

    /// Does what a client wants to see, and answers it; nothing if it waits no more.
    pub async fn serve(&mut self, Asked { play, via, answer }: Asked) {
        if answer.is_given_up() {
            return;
        }
        let within = self.patience();
        match self.by_number(play).await {
            // Afterwards the node that was asked could not say so.
            Ok(Play::Kill(NodeName::Number(id))) if id == via => {
                answer.tell_before(format!("node {id} killed")).await;
                // It ran, or it could not have asked; if it has ended since, that is as well.
                let _ = self.kill(id);
            }
            Ok(Play::Pause { node: NodeName::Number(id), for_ms }) if id == via => {
                answer.tell_before(paused(id, for_ms)).await;
                let _ = self.pause(id, for_ms.map(Duration::from_millis));
            }
            Ok(Play::Remove(NodeName::Number(id))) if id == via => {
                match self.take_out(id, within).await {
                    Ok(()) => {
                        answer.tell_before(format!("node {id} removed")).await;
                        self.forget(id);
                    }
                    Err(error) => answer.tell(Err(error.to_string())),
                }
            }
            Ok(play) => answer.tell(self.play(play).await.map_err(|error| error.to_string())),
            Err(error) => answer.tell(Err(error.to_string())),
        }
    }

    /// The same with a number in place of the leader, where it matters who that is.
    async fn by_number(&self, play: Play) -> Result<Play, PlaceError> {
        let number = async |name| Ok::<_, PlaceError>(NodeName::Number(self.find(name).await?));
        Ok(match play {
            Play::Kill(name) => Play::Kill(number(name).await?),
            Play::Pause { node, for_ms } => Play::Pause { node: number(node).await?, for_ms },
            Play::Remove(name) => Play::Remove(number(name).await?),
            other => other,
        })
    }

    /// How long something may take that needs a leader, by the clock outside.
    pub(crate) fn patience(&self) -> Duration {
        if self.is_frozen() {
            return PATIENCE_WITHOUT_QUORUM;
        }
        let quorum = self.members().len() / 2 + 1;
        let patience =
            if self.running().count() < quorum { PATIENCE_WITHOUT_QUORUM } else { PATIENCE };
        // In slow motion elections take longer; otherwise patience stays.
        let percent = u32::try_from(self.time.scale.percent).unwrap_or(u32::MAX);
        (patience.saturating_mul(percent.max(100)) / 100).min(PATIENCE_MAX)
    }

    /// What passes for the nodes in so much time outside: what they may take for a request.
    pub(crate) fn inside(&self, outside: Duration) -> Duration {
        self.time.inside(outside)
    }

    /// The node that is meant.
    ///
    /// Errors: `NoSuchNode`, or `NoLeader` if the leader is meant and there is none.
    pub(crate) async fn find(&self, name: NodeName) -> Result<NodeId, PlaceError> {
        match name {
            NodeName::Number(id) if self.members().contains_key(&id) => Ok(id),
            NodeName::Number(id) => {
                Err(PlaceError::NoSuchNode { id: id.number(), known: self.named() })
            }
            NodeName::Leader => self.await_leader().await.ok_or(PlaceError::NoLeader),
        }
    }

    async fn find_link(
        &self,
        (one, other): (NodeName, NodeName),
    ) -> Result<(NodeId, NodeId), PlaceError> {
        Ok((self.find(one).await?, self.find(other).await?))
    }

    /// The leader, as soon as there is one.
    pub(crate) async fn await_leader(&self) -> Option<NodeId> {
        let deadline = now() + self.patience();
        loop {
            let leader = self.leader().await;
            if leader.is_some() || deadline <= now() {
                return leader;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    async fn campaign_named(
        &mut self,
        name: NodeName,
        within: Duration,
    ) -> Result<String, PlaceError> {
        let id = self.find(name).await?;
        if self.is_frozen() {
            self.begin_campaign(id).await?;
            return Ok(format!("node {id} stands for election; time stands still"));
        }
        let leader = self.campaign(id, within).await?;
        Ok(format!("node {id} stood for election; node {leader} leads"))
    }

    async fn step_down_named(
        &mut self,
        name: NodeName,
        within: Duration,
    ) -> Result<String, PlaceError> {
        let id = self.find(name).await?;
        if self.is_frozen() {
            self.begin_step_down(id).await?;
            return Ok(format!("node {id} stepped down; time stands still"));
        }
        let leader = self.step_down(id, within).await?;
        Ok(format!("node {id} stepped down; node {leader} leads"))
    }

    async fn revive_named(&mut self, name: Option<NodeName>) -> Result<String, PlaceError> {
        let dead = match name {
            Some(name) => vec![self.find(name).await?],
            None => self.dead(),
        };
        if dead.is_empty() {
            return Err(PlaceError::NobodyDead);
        }
        for &id in &dead {
            self.revive(id)?;
        }
        self.await_caught_up(&dead).await;
        Ok(format!("{} revived", node_names(&dead)))
    }

    async fn resume_named(&mut self, name: Option<NodeName>) -> Result<String, PlaceError> {
        let paused = match name {
            Some(name) => vec![self.find(name).await?],
            None => self.paused(),
        };
        if paused.is_empty() {
            return Err(PlaceError::NobodyPaused);
        }
        for &id in &paused {
            self.resume(id)?;
        }
        self.await_caught_up(&paused).await;
        Ok(format!("{} resumed", node_names(&paused)))
    }

    /// Gives nodes that have just started a moment to find their leader and to catch up, so that
    /// what is done next shows them as they are. Without a quorum they cannot.
    async fn await_caught_up(&self, ids: &[NodeId]) {
        if self.is_frozen() {
            return;
        }
        let deadline = now() + CATCH_UP;
        let Some(leader) = self.await_leader().await.and_then(|id| self.node(id)) else {
            return;
        };
        let Ok(target) = leader.status().await.map(|status| status.commit_index) else { return };
        let nodes: Vec<&Node> = ids.iter().filter_map(|&id| self.node(id)).collect();
        for node in nodes {
            while now() < deadline {
                let status = node.status().await;
                if status.is_ok_and(|s| s.leader.is_some() && target <= s.applied_index) {
                    break;
                }
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        }
    }
}

/// What is said of a node that stands still now.
pub(super) fn paused(id: NodeId, for_ms: Option<u64>) -> String {
    match for_ms {
        Some(ms) => format!("node {id} paused for {ms} ms"),
        None => format!("node {id} paused"),
    }
}

/// What is said of time from now on.
fn scaled(scale: TimeScale) -> String {
    match scale {
        TimeScale::NONE => "time passes as it does outside".to_owned(),
        scale => format!("time passes {scale} times as slow"),
    }
}

fn way(one_way: bool) -> Way {
    if one_way { Way::Forth } else { Way::Both }
}

fn link_name(from: NodeId, to: NodeId, one_way: bool) -> String {
    format!("link {from} {} {to}", if one_way { ">" } else { "-" })
}

fn node_names(ids: &[NodeId]) -> String {
    let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
    format!("{} {}", if names.len() == 1 { "node" } else { "nodes" }, names.join(", "))
}

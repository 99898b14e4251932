//! Carries out what somebody wants to see, and says what became of it in one line.

use std::time::Duration;

use raft_core::replica::StateMachine;
use raft_core::types::NodeId;
use raft_net::client_protocol::playground::{NodeName, Play, TimeScale};
use tokio::time::sleep;

use super::playground::{LOOK_INTERVAL, now};
use super::{LocalCluster, PlaceError, Way};

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
        let play = self.by_number(play).await?;
        self.carry_out(play, None).await
    }

    /// The same with numbers in it; `page` is the page to whose lesson it belongs, if it does.
    pub(super) async fn carry_out(
        &mut self,
        play: Play,
        page: Option<&str>,
    ) -> Result<String, PlaceError> {
        let within = self.patience();
        match play {
            Play::Add => {
                let id = self.add(None, within).await?;
                let is_late = page.is_some_and(|page| self.lesson.note_added(page, id));
                if is_late {
                    self.orders.remove(id);
                }
                Ok(format!("node {id} added"))
            }
            Play::Remove(name) => {
                let id = self.numbered(name)?;
                self.remove(id, within).await?;
                self.lesson.note(page, play, self.time.scale);
                Ok(format!("node {id} removed"))
            }
            Play::Transfer(name) => {
                let id = self.numbered(name)?;
                self.transfer(id, within).await?;
                Ok(format!("node {id} leads"))
            }
            Play::Campaign(name) => self.campaign_named(name, within).await,
            Play::StepDown(name) => self.step_down_named(name, within).await,
            Play::Step(ms) => {
                let passed_ms = self.step(Duration::from_millis(ms)).await?.as_millis();
                let then = if self.is_frozen() { "stands still" } else { "goes on" };
                Ok(format!("{passed_ms} ms have passed; time {then}"))
            }
            play => {
                let gone_on = self.who_goes_on(play);
                let said = self.do_at_once(play, page)?;
                self.await_caught_up(&gone_on).await;
                Ok(said)
            }
        }
    }

    /// Does what waits for nothing (`is_prompt`), with numbers in it; the rest it leaves.
    ///
    /// Errors: `PlaceError`; nothing was changed then, unless it says so.
    pub(super) fn do_at_once(
        &mut self,
        play: Play,
        page: Option<&str>,
    ) -> Result<String, PlaceError> {
        let (scale, gone_on) = (self.time.scale, self.who_goes_on(play));
        let said = match play {
            Play::Kill(name) => {
                let id = self.numbered(name)?;
                self.kill(id)?;
                format!("node {id} killed")
            }
            Play::Revive(_) if gone_on.is_empty() => return Err(PlaceError::NobodyDead),
            Play::Revive(_) => {
                gone_on.iter().try_for_each(|&id| self.revive(id))?;
                format!("{} revived", node_names(&gone_on))
            }
            Play::Pause { node, for_ms } => {
                let id = self.numbered(node)?;
                self.pause(id, for_ms.map(Duration::from_millis))?;
                paused(id, for_ms)
            }
            Play::Resume(_) if gone_on.is_empty() => return Err(PlaceError::NobodyPaused),
            Play::Resume(_) => {
                gone_on.iter().try_for_each(|&id| self.resume(id))?;
                format!("{} resumed", node_names(&gone_on))
            }
            Play::Cut { link, one_way } => {
                let (from, to) = self.numbered_link(link)?;
                self.cut(from, to, way(one_way))?;
                format!("{} cut", link_name(from, to, one_way))
            }
            Play::Heal(None) => self.heal_all().map(|()| "every link healed".to_owned())?,
            Play::Heal(Some(link)) => {
                let (one, other) = self.numbered_link(link)?;
                self.heal(one, other)?;
                format!("{} healed", link_name(one, other, false))
            }
            Play::Delay { link, one_way, delay_ms } => {
                let (from, to) = self.numbered_link(link)?;
                self.delay((from, to), way(one_way), delay_ms)?;
                let link = link_name(from, to, one_way);
                match delay_ms {
                    0 => format!("{link} delayed no more"),
                    _ => format!("{link} delayed by {delay_ms} ms"),
                }
            }
            Play::TimeScale(scale) => self.set_time_scale(scale).map(|()| scaled(scale))?,
            Play::Freeze => self.freeze().map(|()| "time stands still".to_owned())?,
            Play::Thaw => self.thaw().map(|()| "time goes on".to_owned())?,
            Play::Add
            | Play::Remove(_)
            | Play::Transfer(_)
            | Play::Campaign(_)
            | Play::StepDown(_)
            | Play::Step(_) => String::new(),
        };
        self.lesson.note(page, play, scale);
        Ok(said)
    }

    /// The nodes that `play` lets go on.
    fn who_goes_on(&self, play: Play) -> Vec<NodeId> {
        match play {
            Play::Revive(None) => self.dead(),
            Play::Resume(None) => self.paused(),
            Play::Revive(Some(NodeName::Number(id))) | Play::Resume(Some(NodeName::Number(id))) => {
                vec![id]
            }
            _ => Vec::new(),
        }
    }

    /// The same with a number in place of the leader, who is waited for.
    ///
    /// Errors: `NoSuchNode`, or `NoLeader` if the leader is meant and there is none in time.
    pub(super) async fn by_number(&mut self, play: Play) -> Result<Play, PlaceError> {
        Ok(match play {
            Play::Kill(node) => Play::Kill(self.by_its_number(node).await?),
            Play::Pause { node, for_ms } => {
                Play::Pause { node: self.by_its_number(node).await?, for_ms }
            }
            Play::Revive(Some(node)) => Play::Revive(Some(self.by_its_number(node).await?)),
            Play::Resume(Some(node)) => Play::Resume(Some(self.by_its_number(node).await?)),
            Play::Remove(node) => Play::Remove(self.by_its_number(node).await?),
            Play::Transfer(node) => Play::Transfer(self.by_its_number(node).await?),
            Play::Campaign(node) => Play::Campaign(self.by_its_number(node).await?),
            Play::StepDown(node) => Play::StepDown(self.by_its_number(node).await?),
            Play::Cut { link, one_way } => {
                Play::Cut { link: self.ends_by_number(link).await?, one_way }
            }
            Play::Delay { link, one_way, delay_ms } => {
                Play::Delay { link: self.ends_by_number(link).await?, one_way, delay_ms }
            }
            Play::Heal(Some(link)) => Play::Heal(Some(self.ends_by_number(link).await?)),
            Play::Revive(None)
            | Play::Resume(None)
            | Play::Heal(None)
            | Play::Add
            | Play::TimeScale(_)
            | Play::Freeze
            | Play::Thaw
            | Play::Step(_) => play,
        })
    }

    async fn by_its_number(&mut self, name: NodeName) -> Result<NodeName, PlaceError> {
        self.find(name).await.map(NodeName::Number)
    }

    async fn ends_by_number(
        &mut self,
        (one, other): (NodeName, NodeName),
    ) -> Result<(NodeName, NodeName), PlaceError> {
        Ok((self.by_its_number(one).await?, self.by_its_number(other).await?))
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

    /// The node that is meant; the leader as soon as there is one.
    ///
    /// Errors: `NoSuchNode`, or `NoLeader` if the leader is meant and there is none in time.
    pub(crate) async fn find(&mut self, name: NodeName) -> Result<NodeId, PlaceError> {
        match name {
            NodeName::Number(_) => self.numbered(name),
            NodeName::Leader => self.await_leader().await.ok_or(PlaceError::NoLeader),
        }
    }

    /// The node that is named by its number.
    ///
    /// Errors: `NoSuchNode`, or `NoLeader` if it is not.
    fn numbered(&self, name: NodeName) -> Result<NodeId, PlaceError> {
        match name {
            NodeName::Number(id) if self.members().contains_key(&id) => Ok(id),
            NodeName::Number(id) => {
                Err(PlaceError::NoSuchNode { id: id.number(), known: self.named() })
            }
            NodeName::Leader => Err(PlaceError::NoLeader),
        }
    }

    fn numbered_link(
        &self,
        (one, other): (NodeName, NodeName),
    ) -> Result<(NodeId, NodeId), PlaceError> {
        Ok((self.numbered(one)?, self.numbered(other)?))
    }

    /// The leader, as soon as there is one.
    pub(crate) async fn await_leader(&mut self) -> Option<NodeId> {
        let deadline = now() + self.patience();
        loop {
            let leader = self.leader().await;
            if leader.is_some() || deadline <= now() {
                return leader;
            }
            self.meanwhile(sleep(LOOK_INTERVAL)).await;
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

    /// Gives nodes that have just started a moment to find their leader and to catch up, so that
    /// what is done next shows them as they are. Without a quorum they cannot.
    async fn await_caught_up(&mut self, ids: &[NodeId]) {
        if self.is_frozen() || ids.is_empty() {
            return;
        }
        let deadline = now() + CATCH_UP;
        let Some(leader) = self.await_leader().await.and_then(|id| self.node(id)) else {
            return;
        };
        let Ok(target) = leader.status().await.map(|status| status.commit_index) else { return };
        for &id in ids {
            // Meanwhile somebody may end it again.
            while let Some(node) = self.node(id).filter(|_| now() < deadline) {
                let status = node.status().await;
                if status.is_ok_and(|s| s.leader.is_some() && target <= s.applied_index) {
                    break;
                }
                self.meanwhile(sleep(LOOK_INTERVAL)).await;
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

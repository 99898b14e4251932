//! What clients want to see done, in the order in which it is its turn.
//!
//! An order that waits for something, such as a leader, keeps further ones of its kind waiting;
//! one that waits for nothing is done at once beside it (`is_prompt`), so that a link is healed
//! while an election is waited for.
//! Limits: `ORDERS_MAX` orders that wait for their turn; further ones are refused.

use std::collections::VecDeque;

use raft_core::types::NodeId;
use raft_net::client_protocol::playground::{NodeName, Play};
use tokio::sync::mpsc;

use crate::playground::{Asked, ORDERS_MAX, TOO_MANY_ORDERS, Wish};

/// Something that is to be done to the cluster.
#[derive(Debug)]
pub enum Order {
    /// What a client wants to see.
    Asked(Asked),
    /// A node that a lesson added is to go with it.
    Remove(NodeId),
}

/// Which orders may be done beside one that waits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ahead {
    Everything,
    /// Those that break nothing: who changes the members would not hear what came of it.
    Mending,
}

/// The orders that have not been carried out.
#[derive(Debug)]
pub(super) struct Orders {
    /// If there is somebody who may ask.
    asked: Option<mpsc::Receiver<Asked>>,
    waiting: VecDeque<Order>,
}

impl Orders {
    pub(super) fn of(asked: Option<mpsc::Receiver<Asked>>) -> Self {
        Self { asked, waiting: VecDeque::new() }
    }

    /// The next order; none ever, if nobody may ask. Dropped while it waits, it loses nothing.
    pub(super) async fn next(&mut self) -> Order {
        match self.waiting.pop_front() {
            Some(first) => first,
            None => Order::Asked(self.receive().await),
        }
    }

    /// The next one that waits for nothing, and that may go ahead. Those that come before it keep
    /// their turn. Dropped while it waits, it loses nothing.
    pub(super) async fn next_prompt(&mut self, ahead: Ahead) -> Asked {
        loop {
            let asked = self.receive().await;
            let is_prompt = match (&asked.wish, ahead) {
                (Wish::Play { play, .. }, Ahead::Everything) => is_prompt(play),
                (Wish::Play { play, .. }, Ahead::Mending) => is_prompt(play) && mends(play),
                (Wish::Lesson(_), _) => true,
            };
            if is_prompt {
                return asked;
            }
            self.keep(asked);
        }
    }

    /// Removes a node when it is its turn.
    pub(super) fn remove(&mut self, id: NodeId) {
        self.waiting.push_back(Order::Remove(id));
    }

    fn keep(&mut self, asked: Asked) {
        if ORDERS_MAX <= self.waiting.len() {
            let is_wanted = |order: &Order| match order {
                Order::Asked(asked) => !asked.answer.is_given_up(),
                Order::Remove(_) => true,
            };
            self.waiting.retain(is_wanted);
        }
        if ORDERS_MAX <= self.waiting.len() {
            asked.answer.tell(Err(TOO_MANY_ORDERS.to_owned()));
            return;
        }
        self.waiting.push_back(Order::Asked(asked));
    }

    async fn receive(&mut self) -> Asked {
        let received = match &mut self.asked {
            Some(asked) => asked.recv().await,
            None => None,
        };
        match received {
            Some(asked) => asked,
            // Nobody is there any more who could ask.
            None => std::future::pending().await,
        }
    }
}

/// Whether an order waits for nothing, so that it need not wait for its turn. Who leads may not
/// be known yet.
pub(super) fn is_prompt(play: &Play) -> bool {
    let is_number = |name: &NodeName| matches!(name, NodeName::Number(_));
    match play {
        Play::Kill(node) | Play::Pause { node, .. } => is_number(node),
        Play::Revive(node) | Play::Resume(node) => node.is_none_or(|node| is_number(&node)),
        Play::Cut { link: (one, other), .. }
        | Play::Delay { link: (one, other), .. }
        | Play::Heal(Some((one, other))) => is_number(one) && is_number(other),
        Play::Heal(None) | Play::TimeScale(_) | Play::Freeze | Play::Thaw => true,
        Play::Add
        | Play::Remove(_)
        | Play::Transfer(_)
        | Play::Campaign(_)
        | Play::StepDown(_)
        | Play::Step(_) => false,
    }
}

/// Whether an order breaks nothing.
fn mends(play: &Play) -> bool {
    match play {
        Play::Revive(_) | Play::Resume(_) | Play::Heal(_) | Play::Thaw | Play::TimeScale(_) => true,
        Play::Kill(_)
        | Play::Pause { .. }
        | Play::Cut { .. }
        | Play::Delay { .. }
        | Play::Freeze
        | Play::Add
        | Play::Remove(_)
        | Play::Transfer(_)
        | Play::Campaign(_)
        | Play::StepDown(_)
        | Play::Step(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_nobody_waits_for_no_turn() {
        let (two, leader) = (NodeName::Number(NodeId::new(2).unwrap()), NodeName::Leader);
        for play in [
            Play::Kill(two),
            Play::Revive(None),
            Play::Resume(Some(two)),
            Play::Heal(None),
            Play::Heal(Some((two, two))),
            Play::Cut { link: (two, two), one_way: true },
            Play::Thaw,
        ] {
            assert!(is_prompt(&play), "{play:?}");
        }
        for play in [
            Play::Kill(leader),
            Play::Heal(Some((two, leader))),
            Play::Cut { link: (leader, two), one_way: true },
            Play::Transfer(two),
            Play::Step(5),
            Play::Add,
        ] {
            assert!(!is_prompt(&play), "{play:?}");
        }
    }

    #[test]
    fn what_mends_breaks_nothing_and_may_go_ahead_of_a_change_of_members() {
        let two = NodeName::Number(NodeId::new(2).unwrap());
        for play in [Play::Revive(Some(two)), Play::Resume(None), Play::Heal(None), Play::Thaw] {
            assert!(mends(&play) && is_prompt(&play), "{play:?}");
        }
        let cut = Play::Cut { link: (two, two), one_way: false };
        for play in [Play::Kill(two), Play::Pause { node: two, for_ms: None }, cut, Play::Freeze] {
            assert!(!mends(&play) && is_prompt(&play), "{play:?}");
        }
    }
}

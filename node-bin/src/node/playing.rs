//! What the owner of a node may do to it for the sake of seeing what happens.

use std::sync::{Arc, Weak, mpsc};
use std::time::Duration;

use actix::Recipient;
use raft_net::faults::{Faults, SetFaults};

use super::{Control, Node};
use crate::api::AskValues;
use crate::consensus::Urge;
use crate::dashboard::surroundings::{Surround, Surroundings};
use crate::pace::{Pace, SetPace};

/// How a node's thread is made to stand still, as a process is by SIGSTOP: nothing is sent,
/// answered or read, connections stay open, and what the disk was told to do it does.
#[derive(Debug)]
pub(crate) struct Pause {
    /// Says that the node stands still.
    begun: Option<mpsc::Sender<()>>,
    /// Ends the pause when its other end is dropped.
    until: Option<mpsc::Receiver<()>>,
    at_most: Duration,
    /// Is there as long as the pause lasts.
    _lasts: Arc<()>,
}

/// A pause as whoever ordered it sees it.
#[derive(Debug)]
pub(super) struct Standstill {
    /// Dropped, it ends the pause.
    _end: mpsc::Sender<()>,
    lasts: Weak<()>,
}

impl Pause {
    /// Keeps this thread until the pause is over.
    pub(super) fn wait(self) {
        // Whoever asked for it may be gone, and then the pause is over at once.
        let _ = self.begun.map(|begun| begun.send(()));
        match self.until {
            Some(until) => drop(until.recv_timeout(self.at_most)),
            None => std::thread::sleep(self.at_most),
        }
    }

    /// A pause that nothing ends but time.
    pub(crate) fn lasting(at_most: Duration) -> Self {
        Self { begun: None, until: None, at_most, _lasts: Arc::new(()) }
    }
}

impl Node {
    /// Makes the node stand still, as SIGSTOP would do it to a process, and returns when it does.
    /// Returns whether it ran before. It goes on after `resume`, or after `at_most`, and answers
    /// then what it was asked meanwhile.
    pub fn pause(&mut self, at_most: Option<Duration>) -> bool {
        if self.is_paused() || !self.is_running() {
            return false;
        }
        let (begun, has_begun) = mpsc::channel();
        let (end, until) = mpsc::channel();
        let (lasts, at_most) = (Arc::new(()), at_most.unwrap_or(Duration::MAX));
        let standstill = Standstill { _end: end, lasts: Arc::downgrade(&lasts) };
        let (begun, until) = (Some(begun), Some(until));
        let pause = Pause { begun, until, at_most, _lasts: lasts };
        // A node that ends meanwhile drops what it is told.
        let stands = self.control.send(Control::Pause(pause)).is_ok() && has_begun.recv().is_ok();
        self.standstill = stands.then_some(standstill);
        stands
    }

    /// Lets a node go on that stands still; returns whether it did.
    pub fn resume(&mut self) -> bool {
        let stands = self.is_paused();
        self.standstill = None;
        stands
    }

    /// Whether the node stands still.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.standstill.as_ref().is_some_and(|it| 0 < it.lasts.strong_count())
    }

    /// Makes the node stand for election now, although its leader may be well. Nothing happens if
    /// it leads or may not campaign.
    pub fn campaign(&self) {
        self.started.reaches.urge.do_send(Urge::Campaign);
    }

    /// Makes the node give up leadership, if it has it, and name no successor.
    pub fn step_down(&self) {
        self.started.reaches.urge.do_send(Urge::StepDown);
    }

    /// Changes how fast time passes for the node.
    pub(crate) fn set_pace(&self, pace: Pace) {
        self.started.reaches.set_pace.do_send(SetPace(pace));
    }

    /// Says what is around the node, for its pages.
    pub(crate) fn surround(&self, surroundings: Surroundings) {
        if let Some(surround) = &self.started.reaches.surround {
            surround.do_send(Surround(surroundings));
        }
    }

    /// Who answers what the node is asked about itself.
    pub(crate) fn values(&self) -> Recipient<AskValues> {
        self.started.reaches.values.clone()
    }

    /// Replaces what is wrong with the node's wires; nothing happens without
    /// [`NodeOptions::faults`](super::NodeOptions::faults).
    pub fn set_faults(&self, faults: Faults) {
        self.started.reaches.set_faults.do_send(SetFaults(faults));
    }
}

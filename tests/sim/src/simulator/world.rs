//! A whole cluster with its network, its clients and its misfortunes.

use raft_core::hard_state::Configuration;
use raft_core::types::Index;

use crate::simulator::classes::presences;
use crate::simulator::client::Clients;
use crate::simulator::dice::Dice;
use crate::simulator::judge::Judge;
use crate::simulator::membership::Operator;
use crate::simulator::network::Network;
use crate::simulator::node::{Node, id_of};
use crate::simulator::plan::{FAULTS, Plan, Transport};
use crate::simulator::report::{Counts, Report};
use crate::simulator::schedule::{Schedule, What};
use crate::simulator::trace::Trace;
use crate::simulator::watchers::Watchers;

/// How often the end is looked at. Units: microseconds.
pub(crate) const JUDGE_INTERVAL_US: u64 = 20_000;

/// More events than any honest run has.
const EVENTS_MAX: u64 = 20_000_000;

/// Everything there is.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) dice: Dice,
    pub(crate) schedule: Schedule,
    pub(crate) configuration: Configuration,
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    pub(crate) clients: Clients,
    pub(crate) operator: Operator,
    pub(crate) watchers: Watchers,
    pub(crate) judge: Judge,
    pub(crate) counts: Counts,
    /// How often each class of faults struck, in the order of `FAULTS`.
    pub(crate) strikes: [u64; FAULTS.len()],
    pub(crate) trace: Trace,
    /// When all faults ended, and which nodes were to be well from then on.
    pub(crate) healed: Option<Healed>,
}

/// The second phase.
#[derive(Clone, Debug)]
pub(crate) struct Healed {
    /// When this stage began.
    pub(crate) at: u64,
    pub(crate) stage: Stage,
    /// The nodes that are to be well.
    pub(crate) core: Vec<usize>,
    /// When everything must be well.
    pub(crate) deadline: u64,
    /// How far somebody of the core was when it first had served; all have to get there.
    pub(crate) served_at: Option<Index>,
    /// How long it took until the quorum served and was of one mind. Units: microseconds.
    pub(crate) quorum_us: Option<u64>,
}

/// What is asked of the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A quorum, and nobody else, must serve and be of one mind.
    Quorum,
    /// Everybody must be answered and everything must be equal.
    Rest,
    /// The same, after the clients were asked for their last operations.
    Closing,
    /// Nothing more.
    Over,
}

impl World {
    /// The world of a seed, in which nothing has happened.
    pub(crate) fn new(seed: u64, print: Option<fn(&str)>) -> Self {
        let mut dice = Dice::new(seed ^ 0x6b76_6f72_756d);
        let plan = Plan::of(&mut dice).with_leases(seed).with_small_sessions(seed);
        let plan = plan.with_types(seed).with_watches(seed);
        let nodes: Vec<Node> = (0..plan.nodes).map(|at| Node::new(at, &plan, &mut dice)).collect();
        let mut trace = Trace::new(print);
        trace.line(0, || format!("seed {seed}: {plan:#?}"));
        Self {
            dice,
            schedule: Schedule::default(),
            configuration: Configuration::of((0..plan.nodes).map(id_of)),
            network: Network::new(plan.nodes),
            clients: Clients::new(plan.clients.clients + 1),
            operator: Operator::of(seed),
            watchers: Watchers::new(seed, plan.clients.watchers),
            judge: Judge::new((0..plan.nodes).map(id_of), plan.limits.sessions),
            counts: Counts::default(),
            strikes: [0; FAULTS.len()],
            trace,
            nodes,
            plan,
            healed: None,
        }
    }

    /// Runs to the end.
    ///
    /// Panics: at the first thing that must not be.
    pub(crate) fn run(mut self, seed: u64) -> Report {
        for node in 0..self.nodes.len() {
            let delay_us = self.dice.below(100_000);
            self.schedule.after(delay_us, What::Restart { node });
        }
        for client in 0..self.plan.clients.clients {
            self.schedule.after(0, What::ClientStep { client });
        }
        for watcher in 0..self.plan.clients.watchers {
            self.schedule.after(0, What::WatchStep { watcher });
        }
        if self.plan.transport == Transport::Ordered {
            for id in self.network.ids() {
                let delay_us = self.dice.below(50_000);
                self.schedule.after(delay_us, What::Connect(id));
            }
        }
        let delay_us = self.dice.below(self.plan.strike_us.0);
        self.schedule.after(delay_us, What::Strike);
        self.schedule.after(self.plan.safety_us, What::Heal);
        if self.operator.interval_us.is_some() {
            self.schedule.after(0, What::Operate);
        }
        while !self.healed.as_ref().is_some_and(|healed| healed.stage == Stage::Over) {
            let what = self.schedule.next().expect("something always lies ahead");
            self.counts.events += u64::from(!what.is_of_watches());
            assert!(self.counts.events < EVENTS_MAX, "the run does not come to an end");
            self.happen(what);
        }
        let healed = self.healed.as_ref().expect("it is over");
        self.judge.conclude(&mut self.counts);
        self.nodes.iter().for_each(|node| node.disks.count(&mut self.counts));
        Report {
            seed,
            trace_hash: self.trace.hash(),
            presences: presences(&self),
            quorum_timeouts_per_mille: healed
                .quorum_us
                .map(|us| us * 1_000 / self.plan.limits.election_timeout_us),
            recovery_us: self.schedule.now() - healed.at,
            counts: self.counts,
        }
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Tick { node, life } => self.tick(node, life),
            What::Wake { node, life } => self.wake(node, life),
            What::DiskDone { node, life } => self.disk_done(node, life),
            What::OrderDone { node, life } => self.order_done(node, life),
            What::WriteAgain { node, life } => self.write_again(node, life),
            What::DiskIdle { node, life } => self.disk_idle(node, life),
            What::Deliver(packet) => self.deliver(packet),
            What::LinkFact { node, life, fact } => self.link_fact(node, life, fact),
            What::Connect(id) => self.connect(id),
            What::ClientStep { client } => self.client_step(client),
            What::ClientTimeout { attempt } => self.client_timeout(attempt),
            What::Request { node, attempt } => self.request(node, attempt),
            What::Answer { attempt } => self.answer(attempt),
            What::WatchWake { node, life } => self.watch_wake(node, life),
            What::ReadChanges { node, life, from } => self.read_changes(node, life, from),
            What::WatchTick { node, life } => self.watch_tick(node, life),
            What::WatchLetter { node, life, letter } => self.watch_letter(node, life, letter),
            What::WatchHears(push) => self.watch_hears(push),
            What::WatchLost { connection } => self.watch_lost(connection),
            What::WatchStep { watcher } => self.watch_step(watcher),
            What::Operate => self.operate(),
            What::Strike => self.strike(),
            What::PowerFails { node, life } => self.power_fails(node, life),
            What::Restart { node } => self.restart(node),
            What::Join { node } => self.join(node),
            What::Resume { node } => self.resume(node),
            What::Unblock { partition } => self.unblock(Some(partition)),
            What::DiskRecovers { node } => self.nodes[node].is_disk_slow = false,
            What::DiskWorks { node } => self.nodes[node].disks.recover(),
            What::Heal => self.maybe_heal(),
            What::Judge => self.look(),
        }
    }

    /// Writes a line into the trace.
    pub(crate) fn say(&mut self, line: impl FnOnce() -> String) {
        self.trace.line(self.schedule.now(), line);
    }

    /// Whether the faults have ended.
    pub(crate) fn is_healed(&self) -> bool {
        self.healed.is_some()
    }
}

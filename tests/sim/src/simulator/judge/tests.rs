//! The judge lets nothing pass that must not be, and complains about nothing else.

use raft_core::consensus::RaftConfig;
use raft_core::consensus::log::RaftLog;
use raft_core::consensus::message::{AppendResult, Envelope, Message};
use raft_core::hard_state::{HardState, Standing};
use raft_core::replica::event::{Answers, Effects, Event};
use raft_core::types::{EntryId, Incarnation, Index, Term, Time};

use super::*;
use crate::cluster::{envelope, node};
use crate::entries::entries;

/// The first two of five nodes, under the eyes of a judge; the test says what the others say.
struct Scene {
    judge: Judge,
    nodes: Vec<Replica<Witness>>,
    counts: Counts,
    now: Time,
}

fn accepted(match_index: u64) -> Message {
    let result = AppendResult::Accepted { match_index: Index(match_index) };
    Message::AppendEntriesResponse { round: 0, counts: true, result }
}

/// The first entry, as the leader of a term has it.
fn first_of(term: u64) -> Message {
    let entries = vec![entries(term, 1, &["put a 1"])];
    let (prev, commit_index) = (EntryId::ZERO, Index::ZERO);
    Message::AppendEntries { prev, commit_index, round: 0, entries }
}

/// What a node does that says this.
fn saying(message: Envelope) -> Effects {
    Effects {
        envelopes: vec![message],
        bulk: Vec::new(),
        persist: None,
        fetch: None,
        answers: Answers::default(),
        applied: None,
        snapshots: Vec::new(),
        cut_before: None,
        configuration: None,
        notices: Vec::new(),
        more: false,
    }
}

impl Scene {
    /// Node 1 leads term 1, and the first entry of its log is on its disk alone.
    fn begin() -> Self {
        let configuration = Configuration::of((1..=5).map(node));
        let start = |number: u64| {
            let incarnation = Incarnation(number * 1_000);
            let config = RaftConfig::new(node(number), incarnation, configuration.clone());
            let state = HardState { standing: Standing::Full, ..HardState::default() };
            let log = RaftLog::restore(EntryId::ZERO, Vec::new(), Vec::new(), Index::ZERO);
            Replica::new(config, state, log, Witness::default(), Time(0))
        };
        let nodes = vec![start(1), start(2)];
        let judge = Judge::new((1..=5).map(node), SessionLimits::default());
        let mut scene = Self { judge, nodes, counts: Counts::default(), now: Time(0) };
        while scene.nodes[0].raft().role_name() == RoleName::Follower {
            scene.now = scene.now.after(10_000);
            scene.happen(0, vec![Event::Tick]);
        }
        let would = Message::PreVoteResponse { next_term: Term(1), granted: true };
        scene.tell(0, [3, 4].map(|from| (from, 0, would.clone())).to_vec());
        let does = Message::RequestVoteResponse { granted: true };
        scene.tell(0, [3, 4].map(|from| (from, 1, does.clone())).to_vec());
        assert_eq!(scene.nodes[0].raft().role_name(), RoleName::Leader);
        scene
    }

    /// A node hears these, by sender and term, and takes one turn; returns all that it says
    /// until its disk has nothing left to do.
    fn tell(&mut self, at: usize, messages: Vec<(u64, u64, Message)>) -> Vec<Envelope> {
        let own = id_of(at);
        let heard = messages.into_iter();
        let heard = heard.map(|(from, term, message)| envelope(node(from), own, term, message));
        self.happen(at, vec![Event::Received(heard.collect())])
    }

    fn happen(&mut self, at: usize, events: Vec<Event>) -> Vec<Envelope> {
        let mut said = Vec::new();
        let mut written = self.turn(at, events, &mut said);
        while let Some(persist) = written {
            self.judge.persisted(at, &persist);
            let number = persist.number;
            written = self.turn(at, vec![Event::Persisted { number }], &mut said);
        }
        said
    }

    fn turn(&mut self, at: usize, events: Vec<Event>, said: &mut Vec<Envelope>) -> Option<Persist> {
        let replica = &mut self.nodes[at];
        events.into_iter().for_each(|event| replica.handle(self.now, event));
        let effects = replica.turn(self.now);
        self.judge.turned(at, replica, &effects, &mut self.counts);
        said.extend(effects.envelopes);
        effects.persist
    }

    /// Node 2 answers node 1 in term 1 that it has the first entry.
    fn accept(&mut self) {
        let answer = envelope(node(2), node(1), 1, accepted(1));
        let effects = saying(answer);
        self.judge.turned(1, &self.nodes[1], &effects, &mut self.counts);
    }
}

#[test]
fn what_a_later_leader_replaced_within_a_turn_may_be_accepted() {
    let mut scene = Scene::begin();
    // Node 3 was elected by 4 and 5, who have nothing of term 1.
    let said = scene.tell(1, vec![(1, 1, first_of(1)), (3, 2, first_of(2))]);
    let answers = said
        .iter()
        .filter(|answer| matches!(answer.message, Message::AppendEntriesResponse { .. }));
    let told: Vec<(u64, u64)> = answers.map(|answer| (answer.to.number(), answer.term.0)).collect();
    assert_eq!(told, [(1, 1), (3, 2)], "both were promised the truth of their term");
    // The leader of term 1 believes it, and cannot commit because of it.
    scene.tell(0, vec![(2, 1, accepted(1))]);
    assert_eq!(scene.nodes[0].raft().log().commit_index(), Index::ZERO);
}

#[test]
#[should_panic(expected = "I13 n2 accepts 1/1 before it is durable")]
fn what_is_on_no_disk_may_not_be_accepted() {
    let mut scene = Scene::begin();
    let heartbeat = Message::Heartbeat { commit_index: Index::ZERO, round: 0, log_time: 0 };
    scene.tell(1, vec![(1, 1, heartbeat)]);
    scene.accept();
}

#[test]
#[should_panic(expected = "I13 n2 accepts 1/1 before it is durable")]
fn that_a_later_term_has_begun_excuses_nothing() {
    let mut scene = Scene::begin();
    let heartbeat = Message::Heartbeat { commit_index: Index::ZERO, round: 0, log_time: 0 };
    scene.tell(1, vec![(3, 2, heartbeat)]);
    scene.accept();
}

#[test]
#[should_panic(expected = "I12 n2 is believed to have 1/1 on its disk")]
fn a_leader_may_not_believe_what_was_never_so() {
    let mut scene = Scene::begin();
    scene.tell(0, vec![(2, 1, accepted(1))]);
}

//! Nodes with empty directories that start together, simulated: the decisions of real nodes over
//! an air that loses, delays and repeats what they say.

use raft_net::discovery::beacon::{Beacon, Belongs, Rank, Says, Seeks};
use raft_net::discovery::seeking::{SEEK_INTERVAL_MS, SILENCE_MS, Seeking, Step};

/// How often a member of a cluster says where it is. Units: milliseconds.
const BELONG_INTERVAL_MS: u64 = 1_000;

/// How soon it answers who seeks. Units: milliseconds.
const ANSWER_PAUSE_MS: u64 = 200;

/// A SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }
}

struct Node {
    starts_ms: u64,
    /// Added to the time: a monotonic clock begins anywhere.
    skew_ms: u64,
    spoke_ms: u64,
    state: State,
}

enum State {
    Asleep(Seeks),
    Seeking(Seeking),
    Member(u64),
}

struct Air {
    loss_percent: u64,
    delay_max_ms: u64,
    /// What is on its way: when it arrives, where, what.
    flying: Vec<(u64, usize, Beacon)>,
}

/// One world; how many clusters there are when all nodes belong to one.
struct World {
    nodes: Vec<Node>,
    air: Air,
    dice: Dice,
    founded: Vec<u64>,
}

impl World {
    fn new(seed: u64, count: u64, expects: Option<u32>) -> Self {
        let mut dice = Dice(seed);
        let spread_ms = [0, 100, 3_000, 8_000][usize::try_from(dice.roll(4)).unwrap()];
        let nodes = (0..count).map(|_| {
            let rank = Rank { since_ms: dice.roll(1_000), chance: dice.roll(u64::MAX) };
            Node {
                starts_ms: dice.roll(spread_ms / 10 + 1) * 10,
                skew_ms: dice.roll(1_000_000),
                spoke_ms: 0,
                state: State::Asleep(Seeks { rank, expects, endorses: None }),
            }
        });
        let nodes = nodes.collect();
        let air = Air {
            loss_percent: dice.roll(30),
            delay_max_ms: 1 + dice.roll(400),
            flying: Vec::new(),
        };
        Self { nodes, air, dice, founded: Vec::new() }
    }

    fn say(&mut self, from: usize, now_ms: u64) {
        self.nodes[from].spoke_ms = now_ms;
        let says = match &self.nodes[from].state {
            State::Asleep(_) => return,
            State::Seeking(seeking) => Says::Seeks(seeking.seeks()),
            State::Member(cluster_id) => Says::Belongs(Belongs {
                cluster_id: *cluster_id,
                node_id: 1,
                incarnation: 0,
                is_alone: true,
                has_data: false,
            }),
        };
        let sender = u64::try_from(from).unwrap();
        let beacon = Beacon { sender, address: format!("a:{}", from + 1), says };
        for to in 0..self.nodes.len() {
            // Some are lost, and some come twice.
            for _ in 0..=u64::from(self.dice.roll(10) == 0) {
                if self.air.loss_percent <= self.dice.roll(100) {
                    let at_ms = now_ms + self.dice.roll(self.air.delay_max_ms);
                    self.air.flying.push((at_ms, to, beacon.clone()));
                }
            }
        }
    }

    fn run(&mut self) {
        for now_ms in (0..120_000).step_by(10) {
            let (due, later) = std::mem::take(&mut self.air.flying)
                .into_iter()
                .partition(|(at_ms, ..)| *at_ms <= now_ms);
            self.air.flying = later;
            for (_, to, beacon) in Vec::from_iter::<Vec<_>>(due) {
                let node = &mut self.nodes[to];
                let is_silent = node.spoke_ms + ANSWER_PAUSE_MS <= now_ms;
                match (&mut node.state, &beacon.says) {
                    (State::Seeking(seeking), _) => seeking.hear(&beacon, now_ms + node.skew_ms),
                    (State::Member(_), Says::Seeks(_)) if is_silent => self.say(to, now_ms),
                    (State::Member(_) | State::Asleep(_), _) => {}
                }
            }
            for at in 0..self.nodes.len() {
                self.act(at, now_ms);
            }
            if self.nodes.iter().all(|node| matches!(node.state, State::Member(_))) {
                return;
            }
        }
        panic!("somebody still waits");
    }

    fn act(&mut self, at: usize, now_ms: u64) {
        let node = &mut self.nodes[at];
        let own_ms = now_ms + node.skew_ms;
        let Some(age_ms) = now_ms.checked_sub(node.starts_ms) else { return };
        match &mut node.state {
            State::Asleep(seeks) => {
                node.state =
                    State::Seeking(Seeking::new(u64::try_from(at).unwrap(), *seeks, own_ms));
            }
            State::Member(_) if age_ms.is_multiple_of(BELONG_INTERVAL_MS) => {}
            State::Seeking(seeking) if age_ms.is_multiple_of(SEEK_INTERVAL_MS) => {
                match seeking.turn(own_ms) {
                    Step::Wait => {}
                    Step::Endorse(rank) => seeking.endorsed(rank),
                    Step::Join(place) => node.state = State::Member(place.cluster_id),
                    Step::Found => {
                        let cluster_id = 1 + u64::try_from(at).unwrap();
                        self.founded.push(cluster_id);
                        node.state = State::Member(cluster_id);
                    }
                    Step::Torn(_) => panic!("nobody has data"),
                }
            }
            State::Seeking(_) | State::Member(_) => return,
        }
        self.say(at, now_ms);
    }
}

#[test]
fn nodes_that_hear_each_other_found_one_cluster_whatever_is_lost_or_late() {
    for seed in 0..1_000 {
        for count in [2, 3, 8] {
            let mut world = World::new(seed, count, None);
            world.run();
            assert_eq!(world.founded.len(), 1, "seed {seed}, {count} nodes: {:?}", world.founded);
        }
    }
}

#[test]
fn two_dozen_that_start_together_found_one_cluster() {
    for seed in 0..50 {
        let mut world = World::new(seed, 24, None);
        world.run();
        assert_eq!(world.founded.len(), 1, "seed {seed}: {:?}", world.founded);
    }
}

#[test]
fn with_their_number_given_they_found_one_cluster_too() {
    for seed in 0..300 {
        let mut world = World::new(seed, 5, Some(5));
        world.run();
        assert_eq!(world.founded.len(), 1, "seed {seed}: {:?}", world.founded);
    }
}

/// With no loss at all a start takes little more than the silence.
#[test]
fn a_start_takes_little_more_than_the_silence() {
    let mut world = World::new(1, 3, None);
    world.air.loss_percent = 0;
    world.nodes.iter_mut().for_each(|node| node.starts_ms = 0);
    world.run();
    assert_eq!(world.founded.len(), 1);
    assert_eq!(SILENCE_MS, 3_000, "which the documents name");
}

//! What a node with an empty directory decides from what it hears: join, found, or wait.
//!
//! The rule that keeps two nodes from founding: a node founds only if each seeker that it has
//! heard within the last [`SILENCE_MS`] has a higher rank, it has listened so long, and it has
//! heard no cluster. Of two that have heard each other one has the lower rank, and the other does
//! not found, whatever else was lost, late or repeated. Who founds says so at once, and goes on,
//! so whoever begins later hears of a cluster before its own silence is over.
//!
//! Where the number of nodes is given, the founder also needs that many endorsements, its own
//! among them, and each node endorses one founding, on its disk: fewer than twice as many nodes
//! cannot found twice, also if they do not all hear each other.

use std::collections::BTreeMap;

use super::beacon::{Beacon, Belongs, Rank, Says, Seeks};

/// How long a node listens before it founds, and how long what it heard counts. Units:
/// milliseconds.
pub const SILENCE_MS: u64 = 3_000;

/// How often a seeker says that it seeks. Units: milliseconds.
pub const SEEK_INTERVAL_MS: u64 = 250;

/// How long a node listens for further clusters before it joins one. Units: milliseconds.
pub const CHOICE_MS: u64 = 600;

/// A node that was asleep for longer than this has not listened. Units: milliseconds.
const NAP_MS: u64 = 1_000;

/// How many seekers, and members of clusters, are remembered; who comes beyond is ignored.
pub const HEARD_MAX: usize = 1_024;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Go on listening.
    Wait,
    /// Write down, durably, that this founding is endorsed, and then say so to [`Seeking`].
    Endorse(Rank),
    /// Found a cluster, and say so from this moment on.
    Found,
    /// Join this cluster.
    Join(Place),
    /// Go on listening, and say that there is more than one cluster with data: nobody can tell
    /// which is meant.
    Torn(Vec<Place>),
}

/// A cluster and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The cluster.
    pub cluster_id: u64,
    /// Those of its members that were heard.
    pub addresses: Vec<String>,
}

/// A node that seeks.
#[derive(Clone, Debug)]
pub struct Seeking {
    sender: u64,
    seeks: Seeks,
    listening_since_ms: u64,
    last_turn_ms: u64,
    /// By the rank of whoever said it.
    seekers: BTreeMap<Rank, Heard<Seeks>>,
    /// By cluster and address.
    members: BTreeMap<(u64, String), Heard<Belongs>>,
}

#[derive(Clone, Debug)]
struct Heard<T> {
    at_ms: u64,
    address: String,
    said: T,
}

impl Seeking {
    /// A node that begins to listen now. `sender` is what its own beacons carry.
    #[must_use]
    pub fn new(sender: u64, seeks: Seeks, now_ms: u64) -> Self {
        Self {
            sender,
            seeks,
            listening_since_ms: now_ms,
            last_turn_ms: now_ms,
            seekers: BTreeMap::new(),
            members: BTreeMap::new(),
        }
    }

    /// What its beacons say.
    #[must_use]
    pub fn seeks(&self) -> Seeks {
        self.seeks
    }

    /// The seekers that were heard, as addresses.
    #[must_use]
    pub fn seekers(&self) -> Vec<String> {
        self.seekers.values().map(|heard| heard.address.clone()).collect()
    }

    /// Hears a beacon.
    pub fn hear(&mut self, beacon: &Beacon, now_ms: u64) {
        if beacon.sender == self.sender {
            return;
        }
        let (at_ms, address) = (now_ms, beacon.address.clone());
        match beacon.says {
            Says::Seeks(said) => {
                let is_known = self.seekers.contains_key(&said.rank);
                if said.rank != self.seeks.rank && (is_known || self.seekers.len() < HEARD_MAX) {
                    self.seekers.insert(said.rank, Heard { at_ms, address, said });
                }
            }
            Says::Belongs(said) => {
                let key = (said.cluster_id, address.clone());
                // Who belongs to a cluster founds no other.
                self.seekers.retain(|_, heard| heard.address != address);
                if self.members.contains_key(&key) || self.members.len() < HEARD_MAX {
                    self.members.insert(key, Heard { at_ms, address, said });
                }
            }
        }
    }

    /// Is told that an endorsement is durable.
    pub fn endorsed(&mut self, founder: Rank) {
        self.seeks.endorses = Some(founder);
    }

    /// Forgets a cluster that did not let the node in; it counts again when it is heard again.
    pub fn start_anew(&mut self, now_ms: u64) {
        self.listening_since_ms = now_ms;
        self.last_turn_ms = now_ms;
        self.members.clear();
        self.seekers.clear();
    }

    /// Is told that nobody can be heard just now, so that silence begins anew.
    pub fn is_deaf(&mut self, now_ms: u64) {
        self.listening_since_ms = now_ms;
    }

    /// Decides. Everything that has arrived must have been heard before.
    pub fn turn(&mut self, now_ms: u64) -> Step {
        if NAP_MS < now_ms.saturating_sub(self.last_turn_ms) {
            self.listening_since_ms = now_ms;
        }
        self.last_turn_ms = now_ms;
        let is_fresh = |at_ms: u64| now_ms.saturating_sub(at_ms) < SILENCE_MS;
        self.seekers.retain(|_, heard| is_fresh(heard.at_ms));
        self.members.retain(|_, heard| is_fresh(heard.at_ms));
        let listened_ms = now_ms.saturating_sub(self.listening_since_ms);
        if !self.members.is_empty() {
            return if CHOICE_MS <= listened_ms { self.choose() } else { Step::Wait };
        }
        if listened_ms < SILENCE_MS {
            return Step::Wait;
        }
        match self.seeks.expects {
            None if self.is_lowest() => Step::Found,
            None => Step::Wait,
            Some(expects) => self.endorse_or_found(usize::try_from(expects).unwrap_or(usize::MAX)),
        }
    }

    fn is_lowest(&self) -> bool {
        self.seekers.keys().all(|other| self.seeks.rank < *other)
    }

    fn endorse_or_found(&self, expects: usize) -> Step {
        let own = self.seeks.rank;
        let alike = self.seekers.values().filter(|it| it.said.expects == self.seeks.expects);
        match self.seeks.endorses {
            None if expects <= alike.clone().count() + 1 => {
                // Who has been endorsed by somebody keeps the others from choosing another.
                let chosen = alike.clone().filter_map(|it| it.said.endorses).min();
                let lowest = alike.map(|it| it.said.rank).min();
                Step::Endorse(chosen.unwrap_or(lowest.map_or(own, |lowest| lowest.min(own))))
            }
            Some(founder) if founder == own => {
                let endorse = alike.filter(|it| it.said.endorses == Some(own));
                if expects <= endorse.count() + 1 { Step::Found } else { Step::Wait }
            }
            None | Some(_) => Step::Wait,
        }
    }

    /// Which cluster to join: the one with data; of those without, one that can no longer
    /// dissolve into another, and then the oldest.
    fn choose(&self) -> Step {
        let mut clusters: BTreeMap<u64, (bool, bool, Place)> = BTreeMap::new();
        for ((cluster_id, address), heard) in &self.members {
            let place = || Place { cluster_id: *cluster_id, addresses: Vec::new() };
            let (has_data, can_dissolve, place) =
                clusters.entry(*cluster_id).or_insert_with(|| (false, true, place()));
            *has_data |= heard.said.has_data;
            *can_dissolve &= heard.said.can_dissolve();
            place.addresses.push(address.clone());
        }
        let with_data = clusters.values().filter(|(has_data, ..)| *has_data);
        if 1 < with_data.clone().count() {
            return Step::Torn(with_data.map(|(.., place)| place.clone()).collect());
        }
        let best = clusters.into_values().min_by_key(|(has_data, can_dissolve, place)| {
            (!has_data, *can_dissolve, place.cluster_id)
        });
        best.map_or(Step::Wait, |(.., place)| Step::Join(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(since_ms: u64) -> Rank {
        Rank { since_ms, chance: 0 }
    }

    fn seeks(since_ms: u64) -> Seeks {
        Seeks { rank: rank(since_ms), expects: None, endorses: None }
    }

    fn seeker(since_ms: u64) -> Beacon {
        beacon(since_ms, Says::Seeks(seeks(since_ms)))
    }

    fn beacon(port: u64, says: Says) -> Beacon {
        Beacon { sender: port, address: format!("a:{port}"), says }
    }

    fn member(port: u64, cluster_id: u64, is_alone: bool, has_data: bool) -> Beacon {
        let (node_id, incarnation) = (port, port);
        let said = Belongs { cluster_id, node_id, incarnation, is_alone, has_data };
        beacon(port, Says::Belongs(said))
    }

    fn node(since_ms: u64) -> Seeking {
        Seeking::new(since_ms, seeks(since_ms), 0)
    }

    /// Turns up to this moment without hearing anything; the first one that is not `Wait`.
    fn run(node: &mut Seeking, from_ms: u64, to_ms: u64) -> Option<(u64, Step)> {
        (from_ms..=to_ms)
            .step_by(250)
            .map(|now_ms| (now_ms, node.turn(now_ms)))
            .find(|(_, step)| *step != Step::Wait)
    }

    #[test]
    fn a_node_that_hears_nobody_founds_after_the_silence() {
        let mut alone = node(5);
        alone.hear(&seeker(5), 1);
        assert_eq!(run(&mut alone, 0, 10_000), Some((SILENCE_MS, Step::Found)));
    }

    #[test]
    fn the_lowest_of_those_heard_founds_and_the_others_wait_while_it_is_there() {
        let (mut low, mut high) = (node(1), node(2));
        for now_ms in (0..SILENCE_MS).step_by(250) {
            low.hear(&seeker(2), now_ms);
            high.hear(&seeker(1), now_ms);
            assert_eq!((low.turn(now_ms), high.turn(now_ms)), (Step::Wait, Step::Wait));
        }
        assert_eq!(low.turn(SILENCE_MS), Step::Found);
        assert_eq!(high.turn(SILENCE_MS), Step::Wait);
        // It died before it said that it founded.
        let found = run(&mut high, SILENCE_MS, 20_000);
        assert_eq!(found, Some((SILENCE_MS - 250 + SILENCE_MS, Step::Found)));
    }

    #[test]
    fn a_node_that_slept_has_not_listened() {
        let mut node = node(1);
        assert_eq!(run(&mut node, 0, 2_000), None);
        assert_eq!(node.turn(9_000), Step::Wait);
        assert_eq!(run(&mut node, 9_250, 30_000), Some((9_000 + SILENCE_MS, Step::Found)));
    }

    #[test]
    fn a_cluster_is_joined_by_the_addresses_that_were_heard() {
        let mut node = node(1);
        node.hear(&member(2, 7, false, false), 10);
        node.hear(&member(3, 7, false, false), 20);
        let addresses = vec!["a:2".to_owned(), "a:3".to_owned()];
        let join = Step::Join(Place { cluster_id: 7, addresses });
        assert_eq!(run(&mut node, 0, 5_000), Some((750, join)));
        node.start_anew(750);
        assert_eq!(run(&mut node, 1_000, 9_000), Some((3_750, Step::Found)), "it is gone");
    }

    #[test]
    fn data_comes_first_then_what_stays_then_age_and_two_with_data_are_not_guessed_about() {
        let joins = |members: &[Beacon]| {
            let mut node = node(1);
            members.iter().for_each(|member| node.hear(member, 0));
            match run(&mut node, 0, 1_000) {
                Some((_, Step::Join(place))) => vec![place.cluster_id],
                Some((_, Step::Torn(places))) => places.iter().map(|it| it.cluster_id).collect(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(joins(&[member(2, 8, true, false), member(3, 7, true, false)]), [7]);
        assert_eq!(joins(&[member(2, 8, false, false), member(3, 7, true, false)]), [8]);
        assert_eq!(joins(&[member(2, 9, true, true), member(3, 7, false, false)]), [9]);
        assert_eq!(joins(&[member(2, 9, true, true), member(3, 7, false, true)]), [7, 9]);
    }

    #[test]
    fn with_a_number_given_nobody_founds_before_all_have_endorsed_the_same() {
        let expects = Some(3);
        let said = |since_ms, endorses| {
            let rank = rank(since_ms);
            beacon(since_ms, Says::Seeks(Seeks { rank, expects, endorses }))
        };
        let mut node = Seeking::new(1, Seeks { expects, ..seeks(1) }, 0);
        let mut other = Seeking::new(2, Seeks { expects, ..seeks(2) }, 0);
        for now_ms in (0..20_000).step_by(250) {
            node.hear(&said(2, None), now_ms);
            other.hear(&said(1, None), now_ms);
            assert_eq!((node.turn(now_ms), other.turn(now_ms)), (Step::Wait, Step::Wait));
        }
        node.hear(&said(3, None), 20_000);
        other.hear(&said(3, None), 20_000);
        assert_eq!(node.turn(20_000), Step::Endorse(rank(1)));
        assert_eq!(other.turn(20_000), Step::Endorse(rank(1)));
        node.endorsed(rank(1));
        other.endorsed(rank(1));
        node.hear(&said(2, Some(rank(1))), 20_250);
        assert_eq!(node.turn(20_250), Step::Wait, "the third has not endorsed");
        node.hear(&said(3, Some(rank(1))), 20_500);
        assert_eq!(node.turn(20_500), Step::Found);
        other.hear(&said(1, Some(rank(1))), 20_500);
        other.hear(&said(3, Some(rank(1))), 20_500);
        assert_eq!(other.turn(20_500), Step::Wait, "it is another's to found");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut node = node(1);
        for port in 0..5_000 {
            node.hear(&seeker(100 + port), 0);
            node.hear(&member(10_000 + port, port, true, false), 0);
        }
        assert_eq!((node.seekers.len(), node.members.len()), (HEARD_MAX, HEARD_MAX));
    }
}

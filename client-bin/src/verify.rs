//! Whether all nodes have executed the same commands to the same effect.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kv_store::command::{Answer, Query};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::client::{Client, Options, encode_query, no_answer_to_a_read};
use crate::error::ClientError;
use crate::requests::{Answered, Work};
use crate::status::cluster_status;

/// How often nodes are asked again that are too far apart to be compared.
const ATTEMPTS: usize = 5;

/// The pause before they are.
const PAUSE: Duration = Duration::from_millis(100);

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// What the nodes that could be compared have in common.
    pub verdict: Verdict,
    /// Who could be compared: ids, in order.
    pub compared: Vec<u64>,
    /// Who could not, and why: addresses with a line each.
    pub missing: Vec<(String, String)>,
}

/// What nodes have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The same hash after every command that was compared.
    Equal {
        /// Where the comparison begins: before it nothing is known of some node any more, and
        /// it is in the hash all the same.
        from: u64,
        /// Where it ends: the lowest index that any of the nodes has applied.
        to: u64,
        /// The hash there.
        hash: u64,
    },
    /// Not all the same.
    Differ {
        /// The first index at which they differ.
        index: u64,
        /// Whether they may have differed before: this is where the comparison begins.
        or_before: bool,
        /// The hash of each node there, by id.
        hashes: BTreeMap<u64, u64>,
    },
    /// Some node has applied less than another one remembers; ask again.
    Apart,
}

/// What a node remembers of its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trail {
    applied_index: u64,
    /// Indexes of commands, ascending, with the hash after each; then the newest hash.
    hashes: Vec<(u64, u64)>,
}

impl Trail {
    /// The hash at an index that is not before the first one.
    fn at(&self, index: u64) -> u64 {
        let count = self.hashes.partition_point(|(known, _)| *known <= index);
        self.hashes[count - 1].1
    }
}

/// Asks every node of the cluster for the hashes that it remembers, and compares them.
///
/// Errors: that of the first endpoint if nobody answers; `Rejected` if an endpoint is no address.
pub async fn verify(endpoints: &[String], within: Duration) -> Result<Verification, ClientError> {
    let deadline = Instant::now() + within;
    let cluster = cluster_status(endpoints, within).await?;
    let silent = cluster.silent.iter().map(|node| (node.address.clone(), node.reason()));
    let missing: BTreeMap<String, String> = silent.collect();
    for attempt in 1.. {
        let mut tasks = JoinSet::new();
        for (&id, address) in &cluster.reached {
            let address = address.clone();
            let timeout = deadline.saturating_duration_since(Instant::now());
            tasks.spawn(async move { (id, ask(&address, timeout).await, address) });
        }
        let (mut trails, mut missing) = (BTreeMap::new(), missing.clone());
        while let Some(ended) = tasks.join_next().await {
            match ended.expect("asking a node does not panic") {
                (id, Ok(trail), _) => drop(trails.insert(id, trail)),
                (_, Err(error), address) => drop(missing.insert(address, error.to_string())),
            }
        }
        let verdict = compare(&trails);
        if verdict != Verdict::Apart || attempt == ATTEMPTS {
            let (compared, missing) = (trails.into_keys().collect(), missing.into_iter().collect());
            return Ok(Verification { verdict, compared, missing });
        }
        sleep(PAUSE).await;
    }
    unreachable!("attempts are counted")
}

async fn ask(address: &str, timeout: Duration) -> Result<Trail, ClientError> {
    let client = Client::connect(vec![address.to_owned()], Options { timeout }).await?;
    let query = encode_query(&Query::Hashes { from: 0 });
    let (bytes, staleness) = match client.ask_for(Work::ReadLocally(query)).await? {
        Answered::Local(bytes, staleness) => (bytes, staleness),
        Answered::Body(_) | Answered::Changed(_) | Answered::Published(_) => {
            return Err(ClientError::nonsense());
        }
    };
    match Answer::decode(&bytes).map_err(|_| ClientError::nonsense())? {
        Answer::Hashes { newest, hashes, .. } => {
            let applied_index = staleness.applied_index;
            let mut hashes: Vec<(u64, u64)> = hashes.iter().copied().collect();
            // Entries behind the last command change no hash.
            hashes.push((applied_index.max(hashes.last().map_or(0, |(index, _)| *index)), newest));
            Ok(Trail { applied_index, hashes })
        }
        other => Err(no_answer_to_a_read(&other)),
    }
}

fn compare(trails: &BTreeMap<u64, Trail>) -> Verdict {
    let from = trails.values().map(|trail| trail.hashes[0].0).max().unwrap_or(0);
    let to = trails.values().map(|trail| trail.applied_index).min().unwrap_or(0);
    if to < from || trails.is_empty() {
        return Verdict::Apart;
    }
    let points: BTreeSet<u64> = trails
        .values()
        .flat_map(|trail| trail.hashes.iter().map(|(index, _)| *index))
        .filter(|index| (from..=to).contains(index))
        .chain([to])
        .collect();
    let mut hash = 0;
    for index in points {
        let hashes: BTreeMap<u64, u64> =
            trails.iter().map(|(&id, trail)| (id, trail.at(index))).collect();
        let different: BTreeSet<u64> = hashes.values().copied().collect();
        if 1 < different.len() {
            return Verdict::Differ { index, or_before: index == from, hashes };
        }
        hash = different.first().copied().unwrap_or(0);
    }
    Verdict::Equal { from, to, hash }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(applied_index: u64, hashes: &[(u64, u64)]) -> Trail {
        Trail { applied_index, hashes: hashes.to_vec() }
    }

    fn verdict(trails: &[Trail]) -> Verdict {
        compare(&(1..).zip(trails.iter().cloned()).collect())
    }

    #[test]
    fn equal_nodes_are_equal_as_far_as_all_of_them_came() {
        let one = trail(9, &[(2, 20), (5, 50), (9, 90)]);
        let behind = trail(6, &[(2, 20), (5, 50), (6, 50)]);
        let young = trail(9, &[(9, 90)]);
        let equal = |from, to, hash| Verdict::Equal { from, to, hash };
        assert_eq!(verdict(&[one.clone(), behind.clone()]), equal(2, 6, 50));
        assert_eq!(verdict(&[one.clone(), young.clone()]), equal(9, 9, 90));
        assert_eq!(verdict(&[one, behind, young]), Verdict::Apart);
        assert_eq!(verdict(&[]), Verdict::Apart, "of nobody nothing is known");
    }

    #[test]
    fn the_first_index_that_differs_is_named() {
        let one = trail(9, &[(2, 20), (5, 50), (7, 70), (9, 90)]);
        let other = trail(9, &[(2, 20), (5, 50), (7, 71), (9, 91)]);
        let hashes = [(1, 70), (2, 71)].into_iter().collect();
        let found = verdict(&[one.clone(), other]);
        assert_eq!(found, Verdict::Differ { index: 7, or_before: false, hashes });
        // One that skipped a command differs where the others have it.
        let skipped = trail(9, &[(2, 20), (7, 60), (9, 80)]);
        let hashes = [(1, 50), (2, 20)].into_iter().collect();
        let found = verdict(&[one.clone(), skipped]);
        assert_eq!(found, Verdict::Differ { index: 5, or_before: false, hashes });
        let long_ago = trail(9, &[(7, 1), (9, 2)]);
        let hashes = [(1, 70), (2, 1)].into_iter().collect();
        let found = verdict(&[one, long_ago]);
        assert_eq!(found, Verdict::Differ { index: 7, or_before: true, hashes });
    }
}

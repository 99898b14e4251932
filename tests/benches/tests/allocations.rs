//! How often memory is asked for, for one operation: what a node that knows no socket, disk or
//! actor does of its own accord. Counted, so it is the same whatever else the machine does.

use allocation_counter::measure;
use benches::replicas::{FOLLOWERS, Probe, REQUESTS, Replicas, Side, Unwatched};

/// Rounds of a thousand requests that are counted.
const ROUNDS: u64 = 40;

/// Rounds before that: until buffers have grown, and keys have a few versions.
const WARM_UP: u64 = 40;

/// What may be asked for once for each read of a connection, which brings ten requests, and for
/// each round of a thousand: twice and a few times, and nothing for a request.
const OF_BATCHES: f64 = 0.2;

#[derive(Debug, Default)]
struct Counted {
    leader: u64,
    followers: u64,
}

impl Probe for Counted {
    fn run(&mut self, side: Side, work: &mut dyn FnMut()) {
        let count = measure(work).count_total;
        match side {
            Side::Leader => self.leader += count,
            Side::Follower => self.followers += count,
        }
    }
}

/// Allocations for one operation, of the leader and of a follower.
fn counted(round: impl Fn(&mut Replicas, &mut Counted)) -> (f64, f64) {
    let mut replicas = Replicas::founded();
    (0..WARM_UP).for_each(|_| replicas.put(&mut Unwatched));
    let mut counted = Counted::default();
    (0..ROUNDS).for_each(|_| round(&mut replicas, &mut counted));
    let of_each = |count: u64, nodes: u64| count as f64 / (ROUNDS * REQUESTS * nodes) as f64;
    (of_each(counted.leader, 1), of_each(counted.followers, FOLLOWERS))
}

#[test]
fn a_put_asks_for_memory_twice_on_the_leader_and_once_on_a_follower() {
    let (leader, follower) = counted(|replicas, counted| replicas.put(counted));
    println!("a put: {leader:.3} allocations on the leader, {follower:.3} on a follower");
    assert!(leader <= 2.0, "{leader} allocations for a put on the leader");
    assert!(follower <= 1.0 + OF_BATCHES, "{follower} allocations for a put on a follower");
}

#[test]
fn a_read_asks_for_no_memory() {
    let (leader, follower) = counted(|replicas, counted| replicas.get(counted));
    println!("a read: {leader:.3} allocations on the leader, {follower:.3} on a follower");
    assert!(leader <= OF_BATCHES, "{leader} allocations for a read on the leader");
    assert!(follower <= OF_BATCHES, "{follower} allocations for a read on a follower");
}

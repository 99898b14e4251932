//! A node with an empty directory looks for its cluster: it joins one, or founds one and says
//! so. What it decides is decided by `raft_net::discovery::seeking`.

use std::io;
use std::path::Path;

use raft_core::types::NodeId;
use raft_net::discovery::beacon::{Beacon, BeaconCodec, Belongs, Rank, Says, Seeks};
use raft_net::discovery::search::{Announcement, Outcome, Search};
use raft_net::discovery::seeking::Place;
use raft_net::discovery::socket::{Airwave, BeaconSocket};
use raft_net::discovery::voice::Voice;

use super::join;
use crate::clock::Clock;
use crate::directory::{self, founding, new_incarnation};
use crate::error::StartError;
use crate::node::{Meeting, NodeOptions};

/// How many clusters may turn a node away before it gives up.
const ATTEMPTS_MAX: u32 = 4;

/// Finds a cluster for a node on an empty directory, and writes into `options` what the node is
/// to start with. The announcement of a founder is to last until its node runs.
///
/// Errors: `StartError` in one line; the node must not start.
pub(super) fn enter(
    (directory, given_id): (&Path, Option<NodeId>),
    (meeting, expects): (&Meeting, Option<u32>),
    options: &mut NodeOptions,
) -> Result<Option<Announcement>, StartError> {
    // Another process must not seek, and found, on the same directory.
    let _lock = directory::lock(directory)?;
    let address = join::own_address(options)?;
    let (seeks, sender) = (begin(directory, expects)?, new_incarnation().0);
    let codec = BeaconCodec::new(options.cluster_secret.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Thread)?;
    let inside = runtime.enter();
    let (mut voice, socket) = match meet(meeting, options) {
        Ok(met) => met,
        Err(error) if expects.is_none() => {
            tracing::warn!("{error}; nobody is heard");
            found(options);
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    drop(inside);
    if let Meeting::Ask(targets) = meeting {
        runtime.block_on(targets.until_known());
    }
    let mut search = Search::new(codec.clone(), (sender, address.clone()), seeks);
    let endorse = |founder| founding::store(directory, &Seeks { endorses: Some(founder), ..seeks });
    for attempt in 1.. {
        let outcome = runtime.block_on(search.run(&mut voice, endorse));
        match outcome.map_err(StartError::Beacons)? {
            Outcome::Found => {
                let says = Says::Belongs(found(options));
                let beacon = Beacon { sender, address, says };
                let begin = |socket| Announcement::begin(socket, &codec, &beacon);
                return socket.as_ref().map(begin).transpose().map_err(StartError::Beacons);
            }
            Outcome::Join(place) => match enter_cluster(place, &address, given_id, options) {
                Ok(()) => return Ok(None),
                Err(error @ StartError::Join(_)) if attempt < ATTEMPTS_MAX => {
                    tracing::warn!("{error}; looking again");
                }
                Err(error) => return Err(error),
            },
        }
    }
    unreachable!("the last attempt returns")
}

/// A voice, and what a founder announces itself with.
fn meet(
    meeting: &Meeting,
    options: &NodeOptions,
) -> Result<(Voice, Option<BeaconSocket>), StartError> {
    match meeting {
        Meeting::Group(Airwave { group, interface }) => {
            tracing::info!("looking for other nodes by multicast to {group} from {interface}");
            let airwave = Airwave { group: *group, interface: *interface };
            let open = || {
                let socket = BeaconSocket::open(airwave)?;
                Ok((Voice::in_group(socket.try_clone()?)?, Some(socket)))
            };
            open().map_err(StartError::Beacons)
        }
        Meeting::Ask(targets) => {
            tracing::info!("looking for other nodes at {targets}");
            let bound = options.bound.as_ref().expect("the program binds the port");
            let voice = bound.try_clone().and_then(|port| Voice::asking(targets.clone(), port));
            let failed = |source| StartError::listen("--listen", &options.listen, source);
            Ok((voice.map_err(failed)?, None))
        }
    }
}

fn enter_cluster(
    place: Place,
    address: &str,
    given_id: Option<NodeId>,
    options: &mut NodeOptions,
) -> Result<(), StartError> {
    let cluster_id = place.cluster_id;
    let others: Vec<String> =
        place.addresses.into_iter().filter(|other| other != address).collect();
    if others.is_empty() {
        return Err(StartError::Setting(format!(
            "a node of another directory is at {address} too, in cluster {cluster_id:016x}; give \
             each its own --advertise"
        )));
    }
    tracing::info!("joining cluster {cluster_id:016x} through {}", others.join(", "));
    join::prepare(&others, given_id, options)
}

/// What the node says while it seeks; it goes on where an earlier life ended, if others may have
/// endorsed that.
fn begin(directory: &Path, expects: Option<u32>) -> Result<Seeks, StartError> {
    let fresh = Seeks { rank: new_rank(), expects, endorses: None };
    match (founding::load(directory, expects)?, expects) {
        // Others may count on it: it must not found, or endorse, another cluster.
        (Some(_), None) => {
            return Err(StartError::Setting(format!(
                "{} waits for others to found a cluster with it: give --bootstrap-expect as \
                 before, or --join if the cluster is there; if it was never founded, empty the \
                 directories of all nodes that wait",
                directory.display()
            )));
        }
        (Some(remembered), Some(_)) => return Ok(remembered),
        (None, None) => return Ok(fresh),
        (None, Some(_)) => {}
    }
    let failed =
        |source: io::Error| StartError::Directory { directory: directory.to_owned(), source };
    founding::store(directory, &fresh).map_err(failed)?;
    Ok(fresh)
}

fn new_rank() -> Rank {
    Rank { since_ms: Clock::wall_time() / 1_000, chance: new_incarnation().0 }
}

/// Makes the node the founder of a cluster whose number begins with the time, so that of two
/// clusters everybody knows the older one.
fn found(options: &mut NodeOptions) -> Belongs {
    let seconds = (Clock::wall_time() / 1_000_000) & u64::from(u32::MAX);
    let cluster_id = seconds << 32 | new_incarnation().0 >> 32;
    tracing::info!("nobody is there to join; founding cluster {cluster_id:016x}");
    options.cluster_id = Some(cluster_id);
    let node_id = options.node_id.number();
    Belongs { cluster_id, node_id, incarnation: 0, is_alone: true, has_data: false }
}

//! A node with an empty directory looks for its cluster: it joins one, or founds one and says
//! so. What it decides is decided by `raft_net::discovery::seeking`.

use std::io;
use std::path::Path;

use raft_core::types::NodeId;
use raft_net::discovery::beacon::{Beacon, BeaconCodec, Belongs, Rank, Says, Seeks};
use raft_net::discovery::search::{Announcement, Outcome, Search};
use raft_net::discovery::socket::{Airwave, BeaconSocket};

use super::join;
use crate::clock::Clock;
use crate::directory::{self, founding, new_incarnation};
use crate::error::StartError;
use crate::node::NodeOptions;

/// How many clusters may turn a node away before it gives up.
const ATTEMPTS_MAX: u32 = 4;

/// Finds a cluster for a node on an empty directory, and writes into `options` what the node is
/// to start with. The announcement of a founder is to last until its node runs.
///
/// Errors: `StartError` in one line; the node must not start.
pub(super) fn enter(
    (directory, given_id): (&Path, Option<NodeId>),
    (airwave, expects): (Airwave, Option<u32>),
    options: &mut NodeOptions,
) -> Result<Option<Announcement>, StartError> {
    let address = join::own_address(options)?;
    // Another process must not seek, and found, on the same directory.
    let lock = directory::lock(directory)?;
    let (seeks, sender) = (begin(directory, expects)?, new_incarnation().0);
    let codec = BeaconCodec::new(options.cluster_secret.clone());
    let socket = BeaconSocket::open(airwave).map_err(StartError::Beacons)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Thread)?;
    let heard = socket.try_clone().map_err(StartError::Beacons)?;
    let _inside = runtime.enter();
    let mut search = Search::new((heard, codec.clone()), (sender, address.clone()), seeks);
    tracing::info!("looking for other nodes at {} from {}", airwave.group, airwave.interface);
    let mut attempts = 0;
    loop {
        let endorse =
            |founder| founding::store(directory, &Seeks { endorses: Some(founder), ..seeks });
        let outcome = runtime.block_on(search.run(endorse)).map_err(StartError::Beacons)?;
        let place = match outcome {
            Outcome::Found => {
                let own = found(options);
                let beacon = Beacon { sender, address, says: Says::Belongs(own) };
                let announcement = Announcement::begin(&socket, &codec, &beacon);
                drop(lock);
                return announcement.map(Some).map_err(StartError::Beacons);
            }
            Outcome::Join(place) => place,
        };
        let others: Vec<String> =
            place.addresses.into_iter().filter(|other| *other != address).collect();
        if others.is_empty() {
            return Err(StartError::Setting(format!(
                "a node of another directory is at {address} too, in cluster {:016x}; give each \
                 its own --advertise",
                place.cluster_id
            )));
        }
        tracing::info!("joining cluster {:016x} through {}", place.cluster_id, others.join(", "));
        match join::prepare(&others, given_id, options) {
            Ok(()) => {
                drop(lock);
                return Ok(None);
            }
            Err(error @ StartError::Join(_)) if attempts + 1 < ATTEMPTS_MAX => {
                tracing::warn!("{error}; looking again");
                attempts += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// What the node says while it seeks; it goes on where an earlier life ended, if others may have
/// endorsed that.
fn begin(directory: &Path, expects: Option<u32>) -> Result<Seeks, StartError> {
    let fresh = Seeks { rank: new_rank(), expects, endorses: None };
    if expects.is_none() {
        return Ok(fresh);
    }
    if let Some(remembered) = founding::load(directory, expects)? {
        return Ok(remembered);
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

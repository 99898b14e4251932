//! Puts a node on the air: what it says of itself, and who acts on what others say.

use actix::Addr;
use raft_net::discovery::beacon::{BeaconCodec, Belongs};
use raft_net::discovery::belonging::Belonging;
use raft_net::discovery::socket::{Airwave, BeaconSocket};
use raft_net::discovery::{Discovery, Way};
use raft_net::handshake::Identity;
use tokio::sync::mpsc::UnboundedSender;

use super::{Control, Discoverable, Meeting};
use crate::api::Api;
use crate::caretaker::Caretaker;

/// Has discovery hear others, and be heard, if the node is to. Where multicast is not available
/// the node says so and goes on. `sender` is what its beacons carry.
pub(super) fn put(
    discovery: Discovery,
    (identity, sender): (&Identity, u64),
    discoverable: Option<&Discoverable>,
) -> Discovery {
    let Some(Discoverable { meeting, .. }) = discoverable else { return discovery };
    // A node that cannot say where it is has nothing to say.
    if identity.address.is_empty() {
        return discovery;
    }
    let way = match meeting {
        Meeting::Ask(targets) => Way::Ask(targets.clone()),
        Meeting::Group(airwave) => match BeaconSocket::open(*airwave) {
            Ok(socket) => Way::Group(socket),
            Err(error) => {
                let Airwave { group, interface } = airwave;
                tracing::warn!(
                    "multicast to {group} from {interface} is not available ({error}); going on \
                     without beacons"
                );
                return discovery;
            }
        },
    };
    let own = Belongs {
        cluster_id: identity.cluster_id,
        node_id: identity.node_id.number(),
        incarnation: identity.incarnation.0,
        is_alone: false,
        has_data: true,
    };
    let belonging = Belonging::new(sender, identity.address.clone(), own);
    discovery.on_air(way, BeaconCodec::new(identity.secret.clone()), belonging)
}

/// Who looks after a node that is to be found.
pub(super) fn caretaker(
    discoverable: Option<&Discoverable>,
    identity: &Identity,
    (api, discovery): (&Addr<Api>, &Addr<Discovery>),
    control: &UnboundedSender<Control>,
) -> Option<Caretaker> {
    let may_give_way = discoverable?.may_give_way;
    let address = Some(identity.address.clone()).filter(|address| !address.is_empty());
    Some(Caretaker {
        calls: api.clone().recipient(),
        stand: discovery.clone().recipient(),
        control: control.clone(),
        address,
        may_give_way,
    })
}

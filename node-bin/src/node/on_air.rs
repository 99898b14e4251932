//! Puts a node on the air: its beacons, and who acts on those of others.

use actix::Addr;
use raft_net::discovery::Discovery;
use raft_net::discovery::beacon::{BeaconCodec, Belongs};
use raft_net::discovery::belonging::Belonging;
use raft_net::discovery::socket::{Airwave, BeaconSocket};
use raft_net::handshake::Identity;
use tokio::sync::mpsc::UnboundedSender;

use super::{Control, Discoverable};
use crate::api::Api;
use crate::caretaker::Caretaker;
use crate::directory::new_incarnation;

/// Has discovery hear and send beacons, if the node is to. Where multicast is not available the
/// node says so and goes on.
pub(super) fn put(
    discovery: Discovery,
    identity: &Identity,
    discoverable: Option<Discoverable>,
) -> Discovery {
    let Some(airwave) = discoverable.and_then(|it| it.airwave) else { return discovery };
    // A node that cannot say where it is has nothing to say.
    if identity.address.is_empty() {
        return discovery;
    }
    let Airwave { group, interface } = airwave;
    let socket = match BeaconSocket::open(airwave) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!(
                "multicast to {group} from {interface} is not available ({error}); going on \
                 without beacons"
            );
            return discovery;
        }
    };
    let own = Belongs {
        cluster_id: identity.cluster_id,
        node_id: identity.node_id.number(),
        incarnation: identity.incarnation.0,
        is_alone: false,
        has_data: true,
    };
    let belonging = Belonging::new(new_incarnation().0, identity.address.clone(), own);
    discovery.on_air(socket, BeaconCodec::new(identity.secret.clone()), belonging)
}

/// Who looks after a node that is to be found.
pub(super) fn caretaker(
    discoverable: Option<Discoverable>,
    identity: &Identity,
    (api, discovery): (&Addr<Api>, &Addr<Discovery>),
    control: &UnboundedSender<Control>,
) -> Option<Caretaker> {
    let Discoverable { may_give_way, .. } = discoverable?;
    let address = Some(identity.address.clone()).filter(|address| !address.is_empty());
    Some(Caretaker {
        calls: api.clone().recipient(),
        stand: discovery.clone().recipient(),
        control: control.clone(),
        address,
        may_give_way,
    })
}

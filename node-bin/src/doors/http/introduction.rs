//! `GET /discovery`: who this node is, and its beacon for nodes that ask.

use std::net::SocketAddr;
use std::sync::Arc;

use actix::Recipient;
use http::{Request, Response, StatusCode};
use raft_net::discovery::BeaconsArrived;
use raft_net::discovery::asking::{BEACON_HEADER, beacon_in_header, to_hex};
use raft_net::discovery::beacon::{Beacon, BeaconCodec, Belongs, Says};
use raft_net::handshake::Identity;
use tonic::body::Body;

use super::incoming::Incoming;
use super::pages;
use crate::caretaker;
use crate::doors::etcd::Behind;

/// What a node says of itself to whoever asks.
#[derive(Clone, Debug)]
pub(crate) struct Introduction {
    pub(crate) identity: Arc<Identity>,
    /// What its beacons carry.
    pub(crate) sender: u64,
    /// Whether it may give its cluster up.
    pub(crate) may_give_way: bool,
    /// Takes the beacons of those who ask.
    pub(crate) arrived: Recipient<BeaconsArrived>,
}

/// Answers who this node is, and hears who asks.
pub(super) async fn answer(
    behind: &Behind,
    introduction: &Introduction,
    request: &Request<Incoming>,
    from: Option<SocketAddr>,
) -> Response<Body> {
    let codec = BeaconCodec::new(introduction.identity.secret.clone());
    let said = request.headers().get(BEACON_HEADER).and_then(|said| said.to_str().ok());
    if let (Some(said), Some(from)) = (said.and_then(beacon_in_header), from) {
        introduction.arrived.do_send(BeaconsArrived(vec![(codec.decode(&said), from)]));
    }
    let Ok(state) = behind.state().await else {
        return pages::text(StatusCode::SERVICE_UNAVAILABLE, "the node is stopping\n");
    };
    let identity = &introduction.identity;
    let stands = caretaker::stands(&state, introduction.may_give_way);
    let Some((is_alone, has_data)) = stands.filter(|_| !identity.address.is_empty()) else {
        let text = "this node cannot say yet who, or where, it is\n";
        return pages::text(StatusCode::SERVICE_UNAVAILABLE, text);
    };
    let (cluster_id, node_id) = (identity.cluster_id, identity.node_id.number());
    let incarnation = identity.incarnation.0;
    let own = Belongs { cluster_id, node_id, incarnation, is_alone, has_data };
    let address = identity.address.clone();
    let (sender, says) = (introduction.sender, Says::Belongs(own));
    let beacon = codec.encode(&Beacon { sender, address, says });
    let page = serde_json::json!({
        "address": identity.address,
        "cluster_id": format!("{cluster_id:016x}"),
        "node_id": node_id,
        "incarnation": format!("{incarnation:016x}"),
        "beacon": to_hex(&beacon),
    });
    pages::json(StatusCode::OK, format!("{page}\n"))
}

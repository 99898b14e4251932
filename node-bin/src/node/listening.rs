//! The sockets of a node: one for all, and those of single doors.

use raft_net::listener::Port;
use raft_net::opens::{Door, Opens};
use tokio::net::TcpListener;

use super::{DoorPort, NodeOptions, Wires};
use crate::doors::Hosts;
use crate::error::StartError;

/// The sockets of a node.
pub(super) struct Listening {
    pub(super) ports: Vec<Port>,
    /// Where the port for all is.
    pub(super) at: String,
    /// Where the others are.
    pub(super) doors_at: Vec<(Door, String)>,
}

impl Listening {
    /// Binds the ports before anything is written, so that one in use leaves no traces.
    pub(super) async fn begin(options: &mut NodeOptions) -> Result<Self, StartError> {
        if let Wires::Memory { .. } = options.wires {
            let at = options.listen.clone();
            return Ok(Self { ports: Vec::new(), at, doors_at: Vec::new() });
        }
        let opens = options.opens;
        let (tcp, at) = bind("--listen", &options.listen, options.bound.take()).await?;
        let (mut ports, mut doors_at) = (vec![Port { tcp, opens }], Vec::new());
        for DoorPort { door, listen, bound } in options.ports.drain(..) {
            let (tcp, at) = bind(&format!("--listen-{door}"), &listen, bound).await?;
            ports.push(Port { tcp, opens: Opens::only(door) });
            doors_at.push((door, at));
        }
        Ok(Self { ports, at, doors_at })
    }

    /// Where others are told that this node is: where it was said, or where it listens for peers.
    pub(super) fn told(&self, advertise: Option<String>) -> String {
        let for_peers = self.doors_at.iter().find(|(door, _)| *door == Door::Peers);
        let listens_at = for_peers.map_or(&self.at, |(_, at)| at);
        advertise.unwrap_or_else(|| listens_at.clone())
    }

    /// By which names clients of HTTP may ask for the node.
    pub(super) fn hosts(&self, address: &str, more: &[String]) -> Hosts {
        let ports = self.doors_at.iter().map(|(_, at)| at.as_str());
        let more = more.iter().map(String::as_str);
        Hosts::of([address, &self.at].into_iter().chain(ports).chain(more))
    }
}

/// Takes a socket, or makes it; returns it with its address.
async fn bind(
    flag: &str,
    address: &str,
    bound: Option<std::net::TcpListener>,
) -> Result<(TcpListener, String), StartError> {
    let failed = |source| StartError::listen(flag, address, source);
    let tcp = match bound {
        Some(bound) => {
            bound.set_nonblocking(true).map_err(failed)?;
            TcpListener::from_std(bound).map_err(failed)?
        }
        None => TcpListener::bind(address).await.map_err(failed)?,
    };
    let bound = tcp.local_addr().map_err(failed)?;
    // The name that was given is kept: it may be the one that others know.
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    Ok((tcp, format!("{host}:{}", bound.port())))
}

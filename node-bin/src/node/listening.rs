//! The sockets of a node: one for all, and those of single doors.

use std::net::SocketAddr;

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

    /// Where the node's page is, if it has one: at a port of its own, or at the one for all, whose
    /// doors are `opens`. Others are `told` where the node is, also if it listens anywhere.
    pub(super) fn page(&self, opens: Opens, told: &str) -> Option<String> {
        let own = self.doors_at.iter().find(|(door, _)| *door == Door::Http).map(|(_, at)| at);
        if own.is_none() && opens.has(Door::Http) && opens.has(Door::Peers) {
            return Some(told.to_owned());
        }
        let at = own.or_else(|| opens.has(Door::Http).then_some(&self.at))?;
        let is_anywhere = at.parse().is_ok_and(|at: SocketAddr| at.ip().is_unspecified());
        if !is_anywhere {
            return Some(at.clone());
        }
        let ((host, _), (_, port)) = (told.rsplit_once(':')?, at.rsplit_once(':')?);
        Some(format!("{host}:{port}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_where_others_reach_it() {
        let at = |doors_at: &[(Door, &str)]| Listening {
            ports: Vec::new(),
            at: "0.0.0.0:2379".to_owned(),
            doors_at: doors_at.iter().map(|(door, at)| (*door, (*at).to_owned())).collect(),
        };
        let page = |it: Listening, opens| it.page(opens, "one.example:2380");
        let all = page(at(&[]), Opens::ALL);
        assert_eq!(all.as_deref(), Some("one.example:2380"));
        let apart = page(at(&[(Door::Http, "0.0.0.0:80")]), Opens::ALL);
        assert_eq!(apart.as_deref(), Some("one.example:80"));
        let apart = page(at(&[(Door::Http, "127.0.0.1:80")]), Opens::only(Door::Peers));
        assert_eq!(apart.as_deref(), Some("127.0.0.1:80"));
        let beside = page(at(&[(Door::Peers, "0.0.0.0:2380")]), Opens::only(Door::Http));
        assert_eq!(beside.as_deref(), Some("one.example:2379"));
        assert_eq!(page(at(&[]), Opens::only(Door::Peers)), None);
    }
}

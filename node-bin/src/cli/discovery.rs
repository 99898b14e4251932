//! Flags by which a node finds its cluster without being told where it is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, ToSocketAddrs as _};

use clap::{Args, ValueEnum};
use raft_net::discovery::socket::{Airwave, MULTICAST_GROUP, route_out};

use super::settings::ServeArguments;
use crate::error::StartError;
use crate::node::Discoverable;

/// The most nodes that may be waited for: as many as a cluster has members.
const EXPECT_MAX: u32 = 100;

/// How a node finds its cluster.
#[derive(Debug, Args)]
pub(super) struct DiscoveryArguments {
    /// How a node with an empty folder finds its cluster, and is found [default: multicast, or
    /// none with --peers, --join or --node-id]
    #[arg(long, value_enum, value_name = "multicast|none", env = "KVORUM_DISCOVERY")]
    discovery: Option<Method>,
    /// The multicast group of --discovery multicast, the same on all nodes of a cluster
    #[arg(long, value_name = "GROUP:PORT", env = "KVORUM_MULTICAST",
          default_value_t = MULTICAST_GROUP)]
    multicast: SocketAddrV4,
    /// Founds a cluster only together with so many empty nodes, this one among them; each of
    /// them endorses one founding only
    #[arg(long, value_name = "N", env = "KVORUM_BOOTSTRAP_EXPECT")]
    bootstrap_expect: Option<u32>,
}

/// A way to find a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Method {
    Multicast,
    None,
}

impl ServeArguments {
    /// How the node finds its cluster.
    ///
    /// Errors: names what does not go together.
    pub(super) fn method(&self) -> Result<Method, StartError> {
        let wrong = |text: String| Err(StartError::Setting(text));
        let is_told = self.peers.is_some() || !self.join.is_empty() || self.node_id.is_some();
        let default = if is_told { Method::None } else { Method::Multicast };
        let method = self.discovery.discovery.unwrap_or(default);
        if !self.discovery.multicast.ip().is_multicast() || self.discovery.multicast.port() == 0 {
            let group = self.discovery.multicast;
            return wrong(format!(
                "--multicast {group} is no multicast group with a port, such as {MULTICAST_GROUP}"
            ));
        }
        match self.discovery.bootstrap_expect {
            Some(0) => wrong("--bootstrap-expect must be at least 1".to_owned()),
            Some(nodes) if EXPECT_MAX < nodes => wrong(format!(
                "--bootstrap-expect {nodes} is more than the {EXPECT_MAX} members that a cluster \
                 may have"
            )),
            Some(_) if method == Method::None => wrong(
                "--bootstrap-expect needs a way to find the others; give --discovery multicast, \
                 or --peers instead of both"
                    .to_owned(),
            ),
            Some(_) | None => Ok(method),
        }
    }

    /// How many empty nodes found together, if that was given.
    pub(super) fn expects(&self) -> Option<u32> {
        self.discovery.bootstrap_expect
    }

    /// The address that others are told, if the node is to be found and does not say it: the
    /// one of the route out where it listens everywhere.
    ///
    /// Errors: if there is no such route.
    pub(super) fn advertised(
        &self,
        method: Method,
        listen: &str,
        port: u16,
    ) -> Result<Option<String>, StartError> {
        let is_anywhere = |at: &SocketAddr| at.ip().is_unspecified();
        let for_peers = self.ports.for_peers();
        let listens_anywhere = listen.parse().as_ref().is_ok_and(is_anywhere);
        if self.advertise.is_some() || method == Method::None || for_peers || !listens_anywhere {
            return Ok(self.advertise.clone());
        }
        match route_out(self.discovery.multicast) {
            Some(ip) => Ok(Some(format!("{ip}:{port}"))),
            None => Err(StartError::Setting(format!(
                "--listen {listen} does not tell others where this node is, and there is no \
                 route out that does; give --advertise"
            ))),
        }
    }

    /// What the node does to be found. `address` is where others reach it.
    ///
    /// Errors: if its host has no address of version 4.
    pub(super) fn discoverable(
        &self,
        method: Method,
        address: &str,
    ) -> Result<Option<Discoverable>, StartError> {
        match method {
            Method::None => Ok(None),
            Method::Multicast => {
                let interface = interface(address)?;
                let airwave = Some(Airwave { group: self.discovery.multicast, interface });
                Ok(Some(Discoverable { airwave, may_give_way: true }))
            }
        }
    }
}

/// The interface of this machine on which others reach `address`.
fn interface(address: &str) -> Result<Ipv4Addr, StartError> {
    let resolved = address
        .to_socket_addrs()
        .map_err(|source| StartError::listen("--advertise", address, source))?;
    let mut found = None;
    for at in resolved {
        match at.ip() {
            IpAddr::V6(ip) if ip.is_loopback() => found = found.or(Some(Ipv4Addr::LOCALHOST)),
            IpAddr::V4(ip) => found = Some(ip),
            IpAddr::V6(_) => {}
        }
    }
    found.ok_or_else(|| {
        StartError::Setting(format!(
            "{address} has no address of version 4, which multicast needs; give --join or --peers, \
             or --discovery none"
        ))
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::Arguments;
    use super::*;

    fn arguments(line: &str) -> ServeArguments {
        Arguments::try_parse_from(line.split(' ')).unwrap().serve
    }

    #[test]
    fn a_node_looks_for_its_cluster_unless_it_is_told() {
        for (line, method) in [
            ("kvorum", Method::Multicast),
            ("kvorum --listen 127.0.0.1:0", Method::Multicast),
            ("kvorum --peers 1=a:1", Method::None),
            ("kvorum --join a:1", Method::None),
            ("kvorum --node-id 2", Method::None),
            ("kvorum --discovery none", Method::None),
            ("kvorum --join a:1 --discovery multicast", Method::Multicast),
        ] {
            assert_eq!(arguments(line).method().unwrap(), method, "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_said_in_a_line() {
        for (line, words) in [
            ("kvorum --multicast 10.0.0.1:2380", "is no multicast group with a port"),
            ("kvorum --multicast 239.0.0.1:0", "is no multicast group with a port"),
            ("kvorum --bootstrap-expect 0", "must be at least 1"),
            ("kvorum --bootstrap-expect 101", "more than the 100 members"),
            ("kvorum --bootstrap-expect 3 --peers 1=a:1", "needs a way to find the others"),
        ] {
            let error = arguments(line).method().unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains('\n'), "{line}: {error}");
        }
        assert!(Arguments::try_parse_from(["kvorum", "--multicast", "x"]).is_err());
        assert!(Arguments::try_parse_from(["kvorum", "--discovery", "x"]).is_err());
    }

    #[test]
    fn beacons_go_where_the_address_is() {
        let given = arguments("kvorum --multicast 239.1.2.3:9");
        let at = |address| given.discoverable(Method::Multicast, address).unwrap().unwrap();
        let airwave = at("127.0.0.1:5").airwave.unwrap();
        assert_eq!(
            (airwave.group.to_string(), airwave.interface),
            ("239.1.2.3:9".into(), Ipv4Addr::LOCALHOST)
        );
        assert_eq!(at("[::1]:5").airwave.unwrap().interface, Ipv4Addr::LOCALHOST);
        assert_eq!(at("10.1.2.3:5").airwave.unwrap().interface, Ipv4Addr::new(10, 1, 2, 3));
        assert_eq!(given.discoverable(Method::None, "x").unwrap(), None);
        assert!(given.discoverable(Method::Multicast, "[2001:db8::1]:5").is_err());
    }
}

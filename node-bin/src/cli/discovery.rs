//! Flags by which a node finds its cluster without being told where it is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, ToSocketAddrs as _};

use clap::{Args, ValueEnum};
use raft_net::discovery::asking::Targets;
use raft_net::discovery::socket::{Airwave, MULTICAST_GROUP, route_out};

use super::settings::ServeArguments;
use crate::error::StartError;
use crate::node::{Discoverable, Meeting};

/// The most nodes that may be waited for: as many as a cluster has members.
const EXPECT_MAX: u32 = 100;

/// How a node finds its cluster.
#[derive(Debug, Args)]
pub(super) struct DiscoveryArguments {
    /// How a node with an empty folder finds its cluster, and is found [default: none with --peers,
    /// --join or --node-id; http or dns with a name for them; else multicast]
    #[arg(long, value_enum, value_name = "multicast|http|dns|none", env = "KVORUM_DISCOVERY")]
    discovery: Option<Method>,
    /// The multicast group of --discovery multicast, the same on all nodes of a cluster
    #[arg(long, value_name = "GROUP:PORT", env = "KVORUM_MULTICAST",
          default_value_t = MULTICAST_GROUP)]
    multicast: SocketAddrV4,
    /// The name behind which --discovery http asks for other nodes [default port: that of --listen]
    #[arg(long, value_name = "HOST[:PORT]", env = "KVORUM_CLUSTER_HOSTNAME")]
    cluster_hostname: Option<String>,
    /// The name that --discovery dns asks for nodes: addresses with this port, or SRV records of
    /// _kvorum._tcp.NAME
    #[arg(long, value_name = "NAME[:PORT]", env = "KVORUM_DISCOVERY_NAME")]
    discovery_name: Option<String>,
    /// The address of this machine that others are told, with the port of --listen
    #[arg(long, value_name = "IP", env = "KVORUM_NODE_IP", conflicts_with = "advertise")]
    node_ip: Option<IpAddr>,
    /// Founds a cluster only together with so many empty nodes, this one among them; each of
    /// them endorses one founding only
    #[arg(long, value_name = "N", env = "KVORUM_BOOTSTRAP_EXPECT")]
    bootstrap_expect: Option<u32>,
}

/// A way to find a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Method {
    Multicast,
    Http,
    Dns,
    None,
}

/// Names of variables from other systems that mean the same as ours.
const OTHER_HOSTNAME: &str = "ABCD_CLUSTER_HOSTNAME";
const OTHER_NODE_IP: &str = "ABCD_NODE_IP";

impl ServeArguments {
    /// How the node finds its cluster.
    ///
    /// Errors: names what does not go together.
    pub(super) fn method(&self) -> Result<Method, StartError> {
        let wrong = |text: String| Err(StartError::Setting(text));
        let is_told = self.peers.is_some() || !self.join.is_empty() || self.node_id.is_some();
        let default = if is_told {
            Method::None
        } else if self.hostname().is_some() {
            Method::Http
        } else if self.discovery.discovery_name.is_some() {
            Method::Dns
        } else {
            Method::Multicast
        };
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

    fn hostname(&self) -> Option<String> {
        self.discovery.cluster_hostname.clone().or_else(|| std::env::var(OTHER_HOSTNAME).ok())
    }

    /// Whom to ask who is there. `port` is what they listen at if that is not said.
    ///
    /// Errors: if nobody was named.
    fn targets(&self, method: Method, port: u16) -> Result<Targets, StartError> {
        let given = &self.discovery;
        let (flag, name) = if method == Method::Http {
            ("--cluster-hostname", self.hostname())
        } else {
            ("--discovery-name", given.discovery_name.clone())
        };
        let wrong = |text: String| Err(StartError::Setting(text));
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            let which = if method == Method::Http { "http" } else { "dns" };
            return wrong(format!("--discovery {which} needs {flag}, the name of the other nodes"));
        };
        match (name.rsplit_once(':'), method) {
            (Some((host, port)), _) => match port.parse() {
                Ok(port) if port != 0 && !host.is_empty() && method == Method::Http => {
                    Ok(Targets::Host(host.to_owned(), port))
                }
                Ok(port) if port != 0 && !host.is_empty() => {
                    Ok(Targets::Name(host.to_owned(), port))
                }
                Ok(_) | Err(_) => wrong(format!("{flag}: {name:?} is not a name such as a:2379")),
            },
            (None, Method::Http) => Ok(Targets::Host(name, port)),
            (None, Method::Dns | Method::Multicast | Method::None) => {
                Ok(Targets::Service(name, port))
            }
        }
    }

    /// The address of the machine, if it was given.
    ///
    /// Errors: if it is none.
    fn node_ip(&self) -> Result<Option<IpAddr>, StartError> {
        if self.discovery.node_ip.is_some() {
            return Ok(self.discovery.node_ip);
        }
        let Ok(text) = std::env::var(OTHER_NODE_IP) else { return Ok(None) };
        let ip = text.parse().map_err(|_| {
            StartError::Setting(format!("{OTHER_NODE_IP}: {text:?} is not an IP address"))
        })?;
        Ok(Some(ip))
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
        if self.advertise.is_none()
            && let Some(ip) = self.node_ip()?
        {
            return Ok(Some(SocketAddr::new(ip, port).to_string()));
        }
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

    /// What the node does to be found. `address` is where others reach it, `port` where it listens.
    ///
    /// Errors: if its host has no address of version 4 for multicast, or nobody is named to ask.
    pub(super) fn discoverable(
        &self,
        method: Method,
        (address, port): (&str, u16),
    ) -> Result<Option<Discoverable>, StartError> {
        let meeting = match method {
            Method::None => return Ok(None),
            Method::Multicast => {
                let interface = interface(address)?;
                Meeting::Group(Airwave { group: self.discovery.multicast, interface })
            }
            Method::Http | Method::Dns => Meeting::Ask(self.targets(method, port)?),
        };
        Ok(Some(Discoverable { meeting, may_give_way: true }))
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
            ("kvorum --cluster-hostname a", Method::Http),
            ("kvorum --discovery-name a", Method::Dns),
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
        let interface = |address| {
            let found = given.discoverable(Method::Multicast, (address, 5)).unwrap().unwrap();
            let Meeting::Group(airwave) = found.meeting else { panic!("{found:?}") };
            assert_eq!(airwave.group.to_string(), "239.1.2.3:9");
            airwave.interface
        };
        assert_eq!(interface("127.0.0.1:5"), Ipv4Addr::LOCALHOST);
        assert_eq!(interface("[::1]:5"), Ipv4Addr::LOCALHOST);
        assert_eq!(interface("10.1.2.3:5"), Ipv4Addr::new(10, 1, 2, 3));
        assert_eq!(given.discoverable(Method::None, ("x", 5)).unwrap(), None);
        assert!(given.discoverable(Method::Multicast, ("[2001:db8::1]:5", 5)).is_err());
    }

    #[test]
    fn names_to_ask_are_read_with_their_ports() {
        let targets = |line: &str| {
            let given = arguments(line);
            given.targets(given.method().unwrap(), 7).map_err(|error| error.to_string())
        };
        let http = "kvorum --discovery http";
        let dns = "kvorum --discovery dns";
        let host = |port| Targets::Host("a".to_owned(), port);
        assert_eq!(targets(&format!("{http} --cluster-hostname a")), Ok(host(7)));
        assert_eq!(targets(&format!("{http} --cluster-hostname a:8")), Ok(host(8)));
        let name = Targets::Name("a".to_owned(), 8);
        assert_eq!(targets(&format!("{dns} --discovery-name a:8")), Ok(name));
        let service = Targets::Service("a".to_owned(), 7);
        assert_eq!(targets(&format!("{dns} --discovery-name a")), Ok(service));
        for (line, words) in [
            (http.to_owned(), "needs --cluster-hostname"),
            (dns.to_owned(), "needs --discovery-name"),
            (format!("{http} --cluster-hostname a:x"), "is not a name such as a:2379"),
            (format!("{dns} --discovery-name :1"), "is not a name such as a:2379"),
        ] {
            let error = targets(&line).unwrap_err();
            assert!(error.contains(words) && !error.contains('\n'), "{line}: {error}");
        }
        let line = "kvorum --discovery http --node-ip 10.1.2.3";
        let told = arguments(line).advertised(Method::Http, "0.0.0.0:5", 5).unwrap();
        assert_eq!(told.as_deref(), Some("10.1.2.3:5"));
        assert!(Arguments::try_parse_from(["kvorum", "--node-ip", "x"]).is_err());
    }
}

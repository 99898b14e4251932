//! Flags that give doors addresses of their own.

use std::net::TcpListener;

use clap::Args;
use raft_net::opens::{Door, Opens};

use super::settings::ServeArguments;
use crate::error::StartError;
use crate::node::DoorPort;

/// Which doors are where.
#[derive(Debug, Args)]
pub(super) struct PortArguments {
    /// What is spoken at --listen: some of native, peers, etcd, resp, http [default: all]
    #[arg(long, value_name = "DOOR,...", env = "KVORUM_DOORS")]
    doors: Option<String>,
    /// An address for clients of the native protocol alone, beside --listen
    #[arg(long, value_name = "HOST:PORT", env = "KVORUM_LISTEN_NATIVE")]
    listen_native: Option<String>,
    /// An address for other nodes alone; others are told this one
    #[arg(long, value_name = "HOST:PORT", env = "KVORUM_LISTEN_PEERS")]
    listen_peers: Option<String>,
    /// An address for clients of etcd alone
    #[arg(long, value_name = "HOST:PORT", env = "KVORUM_LISTEN_ETCD")]
    listen_etcd: Option<String>,
    /// An address for clients of Redis alone
    #[arg(long, value_name = "HOST:PORT", env = "KVORUM_LISTEN_RESP")]
    listen_resp: Option<String>,
    /// An address for keys by HTTP alone
    #[arg(long, value_name = "HOST:PORT", env = "KVORUM_LISTEN_HTTP")]
    listen_http: Option<String>,
}

impl PortArguments {
    /// What is spoken at the address for all.
    ///
    /// Errors: names what is no door.
    pub(super) fn opens(&self) -> Result<Opens, StartError> {
        let Some(doors) = &self.doors else { return Ok(Opens::ALL) };
        doors.parse().map_err(|error| StartError::Setting(format!("--doors: {error}")))
    }

    /// Whether peers have an address of their own.
    pub(super) fn for_peers(&self) -> bool {
        self.listen_peers.is_some()
    }

    fn address(&self, door: Door) -> Option<&String> {
        match door {
            Door::Native => self.listen_native.as_ref(),
            Door::Peers => self.listen_peers.as_ref(),
            Door::Etcd => self.listen_etcd.as_ref(),
            Door::Resp => self.listen_resp.as_ref(),
            Door::Http => self.listen_http.as_ref(),
        }
    }
}

impl ServeArguments {
    /// Whether other nodes reach this one somewhere.
    ///
    /// Errors: what to give.
    pub(super) fn check_peers(&self, is_cluster: bool) -> Result<(), StartError> {
        let is_reached = self.ports.opens()?.has(Door::Peers) || self.ports.listen_peers.is_some();
        if is_cluster && !is_reached {
            let text = "--doors leaves out peers, who could not reach this node; add it, or give \
                        --listen-peers";
            return Err(StartError::Setting(text.to_owned()));
        }
        Ok(())
    }

    /// Binds the addresses of single doors.
    ///
    /// Errors: names the one that is no address, is open to others, or is taken.
    pub(super) fn bind_doors(&self) -> Result<Vec<DoorPort>, StartError> {
        let mut ports = Vec::new();
        for door in Door::ALL {
            let Some(listen) = self.ports.address(door) else { continue };
            let flag = format!("--listen-{door}");
            self.check_exposure(&flag, listen)?;
            let bound = TcpListener::bind(listen)
                .map_err(|source| StartError::listen(&flag, listen, source))?;
            ports.push(DoorPort { door, listen: listen.clone(), bound: Some(bound) });
        }
        Ok(ports)
    }
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
    fn doors_have_addresses_of_their_own() {
        let line = "kvorum --doors native,peers --listen-resp 127.0.0.1:0 --listen-http [::1]:0";
        let given = arguments(line);
        assert_eq!(given.ports.opens().unwrap(), "native,peers".parse().unwrap());
        let ports = given.bind_doors().unwrap();
        assert_eq!(
            ports.iter().map(|port| port.door).collect::<Vec<_>>(),
            [Door::Resp, Door::Http]
        );
        assert!(arguments("kvorum").bind_doors().unwrap().is_empty());
        assert_eq!(arguments("kvorum").ports.opens().unwrap(), Opens::ALL);
    }

    #[test]
    fn what_makes_no_sense_is_said_in_a_line() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = taken.local_addr().unwrap();
        for (line, words) in [
            ("kvorum --doors redis", "\"redis\" is no door; there are native"),
            ("kvorum --listen-resp 6379", "--listen-resp: \"6379\" is not an address"),
            ("kvorum --listen-http 0.0.0.0:0", "--listen-http 0.0.0.0:0 is open to other machines"),
            (&format!("kvorum --listen-etcd {taken}"), "choose another --listen-etcd"),
            ("kvorum --doors resp", "--listen-peers"),
        ] {
            let given = arguments(line);
            let error = given.ports.opens().map(drop).and_then(|()| given.bind_doors().map(drop));
            let error = error.and_then(|()| given.check_peers(true)).unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains('\n'), "{line}: {error}");
        }
        arguments("kvorum --doors resp").check_peers(false).unwrap();
        arguments("kvorum --doors resp --listen-peers 127.0.0.1:0").check_peers(true).unwrap();
    }
}

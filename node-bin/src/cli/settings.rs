//! Flags, their environment variables, and what they may say.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use raft_core::entry::FEATURE_LEVEL;
use raft_core::types::NodeId;
use raft_net::client_protocol::playground::TimeScale;
use raft_net::handshake::ClusterSecret;

use super::backups::BackupArguments;
use super::discovery::DiscoveryArguments;
use super::logs::{LogArguments, LogLevel};
use super::ports::PortArguments;
use crate::console::ConsoleMessages;
use crate::error::StartError;
use crate::node::{
    ELECTION_TIMEOUT_MS, HEARTBEAT_INTERVAL_MS, MEMORY_MAX, SNAPSHOT_LOG_BYTES, VOTER_GONE_MS,
    VOTERS_TARGET, WAL_SEGMENT_BYTES,
};

/// The id of a node that founds a cluster and was given none.
pub(super) const FIRST_ID: NodeId = NodeId::new(1).expect("1 is an id");

/// The flags of a node.
#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    /// A file of settings in TOML, each by the name of its flag; flags and variables win
    #[arg(long, value_name = "FILE", env = "KVORUM_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Where the node keeps its data [default: ./kvorum-data/<port>]
    #[arg(long, value_name = "FOLDER", env = "KVORUM_DATA_DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// The address for clients and peers; port 0 takes a free one [default: 127.0.0.1:2379, or
    /// the next free port]
    #[arg(long, value_name = "HOST:PORT", env = "KVORUM_LISTEN")]
    pub(super) listen: Option<String>,
    #[command(flatten)]
    pub(super) ports: PortArguments,
    /// Where others reach this node [default: where it listens for peers]
    #[arg(long, value_name = "HOST:PORT", env = "KVORUM_ADVERTISE")]
    pub(super) advertise: Option<String>,
    /// This node's number in the cluster, from 1 [default: as its folder says, or as the cluster
    /// gives it out, or 1]
    #[arg(long, value_name = "N", env = "KVORUM_NODE_ID")]
    pub(super) node_id: Option<u64>,
    /// Every node's address, this one's included, the same text on all nodes
    #[arg(long, value_name = "1=HOST:PORT,2=...", env = "KVORUM_PEERS")]
    pub(super) peers: Option<String>,
    /// Nodes of a cluster that this node is to join, if its folder is empty
    #[arg(
        long,
        value_name = "HOST:PORT,...",
        env = "KVORUM_JOIN",
        value_delimiter = ',',
        num_args = 1
    )]
    pub(super) join: Vec<String>,
    #[command(flatten)]
    pub(super) discovery: DiscoveryArguments,
    /// Whether this node, when it leads, makes voters of learners that have caught up, and puts
    /// them in the place of voters that are gone
    #[arg(
        long,
        value_enum,
        value_name = "on|off",
        env = "KVORUM_AUTO_PROMOTE",
        default_value = "on"
    )]
    pub(super) auto_promote: Switch,
    /// As many voters as that leads to
    #[arg(long, value_name = "N", env = "KVORUM_VOTERS_TARGET", default_value_t = VOTERS_TARGET)]
    pub(super) voters_target: usize,
    /// How long a voter may be away before it counts as gone; 0: for ever
    #[arg(long, value_name = "SECONDS", env = "KVORUM_VOTER_GONE_AFTER",
          default_value_t = VOTER_GONE_MS / 1_000)]
    pub(super) voter_gone_after: u64,
    /// A follower that hears nothing waits at random between this and twice this
    #[arg(long, value_name = "MS", env = "KVORUM_ELECTION_TIMEOUT_MS",
          default_value_t = ELECTION_TIMEOUT_MS)]
    pub(super) election_timeout_ms: u64,
    /// How often a leader says that it leads
    #[arg(long, value_name = "MS", env = "KVORUM_HEARTBEAT_INTERVAL_MS",
          default_value_t = HEARTBEAT_INTERVAL_MS)]
    pub(super) heartbeat_interval_ms: u64,
    /// Answers reads without asking the others while a majority has promised to elect nobody; on
    /// all nodes or on none, and only with clocks that keep to docs/raft.md
    #[arg(long, env = "KVORUM_LEASE_READS")]
    pub(super) lease_reads: bool,
    /// Holds the whole cluster at this feature level, so that the version before can still be
    /// started in place of this one [default: the highest that this version knows]
    #[arg(long, value_name = "N", env = "KVORUM_FEATURE_LEVEL_MAX",
          default_value_t = FEATURE_LEVEL, hide_default_value = true)]
    pub(super) feature_level_max: u16,
    /// The length of one file of the log
    #[arg(long, value_name = "BYTES", env = "KVORUM_WAL_SEGMENT_BYTES",
          default_value_t = WAL_SEGMENT_BYTES)]
    pub(super) wal_segment_bytes: u64,
    /// How much log, and at least as much as the last snapshot has, makes the next one
    #[arg(long, value_name = "BYTES", env = "KVORUM_SNAPSHOT_LOG_BYTES",
          default_value_t = SNAPSHOT_LOG_BYTES)]
    pub(super) snapshot_log_bytes: u64,
    /// How much live data is taken in before what would add to it is refused, the same on all
    /// nodes; history may take a quarter of it beside that
    #[arg(long, value_name = "BYTES", env = "KVORUM_MEMORY_MAX", default_value_t = MEMORY_MAX)]
    pub(super) memory_max: u64,
    /// What every node of the cluster knows and nobody else; peers must prove that they do
    #[arg(long, value_name = "TEXT", env = "KVORUM_CLUSTER_SECRET", hide_env_values = true)]
    pub(super) cluster_secret: Option<String>,
    /// Allows an address beyond this machine without a secret
    #[arg(long, env = "KVORUM_INSECURE")]
    pub(super) insecure: bool,
    /// Lets clients kill, pause and cut off this node with kvctl dev, to see what happens
    #[arg(long, env = "KVORUM_PLAYGROUND")]
    pub(super) playground: bool,
    /// Shows each message between actors and nodes on standard error, but heartbeats; with full,
    /// what it carries too
    #[arg(long, value_enum, value_name = "full", env = "KVORUM_CONSOLE_MESSAGES",
          num_args = 0..=1, default_missing_value = "names")]
    pub(super) console_messages: Option<MessageDetail>,
    /// Lets Redis clients remove every key at once, with FLUSHDB and FLUSHALL
    #[arg(long, env = "KVORUM_RESP_FLUSH")]
    pub(super) resp_flush: bool,
    /// Names by which clients may ask for keys by HTTP, beside those of --listen and --advertise,
    /// localhost, and addresses
    #[arg(
        long,
        value_name = "HOST,...",
        env = "KVORUM_HTTP_HOSTS",
        value_delimiter = ',',
        num_args = 1
    )]
    pub(super) http_hosts: Vec<String>,
    #[command(flatten)]
    pub(super) backups: BackupArguments,
    #[command(flatten)]
    pub(super) log: LogArguments,
    /// How much is written to the log
    #[arg(long, value_enum, env = "KVORUM_LOG_LEVEL", default_value = "info")]
    pub(super) log_level: LogLevel,
}

/// The flags of a cluster to play with.
#[derive(Debug, Args)]
pub(super) struct DevArguments {
    /// A file of settings in TOML, each by the name of its flag; flags and variables win
    #[arg(long, value_name = "FILE", env = "KVORUM_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// How many nodes
    #[arg(long, value_name = "N", env = "KVORUM_DEV_NODES", default_value = "3")]
    pub(super) nodes: u64,
    /// How the nodes reach each other
    #[arg(long, value_enum, env = "KVORUM_DEV_TRANSPORT", default_value = "tcp")]
    pub(super) transport: TransportName,
    /// The port of the first node, with the others on the next ones [default: the next free
    /// ones from 2379 on]
    #[arg(long, value_name = "PORT", env = "KVORUM_DEV_PORT")]
    pub(super) port: Option<u16>,
    /// Where the nodes keep their data
    #[arg(
        long,
        value_name = "FOLDER",
        env = "KVORUM_DATA_DIR",
        default_value = "./kvorum-data/dev"
    )]
    pub(super) data_dir: PathBuf,
    /// A follower that hears nothing waits at random between this and twice this
    #[arg(long, value_name = "MS", env = "KVORUM_ELECTION_TIMEOUT_MS",
          default_value_t = ELECTION_TIMEOUT_MS)]
    pub(super) election_timeout_ms: u64,
    /// How often a leader says that it leads
    #[arg(long, value_name = "MS", env = "KVORUM_HEARTBEAT_INTERVAL_MS",
          default_value_t = HEARTBEAT_INTERVAL_MS)]
    pub(super) heartbeat_interval_ms: u64,
    /// Makes elections and heartbeats take so many times as long, all in the same proportion:
    /// above 1 is slow motion
    #[arg(long, value_name = "X", env = "KVORUM_DEV_TIME_SCALE", default_value = "1")]
    pub(super) time_scale: TimeScale,
    /// Shows each message between actors and nodes on standard error, but heartbeats; with full,
    /// what it carries too
    #[arg(long, value_enum, value_name = "full", env = "KVORUM_CONSOLE_MESSAGES",
          num_args = 0..=1, default_missing_value = "names")]
    pub(super) console_messages: Option<MessageDetail>,
    /// Writes what happens on the nodes into this file: a page for a browser if its name ends in
    /// .html, a JSON document on each line if in .jsonl
    #[arg(long, value_name = "FILE", env = "KVORUM_DEV_REPORT")]
    pub(super) report: Option<PathBuf>,
    #[command(flatten)]
    pub(super) log: LogArguments,
    /// How much is written to the log
    #[arg(long, value_enum, env = "KVORUM_LOG_LEVEL", default_value = "error")]
    pub(super) log_level: LogLevel,
}

/// How much is shown of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum MessageDetail {
    Names,
    Full,
}

impl From<MessageDetail> for ConsoleMessages {
    fn from(detail: MessageDetail) -> Self {
        match detail {
            MessageDetail::Names => Self::Names,
            MessageDetail::Full => Self::Full,
        }
    }
}

/// Something that is done or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

/// How the nodes of a cluster in one process reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum TransportName {
    Memory,
    Tcp,
}

pub(super) fn wrong(text: String) -> StartError {
    StartError::Setting(text)
}

impl ServeArguments {
    /// The node's id, if it was given.
    ///
    /// Errors: if it is zero, which is no id.
    pub(super) fn id(&self) -> Result<Option<NodeId>, StartError> {
        let id = |number| {
            NodeId::new(number).ok_or_else(|| wrong("--node-id must be at least 1".to_owned()))
        };
        self.node_id.map(id).transpose()
    }

    /// The nodes of the cluster to join; empty if there is none to join.
    ///
    /// Errors: names the one that is no address; with `--peers` it is not clear what is meant.
    pub(super) fn doors(&self) -> Result<&[String], StartError> {
        self.join.iter().try_for_each(|address| check_address("--join", address))?;
        if !self.join.is_empty() && self.peers.is_some() {
            let text = "--peers founds a cluster and --join enters one; give one of them";
            return Err(wrong(text.to_owned()));
        }
        Ok(&self.join)
    }

    /// Every member's address; empty if none were given.
    ///
    /// Errors: names the part that makes no sense.
    pub(super) fn members(&self) -> Result<BTreeMap<NodeId, String>, StartError> {
        let mut members = BTreeMap::new();
        let Some(text) = &self.peers else { return Ok(members) };
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (id, address) = part.split_once('=').ok_or_else(|| {
                wrong(format!("--peers: {part:?} must be a node's number, '=' and its address"))
            })?;
            let id = id.trim().parse().ok().and_then(NodeId::new).ok_or_else(|| {
                wrong(format!("--peers: {id:?} is not a node's number, which is 1 or more"))
            })?;
            check_address("--peers", address.trim())?;
            if members.insert(id, address.trim().to_owned()).is_some() {
                return Err(wrong(format!("--peers names node {id} twice")));
            }
        }
        for (id, address) in &members {
            let same = members.iter().find(|(other, at)| *other < id && *at == address);
            if let Some((other, _)) = same {
                let text = format!("--peers gives nodes {other} and {id} one address, {address}");
                return Err(wrong(text));
            }
        }
        let id = self.id()?.unwrap_or(FIRST_ID);
        if !members.is_empty() && !members.contains_key(&id) {
            return Err(wrong(format!(
                "--peers does not name this node, {id}; give it with its address, \
                 or choose another --node-id"
            )));
        }
        Ok(members)
    }

    /// The secret of the cluster, if it has one.
    ///
    /// Errors: if it is empty, as from a variable that was never set: anybody could guess it.
    pub(super) fn secret(&self) -> Result<Option<ClusterSecret>, StartError> {
        match self.cluster_secret.as_deref() {
            Some("") => {
                let text = "--cluster-secret is empty; give a long text, or leave it out";
                Err(wrong(text.to_owned()))
            }
            secret => Ok(secret.map(ClusterSecret::new)),
        }
    }

    /// Whether the address may be listened on without a secret.
    ///
    /// Errors: says what to give.
    pub(super) fn check_exposure(&self, flag: &str, listen: &str) -> Result<(), StartError> {
        check_address(flag, listen)?;
        let is_local = |address: SocketAddr| match address.ip() {
            IpAddr::V4(ip) => ip.is_loopback(),
            IpAddr::V6(ip) => ip.is_loopback(),
        };
        let resolved =
            listen.to_socket_addrs().map_err(|source| StartError::listen(flag, listen, source))?;
        let is_exposed = !resolved.into_iter().all(is_local);
        if is_exposed && self.cluster_secret.is_none() && !self.insecure {
            return Err(wrong(format!(
                "{flag} {listen} is open to other machines: give a --cluster-secret, \
                 or --insecure if the network is trusted"
            )));
        }
        Ok(())
    }
}

/// Whether `address` is a host and a port.
///
/// Errors: names the flag and the address.
pub(super) fn check_address(flag: &str, address: &str) -> Result<(), StartError> {
    let is_whole = address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if is_whole {
        return Ok(());
    }
    Err(wrong(format!("{flag}: {address:?} is not an address such as 127.0.0.1:2379")))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::Arguments;
    use super::*;

    fn arguments(line: &str) -> ServeArguments {
        Arguments::try_parse_from(line.split(' ')).unwrap().serve
    }

    fn peers_error(line: &str) -> String {
        arguments(line).members().unwrap_err().to_string()
    }

    #[test]
    fn peers_are_read_with_their_ids() {
        let members = arguments("kvorum --node-id 2 --peers 1=a:1,2=b:2").members().unwrap();
        let texts: Vec<String> = members.iter().map(|(id, at)| format!("{id} {at}")).collect();
        assert_eq!(texts, ["1 a:1", "2 b:2"]);
        assert!(arguments("kvorum").members().unwrap().is_empty());
    }

    #[test]
    fn peers_that_make_no_sense_are_named() {
        for (line, words) in [
            ("kvorum --peers 1", "must be a node's number"),
            ("kvorum --peers 0=a:1", "\"0\" is not a node's number"),
            ("kvorum --peers x=a:1", "\"x\" is not a node's number"),
            ("kvorum --peers 1=a", "\"a\" is not an address"),
            ("kvorum --peers 1=a:99999", "\"a:99999\" is not an address"),
            ("kvorum --peers 1=a:1,1=b:1", "names node 1 twice"),
            ("kvorum --peers 1=a:1,2=a:1", "nodes 1 and 2 one address"),
            ("kvorum --node-id 3 --peers 1=a:1,2=b:1", "does not name this node, 3"),
        ] {
            let error = peers_error(line);
            assert!(error.contains(words), "{line}: {error}");
        }
    }

    #[test]
    fn a_node_founds_or_joins_and_not_both() {
        let joins = |line: &str| arguments(line).doors().map(<[String]>::to_vec);
        assert_eq!(joins("kvorum --join a:1,b:2").unwrap(), ["a:1", "b:2"]);
        assert!(joins("kvorum --peers 1=a:1").unwrap().is_empty());
        let error = joins("kvorum --join a").unwrap_err().to_string();
        assert!(error.contains("--join: \"a\" is not an address"), "{error}");
        let error = joins("kvorum --join a:1 --peers 1=b:1").unwrap_err().to_string();
        assert!(error.contains("give one of them"), "{error}");
    }

    #[test]
    fn an_empty_secret_is_none() {
        let empty = Arguments::try_parse_from(["kvorum", "--cluster-secret", ""]).unwrap().serve;
        assert!(empty.secret().unwrap_err().to_string().contains("is empty"));
        assert!(arguments("kvorum --cluster-secret s").secret().unwrap().is_some());
        assert!(arguments("kvorum").secret().unwrap().is_none());
    }

    #[test]
    fn an_address_beyond_this_machine_needs_a_secret_or_consent() {
        let open = "0.0.0.0:0";
        assert!(arguments("kvorum").check_exposure("--listen", "127.0.0.1:0").is_ok());
        assert!(arguments("kvorum").check_exposure("--listen", "[::1]:0").is_ok());
        let error = arguments("kvorum").check_exposure("--listen", open).unwrap_err().to_string();
        assert!(error.contains("--cluster-secret") && error.contains("--insecure"), "{error}");
        assert!(arguments("kvorum --insecure").check_exposure("--listen", open).is_ok());
        assert!(arguments("kvorum --cluster-secret s").check_exposure("--listen", open).is_ok());
    }
}

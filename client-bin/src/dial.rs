//! Which endpoint to try next, and how a connection comes about.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::BytesMut;
use raft_net::client_protocol::Hello;
use raft_net::handshake::{HandshakeError, open_as_client};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::error::ClientError;

/// How long a connection and its greeting may take before the next endpoint is tried.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How often an endpoint may close a connection instead of greeting before it is taken for
/// another service.
const CLOSED_PASSES: u32 = 3;

/// A connection on which a node has said hello.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) address: String,
    pub(crate) stream: TcpStream,
    /// What arrived behind the hello.
    pub(crate) input: BytesMut,
    pub(crate) hello: Hello,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DialError {
    /// Nobody listens there.
    Nobody,
    /// No connection or no greeting in time.
    TimedOut,
    /// Whoever listens there closed the connection instead of greeting: another service, or a
    /// node that is about to stop.
    Closed,
    /// What was said there is no greeting.
    NotKvorum,
    /// A node says no.
    TurnedAway(String),
}

/// Connects to `address`. `cluster_id` is 0 if any cluster will do.
pub(crate) async fn dial(
    address: &str,
    cluster_id: u64,
    within: Duration,
) -> Result<Link, DialError> {
    let greeted = async {
        let mut stream = TcpStream::connect(address).await.map_err(|_| DialError::Nobody)?;
        stream.set_nodelay(true).map_err(|_| DialError::Closed)?;
        match open_as_client(&mut stream, cluster_id).await {
            Ok((hello, input)) => Ok(Link { address: address.to_owned(), stream, input, hello }),
            Err(HandshakeError::Lost(error)) if error.kind() == ErrorKind::TimedOut => {
                Err(DialError::TimedOut)
            }
            Err(HandshakeError::Lost(_)) => Err(DialError::Closed),
            Err(HandshakeError::NotKvorum(_)) => Err(DialError::NotKvorum),
            Err(HandshakeError::Refused(no) | HandshakeError::Refuses(no)) => {
                Err(DialError::TurnedAway(no.to_string()))
            }
        }
    };
    timeout(within.min(CONNECT_TIMEOUT), greeted).await.unwrap_or(Err(DialError::TimedOut))
}

/// The endpoints of a client and what is remembered of each.
#[derive(Debug)]
pub(crate) struct Endpoints(Vec<Endpoint>);

#[derive(Debug)]
struct Endpoint {
    address: String,
    /// When it last failed the client, if it did since it last served it.
    failed_at: Option<Instant>,
    error: Option<DialError>,
}

impl Endpoints {
    /// Checks the addresses.
    ///
    /// Errors: `ClientError::Rejected` names the one that is no `host:port`, or says that there
    /// is none.
    pub(crate) fn new(addresses: Vec<String>) -> Result<Self, ClientError> {
        if addresses.is_empty() {
            return Err(ClientError::Rejected("no endpoint is given; try 127.0.0.1:2379".into()));
        }
        for address in &addresses {
            check_address(address)?;
        }
        let endpoint = |address| Endpoint { address, failed_at: None, error: None };
        Ok(Self(addresses.into_iter().map(endpoint).collect()))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The endpoint to try: the first that has not failed, else the one whose failure is
    /// longest ago.
    pub(crate) fn next(&self) -> &str {
        let best = self.0.iter().min_by_key(|endpoint| endpoint.failed_at);
        &best.expect("there is at least one endpoint").address
    }

    /// Remembers that the endpoint failed: every other one comes before it.
    pub(crate) fn failed(&mut self, address: &str, error: Option<DialError>, now: Instant) {
        for endpoint in self.0.iter_mut().filter(|endpoint| endpoint.address == address) {
            endpoint.failed_at = Some(now);
            endpoint.error.clone_from(&error);
        }
    }

    /// Remembers that the endpoint serves.
    pub(crate) fn served(&mut self, address: &str) {
        for endpoint in self.0.iter_mut().filter(|endpoint| endpoint.address == address) {
            endpoint.failed_at = None;
            endpoint.error = None;
        }
    }

    /// Whether it is of no use to go on after this many passes over all endpoints: at each of
    /// them nobody listens or somebody else does. A connection closed without a word is taken
    /// for another service only when it has happened in each of `CLOSED_PASSES` passes.
    pub(crate) fn is_hopeless(&self, passes: u32) -> bool {
        self.0.iter().all(|endpoint| match endpoint.error {
            Some(DialError::Nobody | DialError::NotKvorum) => true,
            Some(DialError::Closed) => CLOSED_PASSES <= passes,
            Some(DialError::TimedOut | DialError::TurnedAway(_)) | None => false,
        })
    }

    /// What to tell the user when no endpoint let the client in. What needs a person comes
    /// first.
    pub(crate) fn error(&self) -> ClientError {
        let turned_away = self.0.iter().find_map(|endpoint| match &endpoint.error {
            Some(DialError::TurnedAway(why)) => Some((endpoint.address.clone(), why.clone())),
            Some(_) | None => None,
        });
        if let Some((endpoint, why)) = turned_away {
            return ClientError::TurnedAway { endpoint, why };
        }
        let another = self.0.iter().find(|endpoint| {
            matches!(endpoint.error, Some(DialError::NotKvorum | DialError::Closed))
        });
        if let Some(endpoint) = another {
            return ClientError::NotKvorum { endpoint: endpoint.address.clone() };
        }
        let addresses: Vec<&str> =
            self.0.iter().map(|endpoint| endpoint.address.as_str()).collect();
        ClientError::Unreachable { endpoints: addresses.join(", ") }
    }
}

/// Whether `address` is a host and a port.
///
/// Errors: `ClientError::Rejected` names it.
pub(crate) fn check_address(address: &str) -> Result<(), ClientError> {
    let is_whole = address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if is_whole {
        return Ok(());
    }
    Err(ClientError::Rejected(format!("{address:?} is not an address such as 127.0.0.1:2379")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints() -> Endpoints {
        Endpoints::new(vec!["a:1".into(), "b:2".into(), "c:3".into()]).unwrap()
    }

    #[test]
    fn the_endpoint_whose_failure_is_longest_ago_is_next() {
        let (mut endpoints, start) = (endpoints(), Instant::now());
        let mut tried = Vec::new();
        for second in 0..5 {
            let address = endpoints.next().to_owned();
            endpoints.failed(&address, None, start + Duration::from_secs(second));
            tried.push(address);
        }
        assert_eq!(tried, ["a:1", "b:2", "c:3", "a:1", "b:2"]);
        endpoints.served("b:2");
        assert_eq!(endpoints.next(), "b:2");
    }

    #[test]
    fn the_error_that_needs_a_person_is_told_first() {
        let (mut endpoints, now) = (endpoints(), Instant::now());
        for address in ["a:1", "b:2", "c:3"] {
            assert!(!endpoints.is_hopeless(1));
            endpoints.failed(address, Some(DialError::Nobody), now);
        }
        assert!(endpoints.is_hopeless(1));
        assert_eq!(
            endpoints.error().to_string(),
            "no node answers at a:1, b:2, c:3; start one with: kvorum dev"
        );
        endpoints.failed("b:2", Some(DialError::Closed), now);
        assert_eq!(endpoints.error(), ClientError::NotKvorum { endpoint: "b:2".into() });
        assert!(!endpoints.is_hopeless(2) && endpoints.is_hopeless(3));
        endpoints.failed("c:3", Some(DialError::TurnedAway("full".into())), now);
        assert_eq!(endpoints.error().to_string(), "c:3 turns this client away: full");
        assert!(!endpoints.is_hopeless(3));
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for address in ["localhost", ":1", "a:", "a:70000", "a:x", ""] {
            assert!(matches!(check_address(address), Err(ClientError::Rejected(_))), "{address}");
        }
        for address in ["localhost:1", "[::1]:2379", "10.0.0.1:65535"] {
            assert_eq!(check_address(address), Ok(()));
        }
        assert!(Endpoints::new(Vec::new()).is_err());
    }
}

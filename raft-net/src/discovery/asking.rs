//! Asks nodes over HTTP who they are, where multicast does not reach: `GET /discovery`.
//!
//! The answer carries the beacon of the node that answers, and the request that of the node that
//! asks, in hexadecimal digits: so both hear each other, as by multicast. A node that seeks also
//! passes on what it has heard itself, so that those who ask the same node hear each other.

use std::fmt::{self, Write as _};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::info;

use super::beacon::BEACON_BYTES_MAX;
use super::dns;
use super::socket::Datagram;

/// Where a node answers who it is.
pub const DISCOVERY_PATH: &str = "/discovery";

/// The header of a request with the beacon of whoever asks.
pub const BEACON_HEADER: &str = "kvorum-beacon";

/// How many addresses of a name are asked.
pub const ADDRESSES_MAX: usize = 100;

/// How long one node may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The pause before a name is looked up again that must be known, and how many attempts there
/// are for a line in the log.
const NAME_PAUSE: Duration = Duration::from_secs(1);
const LINE_ATTEMPTS: u32 = 30;

/// The longest answer, or request, that is read. Units: bytes.
pub(super) const PAGE_BYTES_MAX: usize = 256 * 1024;

/// How many beacons of others an answer has.
pub const PASSED_ON_MAX: usize = 100;

/// What was heard by asking or being asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// The beacon, and who told it.
    pub(super) datagram: Datagram,
    /// Whether that is its own.
    pub(super) is_own: bool,
}

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// A name with all nodes behind it, or with one of them at a time, and their port. Nobody is
    /// there while it is not known.
    Host(String, u16),
    /// The same, but somebody is there, so it is waited for until it is known.
    Name(String, u16),
    /// The SRV records of a domain, which is waited for; without any, its addresses and this port.
    Service(String, u16),
}

impl fmt::Display for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name, port) | Self::Name(name, port) => write!(f, "{name}:{port}"),
            Self::Service(name, port) => write!(f, "{SERVICE}.{name} or {name}:{port}"),
        }
    }
}

/// What stands before the domain in SRV records.
const SERVICE: &str = "_kvorum._tcp";

impl Targets {
    /// Where the nodes are now.
    ///
    /// Errors: those of the resolver.
    pub async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let places = match self {
            Self::Host(name, port) | Self::Name(name, port) => vec![(name.clone(), *port)],
            // A name server that fails has not said that there are none.
            Self::Service(name, port) => match dns::look_up(&format!("{SERVICE}.{name}")).await? {
                services if services.is_empty() => vec![(name.clone(), *port)],
                services => services,
            },
        };
        let (mut found, mut failed) = (Vec::new(), None);
        for (host, port) in places {
            match lookup_host((host.as_str(), port)).await {
                Ok(addresses) => found.extend(addresses),
                Err(error) => failed = Some(error),
            }
        }
        found.truncate(ADDRESSES_MAX);
        match failed {
            Some(error) if found.is_empty() => Err(error),
            Some(_) | None => Ok(found),
        }
    }

    /// Waits until the name is known, if it must be: a node that founded a cluster because a name
    /// server was late would found one too many.
    pub async fn until_known(&self) {
        if matches!(self, Self::Host(..)) {
            return;
        }
        for attempt in 0_u32.. {
            match self.addresses().await {
                Ok(found) if !found.is_empty() => return,
                Ok(_) | Err(_) if !attempt.is_multiple_of(LINE_ATTEMPTS) => {}
                Ok(_) => info!("waiting for {self}, which names nobody"),
                Err(error) => info!("waiting for {self}: {error}"),
            }
            sleep(NAME_PAUSE).await;
        }
    }
}

/// Asks all of these at once, and returns what answered in time. `said` is the beacon of whoever
/// asks, if it has one.
pub(super) async fn ask_all(addresses: Vec<SocketAddr>, said: Option<Vec<u8>>) -> Vec<Told> {
    let mut asked = JoinSet::new();
    for address in addresses {
        let said = said.clone();
        asked.spawn(async move {
            let answer = timeout(PATIENCE, ask(address, said.as_deref())).await;
            let page = answer.ok().and_then(Result::ok).unwrap_or_default();
            let told = |(place, beacon)| Told { datagram: (beacon, address), is_own: place == 0 };
            beacons_in_page(&page).into_iter().enumerate().map(told).collect::<Vec<_>>()
        });
    }
    asked.join_all().await.into_iter().flatten().collect()
}

async fn ask(address: SocketAddr, said: Option<&[u8]>) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let header = said.map(|said| format!("{BEACON_HEADER}: {}\r\n", to_hex(said)));
    let header = header.unwrap_or_default();
    let request = format!(
        "GET {DISCOVERY_PATH} HTTP/1.1\r\nHost: {address}\r\n{header}Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut page = Vec::new();
    let limit = u64::try_from(PAGE_BYTES_MAX).unwrap_or(u64::MAX);
    stream.take(limit).read_to_end(&mut page).await?;
    Ok(page)
}

/// The answer of a node that seeks: its beacon, and those that it has heard itself.
#[must_use]
pub fn page(beacons: &[Vec<u8>]) -> String {
    let digits = |beacon: &Vec<u8>| format!("\"{}\"", to_hex(beacon));
    let (own, others) = beacons.split_first().map_or((String::new(), Vec::new()), |(own, rest)| {
        (digits(own), rest.iter().take(PASSED_ON_MAX).map(digits).collect())
    });
    format!("{{\"beacon\":{own},\"heard\":[{}]}}\n", others.join(","))
}

/// The beacons in an answer, that of the node itself first.
#[must_use]
pub fn beacons_in_page(page: &[u8]) -> Vec<Vec<u8>> {
    let Ok(page) = std::str::from_utf8(page) else { return Vec::new() };
    let Some((_, rest)) = page.split_once("\"beacon\":") else { return Vec::new() };
    let own = rest.split('"').nth(1);
    let heard = rest.split_once("\"heard\":[").map_or("", |(_, heard)| heard);
    let heard = heard.split_once(']').map_or("", |(heard, _)| heard);
    let others = heard.split('"').skip(1).step_by(2).take(PASSED_ON_MAX);
    let beacons = own.into_iter().chain(others).filter_map(from_hex);
    beacons.filter(|beacon| !beacon.is_empty()).collect()
}

/// The beacon in the head of a request, if it has one.
#[must_use]
pub fn beacon_in_request(head: &str) -> Option<Vec<u8>> {
    let of_beacon = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(BEACON_HEADER).then(|| from_hex(value.trim())).flatten()
    };
    head.lines().skip(1).take_while(|line| !line.is_empty()).find_map(of_beacon)
}

/// The beacon in the value of its header.
#[must_use]
pub fn beacon_in_header(value: &str) -> Option<Vec<u8>> {
    from_hex(value.trim())
}

/// The digits of a beacon.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let is_short = text.len() <= 2 * BEACON_BYTES_MAX && text.len().is_multiple_of(2);
    let digits = text.as_bytes();
    if !is_short || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beacons_are_found_in_pages_and_requests_and_nothing_else_is() {
        let beacons = [vec![0, 1, 0xfe, 0xff], vec![2], vec![3, 4]];
        let page = format!("HTTP/1.1 200 OK\r\n\r\n{}", page(&beacons));
        assert_eq!(beacons_in_page(page.as_bytes()), beacons);
        let of_member = r#"{"address":"a:1","beacon":"0506","node_id":1}"#;
        assert_eq!(beacons_in_page(of_member.as_bytes()), [vec![5, 6]]);
        for end in 0..page.len() {
            let found = beacons_in_page(&page.as_bytes()[..end]);
            assert!(found.len() <= beacons.len(), "cut at {end}");
        }
        let head = "GET / HTTP/1.1\r\nHost: a\r\nKvorum-Beacon: 0506\r\n\r\n";
        assert_eq!(beacon_in_request(head), Some(vec![5, 6]));
        for head in
            ["", "GET", "GET / HTTP/1.1\r\nkvorum-beacon: xy\r\n", "\r\n\r\nkvorum-beacon: 00"]
        {
            assert_eq!(beacon_in_request(head), None, "{head:?}");
        }
        assert_eq!(from_hex("0"), None);
        assert_eq!(from_hex("é0"), None);
        assert_eq!(from_hex(&"00".repeat(BEACON_BYTES_MAX + 1)), None);
    }
}

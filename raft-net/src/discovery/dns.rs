//! One question to the system's name servers: the SRV records of a name (RFC 2782).
//!
//! The system's resolver answers for addresses alone, and a library for all of DNS is forty
//! crates; this is one query over UDP, and what cannot be read of an answer is no answer.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Where the system's name servers stand.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The longest answer that is read. Units: bytes.
const ANSWER_BYTES_MAX: usize = 4_096;

/// How long a name server may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many records are read.
pub const RECORDS_MAX: usize = 100;

/// The longest name, and label. Units: bytes.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

const HEADER_BYTES: usize = 12;
const SRV: u16 = 33;
const INTERNET: u16 = 1;
/// A question, with the wish that the server asks others.
const FLAGS: u16 = 0x0100;
const IS_ANSWER: u16 = 0x8000;
const RCODE: u16 = 0x000f;

/// The hosts and ports of a service.
///
/// Errors: if no name server answers, or there is no such service.
pub(super) async fn look_up(name: &str) -> io::Result<Vec<(String, u16)>> {
    let servers = servers(&std::fs::read_to_string(RESOLV_CONF).unwrap_or_default());
    let mut failed = io::Error::other("there is no name server");
    for server in servers {
        match timeout(PATIENCE, ask(server, name)).await {
            Ok(Ok(services)) => return Ok(services),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failed)
}

fn servers(text: &str) -> Vec<SocketAddr> {
    let of_line = |line: &str| {
        let server = line.trim().strip_prefix("nameserver")?.trim();
        server.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, 53))
    };
    let found: Vec<SocketAddr> = text.lines().filter_map(of_line).collect();
    // As the system does without a list.
    if found.is_empty() { vec![(Ipv4Addr::LOCALHOST, 53).into()] } else { found }
}

async fn ask(server: SocketAddr, name: &str) -> io::Result<Vec<(String, u16)>> {
    let number = u16::try_from(getrandom::u64().map_err(io::Error::other)? & 0xffff);
    let number = number.expect("it has 16 bits");
    let bad_name = || io::Error::new(io::ErrorKind::InvalidInput, "it is no name");
    let question = question(number, name).ok_or_else(bad_name)?;
    let own: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { [0_u16; 8].into() };
    let socket = UdpSocket::bind((own, 0)).await?;
    socket.connect(server).await?;
    socket.send(&question).await?;
    let mut buffer = [0; ANSWER_BYTES_MAX];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let answer = &buffer[..length];
        // Whatever else arrives was not asked for.
        if answer.starts_with(&number.to_be_bytes()) {
            let bad = || io::Error::new(io::ErrorKind::InvalidData, "its answer makes no sense");
            let (rcode, services) = services(answer).ok_or_else(bad)?;
            return match rcode {
                0 => Ok(services),
                // There is no such name.
                3 => Ok(Vec::new()),
                rcode => Err(io::Error::other(format!("the name server failed, code {rcode}"))),
            };
        }
    }
}

/// The question for the services of a name; `None` if it is no name. `number` is that of the
/// question, which its answer begins with.
#[must_use]
pub fn question(number: u16, name: &str) -> Option<Vec<u8>> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut bytes = Vec::new();
    for word in [number, FLAGS, 1, 0, 0, 0] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    if name.is_empty() || NAME_BYTES_MAX < name.len() {
        return None;
    }
    for label in name.split('.') {
        if label.is_empty() || LABEL_BYTES_MAX < label.len() {
            return None;
        }
        bytes.push(u8::try_from(label.len()).ok()?);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend_from_slice(&SRV.to_be_bytes());
    bytes.extend_from_slice(&INTERNET.to_be_bytes());
    Some(bytes)
}

/// The code of an answer, and the hosts and ports in it, the most wanted first; `None` if it makes
/// no sense.
#[must_use]
pub fn services(answer: &[u8]) -> Option<(u16, Vec<(String, u16)>)> {
    let flags = word(answer, 2)?;
    let (questions, answers) = (word(answer, 4)?, word(answer, 6)?);
    if flags & IS_ANSWER == 0 {
        return None;
    }
    let mut at = HEADER_BYTES;
    for _ in 0..questions {
        at = read_name(answer, at)?.1 + 4;
    }
    let mut found = Vec::new();
    for _ in 0..usize::from(answers).min(RECORDS_MAX) {
        at = read_name(answer, at)?.1;
        let (kind, length) = (word(answer, at)?, usize::from(word(answer, at + 8)?));
        let data = at + 10;
        if kind == SRV {
            let (priority, port) = (word(answer, data)?, word(answer, data + 4)?);
            found.push((priority, (read_name(answer, data + 6)?.0, port)));
        }
        at = data + length;
    }
    found.sort();
    Some((flags & RCODE, found.into_iter().map(|(_, service)| service).collect()))
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// A name, and where what is behind it begins. Parts of it may stand further in front.
fn read_name(bytes: &[u8], start: usize) -> Option<(String, usize)> {
    let (mut name, mut at, mut end) = (String::new(), start, None);
    loop {
        let length = *bytes.get(at)?;
        if length & 0xc0 == 0xc0 {
            let target = usize::from(word(bytes, at)? & 0x3fff);
            end = end.or(Some(at + 2));
            // Only backwards, so that it ends.
            if at <= target {
                return None;
            }
            at = target;
            continue;
        }
        let (label, next) = (at + 1, at + 1 + usize::from(length));
        if length == 0 {
            return Some((name, end.unwrap_or(label)));
        }
        let label = std::str::from_utf8(bytes.get(label..next)?).ok()?;
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(label);
        if NAME_BYTES_MAX < name.len() || LABEL_BYTES_MAX < usize::from(length) {
            return None;
        }
        at = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The question, then records with names that lean on it.
    fn answer() -> Vec<u8> {
        let mut bytes = question(7, "_kvorum._tcp.example").unwrap();
        bytes[2..4].copy_from_slice(&0x8180_u16.to_be_bytes());
        bytes[6..8].copy_from_slice(&2_u16.to_be_bytes());
        for (priority, host) in [(20_u16, b'b'), (10, b'a')] {
            bytes.extend_from_slice(&[0xc0, 12]);
            for word in [SRV, INTERNET, 0, 60, 10, priority, 0, 2379] {
                bytes.extend_from_slice(&word.to_be_bytes());
            }
            // `a.example`: the end of the name in the question.
            bytes.extend_from_slice(&[1, host, 0xc0, 25]);
        }
        bytes
    }

    #[test]
    fn services_are_read_by_priority() {
        let (rcode, services) = services(&answer()).unwrap();
        let expected = [("a.example".to_owned(), 2379), ("b.example".to_owned(), 2379)];
        assert_eq!((rcode, services.as_slice()), (0, &expected[..]));
    }

    #[test]
    fn whatever_is_cut_or_altered_is_read_or_not_and_never_for_ever() {
        let whole = answer();
        for end in 0..whole.len() {
            assert_eq!(services(&whole[..end]), None, "cut at {end}");
        }
        for place in 0..whole.len() {
            for value in 0..=255 {
                let mut altered = whole.clone();
                altered[place] = value;
                let _ = services(&altered);
            }
        }
    }

    #[test]
    fn names_and_servers_are_checked() {
        for name in ["", ".", "a..b", &"a".repeat(64), &"a.".repeat(200)] {
            assert_eq!(question(1, name), None, "{name:?}");
        }
        let text = "# nameserver 1.1.1.1\nnameserver 10.0.0.1\n nameserver ::1 \nsearch x\n";
        let shown: Vec<String> = servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.0.0.1:53", "[::1]:53"]);
        assert_eq!(servers("").len(), 1);
    }
}

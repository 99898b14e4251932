//! Ports for nodes that must be told each other's before they start.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that systems give to outgoing connections: one of those could take the port
/// of a dead node before it is revived.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// Left free behind them: a cluster that grows takes the next ones.
const SPARE: u16 = 8;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// This many free ports in a row, which no other test of this process is given.
pub(crate) fn adjacent(count: u16) -> Vec<u16> {
    // Several checkouts may run their tests at the same time.
    let own = u16::try_from(std::process::id() % 200).unwrap() * 100;
    for _ in 0..COUNT / count {
        let next = NEXT.fetch_add(count + SPARE, Ordering::Relaxed) % COUNT;
        let place = (own + next) % (COUNT - count);
        let ports: Vec<u16> = (FIRST + place..).take(usize::from(count)).collect();
        if ports.iter().all(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return ports;
        }
    }
    panic!("no {count} ports in a row are free");
}

/// The addresses of this many nodes.
pub(crate) fn addresses(count: u16) -> Vec<String> {
    adjacent(count).into_iter().map(|port| format!("127.0.0.1:{port}")).collect()
}

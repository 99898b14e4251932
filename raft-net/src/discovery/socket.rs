//! The socket through which beacons go: one group, one interface.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};

use super::beacon::BEACON_BYTES_MAX;

/// Where beacons go if nothing else is said: a group of the range that stays within a site.
pub const MULTICAST_GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 255, 75, 86), 2380);

/// How far beacons go: to the subnet.
const HOPS: u32 = 1;

/// Where beacons go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Airwave {
    /// The multicast group.
    pub group: SocketAddrV4,
    /// The address of the interface.
    pub interface: Ipv4Addr,
}

/// A socket that hears the group, and everything that it says itself.
#[derive(Debug)]
pub struct BeaconSocket {
    socket: UdpSocket,
    group: SocketAddrV4,
}

impl BeaconSocket {
    /// Opens the socket. Any number of processes of a machine may listen to one group.
    ///
    /// Errors: those of the system, as without an interface of that address, or where multicast
    /// is not available.
    pub fn open(airwave: Airwave) -> io::Result<Self> {
        let Airwave { group, interface } = airwave;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = net::socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        // Bound to the group, so that nothing else that is sent to the port comes in.
        net::bind(&socket, &SocketAddr::V4(group))?;
        sockopt::set_ip_add_membership(&socket, group.ip(), &interface)?;
        sockopt::set_ip_multicast_if(&socket, &interface)?;
        sockopt::set_ip_multicast_loop(&socket, true)?;
        sockopt::set_ip_multicast_ttl(&socket, HOPS)?;
        Ok(Self { socket: socket.into(), group })
    }

    /// A second handle of the same socket.
    ///
    /// Errors: those of the system.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()?, group: self.group })
    }

    /// Sends a datagram to the group; it may be lost.
    ///
    /// Errors: those of the system.
    pub fn send(&self, datagram: &[u8]) -> io::Result<()> {
        match self.socket.send_to(datagram, self.group) {
            // As if it were lost on the way.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            sent => sent.map(drop),
        }
    }

    /// Waits for datagrams and returns all that are there.
    ///
    /// Errors: those of the system.
    ///
    /// Panics: outside of a tokio runtime, and if it is called on two handles at a time.
    pub(super) async fn receive(socket: &Listening) -> io::Result<Vec<Datagram>> {
        socket.0.readable().await?;
        Ok(socket.take())
    }

    /// The socket for a task that listens.
    ///
    /// Errors: those of the system.
    pub(super) fn listen(&self) -> io::Result<Listening> {
        self.socket.try_clone().and_then(tokio::net::UdpSocket::from_std).map(Listening)
    }
}

/// A datagram, and where it comes from.
pub(super) type Datagram = (Vec<u8>, SocketAddr);

/// The most datagrams that are taken at once.
const DATAGRAMS_MAX: usize = 1_024;

/// The listening half of a socket.
#[derive(Debug)]
pub(super) struct Listening(tokio::net::UdpSocket);

impl Listening {
    /// What has arrived.
    pub(super) fn take(&self) -> Vec<Datagram> {
        let mut datagrams = Vec::new();
        // A byte more, so that one that is too long shows.
        let mut buffer = [0; BEACON_BYTES_MAX + 1];
        while datagrams.len() < DATAGRAMS_MAX
            && let Ok((length, from)) = self.0.try_recv_from(&mut buffer)
        {
            datagrams.push((buffer[..length].to_vec(), from));
        }
        datagrams
    }
}

/// The address of this machine on the way out to the group; `None` where there is no way.
#[must_use]
pub fn route_out(group: SocketAddrV4) -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Nothing is sent by this.
    socket.connect(group).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(ip) if !ip.is_unspecified() => Some(ip),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

/// The rest of a thread that has nothing to do but to say something again.
pub(super) const SAY_AGAIN: Duration = Duration::from_millis(250);

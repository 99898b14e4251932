//! Machines of a subnet: network namespaces on a bridge, each with an address of its own.

use std::fs::File;
use std::os::fd::AsFd;
use std::panic;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::process::{Ended, KVCTL, KVORUM, Process};
use super::scratch::Scratch;
use super::{tools, wait};

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Where kvorum listens if nothing is said.
pub(crate) const PORT: u16 = 2379;

/// Where the namespaces are that have a name.
const NAMESPACES: &str = "/run/netns";

/// Where a test is that looks on from the bridge, beyond the machines.
const ONLOOKER: &str = "10.75.0.250/24";

/// An address on the wire that no machine has.
const NOBODY: &str = "02:00:00:00:00:01";

/// Runs a test among so many machines, on the bridge between them: what it connects to it
/// reaches as a machine of theirs does, whatever they think of each other.
pub(crate) fn among(test: &str, count: usize, body: impl AsyncFnOnce(&Subnet) + Send) {
    let ended = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().unwrap().block_on(async {
                let _turn = wait::turn().await;
                let Some(subnet) = Subnet::new(test, count) else { return };
                subnet.enter();
                body(&subnet).await;
            });
        });
        thread.join()
    });
    ended.unwrap_or_else(|why| panic::resume_unwind(why));
}

/// Machines that reach each other and nothing else, gone when dropped.
#[derive(Debug)]
pub(crate) struct Subnet {
    name: String,
    machines: Vec<Machine>,
}

/// A machine with a folder of its own.
#[derive(Debug)]
pub(crate) struct Machine {
    namespace: String,
    pub(crate) address: String,
    scratch: Scratch,
    lives: AtomicU64,
}

impl Subnet {
    /// So many machines; `None`, and a line, if this is not permitted here.
    ///
    /// Panics: if the program that makes them is required and absent.
    pub(crate) fn new(test: &str, count: usize) -> Option<Self> {
        tools::find(test, "ip")?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("kvorum-{}-{number}", std::process::id());
        let mut subnet = Self { name: name.clone(), machines: Vec::new() };
        if let Err(why) = ip(&["netns", "add", &name]) {
            println!("skipped: {test}: network namespaces are not permitted: {why}");
            return None;
        }
        let bridge =
            ["-n", &name, "link", "add", "bridge", "type", "bridge", "mcast_snooping", "0"];
        must(&bridge);
        must(&["-n", &name, "link", "set", "bridge", "up"]);
        must(&["-n", &name, "addr", "add", ONLOOKER, "dev", "bridge"]);
        for place in 1..=count {
            subnet.machines.push(subnet.add(place));
        }
        Some(subnet)
    }

    fn add(&self, place: usize) -> Machine {
        let (hub, namespace) = (&self.name, format!("{}-{place}", self.name));
        let (port, address) = (format!("port-{place}"), format!("10.75.0.{place}"));
        must(&["netns", "add", &namespace]);
        let link = ["-n", hub, "link", "add", &port, "type", "veth", "peer", "name", "eth0"];
        must(&[&link[..], &["netns", &namespace]].concat());
        must(&["-n", hub, "link", "set", &port, "master", "bridge", "up"]);
        let inside = |words: &[&str]| must(&[&["-n", &namespace], words].concat());
        inside(&["link", "set", "lo", "up"]);
        inside(&["addr", "add", &format!("{address}/24"), "dev", "eth0"]);
        inside(&["link", "set", "eth0", "up"]);
        inside(&["route", "add", "default", "dev", "eth0"]);
        Machine { namespace, address, scratch: Scratch::new(), lives: AtomicU64::new(0) }
    }

    pub(crate) fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// Where kvorum is reached on each.
    pub(crate) fn doors(&self) -> Vec<String> {
        self.machines.iter().map(Machine::door).collect()
    }

    /// Everything that one machine says to another alone is lost from now on, without a word;
    /// what the other says arrives.
    pub(crate) fn cut(&self, from: usize, to: usize) {
        let (from, to) = (&self.machines[from].namespace, &self.machines[to].address);
        let nobody = ["lladdr", NOBODY, "dev", "eth0", "nud", "permanent"];
        must(&[&["-n", from, "neigh", "replace", to], &nobody[..]].concat());
    }

    /// Ends every cut.
    pub(crate) fn heal(&self) {
        for machine in &self.machines {
            must(&["-n", &machine.namespace, "neigh", "flush", "dev", "eth0", "nud", "permanent"]);
        }
    }

    /// Pulls a machine's cable.
    pub(crate) fn unplug(&self, machine: usize) {
        must(&["-n", &self.name, "link", "set", &format!("port-{}", machine + 1), "down"]);
    }

    /// Puts it in again.
    pub(crate) fn plug_in(&self, machine: usize) {
        must(&["-n", &self.name, "link", "set", &format!("port-{}", machine + 1), "up"]);
    }

    /// Moves this thread, and what it connects to from now on, onto the bridge.
    fn enter(&self) {
        let file = File::open(format!("{NAMESPACES}/{}", self.name)).unwrap();
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }
}

impl Machine {
    /// Starts kvorum as a user does: with no setting but these.
    pub(crate) fn kvorum(&self, arguments: &[&str]) -> Process {
        self.start("kvorum", KVORUM, arguments)
    }

    /// Runs kvctl as a user does.
    pub(crate) async fn kvctl(&self, arguments: &[&str]) -> Ended {
        self.start("kvctl", KVCTL, arguments).end().await
    }

    /// Where kvorum is reached.
    pub(crate) fn door(&self) -> String {
        format!("{}:{PORT}", self.address)
    }

    fn start(&self, name: &str, program: &str, arguments: &[&str]) -> Process {
        // Each of these takes the place of the one before it, so that signals reach the last.
        let enter = ["netns", "exec", &self.namespace, "env", "-u", "KVORUM_DISCOVERY", program];
        let name = format!("{name}-{}", self.lives.fetch_add(1, Ordering::Relaxed));
        Process::start(&self.scratch, &name, "ip", &[&enter[..], arguments].concat())
    }
}

impl Drop for Subnet {
    fn drop(&mut self) {
        let machines = self.machines.iter().map(|machine| &machine.namespace);
        for namespace in machines.chain([&self.name]) {
            // Whatever is left of it goes with the machine that runs the tests.
            let _ = ip(&["netns", "del", namespace]);
        }
    }
}

fn must(words: &[&str]) {
    ip(words).unwrap_or_else(|why| panic!("ip {words:?}: {why}"));
}

fn ip(words: &[&str]) -> Result<(), String> {
    match Command::new("ip").args(words).output() {
        Ok(Output { status, .. }) if status.success() => Ok(()),
        Ok(Output { stderr, .. }) => Err(String::from_utf8_lossy(&stderr).trim().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

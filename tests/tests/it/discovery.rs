//! Nodes find each other without being told: founding, giving way, moving, and what must never
//! happen. Each test has a multicast group of its own on loopback.

mod asking;
mod founding;
mod meeting;
mod moving;
mod subnet;

use crate::harness::client;
use crate::harness::ports;
use crate::harness::process::{Ended, KVCTL, KVORUM, Process};
use crate::harness::scratch::Scratch;
use crate::harness::wait;

/// How many clusters a test starts one after the other, if not as many as it says.
fn starts(default: usize) -> usize {
    std::env::var("KVORUM_STARTS").map_or(default, |starts| starts.parse().unwrap())
}

/// A place where nodes hear each other and nobody else.
#[derive(Debug)]
struct Place {
    scratch: Scratch,
    group: String,
}

impl Place {
    fn new() -> Self {
        Self { scratch: Scratch::new(), group: another_group() }
    }

    /// Starts a node on its folder, at any port.
    fn start(&self, folder: &str) -> Node {
        self.start_with(folder, &self.group, &[])
    }

    fn start_with(&self, folder: &str, group: &str, flags: &[&str]) -> Node {
        let all = ["--discovery", "multicast", "--multicast", group, "--data-dir", folder];
        let quick = ["--listen", "127.0.0.1:0", "--wal-segment-bytes", "1048576"];
        let arguments = [&all[..], &quick, flags].concat();
        // A node may be started again and again on its folder: each life has files of its own.
        let lives = std::fs::read_dir(self.scratch.path()).unwrap().count();
        let name = format!("{folder}-life-{lives}");
        Node(Process::start(&self.scratch, &name, KVORUM, &arguments))
    }

    async fn kvctl(&self, address: &str, words: &[&str]) -> Ended {
        let lives = std::fs::read_dir(self.scratch.path()).unwrap().count();
        let arguments = [&["--endpoints", address], words].concat();
        Process::start(&self.scratch, &format!("kvctl-{lives}"), KVCTL, &arguments).end().await
    }

    async fn check_kvctl(&self, address: &str, words: &[&str], said: &str) {
        let ended = self.kvctl(address, words).await;
        assert!(ended.code == Some(0) && ended.stdout.contains(said), "{words:?}: {ended:?}");
    }
}

/// A multicast group that no other test uses.
fn another_group() -> String {
    format!("239.255.75.86:{}", ports::adjacent(1)[0])
}

/// A node that runs.
struct Node(Process);

/// What a node says when it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    node: String,
    cluster: String,
    address: String,
}

impl Node {
    /// What it says first.
    async fn said(&self) -> Said {
        self.said_at(1).await
    }

    /// What it says for the time `count`: a node that gives way says it again. Behind each stands
    /// a line about its dashboard.
    async fn said_at(&self, count: usize) -> Said {
        let before = 2 * (count - 1);
        let lines = self.0.lines(before + 1).await;
        let words: Vec<&str> = lines[before].split([' ', ',']).collect();
        let after = |word: &str, place: usize| {
            let at = words.iter().position(|it| *it == word).unwrap_or_else(|| panic!("{lines:?}"));
            words[at + place].to_owned()
        };
        Said { node: after("node", 1), cluster: after("cluster", 1), address: after("listens", 2) }
    }
}

/// Waits until a node says that these members are where they are.
async fn until_members(address: &str, members: &[(u64, String)]) {
    wait::until(&format!("{members:?} at {address}"), async || {
        (client::status(address).await?.members == members).then_some(())
    })
    .await;
}

/// Waits until a node says that so many vote and somebody leads.
async fn until_voters(address: &str, count: usize) {
    wait::until(&format!("{count} voters at {address}"), async || {
        let said = client::status(address).await?;
        let voters = said.member_roles.iter().filter(|(_, role)| role == "voter").count();
        (said.leader_id.is_some() && voters == count).then_some(())
    })
    .await;
}

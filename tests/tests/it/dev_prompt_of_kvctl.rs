//! The commands of `kvctl` at the prompt of `kvorum dev`.

use rustix::process::Signal;

use crate::harness::ports;
use crate::harness::process::{KVCTL, KVORUM, Process};
use crate::harness::scratch::Scratch;
use crate::harness::wait;

/// A cluster at whose prompt lines are typed one by one.
struct Typist {
    scratch: Scratch,
    process: Process,
    first_port: u16,
    /// Lines of standard output that were read.
    read: usize,
}

impl Typist {
    fn start(transport: &str) -> Self {
        let (scratch, first_port) = (Scratch::new(), ports::adjacent(3)[0]);
        let port = first_port.to_string();
        let arguments = ["dev", "--port", &port, "--transport", transport];
        let process = Process::start(&scratch, "dev", KVORUM, &arguments);
        Self { scratch, process, first_port, read: 0 }
    }

    /// Types a line and waits for so many lines.
    async fn answered(&mut self, line: &str, count: usize) -> Vec<String> {
        self.process.type_in(&format!("{line}\n"));
        self.next(count).await
    }

    async fn next(&mut self, count: usize) -> Vec<String> {
        let lines = self.process.lines(self.read + count).await;
        let new = lines[self.read..].to_vec();
        self.read = lines.len();
        new
    }

    async fn check(&mut self, line: &str, expected: &[&str]) {
        assert_eq!(self.answered(line, expected.len()).await, expected, "{line}");
    }

    /// Runs `kvctl` at the nodes from outside.
    async fn kvctl(&self, name: &str, words: &[&str]) {
        let doors: Vec<String> =
            (self.first_port..self.first_port + 3).map(|it| format!("127.0.0.1:{it}")).collect();
        let doors = doors.join(",");
        let arguments = [&["--endpoints", &doors], words].concat();
        let ended = Process::start(&self.scratch, name, KVCTL, &arguments).end().await;
        assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.stderr);
    }
}

async fn check_commands(transport: &str) {
    let _turn = wait::turn().await;
    let mut it = Typist::start(transport);
    it.check("SET a/b 1", &["OK"]).await;
    it.check("put a/c 2", &["OK"]).await;
    it.check("SET a/b 3", &["OK"]).await;
    it.check("get a/ --prefix", &["a/b", "3", "a/c", "2"]).await;
    it.check("get a/b --rev 2", &["1"]).await;
    it.check("history a/b", &["2 put 1", "4 put 3"]).await;
    it.check("watch a/ --prefix --since 2 --events 2", &["2 put a/b 1", "3 put a/c 2"]).await;
    it.check("revert a/b 2", &["OK"]).await;
    it.check("GET a/b", &["1"]).await;
    it.check("ls a/", &["b", "c"]).await;
    it.check("tree", &["a/", "  b = 1", "  c = 2"]).await;
    it.check("compact 4", &["OK"]).await;
    it.check("history a/c", &["3 put 2"]).await;
    it.check("lease grant 60 7", &["7"]).await;
    it.check("put d 1 --lease 7", &["OK"]).await;
    it.check("lease revoke 7", &["1"]).await;
    it.check("GET d", &["null"]).await;
    it.check("txn if exists a/b then put a/b 5 else get a/b", &["SUCCESS", "", "OK"]).await;
    let session = it.answered("session open", 1).await.remove(0);
    it.check(&format!("put n 1 --request-id {session}:1"), &["OK"]).await;
    it.check("put n 2 --request-id 7:1 -w json", &["{\"revision\":11}"]).await;
    it.check("put n 2 --request-id 7:1 -w json", &["{\"revision\":11}"]).await;
    let members = it.answered("member list", 3).await;
    assert!(members.iter().all(|line| line.contains("voter")), "{members:?}");
    let verified = it.answered("verify", 1).await;
    assert!(verified[0].starts_with("nodes 1, 2, 3 are equal, index "), "{verified:?}");
    it.check("use 2", &["through node 2"]).await;
    it.check("get n --prefix", &["n", "2"]).await;
    it.check("kill 2", &["node 2 killed"]).await;
    it.check("get n --prefix", &["error: node 2 is dead; revive it, or choose another with use"])
        .await;
    it.check("use any", &["through any node"]).await;
    it.check("get n --prefix", &["n", "2"]).await;
    it.process.type_in("exit\n");
    let ended = it.process.end().await;
    assert_eq!(ended.code, Some(1), "one line has failed: {}", ended.stderr);
}

#[tokio::test]
async fn every_command_is_there_over_tcp() {
    check_commands("tcp").await;
}

#[tokio::test]
async fn every_command_is_there_in_memory() {
    check_commands("memory").await;
}

/// Events are shown as they come, from clients outside too, through the death of a leader, until
/// Enter; a line with words ends a watch and is carried out.
#[tokio::test]
async fn a_watch_shows_what_happens_until_somebody_has_had_enough() {
    let _turn = wait::turn().await;
    let mut it = Typist::start("memory");
    it.check("SET a 1", &["OK"]).await;
    it.check("watch a", &[]).await;
    it.kvctl("kvctl-1", &["put", "a", "2"]).await;
    // It begins at some moment, which the first event that it shows tells.
    wait::until("the watch has begun", async || {
        it.kvctl("kvctl-2", &["put", "a", "2"]).await;
        it.process.stdout().contains("put a 2").then_some(())
    })
    .await;
    it.kvctl("kvctl-3", &["put", "a", "3"]).await;
    wait::until("the last event", async || it.process.stdout().contains("put a 3").then_some(()))
        .await;
    it.process.type_in("\n");
    it.read = it.process.stdout().lines().count();
    it.check("GET a", &["3"]).await;
    it.process.type_in("watch a\nSET b 1\n");
    assert_eq!(it.next(1).await, ["OK"]);
    it.check("lock name", &[]).await;
    let held = it.next(1).await;
    assert!(held[0].starts_with("name/"), "{held:?}");
    it.check("GET b", &["1"]).await;
    it.check("ls name/", &[]).await;
    it.check("watch c", &[]).await;
    it.process.signal(Signal::INT);
    let ended = it.process.end().await;
    assert_eq!(ended.code, Some(130), "a script ends as a whole: {}", ended.stderr);
}

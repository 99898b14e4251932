//! Somebody who types at the prompt of `kvorum dev`, and at others.

use super::ports;
use super::process::{Ended, KVCTL, KVORUM, Process};
use super::scratch::Scratch;

/// As many ports as a cluster here ever takes.
const PORTS: u16 = 10;

/// A cluster at whose prompt lines are typed one by one.
pub(crate) struct Typist {
    pub(crate) scratch: Scratch,
    pub(crate) process: Process,
    first_port: u16,
    /// Lines of standard output that were read.
    pub(crate) read: usize,
}

impl Typist {
    pub(crate) fn start(transport: &str) -> Self {
        Self::with(Scratch::new(), &["--transport", transport])
    }

    /// One whose cluster has further settings and this folder.
    pub(crate) fn with(scratch: Scratch, settings: &[&str]) -> Self {
        let first_port = ports::adjacent(PORTS)[0];
        let port = first_port.to_string();
        let arguments = [&["dev", "--port", &port], settings].concat();
        let name = format!("dev-{port}");
        let process = Process::start(&scratch, &name, KVORUM, &arguments);
        Self { scratch, process, first_port, read: 0 }
    }

    /// Types a line and waits for so many lines.
    pub(crate) async fn answered(&mut self, line: &str, count: usize) -> Vec<String> {
        self.process.type_in(&format!("{line}\n"));
        self.next(count).await
    }

    pub(crate) async fn next(&mut self, count: usize) -> Vec<String> {
        let lines = self.process.lines(self.read + count).await;
        let new = lines[self.read..].to_vec();
        self.read = lines.len();
        new
    }

    pub(crate) async fn check(&mut self, line: &str, expected: &[&str]) {
        assert_eq!(self.answered(line, expected.len()).await, expected, "{line}");
    }

    /// Types a line that is answered by one line with these words.
    pub(crate) async fn check_words(&mut self, line: &str, words: &[&str]) -> String {
        let said = self.answered(line, 1).await.remove(0);
        for word in words {
            assert!(said.contains(word), "{line}: no {word:?} in {said:?}");
        }
        said
    }

    /// Where clients reach a node, from 1.
    pub(crate) fn door(&self, node: u16) -> String {
        format!("127.0.0.1:{}", self.first_port + node - 1)
    }

    /// Runs `kvctl` at some of the nodes from outside.
    pub(crate) async fn kvctl_at(&self, name: &str, nodes: &[u16], words: &[&str]) -> Ended {
        let doors: Vec<String> = nodes.iter().map(|&node| self.door(node)).collect();
        let doors = doors.join(",");
        let arguments = [&["--endpoints", &doors], words].concat();
        Process::start(&self.scratch, name, KVCTL, &arguments).end().await
    }

    /// Runs `kvctl` at three nodes from outside, which must do what it is told.
    pub(crate) async fn kvctl(&self, name: &str, words: &[&str]) {
        let ended = self.kvctl_at(name, &[1, 2, 3], words).await;
        assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.stderr);
    }
}

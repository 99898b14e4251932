//! A program that runs, with what it says in files.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::scratch::Scratch;
use super::wait;

/// The program `kvorum`.
pub(crate) const KVORUM: &str = env!("CARGO_BIN_EXE_kvorum-tested");

/// The program `kvctl`.
pub(crate) const KVCTL: &str = env!("CARGO_BIN_EXE_kvctl-tested");

/// A running program, killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    output: PathBuf,
    errors: PathBuf,
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; `None` after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Process {
    /// Starts `program`, in the folder of the test, where files with `name` take what it says.
    /// The environment has no setting of ours.
    pub(crate) fn start(scratch: &Scratch, name: &str, program: &str, arguments: &[&str]) -> Self {
        let output = scratch.join(format!("{name}.out"));
        let errors = scratch.join(format!("{name}.err"));
        let append = |path: &Path| File::options().create(true).append(true).open(path).unwrap();
        let mut command = Command::new(program);
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("KV") {
                command.env_remove(variable);
            }
        }
        let child = command
            // Tests run side by side on one machine: their nodes are not to find each other.
            .env("KVORUM_DISCOVERY", "none")
            .args(arguments)
            .current_dir(scratch.path())
            .stdin(Stdio::piped())
            .stdout(append(&output))
            .stderr(append(&errors))
            .spawn()
            .unwrap_or_else(|error| panic!("{program} does not start: {error}"));
        Self { child, output, errors }
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All of standard output so far, of every process with this name in this test.
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.output).unwrap()).into_owned()
    }

    /// The same for standard error.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.errors).unwrap()).into_owned()
    }

    /// Writes lines to standard input. A program that has ended already shows that by its exit
    /// code.
    pub(crate) fn type_in(&mut self, lines: &str) {
        let written = self.child.stdin.as_mut().expect("not ended yet").write_all(lines.as_bytes());
        let is_broken = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        assert!(written.as_ref().err().is_none_or(is_broken), "{written:?}");
    }

    /// Ends standard input.
    pub(crate) fn end_input(&mut self) {
        self.child.stdin = None;
    }

    /// Waits until standard error has a line with all of these words, and returns it.
    pub(crate) async fn complains(&self, words: &[&str]) -> String {
        let has_words = |line: &&str| words.iter().all(|word| line.contains(word));
        wait::until(&format!("line with {words:?} in {}", self.errors.display()), async || {
            self.stderr().lines().find(has_words).map(str::to_owned)
        })
        .await
    }

    /// Waits until standard output has this many lines, and returns all of them.
    pub(crate) async fn lines(&self, count: usize) -> Vec<String> {
        wait::until(&format!("{count} lines in {}", self.output.display()), async || {
            let text = self.stdout();
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            (count <= lines.len() && text.ends_with('\n')).then_some(lines)
        })
        .await
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Ends it as `kill -9` does, and returns when it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn end(mut self) -> Ended {
        let what = format!("end of the process behind {}", self.errors.display());
        let status: ExitStatus = wait::until(&what, async || self.child.try_wait().unwrap()).await;
        Ended { code: status.code(), stdout: self.stdout(), stderr: self.stderr() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; then nobody needs to be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

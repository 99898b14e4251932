//! Processes of a run, each of which ends with the value that holds it.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

use crate::error::BenchError;

/// How long a process may take to end by itself before it is killed.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// What to run. Can be run again after it ended.
#[derive(Clone, Debug)]
pub struct Program {
    /// For messages.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Where its output goes, appended.
    pub log: PathBuf,
}

/// A running program. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: u32,
    name: String,
    log: PathBuf,
}

impl Program {
    /// Starts it, with no environment but `PATH`: settings of the caller's shell must not
    /// change what is measured.
    ///
    /// Errors: if it cannot be started, or its log cannot be opened.
    pub fn start(&self) -> Result<Process, BenchError> {
        let io = || BenchError::io(format!("{} ({})", self.name, self.path.display()));
        let log = File::options().create(true).append(true).open(&self.log).map_err(io())?;
        let mut command = bare(&self.path);
        command.args(&self.arguments);
        command.stdout(log.try_clone().map_err(io())?).stderr(log);
        let child = command.spawn().map_err(io())?;
        let pid = child.id().expect("a child that was not waited for has an id");
        Ok(Process { child, pid, name: self.name.clone(), log: self.log.clone() })
    }
}

/// A command without environment and input that is killed when its handle is dropped.
pub(super) fn bare(path: &PathBuf) -> Command {
    let mut command = Command::new(path);
    command.env_clear().stdin(Stdio::null()).kill_on_drop(true);
    if let Some(search) = std::env::var_os("PATH") {
        command.env("PATH", search);
    }
    command
}

impl Process {
    /// Its id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends it a signal.
    ///
    /// Errors: if it is gone.
    pub fn signal(&self, signal: Signal) -> Result<(), BenchError> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        rustix::process::kill_process(pid.expect("the system gave this id"), signal)
            .map_err(|error| self.gone(error.into()))
    }

    /// Kills it and waits until it is gone.
    ///
    /// Errors: in the words of the system.
    pub async fn kill(mut self) -> Result<(), BenchError> {
        self.child.kill().await.map_err(|error| self.gone(error))
    }

    /// Asks it to end, and kills it if it does not.
    ///
    /// Errors: in the words of the system.
    pub async fn end(mut self) -> Result<(), BenchError> {
        if self.signal(Signal::TERM).is_ok()
            && tokio::time::timeout(END_PATIENCE, self.child.wait()).await.is_ok()
        {
            return Ok(());
        }
        self.kill().await
    }

    /// Whether it still runs.
    ///
    /// Errors: `BenchError::Ended` if it does not.
    pub fn check(&mut self) -> Result<(), BenchError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(BenchError::Ended {
                program: self.name.clone(),
                status: describe(status),
                log: self.log.display().to_string(),
            }),
            Err(error) => Err(self.gone(error)),
        }
    }

    fn gone(&self, source: std::io::Error) -> BenchError {
        BenchError::Io { what: format!("{} (process {})", self.name, self.pid), source }
    }
}

/// How a program ended, in words.
pub(super) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn sleeper(folder: &Path) -> Program {
        Program {
            name: "sleeper".to_owned(),
            path: "sleep".into(),
            arguments: vec!["600".into()],
            log: folder.join("log"),
        }
    }

    fn is_alive(pid: u32) -> bool {
        // A killed child stays a zombie until somebody waits for it.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    }

    #[tokio::test]
    async fn a_process_ends_with_the_value_that_holds_it() {
        let folder = std::env::temp_dir().join(format!("benches-process-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut process = sleeper(&folder).start().unwrap();
        let pid = process.pid();
        process.check().unwrap();
        assert!(is_alive(pid));
        drop(process);
        let gone = async {
            while is_alive(pid) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(END_PATIENCE, gone).await.expect("a dropped process is killed");
        let mut stopped = sleeper(&folder).start().unwrap();
        stopped.signal(Signal::STOP).unwrap();
        stopped.signal(Signal::KILL).unwrap();
        let ended = stopped.child.wait().await.unwrap();
        assert_eq!(describe(ended), "signal 9");
        assert!(matches!(stopped.check(), Err(BenchError::Ended { .. })));
        std::fs::remove_dir_all(folder).unwrap();
    }
}

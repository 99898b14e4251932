//! CPU time of other processes, to the nanosecond, as Linux keeps it for each thread.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use super::BenchError;

/// CPU time of every thread of some processes.
#[derive(Debug)]
pub(super) struct CpuTime(HashMap<String, u64>);

impl CpuTime {
    /// Reads it from `/proc/PID/task/*/schedstat`.
    pub(super) fn read(pids: &[u32]) -> Result<Self, BenchError> {
        let mut threads = HashMap::new();
        for &pid in pids {
            read_threads(Path::new("/proc"), pid, &mut threads)
                .map_err(|source| BenchError::Pid { pid, source })?;
        }
        Ok(Self(threads))
    }

    /// What all threads that still live have used since. Units: microseconds.
    pub(super) fn since(&self, before: &Self) -> u64 {
        let used = |(thread, now): (&String, &u64)| {
            now.saturating_sub(before.0.get(thread).copied().unwrap_or(0))
        };
        self.0.iter().map(used).sum::<u64>() / 1_000
    }
}

fn read_threads(proc: &Path, pid: u32, threads: &mut HashMap<String, u64>) -> io::Result<()> {
    for thread in fs::read_dir(proc.join(pid.to_string()).join("task"))? {
        let path = thread?.path();
        // A thread may end between the listing and the reading.
        let Ok(text) = fs::read_to_string(path.join("schedstat")) else { continue };
        let first = text.split(' ').next().and_then(|number| number.parse().ok());
        let nanos = first.ok_or_else(|| io::Error::other("schedstat has no number"))?;
        threads.insert(path.display().to_string(), nanos);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_done_in_between_is_charged() {
        let pid = std::process::id();
        let before = CpuTime::read(&[pid]).unwrap();
        let used = || CpuTime::read(&[pid]).unwrap().since(&before);
        assert!((0..1_000_000).any(|_| 2_000 <= used()), "reading itself takes time");
        assert!(matches!(CpuTime::read(&[u32::MAX]), Err(BenchError::Pid { pid: u32::MAX, .. })));
    }

    #[test]
    fn a_thread_that_began_meanwhile_counts_from_zero_and_one_that_ended_not_at_all() {
        let time = |threads: &[(&str, u64)]| {
            CpuTime(threads.iter().map(|(name, ns)| ((*name).to_owned(), *ns)).collect())
        };
        let before = time(&[("a", 5_000), ("gone", 9_000_000)]);
        assert_eq!(time(&[("a", 8_000), ("new", 4_000)]).since(&before), 7);
    }
}

//! CPU time of the servers, to the nanosecond.
//!
//! Ticks of 10 ms would hide what a fast server uses for one request, so it is read from the
//! scheduler, thread by thread. Threads that ended meanwhile are not counted.

use std::fs;
use std::io;

/// The CPU time of all threads of these processes since they began. Units: nanoseconds.
///
/// Errors: if a process does not exist, or the system keeps no such figures.
pub fn used_ns(pids: &[u32]) -> io::Result<u64> {
    pids.iter().map(|pid| process_ns(*pid)).sum()
}

fn process_ns(pid: u32) -> io::Result<u64> {
    let mut sum_ns = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end while its brothers are being counted.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let running = text.split_ascii_whitespace().next().and_then(|ns| ns.parse::<u64>().ok());
        sum_ns += running.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("schedstat says {text:?}"))
        })?;
    }
    Ok(sum_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_in_the_figures() {
        let pid = std::process::id();
        let before = used_ns(&[pid]).unwrap();
        // Figures of a running thread are brought up to date when it is scheduled.
        let (mut work, mut after) = (0_u64, before);
        for _ in 0..10_000 {
            (0..10_000_u64).for_each(|step| work = std::hint::black_box(work ^ step));
            after = used_ns(&[pid]).unwrap();
            if after > before {
                break;
            }
        }
        assert!(after > before, "{work}");
        assert!(used_ns(&[u32::MAX]).is_err());
    }
}

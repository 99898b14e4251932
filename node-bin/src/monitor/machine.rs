//! What the system says of the process, the machine and the disk.

use std::path::Path;

/// What the system says; what it does not say is 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    /// What the process has in memory. Units: bytes.
    pub(crate) memory_bytes: u64,
    /// The processor time that the process has had. Units: milliseconds.
    pub(crate) cpu_ms: u64,
    /// How many tasks wanted a processor, on average over the last minute.
    pub(crate) load: String,
    /// What is free on the disk of the data folder, and how large that disk is. Units: bytes.
    pub(crate) disk: Option<(u64, u64)>,
}

impl Machine {
    /// Looks now.
    pub(crate) fn read(directory: Option<&Path>) -> Self {
        Self {
            memory_bytes: memory_bytes(),
            cpu_ms: cpu_ms(),
            load: load(),
            disk: directory.and_then(disk),
        }
    }
}

/// What the process has in memory: all data is there. Units: bytes.
pub(crate) fn memory_bytes() -> u64 {
    // The system says it in pages, the resident ones in the second word.
    let pages = std::fs::read_to_string("/proc/self/statm").ok().and_then(|line| {
        line.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok())
    });
    let page_bytes = u64::try_from(rustix::param::page_size()).unwrap_or(1);
    pages.map_or(page_bytes, |pages| pages * page_bytes)
}

fn cpu_ms() -> u64 {
    let Ok(line) = std::fs::read_to_string("/proc/self/stat") else { return 0 };
    // The name of the program, in brackets, may have spaces in it.
    let rest = line.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: u64 = rest.split(' ').skip(11).take(2).filter_map(|it| it.parse::<u64>().ok()).sum();
    ticks * 1_000 / rustix::param::clock_ticks_per_second().max(1)
}

fn load() -> String {
    let line = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    line.split(' ').next().unwrap_or_default().to_owned()
}

fn disk(directory: &Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(directory).ok()?;
    Some((found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_says_something_of_each() {
        let machine = Machine::read(Some(Path::new("/")));
        assert!(1_000 < machine.memory_bytes);
        assert!(machine.load.parse::<f64>().is_ok(), "{machine:?}");
        let (free, total) = machine.disk.unwrap();
        assert!(free <= total && 0 < total);
        assert_eq!(Machine::read(None).disk, None);
    }
}

//! How much memory a process has, as the system counts it.

use std::fs;
use std::io;

/// What a process has in memory, of its own and of files. Units: bytes.
///
/// Errors: if the process does not exist, or the system keeps no such figure.
pub fn bytes_of(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let missing = || io::Error::new(io::ErrorKind::InvalidData, "status does not say VmRSS");
    kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_used_shows_in_the_figure() {
        let pid = std::process::id();
        let before = bytes_of(pid).unwrap();
        let used = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(before + (60 << 20) < bytes_of(pid).unwrap(), "{} bytes", used.len());
        assert!(bytes_of(u32::MAX).is_err());
    }
}

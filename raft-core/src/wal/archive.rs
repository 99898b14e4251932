//! What an archive of closed segments has to know of them: which they are, and what is in them.
//!
//! A segment is closed when the log goes on in a later one; it is never written again.

use crate::types::Index;
use crate::wal::segment::{SEGMENT_HEADER_BYTES_MAX, SegmentHeader, segment_name, segment_number};

/// How much of a segment's beginning says all that is asked here. Units: bytes.
pub const SEGMENT_BEGINNING_BYTES: usize = SEGMENT_HEADER_BYTES_MAX;

/// The names of the segments among the names of a directory's files, ascending.
#[must_use]
pub fn segments(names: &[String]) -> Vec<String> {
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    numbers.into_iter().map(segment_name).collect()
}

/// Those of them that are closed: all but the newest.
#[must_use]
pub fn closed_segments(names: &[String]) -> Vec<String> {
    let mut closed = segments(names);
    closed.pop();
    closed
}

/// The last entry of the log before a segment that begins so; `None` if it is no segment.
#[must_use]
pub fn entry_before(beginning: &[u8]) -> Option<Index> {
    SegmentHeader::decode(beginning).ok().map(|header| header.prev.index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{EntryId, Incarnation};
    use crate::wal::disk::Disk;
    use crate::wal::memory_disk::MemoryDisk;
    use crate::wal::{Wal, WalOptions};

    #[test]
    fn the_newest_segment_is_not_closed() {
        let names = ["wal-0000000000000010", "wal-000000000000000f", "hard-state", "wal-spare"];
        let names = names.map(str::to_owned).to_vec();
        assert_eq!(segments(&names), ["wal-000000000000000f", "wal-0000000000000010"]);
        assert_eq!(closed_segments(&names), ["wal-000000000000000f"]);
        assert_eq!(closed_segments(&[]), Vec::<String>::new());
    }

    #[test]
    fn a_segment_says_what_was_before_it() {
        let options = WalOptions {
            segment_bytes: 64 * 1024,
            incarnation: Incarnation(1),
            configuration: vec![7; 10],
            base: EntryId::ZERO,
        };
        let (wal, _) = Wal::open(MemoryDisk::default(), options).unwrap();
        let mut disk = wal.into_disk();
        let mut beginning = vec![0; SEGMENT_BEGINNING_BYTES];
        let read = disk.read("wal-0000000000000001", 0, &mut beginning).unwrap();
        assert_eq!(entry_before(&beginning[..read]), Some(Index::ZERO));
        beginning[60] ^= 1;
        assert_eq!(entry_before(&beginning), None);
    }
}

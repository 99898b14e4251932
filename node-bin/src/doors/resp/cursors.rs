//! Where scans go on: Redis cursors are numbers, and ours are names.

use std::collections::BTreeMap;

use bytes::Bytes;

/// Cursors that are remembered, at most; the oldest is forgotten.
const CURSORS_MAX: usize = 16_384;

/// What they may take together; beyond it the oldest are forgotten. Units: bytes.
const CURSOR_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Cursors of this node, for all of its connections, since clients may change those between
/// two steps of a scan.
#[derive(Debug)]
pub(super) struct Cursors {
    newest: u64,
    names: BTreeMap<u64, Bytes>,
    bytes: usize,
}

impl Cursors {
    /// None yet; numbers begin behind `start`, so that those of another node or of an earlier
    /// start are hardly among them.
    pub(super) fn new(start: u64) -> Self {
        Self { newest: (start >> 24) << 20, names: BTreeMap::new(), bytes: 0 }
    }

    /// The cursor at which a scan goes on behind this name.
    pub(super) fn behind(&mut self, name: &[u8]) -> u64 {
        let next = Bytes::from([name, &[0]].concat());
        self.newest += 1;
        self.bytes += next.len();
        self.names.insert(self.newest, next);
        while CURSORS_MAX < self.names.len() || CURSOR_BYTES_MAX < self.bytes {
            let Some((_, forgotten)) = self.names.pop_first() else { break };
            self.bytes -= forgotten.len();
        }
        self.newest
    }

    /// The first name that is wanted with a cursor; 0 is the beginning.
    pub(super) fn find(&self, cursor: u64) -> Option<&[u8]> {
        if cursor == 0 { Some(b"") } else { self.names.get(&cursor).map(|name| &name[..]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_found_until_there_are_too_many() {
        let mut cursors = Cursors::new(u64::MAX);
        assert_eq!(cursors.find(0), Some(&b""[..]));
        let first = cursors.behind(b"a");
        assert_eq!(cursors.find(first), Some(&b"a\0"[..]));
        for _ in 0..CURSORS_MAX {
            cursors.behind(b"b");
        }
        assert_eq!((cursors.find(first), cursors.names.len()), (None, CURSORS_MAX));
        let long = vec![b'x'; 1024 * 1024];
        for _ in 0..9 {
            cursors.behind(&long);
        }
        assert!(cursors.bytes <= CURSOR_BYTES_MAX);
    }
}

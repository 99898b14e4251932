//! What a connection speaks is decided once, and always in the end.

use raft_net::sniff::{SNIFF_BYTES_MAX, Sniffed, sniff};

use super::drive::Reached;
use super::mutate::Numbers;

pub(super) const WORDS: &[&[u8]] = &[
    b"\0kvorum\n",
    b"*1\r\n",
    b"PING\r\n",
    b"GET /",
    b" HTTP/1.1\r\n",
    b" HTTP/1.0\n",
    b"\x16\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\n",
    b"\r",
    b" ",
    b"PUT /",
    b"DELETE /",
];

pub(super) fn check(input: &[u8], numbers: &mut Numbers) -> Reached {
    // More always comes, or the connection ends.
    let mut whole = input.to_vec();
    let filler = b"x\n\0 "[numbers.below(4)];
    whole.resize(whole.len().max(SNIFF_BYTES_MAX), filler);
    let mut decided = Sniffed::MoreNeeded;
    let edges = [input.len(), SNIFF_BYTES_MAX - 1, SNIFF_BYTES_MAX, whole.len()];
    let mut lengths: Vec<usize> = (0..=80.min(whole.len())).chain(edges).collect();
    lengths.extend((0..8).map(|_| numbers.below(whole.len() + 1)));
    lengths.sort_unstable();
    for length in lengths {
        let sniffed = sniff(&whole[..length]);
        if decided == Sniffed::MoreNeeded {
            decided = sniffed;
        } else {
            assert_eq!(sniffed, decided, "after {length} bytes");
        }
        let is_open = length < SNIFF_BYTES_MAX;
        assert!(is_open || sniffed != Sniffed::MoreNeeded, "undecided after {length} bytes");
    }
    let first = input.first().copied().unwrap_or(0);
    format!("{decided:?} {:?} {}", sniff(input), first.is_ascii_graphic())
}

//! Reads a segment through a window of bytes: its header, its batches, what lies behind them.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::types::Incarnation;
use crate::wal::batch::{ALIGNMENT, BATCH_HEADER_BYTES, BATCH_MAGIC, Batch, Claim, Place};
use crate::wal::disk::{Disk, DiskError};
use crate::wal::segment::{HeaderError, SEGMENT_HEADER_BYTES_MAX, SegmentHeader, segment_name};

/// How much is read at once when nothing longer is asked for.
pub(super) const WINDOW_BYTES: usize = 256 * 1024;

/// What nobody has written to yet, which is most of a segment that is read at a start, is passed
/// over in blocks of this length. A multiple of the alignment. Units: bytes.
const BLOCK_BYTES: usize = 4096;

static ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];

const _: () = assert!(BLOCK_BYTES.is_multiple_of(ALIGNMENT));

/// One segment, read from any place on; batches share the window's bytes.
pub(super) struct SegmentReader<'d, D> {
    disk: &'d mut D,
    incarnation: Incarnation,
    number: u64,
    name: String,
    length: u64,
    window_bytes: usize,
    window: Bytes,
    window_start: u64,
}

impl<'d, D: Disk> SegmentReader<'d, D> {
    pub(super) fn new(
        disk: &'d mut D,
        incarnation: Incarnation,
        number: u64,
        length: u64,
        window_bytes: usize,
    ) -> Self {
        let (name, window) = (segment_name(number), Bytes::new());
        Self { disk, incarnation, number, name, length, window_bytes, window, window_start: 0 }
    }

    /// The header of the segment. Errors inside: it is none of ours.
    pub(super) fn header(&mut self) -> Result<Result<SegmentHeader, HeaderError>, DiskError> {
        let most = usize_of(self.length.min(SEGMENT_HEADER_BYTES_MAX as u64));
        let bytes = self.bytes(0, most)?.unwrap_or_default();
        let header = SegmentHeader::decode(&bytes);
        Ok(header.and_then(|header| {
            if header.number == self.number { Ok(header) } else { Err(HeaderError::Damaged) }
        }))
    }

    /// The batch that starts at `offset`, if one does and every checksum holds.
    pub(super) fn batch_at(&mut self, offset: u64) -> Result<Option<Batch>, DiskError> {
        let place = Place { incarnation: self.incarnation, segment: self.number, offset };
        let Some(header) = self.bytes(offset, BATCH_HEADER_BYTES)? else { return Ok(None) };
        let Some(claim) = Claim::decode(place, &header) else { return Ok(None) };
        let Some(bytes) = self.bytes(offset, claim.bytes())? else { return Ok(None) };
        Ok(claim.verify(bytes))
    }

    /// The first batch at `from` or at any possible place behind it whose number is above
    /// `number`, with its offset.
    pub(super) fn next_batch(
        &mut self,
        from: u64,
        number: u64,
    ) -> Result<Option<(u64, Batch)>, DiskError> {
        let mut at = from;
        while let Some(offset) = self.next_magic(at)? {
            if let Some(batch) = self.batch_at(offset)?
                && number < batch.header.number
            {
                return Ok(Some((offset, batch)));
            }
            at = offset + ALIGNMENT as u64;
        }
        Ok(None)
    }

    /// The end of the last byte at `from` or behind it that is not zero; `from` if all are.
    pub(super) fn used_end(&mut self, from: u64) -> Result<u64, DiskError> {
        let (mut at, mut end) = (from, from);
        while let Some(bytes) = self.rest_of_window(at, 1)? {
            if let Some(place) = last_used(&bytes) {
                end = at + place as u64 + 1;
            }
            at += bytes.len() as u64;
        }
        Ok(end)
    }

    /// Copies the bytes of `range` to the start of a new file of `length` bytes and syncs it.
    pub(super) fn copy_to(
        &mut self,
        range: Range<u64>,
        file: &str,
        length: u64,
    ) -> Result<(), DiskError> {
        self.disk.create(file, length)?;
        let mut at = range.start;
        while at < range.end
            && let Some(bytes) = self.rest_of_window(at, 1)?
        {
            let wanted = usize_of((range.end - at).min(bytes.len() as u64));
            self.disk.write(file, at - range.start, &bytes[..wanted])?;
            at += wanted as u64;
        }
        self.disk.sync(file)
    }

    fn next_magic(&mut self, from: u64) -> Result<Option<u64>, DiskError> {
        let mut at = from;
        while let Some(bytes) = self.rest_of_window(at, ALIGNMENT)? {
            // Batches are aligned, so their first eight bytes never straddle two windows.
            let searched = bytes.len() / ALIGNMENT * ALIGNMENT;
            if let Some(place) = first_magic(&bytes[..searched]) {
                return Ok(Some(at + place as u64));
            }
            at += searched as u64;
        }
        Ok(None)
    }

    /// What the window holds from `offset` on, at least `least` bytes; `None` if there are not
    /// so many before the end of the file.
    fn rest_of_window(&mut self, offset: u64, least: usize) -> Result<Option<Bytes>, DiskError> {
        if self.bytes(offset, least)?.is_none() {
            return Ok(None);
        }
        Ok(Some(self.window.slice(usize_of(offset - self.window_start)..)))
    }

    /// Exactly `length` bytes from `offset` on, unless the file ends before.
    fn bytes(&mut self, offset: u64, length: usize) -> Result<Option<Bytes>, DiskError> {
        if self.length < offset.saturating_add(length as u64) {
            return Ok(None);
        }
        let window_end = self.window_start + self.window.len() as u64;
        if offset < self.window_start || window_end < offset + length as u64 {
            let left = usize_of(self.length - offset);
            let mut window = BytesMut::zeroed(left.min(length.max(self.window_bytes)));
            let read = self.disk.read(&self.name, offset, &mut window)?;
            window.truncate(read);
            self.window = window.freeze();
            self.window_start = offset;
        }
        let start = usize_of(offset - self.window_start);
        if self.window.len() < start + length {
            return Ok(None);
        }
        Ok(Some(self.window.slice(start..start + length)))
    }
}

/// The place of the first word that a batch may begin with.
fn first_magic(bytes: &[u8]) -> Option<usize> {
    for (number, block) in bytes.chunks(BLOCK_BYTES).enumerate().filter(|(_, it)| is_used(it)) {
        let mut words = block.chunks_exact(ALIGNMENT);
        if let Some(place) = words.position(|word| word[4..] == BATCH_MAGIC) {
            return Some(number * BLOCK_BYTES + place * ALIGNMENT);
        }
    }
    None
}

/// The place of the last byte that is not zero.
fn last_used(bytes: &[u8]) -> Option<usize> {
    let (number, block) =
        bytes.chunks(BLOCK_BYTES).enumerate().rfind(|(_, block)| is_used(block))?;
    let place = block.iter().rposition(|&byte| byte != 0)?;
    Some(number * BLOCK_BYTES + place)
}

/// Whether a block has a byte that is not zero.
fn is_used(block: &[u8]) -> bool {
    block != &ZEROS[..block.len()]
}

fn usize_of(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a part of a segment fits the address space")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_zero_is_found_in_whichever_block_it_lies() {
        for length in [1, 7, 8, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 24] {
            let mut bytes = vec![0; length];
            assert_eq!((first_magic(&bytes), last_used(&bytes)), (None, None));
            for place in (0..length).filter(|place| place % 509 < 9 || length - place < 9) {
                bytes[place] = 1;
                assert_eq!(last_used(&bytes), Some(place), "of {length}");
                bytes[0] = 1;
                assert_eq!(last_used(&bytes), Some(place), "of {length}");
                assert_eq!(first_magic(&bytes), None);
                (bytes[0], bytes[place]) = (0, 0);
            }
            for place in (0..length / ALIGNMENT).map(|word| word * ALIGNMENT) {
                bytes[place + 4..place + 8].copy_from_slice(&BATCH_MAGIC);
                assert_eq!(first_magic(&bytes), Some(place), "of {length}");
                let last = length / ALIGNMENT * ALIGNMENT - ALIGNMENT;
                bytes[last + 4..last + 8].copy_from_slice(&BATCH_MAGIC);
                assert_eq!(first_magic(&bytes), Some(place), "of {length}");
                bytes.fill(0);
            }
        }
    }
}

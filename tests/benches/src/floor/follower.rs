//! A follower of the floor: reads rounds, writes them, says how far it is.

use std::io;
use std::path::Path;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::wal::{self, Append};
use super::{READ_BYTES, ROUND_PREFIX_BYTES};

/// Follows whoever connects first to `listen`, until the connection ends.
///
/// Errors: if the address or the folder cannot be used, or the leader goes.
pub async fn run(listen: &str, folder: &Path) -> io::Result<()> {
    let (report, mut reports) = mpsc::unbounded_channel();
    let wal = wal::start(folder, move |round| {
        // Only a process that is ending hears no reports any more.
        let _ = report.send(round);
    })?;
    let (stream, _) = TcpListener::bind(listen).await?.accept().await?;
    stream.set_nodelay(true)?;
    let (mut input, mut output) = stream.into_split();
    let mut rounds = Rounds::default();
    let receive = async {
        loop {
            rounds.buffer.reserve(READ_BYTES);
            if input.read_buf(&mut rounds.buffer).await? == 0 {
                return Err::<(), _>(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            if let Some(append) = rounds.take() {
                wal.send(append).map_err(io::Error::other)?;
            }
        }
    };
    let acknowledge = async {
        while let Some(mut round) = reports.recv().await {
            while let Ok(later) = reports.try_recv() {
                round = later;
            }
            output.write_all(&round.to_be_bytes()).await?;
        }
        Ok(())
    };
    tokio::try_join!(receive, acknowledge).map(|_| ())
}

/// Cuts what arrives after the last whole round.
#[derive(Default)]
struct Rounds {
    buffer: BytesMut,
    /// The bytes of the buffer that are known to be whole rounds.
    whole_bytes: usize,
    /// How many rounds have arrived.
    count: u64,
}

impl Rounds {
    /// Every whole round that has not been taken, prefixes included.
    fn take(&mut self) -> Option<Append> {
        while let Some(mut prefix) =
            self.buffer.get(self.whole_bytes..self.whole_bytes + ROUND_PREFIX_BYTES)
        {
            let size = usize::try_from(prefix.get_u32()).expect("32 bits fit a length");
            let end = self.whole_bytes + ROUND_PREFIX_BYTES + size;
            if self.buffer.len() < end {
                break;
            }
            self.whole_bytes = end;
            self.count += 1;
        }
        let bytes: Bytes = self.buffer.split_to(std::mem::take(&mut self.whole_bytes)).freeze();
        (!bytes.is_empty()).then_some(Append { bytes, round: self.count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_taken_whole_whatever_arrives_when() {
        let all = b"\0\0\0\x02ab\0\0\0\x01c\0\0\0\x03def";
        for piece in 1..=all.len() {
            let mut rounds = Rounds::default();
            let (mut taken, mut last) = (Vec::new(), 0);
            for bytes in all.chunks(piece) {
                rounds.buffer.extend_from_slice(bytes);
                if let Some(append) = rounds.take() {
                    assert!(append.round > last);
                    taken.extend_from_slice(&append.bytes);
                    last = append.round;
                }
            }
            assert_eq!((&taken[..], last), (&all[..], 3), "in pieces of {piece}");
        }
    }
}

//! The thread that writes and syncs.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};

use bytes::Bytes;

/// The length of the file, which is written again from its start when it is full.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// How much is zero-filled with one write.
const FILL_BYTES: usize = 1024 * 1024;

/// One or more rounds to be written.
pub(super) struct Append {
    pub(super) bytes: Bytes,
    /// The last of the rounds.
    pub(super) round: u64,
}

/// Starts the thread. `report` is called with the last round of each sync.
///
/// Errors: if the file cannot be made. A write that fails later ends the process.
pub(super) fn start(
    folder: &Path,
    report: impl Fn(u64) + Send + 'static,
) -> io::Result<Sender<Append>> {
    std::fs::create_dir_all(folder)?;
    let file = File::create(folder.join("log"))?;
    let zeros = vec![0; FILL_BYTES];
    for position in (0..FILE_BYTES).step_by(FILL_BYTES) {
        file.write_all_at(&zeros, position)?;
    }
    file.sync_all()?;
    let (sender, appends) = mpsc::channel();
    std::thread::Builder::new().name("wal".to_owned()).spawn(move || {
        if let Err(error) = write_all(&file, &appends, report) {
            eprintln!("error: the log could not be written: {error}");
            std::process::exit(1);
        }
    })?;
    Ok(sender)
}

fn write_all(file: &File, appends: &Receiver<Append>, report: impl Fn(u64)) -> io::Result<()> {
    let mut position = 0;
    while let Ok(first) = appends.recv() {
        let mut round = first.round;
        // Everything that queued during the last sync shares the next one.
        for append in std::iter::once(first).chain(appends.try_iter()) {
            let size = u64::try_from(append.bytes.len()).expect("a length fits 64 bits");
            if position + size > FILE_BYTES {
                position = 0;
            }
            file.write_all_at(&append.bytes, position)?;
            position += size;
            round = append.round;
        }
        file.sync_data()?;
        report(round);
    }
    Ok(())
}

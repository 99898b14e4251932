//! A backup as a file: opened, verified, and read part by part.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use kv_store::backup::{Reader, Summary};
use raft_core::replica::snapshots::Part;
use raft_core::snapshot::{SnapshotId, SnapshotState};
use raft_core::wal::snapshots::backup::{
    BACKUP_HEAD_BYTES, BackupHead, Beginning, PartStream, SNAPSHOT_ENDS_BYTES, StreamError, name_of,
};

use super::error::BackupError;

/// What etcd's clients append to a snapshot that they save: zeros up to a multiple of so many
/// bytes, and a checksum.
const BLOCK_BYTES: u64 = 512;
const SHA_BYTES: u64 = 32;

/// How much is read of a file at once. Units: bytes.
const READ_BYTES: usize = 1024 * 1024;

/// A file whose beginning is that of a backup.
#[derive(Clone, Debug)]
pub struct BackupFile {
    path: PathBuf,
    /// Whose it is; `None` for the file of a snapshot alone.
    pub head: Option<BackupHead>,
    /// The snapshot in it.
    pub snapshot: SnapshotId,
    /// Where that begins. Units: bytes.
    begin: u64,
    length: u64,
}

/// All that is known of a backup when every byte of it was read.
#[derive(Clone, Debug)]
pub struct Contents {
    /// What it says about consensus.
    pub state: SnapshotState,
    /// What it holds.
    pub summary: Summary,
}

type Read = Box<dyn FnMut(&mut [u8]) -> io::Result<()> + Send>;

/// The parts of a backup, as they are read.
pub struct Parts {
    path: PathBuf,
    begin: u64,
    stream: PartStream<Read>,
}

/// A backup that is being read for a restore.
#[derive(Debug)]
pub struct Reading {
    parts: Parts,
    reader: Reader,
    state: Option<SnapshotState>,
    is_at_end: bool,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parts({})", self.path.display())
    }
}

impl BackupFile {
    /// Opens a file: a backup, the file of a snapshot, or one that etcd's clients have saved of a
    /// node.
    ///
    /// Errors: `BackupError`, if it is none of these, or cut short.
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        let read = BackupError::file("read", path);
        let opened = || -> io::Result<(File, u64)> {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        let (mut file, length) = opened().map_err(read)?;
        let mut head = [0; BACKUP_HEAD_BYTES];
        let no_backup = || BackupError::NotABackup(path.to_owned());
        if length < BACKUP_HEAD_BYTES as u64 {
            return Err(no_backup());
        }
        file.read_exact(&mut head).map_err(BackupError::file("read", path))?;
        match Beginning::decode(&head).ok_or_else(no_backup)? {
            Beginning::OtherFormat(found) => {
                Err(BackupError::Format { path: path.to_owned(), found })
            }
            Beginning::Backup(head) => {
                let (expected, path) = (head.file_bytes(), path.to_owned());
                if length < expected {
                    return Err(BackupError::Cut { path, found: length, expected });
                }
                if expected < length {
                    return Err(BackupError::TooLong { path, more: length - expected });
                }
                let (snapshot, begin) = (head.snapshot, BACKUP_HEAD_BYTES as u64);
                Ok(Self { path, head: Some(head), snapshot, begin, length })
            }
            Beginning::Snapshot => {
                let named = snapshot_of(&mut file, &head, length);
                let named = named.map_err(BackupError::file("read", path))?;
                // Its end is not where it should be, so nothing says how long it was.
                let snapshot = named.ok_or_else(|| BackupError::Content {
                    path: path.to_owned(),
                    why: "its end is damaged or cut off; get a whole copy".to_owned(),
                })?;
                Ok(Self { path: path.to_owned(), head: None, snapshot, begin: 0, length })
            }
        }
    }

    /// The length of the file. Units: bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.length
    }

    /// Begins to read its parts, which are those of a snapshot.
    ///
    /// Errors: `File`.
    pub fn parts(&self) -> Result<Parts, BackupError> {
        let path = &self.path;
        let opened = || -> io::Result<File> {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(self.begin))?;
            Ok(file)
        };
        let file = opened().map_err(BackupError::file("read", path))?;
        let mut file = BufReader::with_capacity(READ_BYTES, file);
        let read: Read = Box::new(move |into: &mut [u8]| file.read_exact(into));
        let stream = PartStream::new(self.snapshot, read);
        Ok(Parts { path: path.clone(), begin: self.begin, stream })
    }

    /// Begins to read it for a restore.
    ///
    /// Errors: `File`.
    pub fn read(&self) -> Result<Reading, BackupError> {
        let parts = self.parts()?;
        Ok(Reading { parts, reader: Reader::default(), state: None, is_at_end: false })
    }

    /// Reads and verifies every byte.
    ///
    /// Errors: `BackupError` for the first one that is not as it was written.
    pub fn contents(&self) -> Result<Contents, BackupError> {
        let mut reading = self.read()?;
        while reading.next_piece()?.is_some() {}
        reading.contents()
    }
}

impl Parts {
    /// The next part; `None` at the end, when all of the file was verified.
    ///
    /// Errors: `BackupError`; what came so far must be given up then.
    pub fn next_part(&mut self) -> Result<Option<Bytes>, BackupError> {
        let path = &self.path;
        self.stream.next_part().map_err(|error| match error {
            StreamError::Read(source) => BackupError::file("read", path)(source),
            StreamError::Damaged { offset } => {
                BackupError::Damaged { path: path.clone(), offset: self.begin + offset }
            }
        })
    }

    /// That the content makes no sense.
    pub fn senseless(&self, why: impl std::fmt::Display) -> BackupError {
        BackupError::Content { path: self.path.clone(), why: why.to_string() }
    }
}

impl Reading {
    /// The next piece for a restore; `None` at the end, when all of the file was verified.
    ///
    /// Errors: `BackupError`; what came so far must be given up then.
    pub fn next_piece(&mut self) -> Result<Option<Bytes>, BackupError> {
        loop {
            if let Some(piece) = self.reader.take_piece() {
                return Ok(Some(piece));
            }
            if self.is_at_end {
                return Ok(None);
            }
            self.next_part()?;
        }
    }

    /// Everything that is known, when there are no more pieces.
    ///
    /// Errors: `Content` if something is missing.
    pub fn contents(self) -> Result<Contents, BackupError> {
        let Self { parts, reader, state, .. } = self;
        let state = state.ok_or_else(|| parts.senseless("it has no head"))?;
        let summary = reader.finish().map_err(|error| parts.senseless(error))?;
        Ok(Contents { state, summary })
    }

    fn next_part(&mut self) -> Result<(), BackupError> {
        let Some(part) = self.parts.next_part()? else {
            self.is_at_end = true;
            return Ok(());
        };
        match Part::of(&part) {
            Some(Part::Head(state)) => self.state = Some(state),
            Some(Part::Sessions(_)) => {}
            Some(Part::Machine(records)) => {
                self.reader.read(records).map_err(|error| self.parts.senseless(error))?;
            }
            None => return Err(self.parts.senseless("a part is of no kind that is known")),
        }
        Ok(())
    }
}

/// The snapshot that fills a file, or stands at the beginning of what etcd's clients make of it.
fn snapshot_of(file: &mut File, head: &[u8], length: u64) -> io::Result<Option<SnapshotId>> {
    let trailer_bytes = SNAPSHOT_ENDS_BYTES.1;
    let padded = length.checked_sub(SHA_BYTES).filter(|end| end.is_multiple_of(BLOCK_BYTES));
    let tail_bytes = length.min(BLOCK_BYTES + SHA_BYTES + trailer_bytes as u64);
    file.seek(SeekFrom::Start(length - tail_bytes))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let ends = [length].into_iter().chain(
        padded.into_iter().flat_map(|end| (end.saturating_sub(BLOCK_BYTES) + 1..=end).rev()),
    );
    for end in ends {
        let behind = usize::try_from(length - end).expect("a tail is short");
        let Some(trailer_end) = tail.len().checked_sub(behind) else { continue };
        let Some(trailer) = trailer_end.checked_sub(trailer_bytes) else { continue };
        if let Some(id) = name_of(head, &tail[trailer..trailer_end], end) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

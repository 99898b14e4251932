//! A file that is put aside when it is long, with a few older ones beside it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use super::LogFile;

/// The file that is written now.
#[derive(Debug)]
pub(super) struct RotatingFile {
    settings: LogFile,
    /// `None` after it could not be opened; that is tried again with the next line.
    file: Option<File>,
    bytes: u64,
}

impl RotatingFile {
    /// Goes on with the file that is there.
    ///
    /// Errors: if it cannot be opened.
    pub(super) fn open(settings: LogFile) -> io::Result<Self> {
        let mut file = Self { settings, file: None, bytes: 0 };
        file.reopen()?;
        Ok(file)
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = File::options().create(true).append(true).open(&self.settings.path)?;
        self.bytes = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }

    fn place(&self, number: usize) -> PathBuf {
        let mut name = self.settings.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    /// Puts the file aside and begins a new one.
    fn rotate(&mut self) -> io::Result<()> {
        self.file = None;
        for number in (1..self.settings.kept).rev() {
            // There may be fewer yet.
            let _ = fs::rename(self.place(number), self.place(number + 1));
        }
        if self.settings.kept == 0 {
            fs::remove_file(&self.settings.path)?;
        } else {
            fs::rename(&self.settings.path, self.place(1))?;
        }
        self.reopen()
    }

    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            self.reopen()?;
        }
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.bytes != 0 && self.settings.bytes_max < self.bytes.saturating_add(length) {
            self.rotate()?;
        }
        if let Some(file) = &mut self.file {
            file.write_all(line)?;
            self.bytes += length;
        }
        Ok(())
    }
}

impl Write for RotatingFile {
    /// Takes a line. One that cannot be written, as on a full disk, is lost here; standard error
    /// has it too, and the node goes on.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("kvorum-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_long_file_is_put_aside_and_only_some_are_kept() {
        let folder = folder("rotating");
        let path = folder.join("log");
        let settings = LogFile { path: path.clone(), bytes_max: 20, kept: 2 };
        let mut file = RotatingFile::open(settings.clone()).unwrap();
        for number in 0..10 {
            file.write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(read("log"), "line 8\nline 9\n");
        assert_eq!(read("log.1"), "line 6\nline 7\n");
        assert_eq!(read("log.2"), "line 4\nline 5\n");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
        drop(file);
        let mut file = RotatingFile::open(settings).unwrap();
        file.write_all(b"more\n").unwrap();
        assert_eq!(read("log"), "line 8\nline 9\nmore\n", "it goes on with what is there");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_cannot_be_written_is_lost_and_nothing_else() {
        let folder = folder("gone");
        let path = folder.join("log");
        let settings = LogFile { path: path.clone(), bytes_max: 8, kept: 1 };
        let mut file = RotatingFile::open(settings).unwrap();
        file.write_all(b"12345678\n").unwrap();
        fs::remove_dir_all(&folder).unwrap();
        file.write_all(b"lost\n").unwrap();
        fs::create_dir_all(&folder).unwrap();
        file.write_all(b"there\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "there\n");
        fs::remove_dir_all(&folder).unwrap();
    }
}

//! `kvorum log dump`: everything in a node's log, for people or as JSON.

mod json;
mod text;

use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use raft_core::wal::disk::Disk;
use raft_core::wal::dump::{Item, Verdict, dump};

use crate::disk::FileDisk;
use crate::error::StartError;

/// What is asked of a log.
#[derive(Debug, Args)]
pub(super) struct LogArguments {
    #[command(subcommand)]
    action: LogAction,
}

#[derive(Debug, Subcommand)]
enum LogAction {
    /// Prints every segment, batch and entry, and whether anything is damaged
    ///
    /// Nothing is changed and no lock is taken, so a node may run on the folder meanwhile; then
    /// the end of the log may look torn, and a segment may go while it is read: try again.
    /// The exit code is 1 if the log is damaged or cannot be read, and 2 if there is none.
    Dump(DumpArguments),
}

#[derive(Debug, Args)]
struct DumpArguments {
    /// The data folder of a node
    #[arg(value_name = "FOLDER")]
    directory: PathBuf,
    /// How it is written
    #[arg(short = 'w', long, value_enum, default_value = "text")]
    write_out: Format,
}

/// How a dump is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines for people
    Text,
    /// One JSON document per line
    Json,
}

/// Does what is asked.
pub(super) fn run(arguments: &LogArguments) -> Result<ExitCode, StartError> {
    let LogAction::Dump(DumpArguments { directory, write_out }) = &arguments.action;
    let mut output = BufWriter::new(io::stdout().lock());
    print(&mut FileDisk::for_reading(directory), directory, *write_out, &mut output)
}

fn print(
    disk: &mut impl Disk,
    directory: &Path,
    format: Format,
    output: &mut impl Write,
) -> Result<ExitCode, StartError> {
    let (mut written, mut verdict) = (Ok(()), None);
    let dumped = dump(disk, |item| {
        if item == Item::Verdict(Verdict::Absent) {
            verdict = Some(Verdict::Absent);
            return ControlFlow::Break(());
        }
        written = match format {
            Format::Text => text::write(&item, output),
            Format::Json => json::write(&item, output),
        };
        if let Item::Verdict(found) = item {
            verdict = Some(found);
        }
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    match written.and_then(|()| output.flush()) {
        Ok(()) => {}
        // Its reader has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        Err(error) => return Err(StartError::Setting(format!("cannot write the dump: {error}"))),
    }
    dumped.map_err(|source| StartError::Log { directory: directory.to_owned(), source })?;
    match verdict {
        None | Some(Verdict::Whole { .. } | Verdict::Torn { .. }) => Ok(ExitCode::SUCCESS),
        Some(Verdict::Damaged(_)) => Ok(ExitCode::FAILURE),
        Some(Verdict::Absent) => Err(StartError::Setting(format!(
            "{} holds no log; give the data folder of a node",
            directory.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use raft_core::entry::{ClientId, Draft, EntryKind, SessionStamp, Stamp};
    use raft_core::hard_state::{HardState, Standing};
    use raft_core::types::{EntryId, Incarnation, Index, NodeId, Term};
    use raft_core::wal::memory_disk::MemoryDisk;
    use raft_core::wal::{Wal, WalOptions};

    use super::*;

    /// A vote, then an entry of a session and a no-op; the no-op is replaced.
    fn disk() -> MemoryDisk {
        let (incarnation, configuration) = (Incarnation(0xfeed), vec![1, 2, 3]);
        let base = EntryId::ZERO;
        let options = WalOptions { segment_bytes: 1000, incarnation, configuration, base };
        let (mut wal, _) = Wal::open(MemoryDisk::default(), options).unwrap();
        let stamp = |term, first| Stamp {
            term: Term(term),
            first: Index(first),
            log_time: 7,
            feature_level: raft_core::entry::FEATURE_LEVEL,
            wall_time: 8,
            seed: 9,
        };
        let mut state = HardState {
            term: Term(1),
            vote: NodeId::new(2),
            commit_index: Index(0),
            standing: Standing::Full,
        };
        let client = ClientId { issued_at: 5, random: 0xabc };
        let session = SessionStamp { client, serial: 3, acknowledged: 2 };
        let mut draft = Draft::default();
        draft.push(EntryKind::Command, &session, b"word");
        draft.push(EntryKind::Noop, &SessionStamp::default(), b"");
        wal.append(&state, &[draft.stamp(&stamp(1, 1))]).unwrap();
        (state.term, state.vote, state.commit_index) = (Term(2), None, Index(1));
        let mut draft = Draft::default();
        draft.push(EntryKind::Noop, &SessionStamp::default(), b"");
        wal.append(&state, &[draft.stamp(&stamp(2, 2))]).unwrap();
        wal.mark().unwrap();
        wal.into_disk()
    }

    fn printed(disk: &mut MemoryDisk, format: Format) -> (String, Result<ExitCode, String>) {
        let mut output = Vec::new();
        let result = print(disk, Path::new("folder"), format, &mut output);
        (String::from_utf8(output).unwrap(), result.map_err(|error| error.to_string()))
    }

    #[test]
    fn a_log_is_printed_line_by_line() {
        let (text, result) = printed(&mut disk(), Format::Text);
        assert_eq!(result, Ok(ExitCode::SUCCESS));
        assert_eq!(text, EXPECTED_TEXT);
    }

    #[test]
    fn every_line_of_json_is_a_document() {
        let (text, result) = printed(&mut disk(), Format::Json);
        assert_eq!(result, Ok(ExitCode::SUCCESS));
        let documents: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let types: Vec<&str> = documents.iter().filter_map(|it| it["type"].as_str()).collect();
        let expected =
            ["slot", "slot", "segment", "batch", "entry", "entry", "batch", "entry", "verdict"];
        assert_eq!(types, expected);
        let entry = r#"{"index":1,"kind":"command","log_time_us":7,"payload_bytes":4,"#.to_owned()
            + r#""replaced":false,"session":{"acknowledged":2,"issued_at_us":5,"#
            + r#""random":"0000000000000abc","serial":3},"term":1,"type":"entry"}"#;
        assert_eq!(documents[4], serde_json::from_str::<serde_json::Value>(&entry).unwrap());
        assert_eq!(documents[5]["replaced"], true);
        assert_eq!(documents[2]["incarnation"], "000000000000feed");
        assert_eq!(documents[2]["configuration_base16"], "010203");
        assert_eq!(documents[8]["verdict"], "whole");
    }

    #[test]
    fn damage_is_the_verdict_and_the_exit_code() {
        let mut disk = disk();
        let name = "wal-0000000000000001";
        let mut bytes = disk.content(name).unwrap();
        bytes[200] ^= 1;
        disk.replace(name, bytes);
        let (text, result) = printed(&mut disk, Format::Text);
        assert_eq!(result, Ok(ExitCode::FAILURE));
        let verdict = "the log is damaged in wal-0000000000000001 at byte 112, the last good entry \
                       is 0/0\n";
        assert!(text.ends_with(verdict), "{text}");
        let (text, result) = printed(&mut disk, Format::Json);
        assert_eq!(result, Ok(ExitCode::FAILURE));
        assert!(text.contains(r#""verdict":"damaged""#), "{text}");
    }

    #[test]
    fn a_folder_without_a_log_is_an_error_of_one_line() {
        let (text, result) = printed(&mut MemoryDisk::default(), Format::Text);
        assert_eq!(text, "");
        let error = result.unwrap_err();
        assert_eq!(error, "folder holds no log; give the data folder of a node");
        let absent = Path::new("there-is-no-such-folder");
        let mut disk = FileDisk::for_reading(absent);
        let error = print(&mut disk, absent, Format::Text, &mut Vec::new()).unwrap_err();
        let words = "the log in there-is-no-such-folder: cannot list the data directory: ";
        assert!(error.to_string().starts_with(words), "{error}");
    }

    const EXPECTED_TEXT: &str = "\
        hard-state slot 0: term 2, vote for nobody, commit 1, full, batch 2, synced through 2, \
        newest segment 1\n\
        hard-state slot 1: term 2, vote for nobody, commit 1, full, batch 2, synced through 1, \
        newest segment 1\n\
        wal-0000000000000001: 1000 bytes, behind entry 0/0, first batch 1, term 0, vote for \
        nobody, commit 0, unbound, configuration of 3 bytes\n\
        \x20 batch 1 at byte 112: 276 bytes, entries: 2, term 1, vote for node 2, commit 0, full\n\
        \x20   entry 1/1 command: 4 bytes, log time 7 us, client 5-0000000000000abc serial 3 after \
        2\n\
        \x20   entry 1/2 no-op: 0 bytes, log time 7 us, replaced\n\
        \x20 batch 2 at byte 392: 176 bytes, entries: 1, term 2, vote for nobody, commit 1, full\n\
        \x20   entry 2/2 no-op: 0 bytes, log time 7 us\n\
        the log is whole, behind entry 0/0 up to entry 2/2\n\
        ";
}

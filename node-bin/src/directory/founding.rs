//! What an empty directory remembers of a founding that waits for a number of nodes: a short
//! text file.
//!
//! ```text
//! # Written by kvorum; do not change, move or copy.
//! rank = 000001939d3f0a11 8f14e45fceea167a
//! endorses = 000001939d3f0a11 8f14e45fceea167a
//! ```
//!
//! The rank is that of this node, kept because others may have endorsed it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use raft_net::discovery::beacon::{Rank, Seeks};

use super::FOUNDING_FILE;
use crate::error::StartError;

const COMMENT: &str = "# Written by kvorum; do not change, move or copy.";
const FOUNDING_FILE_NEW: &str = "founding.new";

/// What the directory remembers, or `None` if it is empty altogether.
///
/// Errors: `StartError::Setting` if the file is not what was written: the node might endorse a
/// second founding.
pub(crate) fn load(directory: &Path, expects: Option<u32>) -> Result<Option<Seeks>, StartError> {
    let path = directory.join(FOUNDING_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(StartError::Directory { directory: directory.to_owned(), source });
        }
    };
    let seeks = parse(&text, expects).ok_or_else(|| {
        StartError::Setting(format!(
            "{} is damaged; put back the original, or empty the directories of all nodes that \
             were to found the cluster",
            path.display()
        ))
    })?;
    Ok(Some(seeks))
}

fn parse(text: &str, expects: Option<u32>) -> Option<Seeks> {
    let (mut rank, mut endorses) = (None, None);
    let lines = text.strip_suffix('\n')?.lines().filter(|line| *line != COMMENT);
    for line in lines {
        let (key, value) = line.split_once(" = ")?;
        let (since, chance) = value.split_once(' ')?;
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let read = Rank { since_ms: number(since)?, chance: number(chance)? };
        let place = match key {
            "rank" => &mut rank,
            "endorses" => &mut endorses,
            _ => return None,
        };
        if place.replace(read).is_some() {
            return None;
        }
    }
    Some(Seeks { rank: rank?, expects, endorses })
}

/// Writes down what a directory is to remember, all or nothing; durable when it returns.
///
/// Errors: those of the disk; what was there before stays.
pub(crate) fn store(directory: &Path, seeks: &Seeks) -> io::Result<()> {
    let line =
        |key: &str, rank: Rank| format!("{key} = {:016x} {:016x}\n", rank.since_ms, rank.chance);
    let endorses = seeks.endorses.map(|rank| line("endorses", rank)).unwrap_or_default();
    let text = format!("{COMMENT}\n{}{endorses}", line("rank", seeks.rank));
    let new = directory.join(FOUNDING_FILE_NEW);
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(new, directory.join(FOUNDING_FILE))?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_reads_back_and_anything_else_is_refused() {
        let rank = Rank { since_ms: 5, chance: u64::MAX };
        let text = format!("{COMMENT}\nrank = 5 ffffffffffffffff\nendorses = 5 7\n");
        let endorses = Some(Rank { since_ms: 5, chance: 7 });
        assert_eq!(parse(&text, Some(3)), Some(Seeks { rank, expects: Some(3), endorses }));
        for end in 0..text.len() {
            let cut = parse(&text[..end], None);
            assert!(cut.is_none_or(|seeks| seeks.endorses.is_none()), "cut at {end}");
        }
        for wrong in
            ["", "\n", "rank = 5\n", "rank = x y\n", "rank = 1 2\nrank = 1 2\n", "a = 1 2\n"]
        {
            assert_eq!(parse(wrong, None), None, "{wrong:?}");
        }
    }
}

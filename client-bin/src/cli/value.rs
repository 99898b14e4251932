//! Where the value of a put comes from: the word itself, standard input, or a file.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use raft_net::frame::CLIENT_FRAME_BYTES_MAX;

use super::CommandError;
use super::arguments::PutArguments;

/// The longest value that is read at all; nodes take less. Units: bytes.
const VALUE_BYTES_MAX: usize = CLIENT_FRAME_BYTES_MAX;

/// The key and the value. `input` is standard input, if a value may come from there.
pub(crate) fn key_and_value(
    arguments: PutArguments,
    input: Option<&mut Box<dyn BufRead + Send>>,
) -> Result<(Vec<u8>, Vec<u8>), CommandError> {
    let PutArguments { words, literal, prev: _, end: _, if_held: _ } = arguments;
    let literal_from = words.len();
    let mut all: Vec<OsString> = words.into_iter().chain(literal).collect();
    let wrong = |text: &str| CommandError::Usage(text.to_owned());
    let (value, key) = match (all.pop(), all.pop()) {
        (Some(value), Some(key)) if all.is_empty() => (value, key),
        (Some(_), Some(_)) => return Err(wrong("put takes a key and a value; quote blanks")),
        (Some(_), None) => {
            return Err(wrong("put needs a value too; give - to read it from standard input"));
        }
        (None, _) => return Err(wrong("put needs a key and a value")),
    };
    let value = if literal_from < 2 { value.into_vec() } else { resolve(value, input)? };
    Ok((key.into_vec(), value))
}

fn resolve(
    word: OsString,
    input: Option<&mut Box<dyn BufRead + Send>>,
) -> Result<Vec<u8>, CommandError> {
    if word == "-" {
        let input = input.ok_or_else(|| {
            CommandError::Usage("the shell's input is commands; use @FILE for a value".to_owned())
        })?;
        return read("standard input", input);
    }
    let Some(path) = word.as_bytes().strip_prefix(b"@") else { return Ok(word.into_vec()) };
    let path = OsStr::from_bytes(path);
    let name = path.display().to_string();
    let mut file = File::open(path).map_err(|error| unreadable(&name, &error))?;
    read(&name, &mut file)
}

fn read(name: &str, from: &mut dyn Read) -> Result<Vec<u8>, CommandError> {
    let mut value = Vec::new();
    let limit = u64::try_from(VALUE_BYTES_MAX).expect("a limit fits in 64 bits");
    from.take(limit + 1).read_to_end(&mut value).map_err(|error| unreadable(name, &error))?;
    if VALUE_BYTES_MAX < value.len() {
        let text = format!("{name}: no value may be longer than {VALUE_BYTES_MAX} bytes");
        return Err(CommandError::Usage(text));
    }
    Ok(value)
}

fn unreadable(name: &str, error: &io::Error) -> CommandError {
    CommandError::Usage(format!("cannot read the value from {name}: {error}"))
}

//! Frames: a length of four bytes, big-endian, then one MessagePack value.
//!
//! The length is bounded before a byte is reserved for it, and the bound rises only with what
//! is known of the other end. A frame that is no good ends its connection: there is no way to
//! find the start of the next one.

use std::io::ErrorKind;

use bytes::{BufMut, BytesMut};
use rmp_serde::decode::Error;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use tokio_util::codec::{Decoder, LengthDelimitedCodec};

/// The longest frame before the other end has said who it is. Units: bytes.
pub const PREFACE_FRAME_BYTES_MAX: usize = 4 * 1024;

/// The longest frame from or to a client. Units: bytes.
pub const CLIENT_FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The longest frame between nodes. Units: bytes.
pub const PEER_FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The length in front of every frame. Units: bytes.
pub(crate) const PREFIX_BYTES: usize = 4;

/// How much is said of what is wrong with a frame.
const ERROR_CHARS_MAX: usize = 300;

/// A client must be able to write the longest entry, and a peer to replicate several.
const _: () = assert!(raft_core::entry::ENTRY_BYTES_MAX < CLIENT_FRAME_BYTES_MAX);
const _: () = assert!(CLIENT_FRAME_BYTES_MAX < PEER_FRAME_BYTES_MAX);

/// Why bytes are not a frame, or a value does not fit into one. The connection cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is above what may arrive here.
    #[error("a frame of {size_bytes} bytes exceeds the limit of {limit_bytes}")]
    TooLarge {
        /// What the frame claims or needs.
        size_bytes: usize,
        /// What is allowed.
        limit_bytes: usize,
    },
    /// The stream ended inside a frame.
    #[error("the stream ended {missing_bytes} bytes before the end of a frame")]
    CutShort {
        /// How much of the frame, or of its length, never arrived.
        missing_bytes: usize,
    },
    /// The content is not the MessagePack value that belongs here.
    #[error("a frame is not the expected MessagePack: {0}")]
    NotMessagePack(String),
    /// The content goes on after the value.
    #[error("a frame goes on after its value")]
    TrailingBytes,
    /// The message is well-formed but not this sender's to send on this connection.
    #[error("a message from n{from} to n{to} does not belong on this connection")]
    Misaddressed {
        /// The sender that the message names.
        from: u64,
        /// The receiver that the message names.
        to: u64,
    },
    /// The message of this name has a term or an index that no cluster reaches, or entries
    /// that do not follow each other.
    #[error("a message {0} is out of range or contradicts itself")]
    Implausible(&'static str),
}

/// Cuts what arrives into frames.
#[derive(Debug)]
pub struct Frames {
    codec: LengthDelimitedCodec,
    limit_bytes: usize,
    /// The length of the frame whose prefix the codec has taken already.
    awaited_bytes: Option<usize>,
}

impl Frames {
    /// A cutter that refuses frames above `limit_bytes`.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        let codec = LengthDelimitedCodec::builder()
            .length_field_type::<u32>()
            .max_frame_length(limit_bytes)
            .new_codec();
        Self { codec, limit_bytes, awaited_bytes: None }
    }

    /// Takes the next whole frame off the front of `input`, or nothing if more must arrive.
    ///
    /// Errors: `FrameError::TooLarge`; the caller must close the connection.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<BytesMut>, FrameError> {
        if self.awaited_bytes.is_none() {
            self.awaited_bytes = input.first_chunk().map(|prefix| u32_at(*prefix));
        }
        let Some(size_bytes) = self.awaited_bytes else { return Ok(None) };
        let too_large = FrameError::TooLarge { size_bytes, limit_bytes: self.limit_bytes };
        let frame = self.codec.decode(input).map_err(|_| too_large)?;
        if frame.is_some() {
            self.awaited_bytes = None;
        }
        Ok(frame)
    }

    /// Whether the stream may end here, with `input` left over.
    ///
    /// Errors: `FrameError::CutShort` if it ends inside a frame.
    pub fn finish(&self, input: &BytesMut) -> Result<(), FrameError> {
        let expected_bytes = match self.awaited_bytes {
            Some(awaited_bytes) => awaited_bytes,
            None if input.is_empty() => return Ok(()),
            None => PREFIX_BYTES,
        };
        let missing_bytes = expected_bytes.saturating_sub(input.len());
        Err(FrameError::CutShort { missing_bytes })
    }
}

/// Whole frames that arrived together, one behind the other.
#[derive(Debug)]
pub struct Batch(BytesMut);

impl Batch {
    /// Takes every whole frame off the front of `input`; nothing if more must arrive. Afterwards
    /// `input` has room for the rest of the frame that it begins with.
    ///
    /// Errors: `FrameError::TooLarge` for a frame above `limit_bytes`; the caller must close the
    /// connection.
    pub fn cut(input: &mut BytesMut, limit_bytes: usize) -> Result<Option<Self>, FrameError> {
        let mut end = 0;
        while let Some(prefix) = input[end..].first_chunk() {
            let size_bytes = u32_at(*prefix);
            if limit_bytes < size_bytes {
                return Err(FrameError::TooLarge { size_bytes, limit_bytes });
            }
            let next = end + PREFIX_BYTES + size_bytes;
            if input.len() < next {
                let missing_bytes = next - input.len();
                let whole = Self::take(input, end);
                input.reserve(missing_bytes);
                return Ok(whole);
            }
            end = next;
        }
        Ok(Self::take(input, end))
    }

    fn take(input: &mut BytesMut, end: usize) -> Option<Self> {
        (0 < end).then(|| Self(input.split_to(end)))
    }

    /// What is in the frames, in order.
    pub fn contents(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (prefix, behind) = rest.split_first_chunk()?;
            let content;
            (content, rest) = behind.split_at(u32_at(*prefix));
            Some(content)
        })
    }
}

/// Appends `value` to `output` as a frame, structs as arrays: the form of everything after the
/// preface.
///
/// Errors: `FrameError::TooLarge` above `limit_bytes`; `output` is as it was before.
pub fn put<T: Serialize>(
    output: &mut BytesMut,
    limit_bytes: usize,
    value: &T,
) -> Result<(), FrameError> {
    put_with(output, limit_bytes, |content| rmp_serde::encode::write(content, value))
}

/// Appends `value` to `output` as a frame, structs as maps with the names of their fields: the
/// form of what is said before a version has been agreed on.
///
/// Errors: as [`put`].
pub fn put_named<T: Serialize>(
    output: &mut BytesMut,
    limit_bytes: usize,
    value: &T,
) -> Result<(), FrameError> {
    put_with(output, limit_bytes, |content| rmp_serde::encode::write_named(content, value))
}

/// Reads the content of a frame, in either form. Byte strings borrow from it.
///
/// Errors: `FrameError::NotMessagePack` or `FrameError::TrailingBytes`; the caller should close
/// the connection.
pub fn read<'a, T: Deserialize<'a>>(content: &'a [u8]) -> Result<T, FrameError> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(content);
    let value = T::deserialize(&mut deserializer)
        .map_err(|error| FrameError::NotMessagePack(shown(&error)))?;
    // The deserializer does not tell where it stands, but it tells that nothing is left.
    match IgnoredAny::deserialize(&mut deserializer) {
        Err(Error::InvalidMarkerRead(end)) if end.kind() == ErrorKind::UnexpectedEof => Ok(value),
        Ok(_) | Err(_) => Err(FrameError::TrailingBytes),
    }
}

/// What is wrong with some bytes, on one line and not at any length: an error repeats what it
/// found, and that comes from outside.
fn shown(error: &Error) -> String {
    let mut shown = String::new();
    for c in error.to_string().chars().take(ERROR_CHARS_MAX) {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

fn put_with<F>(output: &mut BytesMut, limit_bytes: usize, encode: F) -> Result<(), FrameError>
where
    F: FnOnce(&mut bytes::buf::Writer<&mut BytesMut>) -> Result<(), rmp_serde::encode::Error>,
{
    let start = output.len();
    output.put_u32(0);
    // Only an enum or a map without a known length could fail, and a buffer in memory cannot.
    encode(&mut (&mut *output).writer()).expect("wire types are plain data");
    let size_bytes = output.len() - start - PREFIX_BYTES;
    match u32::try_from(size_bytes) {
        Ok(prefix) if size_bytes <= limit_bytes => {
            output[start..start + PREFIX_BYTES].copy_from_slice(&prefix.to_be_bytes());
            Ok(())
        }
        Ok(_) | Err(_) => {
            output.truncate(start);
            Err(FrameError::TooLarge { size_bytes, limit_bytes })
        }
    }
}

fn u32_at(prefix: [u8; PREFIX_BYTES]) -> usize {
    usize::try_from(u32::from_be_bytes(prefix)).expect("this program needs 32-bit addresses")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(words: &[&str]) -> BytesMut {
        let mut output = BytesMut::new();
        words.iter().for_each(|word| put(&mut output, 100, word).unwrap());
        output
    }

    #[test]
    fn frames_that_arrive_in_any_pieces_read_back() {
        let all = framed(&["one", "", "three"]);
        for piece in 1..=all.len() {
            let (mut frames, mut input, mut found) =
                (Frames::new(100), BytesMut::new(), Vec::new());
            for bytes in all.chunks(piece) {
                input.extend_from_slice(bytes);
                while let Some(frame) = frames.next(&mut input).unwrap() {
                    found.push(read::<String>(&frame).unwrap());
                }
            }
            assert_eq!(found, ["one", "", "three"], "in pieces of {piece}");
            assert_eq!(frames.finish(&input), Ok(()));
        }
    }

    #[test]
    fn batches_hold_what_has_arrived_whole_whatever_the_pieces() {
        let all = framed(&["one", "", "three", "four"]);
        for piece in 1..=all.len() {
            let (mut input, mut found) = (BytesMut::new(), Vec::new());
            for bytes in all.chunks(piece) {
                input.extend_from_slice(bytes);
                let Some(batch) = Batch::cut(&mut input, 100).unwrap() else { continue };
                let contents: Vec<String> =
                    batch.contents().map(|content| read(content).unwrap()).collect();
                assert!(!contents.is_empty());
                found.extend(contents);
            }
            assert_eq!(found, ["one", "", "three", "four"], "in pieces of {piece}");
            assert!(input.is_empty());
        }
        let mut input = BytesMut::from(&framed(&["one"])[..]);
        input.extend_from_slice(&50_u32.to_be_bytes());
        assert_eq!(Batch::cut(&mut input, 100).unwrap().unwrap().contents().count(), 1);
        assert!(50 <= input.capacity() - input.len(), "there is room for what is awaited");
        input.clear();
        input.extend_from_slice(&101_u32.to_be_bytes());
        let error = FrameError::TooLarge { size_bytes: 101, limit_bytes: 100 };
        assert_eq!(Batch::cut(&mut input, 100).unwrap_err(), error);
    }

    #[test]
    fn a_stream_that_ends_inside_a_frame_says_how_much_is_missing() {
        let all = framed(&["four"]);
        for end in 1..all.len() {
            let (mut frames, mut input) = (Frames::new(100), BytesMut::from(&all[..end]));
            assert_eq!(frames.next(&mut input), Ok(None));
            let expected = if end < 4 { 4 - end } else { all.len() - end };
            let error = FrameError::CutShort { missing_bytes: expected };
            assert_eq!(frames.finish(&input), Err(error), "cut at {end}");
        }
    }

    #[test]
    fn a_frame_above_the_limit_is_refused_by_its_length_alone() {
        let mut frames = Frames::new(100);
        let mut input = BytesMut::from(&101_u32.to_be_bytes()[..]);
        let error = frames.next(&mut input).unwrap_err();
        assert_eq!(error, FrameError::TooLarge { size_bytes: 101, limit_bytes: 100 });
        assert_eq!(error.to_string(), "a frame of 101 bytes exceeds the limit of 100");

        let mut output = framed(&["kept"]);
        let before = output.clone();
        assert!(put(&mut output, 10, &"longer than ten bytes").is_err());
        assert_eq!(output, before);
    }

    #[test]
    fn an_error_is_one_line_whatever_was_read() {
        #[derive(Debug, Deserialize)]
        enum Word {
            Known,
        }
        let _ = Word::Known;
        let mut content = vec![0xdb, 0, 0, 0x10, 0];
        content.extend_from_slice(&b"\nforged\n".repeat(512));
        let error = read::<Word>(&content).unwrap_err().to_string();
        assert!(error.contains("\\nforged") && !error.contains('\n'), "{error}");
        assert!(error.len() < 2 * ERROR_CHARS_MAX, "{} bytes", error.len());
    }

    #[test]
    fn content_after_the_value_is_refused() {
        assert_eq!(read::<u8>(&[7]), Ok(7));
        assert_eq!(read::<u8>(&[7, 7]), Err(FrameError::TrailingBytes));
        assert!(matches!(read::<u8>(&[]), Err(FrameError::NotMessagePack(_))));
    }
}

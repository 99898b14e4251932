//! Messages as MessagePack: the one place where rmp-serde is called.
//!
//! A message is a map of one pair, its name and the array of its fields; keys and values are
//! `bin`. Reading borrows from the input.

use std::{fmt, io};

use bytes::BytesMut;
use rmp_serde::{Deserializer, decode, encode};
use serde::{Deserialize, Serialize};

/// How deep arrays and maps may lie in each other in a message. Transactions nested as deep as
/// they may be need 36 levels, and one beyond that is to be told so by its check; what is far
/// beyond is refused here, before the recursion of reading it could take much of a stack.
const DEPTH_MAX: usize = 64;

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes end inside the message.
    Cut,
    /// More bytes follow the message.
    Trailing,
    /// Arrays and maps lie too deep in each other.
    Deep,
    /// The bytes are not MessagePack or not a message of this version.
    Shape(String),
}

impl DecodeError {
    /// The error without the decoder's own words, which may change with its version: fit for
    /// an answer that every node must give alike.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Cut => "the message is cut short",
            Self::Trailing => "more bytes follow the message",
            Self::Deep => "the message is nested too deep",
            Self::Shape(_) => "the message has an unknown name or the wrong fields",
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())?;
        match self {
            Self::Cut | Self::Trailing | Self::Deep => Ok(()),
            Self::Shape(detail) => write!(f, ": {detail}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Appends `message` to `bytes`.
pub(super) fn encode<T: Serialize>(message: &T, bytes: &mut BytesMut) {
    encode::write(&mut Sink(bytes), message).expect("writing to memory does not fail");
}

/// Memory as a writer. Most writes of a message are of a byte or two, and each is one append
/// here.
struct Sink<'b>(&'b mut BytesMut);

impl io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads one message that fills `bytes` exactly.
pub(super) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    let mut deserializer = Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(DEPTH_MAX);
    let message = T::deserialize(&mut deserializer).map_err(|error| match error {
        decode::Error::InvalidMarkerRead(_) | decode::Error::InvalidDataRead(_) => DecodeError::Cut,
        decode::Error::DepthLimitExceeded => DecodeError::Deep,
        error => DecodeError::Shape(error.to_string()),
    })?;
    // The deserializer does not say how far it came, but a further value of any type fails to
    // find its first byte only at the end of the input.
    match bool::deserialize(&mut deserializer) {
        Err(decode::Error::InvalidMarkerRead(_)) => Ok(message),
        Ok(_) | Err(_) => Err(DecodeError::Trailing),
    }
}

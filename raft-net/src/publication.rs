//! Messages on channels, on their way between nodes.
//!
//! They travel on bulk links, beside envelopes and with another outermost form, to every node
//! whose welcome says that it takes them. No log knows of them, nothing acknowledges or repeats
//! them: whoever cannot be reached now, or reads too slowly, misses them.

use actix::prelude::*;
use bytes::{Bytes, BytesMut};
use raft_core::types::NodeId;
use serde::{Deserialize, Serialize};

use crate::frame::{self, FrameError, PEER_FRAME_BYTES_MAX};

/// From so much on a frame takes no further message. Units: bytes.
const FRAME_BYTES: usize = 256 * 1024;

/// The longest channel and message together. Units: bytes.
pub const PUBLICATION_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A frame that is nearly full has room for the longest one more.
const _: () = assert!(FRAME_BYTES + PUBLICATION_BYTES_MAX + 64 < PEER_FRAME_BYTES_MAX);

/// What somebody said on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The channel.
    pub channel: Bytes,
    /// The message.
    pub message: Bytes,
}

impl Publication {
    /// How long both are. Units: bytes.
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        self.channel.len() + self.message.len()
    }
}

/// Tells every other node what was said on channels here, in this order.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Spread {
    /// At least one, each of at most [`PUBLICATION_BYTES_MAX`].
    pub publications: Vec<Publication>,
}

/// Reports what was said on channels at another node, as one read of its link brought it.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Heard {
    /// Where.
    pub from: NodeId,
    /// At least one, in the order in which the node took them.
    pub publications: Vec<Publication>,
}

/// What a link carries beside envelopes: a map of one short name to its fields, where an
/// envelope is an array.
#[derive(Serialize, Deserialize)]
enum Word<'a> {
    #[serde(rename = "ch")]
    Publications(#[serde(borrow)] Vec<Pair<'a>>),
}

#[derive(Serialize, Deserialize)]
struct Pair<'a>(#[serde(borrow)] &'a serde_bytes::Bytes, #[serde(borrow)] &'a serde_bytes::Bytes);

/// A frame with how many messages are in it.
pub(crate) type Counted = (Bytes, u64);

/// The frames of these messages.
pub(crate) fn frames(publications: &[Publication]) -> Vec<Counted> {
    let mut parts = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (place, publication) in publications.iter().enumerate() {
        if start < place && FRAME_BYTES < bytes + publication.bytes_len() {
            parts.push(&publications[start..place]);
            (start, bytes) = (place, 0);
        }
        bytes += publication.bytes_len();
    }
    parts.push(&publications[start..]);
    let framed = |part: &[Publication]| {
        let mut output = BytesMut::new();
        put(&mut output, part).ok().map(|()| (output.freeze(), part.len() as u64))
    };
    parts.into_iter().filter_map(framed).collect()
}

/// Appends messages to `output` as a frame.
///
/// Errors: `FrameError::TooLarge`, and nothing was appended; some are longer than they may be.
pub fn put(output: &mut BytesMut, publications: &[Publication]) -> Result<(), FrameError> {
    let pairs = publications.iter().map(|Publication { channel, message }| {
        Pair(serde_bytes::Bytes::new(channel), serde_bytes::Bytes::new(message))
    });
    let pairs = pairs.collect();
    frame::put(output, PEER_FRAME_BYTES_MAX, &Word::Publications(pairs))
}

/// Whether the content of a frame is one of these words and no envelope.
pub(crate) fn is_word(content: &[u8]) -> bool {
    // A map of one entry, in MessagePack.
    content.first() == Some(&0x81)
}

/// Reads the content of a frame; the messages share its memory.
///
/// Errors: any `FrameError`; the caller must close the connection and say why in the log.
pub fn read(content: &Bytes) -> Result<Vec<Publication>, FrameError> {
    let Word::Publications(pairs) = frame::read(content)?;
    let owned = |Pair(channel, message): &Pair<'_>| Publication {
        channel: content.slice_ref(channel),
        message: content.slice_ref(message),
    };
    Ok(pairs.iter().map(owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publication(channel: &'static [u8], message: Vec<u8>) -> Publication {
        Publication { channel: Bytes::from_static(channel), message: message.into() }
    }

    #[test]
    fn many_messages_are_cut_into_frames_in_their_order() {
        let all: Vec<_> =
            (0..2_000).map(|n| publication(b"c", vec![(n % 251) as u8; 700])).collect();
        let frames = frames(&all);
        assert!(4 < frames.len(), "{} frames", frames.len());
        let mut found = Vec::new();
        for (frame, count) in &frames {
            assert!(frame.len() < FRAME_BYTES + 16 * 1024);
            let content = frame.slice(4..);
            assert!(is_word(&content));
            let read = read(&content).unwrap();
            assert_eq!(read.len() as u64, *count);
            found.extend(read);
        }
        assert!(found == all);
    }

    #[test]
    fn the_longest_message_fits() {
        let long = publication(b"", vec![7; PUBLICATION_BYTES_MAX]);
        let all = [publication(b"a", vec![0; FRAME_BYTES - 9]), long, publication(b"b", vec![])];
        assert_eq!(frames(&all).iter().map(|(_, count)| count).sum::<u64>(), 3);
    }

    #[test]
    fn what_is_no_such_word_is_refused() {
        for bad in [&b""[..], b"\x81", b"\x81\xa2ch\x91\x91\xc4\x00", b"\x81\xa2cx\x90"] {
            assert!(read(&Bytes::from_static(bad)).is_err(), "{bad:x?}");
        }
    }
}

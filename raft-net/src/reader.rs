//! The reading half of a link that a peer opened: one task, batches to whom it concerns.

use std::io;

use bytes::BytesMut;
use raft_core::consensus::message::Envelope;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::frame::{FrameError, Frames, PEER_FRAME_BYTES_MAX};
use crate::inquiry::{self, Inquired, Inquiry};
use crate::network::{Facts, Received};
use crate::peer_codec::{self, Ends};
use crate::publication::{self, Heard, Publication};
use crate::stream::make_room;

/// How much one read takes at most, beyond what a frame that is being awaited needs.
/// Units: bytes.
const READ_BYTES: usize = 128 * 1024;

/// Why a connection is read no further.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// The other end closed it, or the system did.
    #[error("{0}")]
    Lost(#[from] io::Error),
    /// What arrived is not what belongs here.
    #[error("{0}; both nodes should run the same release")]
    Frame(#[from] FrameError),
    /// The other end closed it between two frames.
    #[error("closed by the other end")]
    Closed,
}

/// Reads envelopes until the connection ends; says why it did. `input` is what has been read
/// already.
pub(crate) async fn read_envelopes<S: AsyncRead + Unpin>(
    mut stream: S,
    mut input: BytesMut,
    ends: Ends,
    facts: &Facts,
) -> End {
    let mut frames = Frames::new(PEER_FRAME_BYTES_MAX);
    loop {
        let Cut { envelopes, publications, inquiries, failure } =
            cut(&mut frames, &mut input, &ends);
        // What came before a bad frame was good, and Raft may have use for it.
        if !envelopes.is_empty() {
            facts.received.do_send(Received { envelopes });
        }
        if !publications.is_empty() {
            facts.heard.do_send(Heard { from: ends.from, publications });
        }
        for inquiry in inquiries {
            facts.inquired.do_send(Inquired { from: ends.from, inquiry });
        }
        if let Some(error) = failure {
            return End::Frame(error);
        }
        make_room(&mut input, READ_BYTES);
        let room = input.capacity() - input.len();
        match stream.read_buf(&mut input).await {
            Ok(0) => return frames.finish(&input).map_or_else(End::Frame, |()| End::Closed),
            // More is waiting: let the receiver work on this first, so that its mailbox does
            // not fill with everything that a fast peer can send.
            Ok(read) if read == room => tokio::task::yield_now().await,
            Ok(_) => (),
            Err(error) => return End::Lost(error),
        }
    }
}

/// What whole frames brought, up to the first that is no good.
#[derive(Default)]
struct Cut {
    envelopes: Vec<Envelope>,
    publications: Vec<Publication>,
    inquiries: Vec<Inquiry>,
    failure: Option<FrameError>,
}

fn cut(frames: &mut Frames, input: &mut BytesMut, ends: &Ends) -> Cut {
    let mut cut = Cut::default();
    loop {
        let content = match frames.next(input) {
            Ok(Some(content)) => content,
            Ok(None) => return cut,
            Err(error) => return Cut { failure: Some(error), ..cut },
        };
        let read = if inquiry::is_inquiry(&content) {
            inquiry::read(&content).map(|read| cut.inquiries.push(read))
        } else if publication::is_word(&content) {
            publication::read(&content.freeze()).map(|read| cut.publications.extend(read))
        } else {
            peer_codec::read(&content, ends).map(|envelope| cut.envelopes.push(envelope))
        };
        if let Err(error) = read {
            return Cut { failure: Some(error), ..cut };
        }
    }
}

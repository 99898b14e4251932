//! The reading half of a link that a peer opened: one task, batches to whom it concerns.

use std::io;

use actix::prelude::*;
use bytes::BytesMut;
use raft_core::consensus::message::Envelope;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::frame::{FrameError, Frames, PEER_FRAME_BYTES_MAX};
use crate::network::Received;
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
    (received, heard): (Recipient<Received>, Recipient<Heard>),
) -> End {
    let mut frames = Frames::new(PEER_FRAME_BYTES_MAX);
    loop {
        let Cut { envelopes, publications, failure } = cut(&mut frames, &mut input, &ends);
        // What came before a bad frame was good, and Raft may have use for it.
        if !envelopes.is_empty() {
            received.do_send(Received { envelopes });
        }
        if !publications.is_empty() {
            heard.do_send(Heard { from: ends.from, publications });
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
struct Cut {
    envelopes: Vec<Envelope>,
    publications: Vec<Publication>,
    failure: Option<FrameError>,
}

fn cut(frames: &mut Frames, input: &mut BytesMut, ends: &Ends) -> Cut {
    let (mut envelopes, mut publications) = (Vec::new(), Vec::new());
    loop {
        let content = match frames.next(input) {
            Ok(Some(content)) => content,
            Ok(None) => return Cut { envelopes, publications, failure: None },
            Err(error) => return Cut { envelopes, publications, failure: Some(error) },
        };
        let read = if publication::is_word(&content) {
            publication::read(&content.freeze()).map(|read| publications.extend(read))
        } else {
            peer_codec::read(&content, ends).map(|envelope| envelopes.push(envelope))
        };
        if let Err(error) = read {
            return Cut { envelopes, publications, failure: Some(error) };
        }
    }
}

//! Requests of one message that are answered with one, as gRPC puts them into HTTP/2.
//!
//! Nearly all that clients ask is a small message in one frame, and so is the answer. tonic, which
//! serves the streams, has buffers of 8 KiB for each direction of every request and several layers
//! around them; here a message is read where it arrived, and written once.
//! Source: "gRPC over HTTP2", the protocol's description.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::{Frame, SizeHint};
use prost::Message;
use tonic::body::Body;
use tonic::{Code, Status};

use super::service::{Answered, REQUEST_BYTES_MAX, RequestBody};

/// What stands before each message: whether it is compressed, and how long it is.
const HEAD_BYTES: usize = 5;

/// The status of an answer that is good, as text, so that no answer has to make it.
const GOOD: &str = "0";

const _: () = assert!(Code::Ok as i32 == 0);

/// The message of a request, as its parts arrive.
#[derive(Debug, Default)]
pub(crate) struct Arrived(Bytes);

impl Arrived {
    /// Takes the next part.
    ///
    /// Errors: in gRPC's words, if this cannot become one message that is taken here.
    pub(crate) fn push(&mut self, data: Bytes) -> Result<(), Status> {
        let read = std::mem::take(&mut self.0);
        self.0 = if read.is_empty() { data } else { joined(read, &data) };
        if let Some(length) = length(&self.0)?
            && HEAD_BYTES + length < self.0.len()
        {
            return Err(Status::internal("grpc: more than one message in a request for one"));
        }
        Ok(())
    }

    /// The message, when nothing more arrives.
    ///
    /// Errors: in gRPC's words, if there is none, or it is cut.
    pub(crate) fn message(&self) -> Result<Bytes, Status> {
        match length(&self.0)? {
            Some(length) if HEAD_BYTES + length == self.0.len() => Ok(self.0.slice(HEAD_BYTES..)),
            Some(_) => Err(Status::internal("grpc: the message of the request is cut")),
            None => Err(Status::internal("grpc: the request has no message")),
        }
    }

    /// What has arrived, as it came.
    pub(crate) fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// Reads the message of a request.
///
/// Errors: in gRPC's words, if it is none, too long, compressed, cut, or not the only one.
pub(super) async fn message<B: RequestBody, Q: Message + Default>(body: B) -> Result<Q, Status> {
    let mut body = pin!(body);
    let mut arrived = Arrived::default();
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let frame = frame.map_err(|_| Status::cancelled("the request was given up"))?;
        // Trailers of a request say nothing.
        let Ok(data) = frame.into_data() else { continue };
        arrived.push(data)?;
    }
    decoded(arrived.message()?)
}

/// What a message says.
///
/// Errors: in gRPC's words, if it is none of its kind.
pub(super) fn decoded<Q: Message + Default>(message: Bytes) -> Result<Q, Status> {
    Q::decode(message).map_err(|error| Status::internal(format!("grpc: {error}")))
}

/// How long the message is that begins here, once its head is there. Units: bytes.
fn length(read: &[u8]) -> Result<Option<usize>, Status> {
    let Some((head, _)) = read.split_first_chunk::<HEAD_BYTES>() else { return Ok(None) };
    let [compressed, length @ ..] = *head;
    if compressed != 0 {
        return Err(Status::unimplemented("grpc: compressed messages are not understood here"));
    }
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if REQUEST_BYTES_MAX < length {
        return Err(Status::resource_exhausted(format!(
            "grpc: received message larger than max ({length} vs. {REQUEST_BYTES_MAX})"
        )));
    }
    Ok(Some(length))
}

/// A message that comes in several frames.
fn joined(read: Bytes, data: &[u8]) -> Bytes {
    // Only its first frames find the buffer too short, since it is grown by doubling.
    let mut all = read.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    all.extend_from_slice(data);
    all.freeze()
}

/// How long the answer with this message is. Units: bytes.
pub(super) fn answered_bytes(message: &impl Message) -> usize {
    HEAD_BYTES + message.encoded_len()
}

/// Writes the answer with this message behind what is there.
///
/// Errors: in gRPC's words, if it is too long; then nothing is written.
pub(super) fn write_answered(message: &impl Message, bytes: &mut BytesMut) -> Result<(), Status> {
    let length = message.encoded_len();
    let Ok(announced) = u32::try_from(length) else {
        return Err(Status::resource_exhausted("grpc: the answer is above 4 GiB"));
    };
    bytes.reserve(HEAD_BYTES + length);
    bytes.put_u8(0);
    bytes.put_u32(announced);
    message.encode(bytes).expect("there is room for its length");
    Ok(())
}

/// The head of an answer that is good.
pub(crate) fn good_head<B>(body: B) -> Response<B> {
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// The trailers of an answer that is good.
pub(crate) fn good_trailers() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static(GOOD));
    trailers
}

/// The answer with this message.
pub(super) fn answered(message: &impl Message) -> Answered {
    let mut bytes = BytesMut::with_capacity(answered_bytes(message));
    match write_answered(message, &mut bytes) {
        Ok(()) => good_head(Body::new(Single(Stage::Message(bytes.freeze())))),
        Err(status) => status.into_http(),
    }
}

/// The body of an answer: one message, and that it is good.
struct Single(Stage);

enum Stage {
    Message(Bytes),
    Trailers,
    Ended,
}

impl http_body::Body for Single {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let (frame, next) = match std::mem::replace(&mut self.0, Stage::Ended) {
            Stage::Message(message) => (Frame::data(message), Stage::Trailers),
            Stage::Trailers => (Frame::trailers(good_trailers()), Stage::Ended),
            Stage::Ended => return Poll::Ready(None),
        };
        self.0 = next;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Stage::Ended)
    }

    fn size_hint(&self) -> SizeHint {
        let length = match &self.0 {
            Stage::Message(message) => message.len(),
            Stage::Trailers | Stage::Ended => 0,
        };
        let mut hint = SizeHint::new();
        hint.set_lower(u64::try_from(length).unwrap_or(u64::MAX));
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full, StreamBody};
    use raft_net::etcd::etcdserverpb::PutRequest;

    use super::*;

    fn framed(message: &impl Message) -> Vec<u8> {
        let length = u32::try_from(message.encoded_len()).unwrap().to_be_bytes();
        [&[0], &length[..], &message.encode_to_vec()].concat()
    }

    fn put() -> PutRequest {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        PutRequest { key: bytes("key"), value: bytes("value"), ..PutRequest::default() }
    }

    async fn refused(body: Vec<u8>) -> Status {
        message::<_, PutRequest>(Full::new(Bytes::from(body))).await.unwrap_err()
    }

    #[actix_rt::test]
    async fn a_message_is_read_from_frames_of_any_length() {
        let whole = framed(&put());
        for length in 1..=whole.len() {
            let frames: Vec<_> = whole
                .chunks(length)
                .map(|part| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(part))))
                .collect();
            let body = StreamBody::new(tokio_stream::iter(frames));
            assert_eq!(message::<_, PutRequest>(body).await.unwrap(), put(), "{length}");
        }
    }

    #[actix_rt::test]
    async fn what_is_not_one_message_is_refused_in_words() {
        let whole = framed(&put());
        for cut in 0..whole.len() {
            assert_eq!(refused(whole[..cut].to_vec()).await.code(), Code::Internal, "{cut}");
        }
        let twice = refused([&whole[..], &whole].concat()).await;
        assert_eq!(twice.message(), "grpc: more than one message in a request for one");
        let compressed = refused([&[1], &whole[1..]].concat()).await;
        assert_eq!(compressed.code(), Code::Unimplemented);
        let long = refused(vec![0, 0xff, 0xff, 0xff, 0xff]).await;
        assert_eq!(long.code(), Code::ResourceExhausted);
        assert_eq!(
            long.message(),
            "grpc: received message larger than max (4294967295 vs. 2097152)"
        );
        let senseless = refused(vec![0, 0, 0, 0, 1, 0xff]).await;
        assert_eq!(senseless.code(), Code::Internal);
    }

    #[actix_rt::test]
    async fn an_answer_is_a_message_and_a_good_end() {
        let answer = answered(&put());
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/grpc");
        let collected = answer.into_body().collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap();
        assert_eq!(trailers["grpc-status"], "0");
        assert_eq!(collected.to_bytes(), framed(&put()));
    }
}

//! How an answer goes out on a stream of HTTP/2: its head, and its body as the client reads it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::{Body as _, Frame};
use tonic::Status;
use tonic::body::Body;

use super::is_grpc;
use crate::clock::Clock;

/// The year 10,000, of which HTTP's dates know nothing; a clock that shows it is wrong.
const DATES_END: Duration = Duration::from_secs(253_402_300_800);

/// Why an answer does not get through.
pub(super) enum Undelivered {
    /// The stream is gone, or its connection.
    Stream(h2::Error),
    /// The answer broke off.
    Answer(Status),
}

impl From<h2::Error> for Undelivered {
    fn from(error: h2::Error) -> Self {
        Self::Stream(error)
    }
}

/// Waits for a future, as long as the client does.
///
/// Errors: that it does not any more.
pub(super) async fn while_waited_for<T>(
    respond: &mut SendResponse<Bytes>,
    future: impl Future<Output = T>,
) -> Result<T, h2::Error> {
    let mut future = std::pin::pin!(future);
    poll_fn(|context| {
        if let Poll::Ready(done) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(done));
        }
        respond.poll_reset(context).map(|reset| Err(reset.map_or_else(|it| it, h2::Error::from)))
    })
    .await
}

/// Sends an answer.
///
/// Errors: why not all of it is sent; its stream is reset then.
pub(super) async fn send(
    mut respond: SendResponse<Bytes>,
    response: Response<Body>,
) -> Result<(), Undelivered> {
    let (mut head, mut body) = response.into_parts();
    finish(&mut head.headers, &body);
    let head = Response::from_parts(head, ());
    if body.is_end_stream() {
        respond.send_response(head, true)?;
        return Ok(());
    }
    let mut stream = respond.send_response(head, false)?;
    let mut kept = None;
    let sent = poll_fn(|context| poll_send(&mut stream, &mut body, &mut kept, context)).await;
    if let Err(Undelivered::Answer(_)) = &sent {
        stream.send_reset(Reason::INTERNAL_ERROR);
    }
    sent
}

/// Adds what every answer of HTTP says: how long it is, and when it was made. gRPC's do not.
fn finish(headers: &mut HeaderMap, body: &Body) {
    if is_grpc(headers) {
        return;
    }
    if let Some(length) = body.size_hint().exact()
        && !body.is_end_stream()
    {
        headers.entry(header::CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    let since_1970 = Duration::from_micros(Clock::wall_time());
    if DATES_END <= since_1970 {
        return;
    }
    if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(UNIX_EPOCH + since_1970)) {
        headers.entry(header::DATE).or_insert(date);
    }
}

/// Sends as much of a body as the client has room for. `kept` is what waits for room.
fn poll_send(
    stream: &mut SendStream<Bytes>,
    body: &mut Body,
    kept: &mut Option<Bytes>,
    context: &mut Context<'_>,
) -> Poll<Result<(), Undelivered>> {
    loop {
        // Asked each time, so that a client that gives up while the body says nothing is noticed.
        if let Poll::Ready(reset) = stream.poll_reset(context) {
            return Poll::Ready(Err(reset.map_or_else(|it| it, h2::Error::from).into()));
        }
        if kept.is_some() {
            while stream.capacity() == 0 {
                match ready!(stream.poll_capacity(context)) {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Poll::Ready(Err(error.into())),
                    None => return Poll::Ready(Err(h2::Error::from(Reason::CANCEL).into())),
                }
            }
        }
        if let Some(data) = kept.take() {
            let is_last = body.is_end_stream();
            stream.send_data(data, is_last)?;
            if is_last {
                return Poll::Ready(Ok(()));
            }
            continue;
        }
        let frame = match ready!(Pin::new(&mut *body).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            Some(Err(status)) => return Poll::Ready(Err(Undelivered::Answer(status))),
            None => {
                stream.send_data(Bytes::new(), true)?;
                return Poll::Ready(Ok(()));
            }
        };
        match frame.into_data() {
            // The end says itself.
            Ok(data) if data.is_empty() => {}
            Ok(data) => {
                // As little as that, so that no stream keeps room from others that it does not
                // use; h2 asks for the rest when it has the data.
                stream.reserve_capacity(1);
                *kept = Some(data);
            }
            Err(frame) => {
                let Ok(trailers) = Frame::into_trailers(frame) else { continue };
                stream.reserve_capacity(0);
                stream.send_trailers(trailers)?;
                return Poll::Ready(Ok(()));
            }
        }
    }
}

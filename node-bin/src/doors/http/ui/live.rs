//! `GET /ui/live`: what the Dashboard shows, as server-sent events.

use std::convert::Infallible;

use actix::Recipient;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::sync::oneshot;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;

use super::super::rest::Refused;
use crate::dashboard::{OpenPage, Stream};

/// When a page that finds no room should ask again. Units: seconds.
const RETRY_AFTER: &str = "5";

/// Begins to show the cluster to one more page.
pub(super) async fn show(open: &Recipient<OpenPage>) -> Result<Response<Body>, Refused> {
    let (reply, shown) = oneshot::channel();
    open.do_send(OpenPage { reply });
    let Stream { parts, place } =
        shown.await.map_err(|_| Refused::stopped())?.ok_or_else(|| {
            let why = "too many pages are open at this node; close one, or ask another node";
            let refused = Refused::new(StatusCode::SERVICE_UNAVAILABLE, why.to_owned());
            refused.with(header::RETRY_AFTER, RETRY_AFTER)
        })?;
    let frames = ReceiverStream::new(parts).map(move |part| {
        // It goes with the stream.
        let _ = &place;
        Ok::<_, Infallible>(Frame::data(part))
    });
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

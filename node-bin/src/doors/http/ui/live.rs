//! `GET /ui/live`: what the Dashboard shows, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;

use actix::Recipient;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::sync::{Notify, oneshot};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;

use super::super::rest::Refused;
use crate::dashboard::{OpenPage, Stream};

/// When a page that finds no room should ask again. Units: seconds.
const RETRY_AFTER: &str = "5";

/// Closes the connection that a request came on. It goes with the requests of HTTP/1: of HTTP/2, a
/// connection has other streams, too.
#[derive(Clone, Debug, Default)]
pub(crate) struct HangUp(Arc<Notify>);

impl HangUp {
    /// Waits until somebody asks for it.
    pub(crate) async fn asked(&self) {
        self.0.notified().await;
    }
}

/// Begins to show the cluster to one more page. A page that is ended because it reads nothing
/// does not read its end either: `hang_up` closes its connection.
pub(super) async fn show(
    open: &Recipient<OpenPage>,
    hang_up: Option<HangUp>,
) -> Result<Response<Body>, Refused> {
    let (reply, shown) = oneshot::channel();
    open.do_send(OpenPage { reply });
    let Stream { parts, place, ended } =
        shown.await.map_err(|_| Refused::stopped())?.ok_or_else(|| {
            let why = "too many pages are open at this node; close one, or ask another node";
            let refused = Refused::new(StatusCode::SERVICE_UNAVAILABLE, why.to_owned());
            refused.with(header::RETRY_AFTER, RETRY_AFTER)
        })?;
    if let Some(hang_up) = hang_up {
        actix_rt::spawn(async move {
            // It is dropped, and nothing is said by it.
            let _ = ended.await;
            hang_up.0.notify_one();
        });
    }
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

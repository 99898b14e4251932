//! `POST /ui/play`: what somebody wants to see done, from a page.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Frame};
use raft_core::types::NodeId;
use raft_net::client_protocol::playground::{Play, PlayOrder, TimeScale};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::body::Body;

use super::super::incoming::Incoming;
use super::super::rest::{Refused, collect};
use super::{Backstage, clearing};
use crate::api::{CallOutcome, Operation};
use crate::dashboard::PlaysWith;
use crate::doors::etcd::Behind;
use crate::playground::{AskedToPlay, LessonNews, LessonWord, PageTold, Waits, Wish};

/// What a page shows that it is one of this node's.
const TOKEN: HeaderName = HeaderName::from_static("x-kvorum-token");

/// The longest order. A longer one is refused. Units: bytes.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// The longest word by which a page names itself. Units: bytes.
const PAGE_BYTES_MAX: usize = 64;

/// Deletes every key; a page's own word.
const CLEAR_STORE: &str = "clear-store";

/// How long clearing the store may take.
const CLEAR_DEADLINE: Duration = Duration::from_secs(45);

/// What a page sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Order {
    action: String,
    node: Option<u64>,
    other: Option<u64>,
    ms: Option<u64>,
    one_way: bool,
    /// How much slower time is to pass: 2 is half as fast.
    scale: Option<f64>,
    /// The page whose lesson it belongs to, by a word that it has drawn.
    lesson: Option<String>,
    /// Which lesson begins.
    name: String,
    /// What the page shows of its lesson.
    title: String,
    text: String,
}

/// What a page is answered.
#[derive(Serialize)]
struct Done {
    done: bool,
    text: String,
}

/// Has something done, and says what became of it.
pub(super) async fn play(
    behind: &Behind,
    backstage: &Backstage,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refused> {
    let Some((plays_with, player)) = &backstage.play else {
        return Err(nobody_may());
    };
    check_token(&backstage.token, &request)?;
    let order = order(&collect(request.into_body(), BODY_BYTES_MAX).await?)?;
    if order.action == CLEAR_STORE {
        // While time stands still, no request is answered.
        let cleared = timeout(CLEAR_DEADLINE, clearing::clear(behind)).await;
        let late = "the store was not cleared in time; is there a leader, and does time pass?";
        let text =
            cleared.map_err(|_| Refused::new(StatusCode::GATEWAY_TIMEOUT, late.to_owned()))?;
        return text.map(|text| done(Ok(text), None));
    }
    let wish = order.to_wish().map_err(Refused::bad)?;
    if let (Wish::Play { play: Play::Transfer(_), .. }, PlaysWith::Node) = (&wish, plays_with) {
        return Ok(done(transfer(behind, order.node).await, None));
    }
    let (reply, told) = oneshot::channel();
    player.do_send(AskedToPlay { waits: Waits::Page(reply), wish });
    let PageTold { outcome, told } = told.await.map_err(|_| Refused::stopped())?;
    Ok(done(outcome, told))
}

/// That there is nobody who could do anything.
pub(super) fn nobody_may() -> Refused {
    let why = "nobody may play with this node: that takes kvorum dev, or --playground";
    Refused::new(StatusCode::NOT_FOUND, why.to_owned())
}

/// Lets in who has been told the token, which no page of another origin can have read.
fn check_token(token: &str, request: &Request<Incoming>) -> Result<(), Refused> {
    let shown = request.headers().get(TOKEN).map(|shown| shown.as_bytes()).unwrap_or_default();
    if !is_same(shown, token.as_bytes()) {
        let why = "x-kvorum-token is not that of this node; open its page again";
        return Err(Refused::new(StatusCode::FORBIDDEN, why.to_owned()));
    }
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let why = "an order is sent as application/json; set Content-Type".to_owned();
        return Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    }
    Ok(())
}

/// Compares in a time that does not say how much is right.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differs = one.iter().zip(other).fold(0, |differs, (one, other)| differs | (one ^ other));
    one.len() == other.len() && differs == 0
}

fn order(body: &Bytes) -> Result<Order, Refused> {
    serde_json::from_slice(body).map_err(|error| {
        Refused::bad(format!("the body is no order such as {{\"action\":\"heal\"}}: {error}"))
    })
}

impl Order {
    /// What is wanted, if it makes sense whoever the nodes are.
    ///
    /// Errors: one line that says what does not.
    fn to_wish(&self) -> Result<Wish, String> {
        let page = self.lesson.clone();
        if page.as_ref().is_some_and(|page| PAGE_BYTES_MAX < page.len()) {
            return Err(format!("lesson: a page has a name of at most {PAGE_BYTES_MAX} bytes"));
        }
        let news = match self.action.as_str() {
            "lesson-begin" => LessonNews::Begins { name: self.name.clone() },
            "lesson-shows" => {
                LessonNews::Shows { title: self.title.clone(), text: self.text.clone() }
            }
            "lesson-end" => LessonNews::Ends,
            _ => return Ok(Wish::Play { play: self.to_play()?, page }),
        };
        let page = page.ok_or_else(|| format!("{}: name the page as lesson", self.action))?;
        Ok(Wish::Lesson(LessonWord { page, news }))
    }

    fn to_play(&self) -> Result<Play, String> {
        let Self { action, node, other, ms, one_way, scale, .. } = self;
        let percent = scale.map(hundredths).transpose()?;
        let (action, node, other) = (action.clone(), *node, *other);
        PlayOrder { action, node, other, ms: *ms, one_way: *one_way, percent }.to_play()
    }
}

/// A number as hundredths, to which it is rounded.
fn hundredths(number: f64) -> Result<u64, String> {
    let text = format!("{number:.2}");
    text.parse::<TimeScale>().map(|scale| scale.percent)
}

/// Has the cluster hand leadership to a node.
async fn transfer(behind: &Behind, to: Option<u64>) -> Result<String, String> {
    let to = to.and_then(NodeId::new).ok_or("transfer: name a node by its number")?;
    let called = behind.call(Operation::Transfer { to: Some(to) }).await;
    match called.map_err(|_| "the node has ended")?.outcome {
        CallOutcome::Answered(_) => Ok(format!("node {to} leads")),
        CallOutcome::Refused(refusal) => Err(format!("leadership stays where it is: {refusal:?}")),
        CallOutcome::AnsweredLocally(..) | CallOutcome::Session(_) | CallOutcome::Described(_) => {
            Err("leadership stays where it is".to_owned())
        }
    }
}

/// What became of an order. `told` is dropped when the socket has it.
fn done(outcome: Result<String, String>, told: Option<oneshot::Sender<()>>) -> Response<Body> {
    let status = if outcome.is_ok() { StatusCode::OK } else { StatusCode::CONFLICT };
    let done = Done { done: outcome.is_ok(), text: outcome.unwrap_or_else(|why| why) };
    let text = serde_json::to_string(&done).expect("a text and a flag are written") + "\n";
    let body = Last { inner: Full::from(text), _told: told };
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = status;
    let kind = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// A body whose end somebody waits for.
struct Last {
    inner: Full<Bytes>,
    _told: Option<oneshot::Sender<()>>,
}

impl HttpBody for Last {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.inner.size_hint()
    }
}

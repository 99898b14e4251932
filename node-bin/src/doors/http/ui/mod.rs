//! The dashboard's routes: `/` and `/ui/...` (`docs/dashboard.md`).
//!
//! Whatever is served here is for pages of this node only: requests that name the node by another
//! name, or come from a page of another origin, are refused as those for keys are.

mod clearing;
mod live;
mod play;

use actix::Recipient;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use sha2::{Digest as _, Sha256};
use tonic::body::Body;

pub(super) use self::live::HangUp;
use super::host::Hosts;
use super::incoming::Incoming;
use super::pages;
use super::rest::{Refused, check_names};
use crate::dashboard::assets::{self, Asset};
use crate::dashboard::{OpenPage, PlaysWith};
use crate::doors::etcd::Behind;
use crate::playground::AskedToPlay;

/// Where everything but the page itself is.
const PATH: &str = "/ui/";

/// The page behind `/`.
const INDEX: &str = "index.html";

/// What a page may load and do: what this node serves, and nothing that stands in the page itself.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// What the routes reach.
#[derive(Debug)]
pub(crate) struct Backstage {
    pub(crate) open: Recipient<OpenPage>,
    /// What a request that changes something must bring.
    pub(crate) token: String,
    /// If somebody may play with this node.
    pub(crate) play: Option<(PlaysWith, Recipient<AskedToPlay>)>,
}

/// Whether a path is one of these.
pub(super) fn is_of_page(path: &str) -> bool {
    path == "/" || path.starts_with(PATH)
}

pub(super) async fn answer(
    behind: &Behind,
    (hosts, backstage): (&Hosts, &Backstage),
    request: Request<Incoming>,
) -> Response<Body> {
    let served = match check_names(hosts, &request) {
        Ok(()) => serve(behind, backstage, request).await,
        Err(refused) => Err(refused),
    };
    let mut response = served.unwrap_or_else(Refused::response);
    guard(&mut response);
    response
}

async fn serve(
    behind: &Behind,
    backstage: &Backstage,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refused> {
    let name = request.uri().path().strip_prefix(PATH).unwrap_or(INDEX).to_owned();
    if name == "play" && backstage.play.is_none() {
        return Err(play::nobody_may());
    }
    if name == "play" {
        only(&request, &[Method::POST])?;
        return play::play(behind, backstage, request).await;
    }
    if name == "live" {
        only(&request, &[Method::GET])?;
        check_site(request.headers())?;
        let hang_up = request.extensions().get::<HangUp>().cloned();
        return live::show(&backstage.open, hang_up).await;
    }
    match assets::find(&name) {
        Some(asset) => {
            only(&request, &[Method::GET, Method::HEAD])?;
            Ok(file(asset, &request))
        }
        None => Err(Refused::new(StatusCode::NOT_FOUND, "there is no such page".to_owned())),
    }
}

/// Keeps pages of other sites from opening streams, which would leave none for those of this
/// node: a browser says who asks also where it names no origin.
fn check_site(headers: &HeaderMap) -> Result<(), Refused> {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if matches!(site, Some(b"cross-site" | b"same-site")) {
        let why = "a page of another origin may not ask this node".to_owned();
        return Err(Refused::new(StatusCode::FORBIDDEN, why));
    }
    Ok(())
}

fn only(request: &Request<Incoming>, methods: &[Method]) -> Result<(), Refused> {
    if methods.contains(request.method()) {
        return Ok(());
    }
    let allowed: Vec<&str> = methods.iter().map(Method::as_str).collect();
    let allowed = allowed.join(", ");
    let why = format!("this takes {allowed}");
    Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, why).with(header::ALLOW, &allowed))
}

/// A file of the page, unless the browser has it.
fn file(asset: &Asset, request: &Request<Incoming>) -> Response<Body> {
    let tag = etag(asset.bytes);
    let known = request.headers().get_all(header::IF_NONE_MATCH).into_iter();
    let mut known = known.filter_map(|tags| tags.to_str().ok()).flat_map(|tags| tags.split(','));
    let mut response = if known.any(|it| it.trim().trim_start_matches("W/") == tag) {
        pages::empty(StatusCode::NOT_MODIFIED)
    } else {
        pages::of_kind(StatusCode::OK, asset.kind(), asset.bytes)
    };
    put(&mut response, header::CACHE_CONTROL, "no-cache");
    put(&mut response, header::ETAG, &tag);
    response
}

/// What changes with a file.
fn etag(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

/// Tells the browser what it must not do with an answer.
fn guard(response: &mut Response<Body>) {
    put(response, header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    put(response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(response, header::REFERRER_POLICY, "no-referrer");
    put(response, HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
}

fn put(response: &mut Response<Body>, name: HeaderName, value: &str) {
    let value = HeaderValue::from_str(value).expect("fixed texts and digests may be headers");
    response.headers_mut().insert(name, value);
}

//! Plain pages: the version, whether the node is well, and its numbers.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use raft_net::client_protocol::{MonitorEntry, MonitorValue};
use tonic::body::Body;

use super::super::etcd::{Behind, ETCD_VERSION};
use super::incoming::Incoming;
use crate::monitor::health::{CHECKS, LIVE};
use crate::monitor::machine::memory_bytes;

pub(super) async fn answer(behind: &Behind, request: Request<Incoming>) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    }
    let query = request.uri().query().unwrap_or_default().to_owned();
    let asks = |flag: &str| query.split('&').any(|part| part.trim_end_matches("=true") == flag);
    match request.uri().path() {
        "/version" => version(),
        "/health" => health(behind, asks("serializable")).await,
        "/livez" => checks(behind, LIVE, asks("verbose")).await,
        "/readyz" => checks(behind, CHECKS, asks("verbose")).await,
        "/metrics" => metrics(behind).await,
        path => {
            let one = path.strip_prefix("/readyz/").or_else(|| path.strip_prefix("/livez/"));
            match one.filter(|one| CHECKS.contains(one)) {
                Some(one) => checks(behind, &[one], asks("verbose")).await,
                None => text(StatusCode::NOT_FOUND, "404 page not found\n"),
            }
        }
    }
}

pub(super) fn text(status: StatusCode, body: impl Into<String>) -> Response<Body> {
    let body: String = body.into();
    of_kind(status, "text/plain; charset=utf-8", body)
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

pub(super) fn json(status: StatusCode, body: String) -> Response<Body> {
    of_kind(status, "application/json", body)
}

/// Bytes that a browser must not take for anything else.
pub(super) fn bytes(body: Bytes) -> Response<Body> {
    let mut response = of_kind(StatusCode::OK, "application/octet-stream", body);
    let no = header::HeaderValue::from_static("nosniff");
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, no);
    response
}

/// A body of a kind.
pub(super) fn of_kind(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(Body::new(http_body_util::Full::from(body.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

fn version() -> Response<Body> {
    let (major_minor, _) = ETCD_VERSION.rsplit_once('.').unwrap_or((ETCD_VERSION, ""));
    let body = serde_json::json!({
        "etcdserver": ETCD_VERSION,
        "etcdcluster": format!("{major_minor}.0"),
        "storage": format!("{major_minor}.0"),
    });
    json(StatusCode::OK, body.to_string())
}

async fn health(behind: &Behind, is_serializable: bool) -> Response<Body> {
    let (is_well, reason) = match behind.is_well(is_serializable).await {
        Ok(()) => (true, String::new()),
        Err(reason) => (false, reason),
    };
    let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::json!({ "health": is_well.to_string(), "reason": reason });
    json(status, body.to_string())
}

async fn checks(behind: &Behind, names: &[&str], is_verbose: bool) -> Response<Body> {
    let (mut lines, mut is_well) = (String::new(), true);
    for name in names {
        let line = match behind.check(name).await {
            Ok(()) => format!("[+]{name} ok\n"),
            Err(reason) => {
                is_well = false;
                format!("[-]{name} failed: {reason}\n")
            }
        };
        lines.push_str(&line);
    }
    let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match (is_well, is_verbose) {
        (true, false) => text(status, "ok\n"),
        (true, true) => text(status, format!("{lines}ok\n")),
        (false, _) => text(status, lines),
    }
}

/// Numbers under etcd's names, where they mean the same.
async fn metrics(behind: &Behind) -> Response<Body> {
    let Ok(state) = behind.state().await else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "the node is stopping\n");
    };
    let is_leader = state.leader == Some(state.node);
    let memory = memory_bytes();
    let numbers: [(&str, &str, u64); 10] = [
        ("etcd_server_has_leader", "gauge", state.leader.is_some().into()),
        ("etcd_server_is_leader", "gauge", is_leader.into()),
        ("etcd_server_is_learner", "gauge", (!state.configuration.is_voter(state.node)).into()),
        ("etcd_server_proposals_committed_total", "gauge", state.commit_index.0),
        ("etcd_server_proposals_applied_total", "gauge", state.applied_index.0),
        ("etcd_debugging_mvcc_current_revision", "gauge", state.revision),
        ("etcd_mvcc_db_total_size_in_bytes", "gauge", memory),
        ("etcd_mvcc_db_total_size_in_use_in_bytes", "gauge", memory),
        ("process_resident_memory_bytes", "gauge", memory),
        ("kvorum_raft_term", "gauge", state.term.0),
    ];
    let mut page = String::new();
    for (name, kind, number) in numbers {
        let _ = writeln!(page, "# TYPE {name} {kind}\n{name} {number}");
    }
    page.push_str(&own_metrics(&behind.values("").await));
    of_kind(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page)
}

/// What no metric of etcd says: how long things take, and how many there are.
fn own_metrics(values: &[MonitorEntry]) -> String {
    let number = |path: &str| {
        let entry = values.iter().find(|entry| entry.path == path);
        entry.map_or(0, |entry| match entry.value {
            MonitorValue::Number(number) => number,
            MonitorValue::Flag(_) | MonitorValue::Text(_) => 0,
        })
    };
    let mut page = String::new();
    for (path, name) in [
        ("disk/sync", "kvorum_log_sync_duration_seconds"),
        ("requests/write_time", "kvorum_write_duration_seconds"),
        ("requests/read_time", "kvorum_read_duration_seconds"),
    ] {
        let seconds = |part: &str| microseconds_as_seconds(number(&format!("{path}/{part}")));
        let _ = writeln!(page, "# TYPE {name} summary");
        for (quantile, part) in [("0.5", "p50_us"), ("0.99", "p99_us"), ("1", "max_us")] {
            let _ = writeln!(page, "{name}{{quantile=\"{quantile}\"}} {}", seconds(part));
        }
        let count = number(&format!("{path}/count"));
        let _ = writeln!(page, "{name}_sum {}\n{name}_count {count}", seconds("sum_us"));
    }
    for (path, name, kind) in [
        ("requests/writes", "kvorum_writes_total", "counter"),
        ("requests/reads", "kvorum_reads_total", "counter"),
        ("requests/in_flight", "kvorum_requests_in_flight", "gauge"),
        ("watches/count", "kvorum_watches", "gauge"),
        ("watches/slow_readers", "kvorum_slow_watchers", "gauge"),
        ("store/live_bytes", "kvorum_live_bytes", "gauge"),
        ("store/memory_max", "kvorum_memory_max_bytes", "gauge"),
        ("disk/free_bytes", "kvorum_disk_free_bytes", "gauge"),
    ] {
        let _ = writeln!(page, "# TYPE {name} {kind}\n{name} {}", number(path));
    }
    page
}

fn microseconds_as_seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

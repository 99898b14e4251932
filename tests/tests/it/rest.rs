//! Keys as HTTP resources: as `curl` sees them, and against clients that mean harm.

mod conditions;
mod hostile;
mod items;
mod keys;
mod refusals;
mod watches;

use serde_json::Value;

use crate::harness::cluster::Cluster;
use crate::harness::http::{self, Reply};

const JSON: &str = "Content-Type: application/json";
const BYTES: &str = "Content-Type: application/octet-stream";

async fn get(cluster: &Cluster, path: &str) -> Reply {
    http::ask(cluster.address(1), &format!("GET {path}"), &[], b"").await
}

/// Sets a key to a text; the status of the answer and its document.
async fn put(cluster: &Cluster, path: &str, value: &str) -> (u16, Value) {
    let body = serde_json::json!({ "value": value }).to_string();
    let request = format!("PUT {path}");
    let reply = http::ask(cluster.address(1), &request, &[JSON], body.as_bytes()).await;
    (reply.status, reply.json())
}

async fn delete(cluster: &Cluster, path: &str) -> Reply {
    http::ask(cluster.address(1), &format!("DELETE {path}"), &[], b"").await
}

/// Any bytes as a path may hold them.
fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02x}")).collect()
}

//! The dashboard: what a node tells its pages, what they may do, and what nobody else may.

mod dev;
mod files;
mod harm;
mod lessons;
mod live;
mod orders;
mod stream;

use crate::harness::http::{self, Reply};

use self::stream::Stream;

const JSON: &str = "Content-Type: application/json";

/// Sends an order with the token of the node, as its page does.
async fn play(address: &str, order: serde_json::Value) -> Reply {
    let token = Stream::open(address).await.token().await;
    let token = format!("x-kvorum-token: {token}");
    let origin = format!("Origin: http://{address}");
    let headers = [JSON, token.as_str(), origin.as_str()];
    http::ask(address, "POST /ui/play", &headers, order.to_string().as_bytes()).await
}

/// The same; what was done, if it was.
async fn played(address: &str, order: serde_json::Value) -> String {
    let shown = order.to_string();
    let reply = play(address, order).await;
    let answer = reply.json();
    assert_eq!((reply.status, &answer["done"]), (200, &true.into()), "{shown}: {answer}");
    answer["text"].as_str().unwrap().to_owned()
}

//! A write that is asked for twice, as by a program that was stopped before it had the answer,
//! and takes effect once. The first argument is a node, without one 127.0.0.1:2379.

use std::time::Duration;

use kvorum_client::{Client, Options, SessionId};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:2379".to_owned());
    // Whoever wants to ask again later keeps this text somewhere first.
    let session = SessionId::open(vec![node.clone()], Duration::from_secs(5)).await?;
    let id = session.request(1).ok_or("serials begin at 1")?;
    let mut revisions = Vec::new();
    for attempt in 1..=2 {
        let client = Client::connect(vec![node.clone()], Options::default()).await?;
        let revision = client.with_request_id(id).put(b"paid", b"yes").await?;
        println!("attempt {attempt} at {id}: revision {revision}");
        revisions.push(revision);
    }
    assert_eq!(revisions[0], revisions[1], "it took effect once");
    Ok(())
}

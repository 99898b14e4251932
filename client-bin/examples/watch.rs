//! A watch of everything below a prefix, and what it is shown. The first argument is a node,
//! without one 127.0.0.1:2379.

use kvorum_client::{Client, Interest, KeyRange, Options, Update, WatchOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:2379".to_owned());
    let client = Client::connect(vec![node], Options::default()).await?;
    let interest = Interest { previous: true, ..Interest::of(KeyRange::prefix(b"services/")) };
    let mut watch = client.watch(&interest, WatchOptions::default()).await?;
    println!("watching from revision {} on", watch.revision() + 1);
    client.put(b"services/web", b"10.0.0.7").await?;
    client.put(b"services/web", b"10.0.0.8").await?;
    client.delete(&[KeyRange::single(b"services/web")]).await?;
    let mut shown = 0;
    while shown < 3 {
        let Update::Changes { events, .. } = watch.next().await? else { continue };
        for event in events {
            let value = |kv: Option<kvorum_client::KeyValue>| kv.map(|kv| kv.value);
            let (next, previous) = (value(event.next), value(event.previous));
            println!("{}: {:?} is {next:?}, was {previous:?}", event.revision, event.key);
            shown += 1;
        }
    }
    Ok(())
}

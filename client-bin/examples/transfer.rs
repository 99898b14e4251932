//! An amount goes from one account to another, if the one has it: both change or neither does.
//! The first argument is a node, without one 127.0.0.1:2379.

use kvorum_client::transaction::{Relation, Reply, Transaction, get, increment, key, put};
use kvorum_client::{Client, ClientError, Options};

const FROM: &[u8] = b"account/ada";
const TO: &[u8] = b"account/bob";

/// Moves an amount; returns whether it was there.
async fn transfer(client: &Client, amount: i64) -> Result<bool, ClientError> {
    loop {
        let Some(found) = client.get(FROM).await? else { return Ok(false) };
        let balance = String::from_utf8_lossy(&found.value).parse().unwrap_or(0);
        if balance < amount {
            return Ok(false);
        }
        // What was read must still be so; who was overtaken reads again.
        let transaction = Transaction::new()
            .when(key(FROM).mod_revision(Relation::Equal, found.mod_revision))
            .then(increment(FROM, None, -amount))
            .then(increment(TO, None, amount));
        if client.transact(&transaction).await?.succeeded {
            return Ok(true);
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ClientError> {
    let node = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:2379".to_owned());
    let client = Client::connect(vec![node], Options::default()).await?;
    let open = Transaction::new()
        .when(key(FROM).exists(false))
        .when(key(TO).exists(false))
        .then(put(FROM, b"100"))
        .then(put(TO, b"0"));
    client.transact(&open).await?;
    while transfer(&client, 30).await? {}
    let both = Transaction::new().then(get(FROM)).then(get(TO));
    for answer in client.transact(&both).await?.answers {
        if let Reply::Page(page) = answer {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            println!("{} {}", text(&page.kvs[0].key), text(&page.kvs[0].value));
        }
    }
    // An operation that cannot be carried out undoes the others.
    client.put(b"account/name", b"Ada").await?;
    let wrong = Transaction::new().then(put(TO, b"0")).then(increment(b"account/name", None, 1));
    let error = client.transact(&wrong).await.expect_err("a name is no number");
    println!("{error}");
    Ok(())
}

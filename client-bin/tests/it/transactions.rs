//! Transactions through the library and through `kvctl`, against a real store behind a fake node.

use std::time::Duration;

use kvorum_client::transaction::{
    Collection, Relation, Reply, Transaction, add_members, delete, expire, fields, get, increment,
    items, key, keys, members, nested, put, put_with, range, remaining, remove_fields,
    remove_members, replace, select, set_fields, take,
};
use kvorum_client::{Client, ClientError, KeyRange, No, Options, PutOptions, Selection};
use serde_json::{Value, json};

use crate::fake::{Act, World};
use crate::kvctl::{Ran, kvctl_with};

async fn connect(node: &str) -> Client {
    let options = Options { timeout: Duration::from_secs(5) };
    Client::connect(vec![node.to_owned()], options).await.unwrap()
}

#[tokio::test]
async fn every_operation_is_answered_in_its_own_way() {
    let world = World::default();
    let client = connect(&world.node(1, &[])).await;
    let brief = PutOptions { returns_previous: true, ttl_ms: 60_000, ..PutOptions::default() };
    let transaction = Transaction::new()
        .when(key(b"a").version(Relation::Equal, 0))
        .when(keys(KeyRange::prefix(b"")).exists(false))
        .then(put(b"a", b"1"))
        .then(replace(b"a", b"2"))
        .then(increment(b"a", None, 5))
        .then(get(b"a"))
        .then(put_with(b"b", b"", brief))
        .then(remaining(b"b", None))
        .then(expire(b"b", None, None))
        .then(remaining(b"b", None))
        .then(set_fields(b"h", &[(b"f", b"1"), (b"g", b"x")]))
        .then(increment(b"h", Some(b"f"), 1))
        .then(fields(b"h", &[b"f", b"z"]))
        .then(remove_fields(b"h", &[b"f"]))
        .then(items(Collection::Hash, b"h"))
        .then(add_members(b"s", &[b"m", b"n"]))
        .then(remove_members(b"s", &[b"m"]))
        .then(members(b"s", &[b"m", b"n"]))
        .then(nested(
            Transaction::new()
                .when(key(b"s").has_member(b"m", true))
                .otherwise(range(KeyRange::prefix(b"h"))),
        ))
        .then(delete(&[KeyRange::single(b"x")]))
        .then(take(&[KeyRange::single(b"a")]))
        .then(select(Selection::of(KeyRange::single(b"a"))));
    let outcome = client.transact(&transaction).await.unwrap();
    assert_eq!((outcome.succeeded, outcome.revision, outcome.answers.len()), (true, 2, 20));
    let mut answers = outcome.answers.into_iter();
    let mut next = || answers.next().unwrap();
    assert_eq!(next(), Reply::Put { revision: 2, previous: None });
    let Reply::Put { previous: Some(previous), .. } = next() else { panic!("it was there") };
    assert_eq!((&previous.value[..], previous.version), (&b"1"[..], 1));
    assert_eq!(next(), Reply::Number(7));
    let Reply::Page(page) = next() else { panic!("a page") };
    assert_eq!((&page.kvs[0].value[..], page.count, page.more), (&b"7"[..], 1, false));
    assert_eq!(next(), Reply::Put { revision: 2, previous: None });
    let minute = Some(Duration::from_secs(60));
    assert_eq!(next(), Reply::Remaining { exists: true, remaining: minute });
    assert_eq!(next(), Reply::Changed { count: 1, revision: 2 });
    assert_eq!(next(), Reply::Remaining { exists: true, remaining: None });
    assert_eq!(next(), Reply::Changed { count: 2, revision: 2 });
    assert_eq!(next(), Reply::Number(2));
    assert_eq!(next(), Reply::Values(vec![Some("2".into()), None]));
    assert_eq!(next(), Reply::Changed { count: 1, revision: 2 });
    let left = vec![("g".into(), "x".into())];
    assert_eq!(next(), Reply::Items { items: left, more: false, count: 1 });
    assert_eq!(next(), Reply::Changed { count: 2, revision: 2 });
    assert_eq!(next(), Reply::Changed { count: 1, revision: 2 });
    assert_eq!(next(), Reply::Has(vec![false, true]));
    let Reply::Nested(inner) = next() else { panic!("nested") };
    assert!(!inner.succeeded);
    assert!(matches!(&inner.answers[..], [Reply::Page(page)] if page.kvs[0].key == "h"));
    let Reply::Deleted { deleted, kvs, .. } = next() else { panic!("deleted") };
    assert_eq!((deleted.count, kvs.len()), (0, 0));
    let Reply::Deleted { deleted, kvs, more } = next() else { panic!("deleted") };
    assert_eq!((deleted.count, &kvs[0].value[..], more), (1, &b"7"[..], false));
    assert!(matches!(next(), Reply::Page(page) if page.kvs.is_empty()));
}

#[tokio::test]
async fn a_no_undoes_the_transaction_or_stands_alone() {
    let world = World::default();
    let client = connect(&world.node(1, &[])).await;
    client.put(b"text", b"x").await.unwrap();
    let wrong = Transaction::new().then(put(b"a", b"1")).then(increment(b"text", None, 1));
    let error = client.transact(&wrong).await.unwrap_err();
    assert_eq!(error, ClientError::Undone { path: vec![1], why: No::NotANumber });
    let words = "nothing was done, because of operation 2: the value is not a decimal number of \
                 64 bits";
    assert_eq!((error.to_string().as_str(), error.exit_code()), (words, 1));
    assert_eq!(world.value("a"), None);
    let outcome = client.transact(&wrong.each_alone()).await.unwrap();
    let put = Reply::Put { revision: 3, previous: None };
    assert_eq!(outcome.answers, [put, Reply::No(No::NotANumber)]);
    // What is beyond a limit is told without asking.
    let writes = world.writes().len();
    let deep = (0..16).fold(Transaction::new(), |inner, _| Transaction::new().then(nested(inner)));
    let error = client.transact(&deep).await.unwrap_err();
    let words = "transaction nested 17 deep is above the limit of 16";
    assert_eq!((error.to_string().as_str(), error.exit_code()), (words, 2));
    assert_eq!(world.writes().len(), writes);
}

#[tokio::test]
async fn a_transaction_whose_answer_is_lost_takes_effect_once() {
    let world = World::default();
    let (one, two) = (world.node(1, &[Act::LoseAnswer]), world.node(2, &[]));
    let options = Options { timeout: Duration::from_secs(5) };
    let client = Client::connect(vec![one, two], options).await.unwrap();
    let add = Transaction::new().then(increment(b"n", None, 1)).then(get(b"n"));
    assert_eq!(client.transact(&add).await.unwrap().answers[0], Reply::Number(1));
    assert_eq!((world.value("n").as_deref(), world.writes().len()), (Some(&b"1"[..]), 2));
}

fn kvctl(node: &str, words: &[&str], input: &'static [u8]) -> Ran {
    kvctl_with(&[&["--endpoints", node, "txn"], words].concat(), input)
}

fn said(code: u8, output: &str) -> Ran {
    (code, output.to_owned(), String::new())
}

#[test]
fn a_transaction_is_read_as_etcdctl_reads_it() {
    let world = World::default();
    let node = world.node(1, &[]);
    // The example of etcdctl's README.
    let input = b"mod(\"key1\") > \"0\"\n\nput key1 \"overwrote-key1\"\n\n\
                  put key1 \"created-key1\"\nput key2 \"some extra key\"\n\n";
    assert_eq!(kvctl(&node, &[], input), said(1, "FAILURE\n\nOK\n\nOK\n"));
    assert_eq!(kvctl(&node, &[], input), said(0, "SUCCESS\n\nOK\n"));
    let input = b"value(\"key1\") = \"overwrote-key1\"\nver(key2) = \"1\"\n\n\
                  get --prefix key\ndel key1 key2\nhset h a:1\nhgetall h\nhget h x\n";
    let output = "SUCCESS\n\nkey1\noverwrote-key1\nkey2\nsome extra key\n\n2\n\n1\n\na:1\n\nnull\n";
    assert_eq!(kvctl(&node, &[], input), said(0, output));
    assert_eq!(kvctl(&node, &[], b"\n\n"), said(0, "SUCCESS\n"));
    for (input, words) in [
        (&b"mod(a) > 0\n\nput a\n"[..], "usage: put KEY VALUE"),
        (b"put a 1\n", "a compare is"),
        (b"\n\n\nput a 1\n", "line 4: a transaction has three parts"),
        (b"\nput 'a\n", "line 2: a quote is not closed"),
    ] {
        let (code, output, errors) = kvctl(&node, &[], input);
        assert_eq!((code, output.as_str()), (2, ""), "{errors}");
        assert!(errors.contains(words), "{errors}");
    }
}

#[test]
fn a_transaction_is_written_on_one_line() {
    let world = World::default();
    let node = world.node(1, &[]);
    let create = ["if", "version(a)", "=", "0", "then", "put", "a", "1", "else", "get", "a"];
    assert_eq!(kvctl(&node, &create, b""), said(0, "SUCCESS\n\nOK\n"));
    assert_eq!(kvctl(&node, &create, b""), said(1, "FAILURE\n\na\n1\n"));
    let wrong = ["then", "put", "b", "1", ";", "hset", "a", "f:1"];
    let (code, output, errors) = kvctl(&node, &wrong, b"");
    let words =
        "kvctl: nothing was done, because of operation 2: wrong type: the key is a STRING\n";
    assert_eq!((code, output.as_str(), errors.as_str()), (1, "", words));
    assert_eq!(world.value("b"), None);
    let alone = [&["--each-alone"], &wrong[..]].concat();
    let output = "SUCCESS\n\nOK\n\nno: wrong type: the key is a STRING\n";
    assert_eq!(kvctl(&node, &alone, b""), said(0, output));
    let kept = ["then", "put", "k", "1", "--ttl", "60", ";", "persist", "k", ";", "ttl", "k"];
    assert_eq!(kvctl(&node, &kept, b""), said(0, "SUCCESS\n\nOK\n\ntrue\n\nforever\n"));
    let lost = ["then", "put", "k", "2", ";", "put", "k", "3", "--lease", "7"];
    let (code, _, errors) = kvctl(&node, &lost, b"");
    assert!(code == 1 && errors.contains("operation 2: there is no lease 7"), "{errors}");
    assert_eq!(world.value("k").as_deref(), Some(&b"1"[..]));
    // In the shell a line is all there is.
    let input = b"txn if value a = 1 and not exists x then incr a 2 else get a\n\
                  TXN then sset s 'm n' ; smembers s\ntxn\n";
    let (code, output, errors) = kvctl_with(&["shell", "--endpoints", &node], input);
    assert_eq!((code, output.as_str()), (1, "SUCCESS\n\n3\nSUCCESS\n\n1\n\nm n\n"));
    assert_eq!(errors, "kvctl: line 3: the shell's input is commands; write txn on one line\n");
}

#[test]
fn the_answer_is_one_json_document() {
    let world = World::default();
    let node = world.node(1, &[]);
    let words = [
        "-w", "json", "if", "exists", "a", "else", "put", "a", "1", ";", "get", "a", ";", "hset",
        "h", "f:1", ";", "hget", "h", "f", "x", ";", "hgetall", "h", ";", "shas", "s", "m", ";",
        "hlen", "h", ";", "incr", "n", ";", "del", "a",
    ];
    let (code, output, errors) = kvctl(&node, &words, b"");
    assert_eq!((code, errors.as_str()), (1, ""));
    let document: Value = serde_json::from_str(&output).unwrap();
    let pair =
        json!({"key": "a", "value": "1", "create_revision": 2, "mod_revision": 2, "version": 1});
    let expected = json!({"succeeded": false, "revision": 2, "answers": [
        {"answer": "put", "revision": 2, "previous": null},
        {"answer": "range", "kvs": [pair], "more": false, "count": 1, "revision": 2},
        {"answer": "changed", "count": 1, "revision": 2},
        {"answer": "values", "values": [{"value": "1"}, null]},
        {"answer": "items", "items": [{"name": "f", "value": "1"}], "more": false, "count": 1},
        {"answer": "has", "has": [false]},
        {"answer": "length", "count": 1},
        {"answer": "number", "number": 1},
        {"answer": "deleted", "count": 1, "revision": 2, "kvs": [], "more": false},
    ]});
    assert_eq!(document, expected);
}

#[test]
fn a_transaction_that_has_a_name_is_carried_out_once() {
    let world = World::default();
    let node = world.node(1, &[]);
    let named = |words: &[&str]| {
        let name = ["--request-id", "1-00000000000000fe:1"];
        kvctl_with(&[&["--endpoints", &node], &name[..], words].concat(), b"")
    };
    let add = ["txn", "then", "incr", "n"];
    assert_eq!(named(&add), said(0, "SUCCESS\n\n1\n"));
    assert_eq!(named(&add), said(0, "SUCCESS\n\n1\n"));
    assert_eq!(world.revision(), 1);
    // Another transaction under the same name gets the first one's answer, which is none to it.
    let (code, output, errors) = named(&["txn", "then", "get", "n", ";", "get", "n"]);
    assert_eq!((code, output.as_str()), (2, ""), "{errors}");
    assert!(errors.contains("was used for another command"), "{errors}");
}

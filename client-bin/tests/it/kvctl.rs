//! `kvctl`: words in, words and exit codes out.

use std::io::{self, Write};

use kvorum_client::cli::{Streams, run};
use raft_core::replica::event::{Refusal, SessionRefusal};
use serde_json::{Value, json};

use crate::fake::{Act, Door, World, dead_address};

/// What a run came to: exit code, standard output, standard error.
pub(crate) type Ran = (u8, String, String);

pub(crate) fn kvctl_with(words: &[&str], input: &'static [u8]) -> Ran {
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let streams = Streams {
        input: Box::new(input),
        input_is_terminal: false,
        output: &mut output,
        errors: &mut errors,
    };
    let code = run(std::iter::once("kvctl").chain(words.iter().copied()), streams);
    (code, String::from_utf8(output).unwrap(), String::from_utf8(errors).unwrap())
}

fn kvctl(words: &[&str]) -> Ran {
    kvctl_with(words, b"")
}

fn said(code: u8, output: &str) -> Ran {
    (code, output.to_owned(), String::new())
}

fn json_of(ran: Ran) -> Value {
    assert_eq!(ran.2, "");
    serde_json::from_str(&ran.1).unwrap()
}

#[test]
fn keys_are_put_got_and_removed() {
    let world = World::default();
    let node = world.node(1, &[]);
    let at = ["--endpoints", &node];
    let with = |words: &[&str]| kvctl(&[&at[..], words].concat());
    assert_eq!(with(&["put", "a", "1"]), said(0, "OK\n"));
    assert_eq!(kvctl(&["put", "b", "2", "--endpoints", &node]), said(0, "OK\n"));
    assert_eq!(with(&["put", "c", ""]), said(0, "OK\n"));
    assert_eq!(with(&["get", "a"]), said(0, "1\n"));
    assert_eq!(with(&["get", "x"]), said(1, "null\n"));
    assert_eq!(with(&["get", "--prefix", ""]), said(0, "a\n1\nb\n2\nc\n\n"));
    assert_eq!(with(&["get", "--prefix", "x"]), said(0, ""));
    assert_eq!(with(&["del", "a", "x"]), said(0, "1\n"));
    assert_eq!(with(&["del", "a"]), said(0, "0\n"));
    assert_eq!(with(&["del", "--prefix", ""]), said(0, "2\n"));
}

#[test]
fn a_local_get_says_beside_the_value_how_old_it_may_be() {
    let world = World::default();
    let (leader, follower) = (world.node(1, &[]), world.node(2, &[]));
    assert_eq!(kvctl(&["--endpoints", &leader, "put", "a", "1"]), said(0, "OK\n"));
    let words = |contact: &str| format!("local read: applied up to index 8, {contact}\n");
    let heard = words("in touch with the leader 12 ms ago");
    let get = |at: &str, key: &str| kvctl(&["--endpoints", at, "get", "--local", key]);
    assert_eq!(get(&leader, "a"), (0, "1\n".to_owned(), heard.clone()));
    assert_eq!(get(&leader, "x"), (1, "null\n".to_owned(), heard));
    let never = words("never in touch with a leader since it started");
    assert_eq!(get(&follower, "a"), (0, "1\n".to_owned(), never));
    let document = json_of(kvctl(&["--endpoints", &leader, "-w", "json", "get", "--local", "x"]));
    let expected = json!({
        "kvs": [], "count": 0, "revision": 2, "applied_index": 8, "contact_age_ms": 12
    });
    assert_eq!(document, expected);
}

#[test]
fn the_past_is_read_and_compacted() {
    let world = World::default();
    let node = world.node(1, &[]);
    let with = |words: &[&str]| kvctl(&[&["--endpoints", &node][..], words].concat());
    for (key, value) in [("a", "1"), ("b", "2"), ("a", "3")] {
        with(&["put", key, value]);
    }
    assert_eq!(with(&["del", "b", "--prev"]), said(0, "1\nb\n2\n"));
    assert_eq!(with(&["put", "a", "4", "--prev"]), said(0, "OK\n3\n"));
    assert_eq!(with(&["put", "c", "5", "--prev"]), said(0, "OK\n"));
    assert_eq!(with(&["get", "a", "--rev", "3"]), said(0, "1\n"));
    assert_eq!(with(&["get", "b", "--rev", "5"]), said(1, "null\n"));
    assert_eq!(with(&["get", "--prefix", "", "--rev", "4"]), said(0, "a\n3\nb\n2\n"));
    assert_eq!(with(&["get", "a", "--to", "c"]), said(0, "a\n4\n"));
    assert_eq!(with(&["get", "b", "--from-key", "--keys-only"]), said(0, "c\n"));
    assert_eq!(with(&["get", "--prefix", "", "--count-only"]), said(0, "2\n"));
    let newest = ["get", "--prefix", "", "--order", "mod", "--descending", "--limit", "1"];
    assert_eq!(with(&newest), said(0, "c\n5\n"));
    assert_eq!(with(&["get", "--prefix", "", "--max-create-rev", "2"]), said(0, "a\n4\n"));
    assert_eq!(with(&["history", "b"]), said(0, "3 put 2\n5 del\n"));
    assert_eq!(with(&["history", "a", "--since", "4"]), said(0, "4 put 3\n6 put 4\n"));
    assert_eq!(with(&["history", "x"]), said(1, ""));
    assert_eq!(with(&["compact", "4"]), said(0, "OK\n"));
    let lost = "kvctl: the revision has been compacted, the oldest one is 4\n";
    assert_eq!(with(&["get", "a", "--rev", "3"]), (1, String::new(), lost.to_owned()));
    assert_eq!(with(&["compact", "4"]), (1, String::new(), lost.to_owned()));
    let future = "kvctl: the revision has not come yet, the newest one is 7\n";
    assert_eq!(with(&["compact", "99"]), (1, String::new(), future.to_owned()));
    let document = json_of(with(&["-w", "json", "history", "b"]));
    assert_eq!(document["versions"][1]["mod_revision"], json!(5));
    assert_eq!(document["versions"][1]["version"], json!(0));
}

#[test]
fn keys_are_listed_as_paths_and_go_back_to_what_they_were() {
    let world = World::default();
    let node = world.node(1, &[]);
    let with = |words: &[&str]| kvctl(&[&["--endpoints", &node][..], words].concat());
    assert_eq!(with(&["ls"]), said(1, ""));
    for (key, value) in
        [("etc/hosts", "1"), ("etc/net/dns", "2"), ("etc/net/ip", "3"), ("etc0", "4")]
    {
        with(&["put", key, value]);
    }
    with(&["hset", "etc/net/link", "up:yes"]);
    assert_eq!(with(&["ls"]), said(0, "etc/\netc0\n"));
    assert_eq!(with(&["ls", "etc/"]), said(0, "hosts\nnet/\n"));
    assert_eq!(with(&["ls", "etc"]), said(0, "/\n0\n"));
    assert_eq!(with(&["ls", "etc/net/"]), said(0, "dns\nip\nlink\n"));
    assert_eq!(json_of(with(&["-w", "json", "ls", "etc/"]))["names"], json!(["hosts", "net/"]));
    let tree = "etc/\n  hosts = 1\n  net/\n    dns = 2\n    ip = 3\n    link = (HASH)\netc0 = 4\n";
    assert_eq!(with(&["tree"]), said(0, tree));
    assert_eq!(with(&["tree", "no"]), said(1, ""));
    with(&["put", "etc0", "5"]);
    assert_eq!(with(&["revert", "etc0", "6"]), said(0, "OK\n"));
    assert_eq!(with(&["get", "etc0"]), said(0, "4\n"));
    assert_eq!(with(&["history", "etc0"]), said(0, "5 put 4\n7 put 5\n8 put 4\n"));
    assert_eq!(with(&["revert", "etc0", "4"]), said(0, "OK\n"));
    assert_eq!(with(&["get", "etc0"]), said(1, "null\n"));
    let other = "kvctl: wrong type: the key is a HASH\n";
    assert_eq!(with(&["revert", "etc/net/link", "6"]), (1, String::new(), other.to_owned()));
}

#[test]
fn a_revert_undoes_nothing_that_nobody_has_seen() {
    let world = World::default();
    let node = world.node(1, &[]);
    assert_eq!(kvctl(&["--endpoints", &node, "put", "a", "1"]), said(0, "OK\n"));
    let busy = world.stubborn(2, Act::AfterAnother("a"));
    let (code, output, errors) = kvctl(&["--endpoints", &busy, "revert", "a", "2"]);
    assert_eq!((code, output.as_str()), (1, ""), "{errors}");
    assert!(errors.contains("\"a\" was changed by others each time"), "{errors}");
    assert_eq!(world.value("a").as_deref(), Some(&b"another's"[..]));
}

#[test]
fn hashes_and_sets_answer_with_bare_values_null_true_and_false() {
    let world = World::default();
    let node = world.node(1, &[]);
    let with = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        kvctl(&[&["--endpoints", &node][..], &words].concat())
    };
    for (line, code, output) in [
        ("put name Ada", 0, "OK\n"),
        ("get name", 0, "Ada\n"),
        ("hset user name:Ada born:1815 a\\:b:c:d", 0, "3\n"),
        ("hget user name", 0, "Ada\n"),
        ("hget user x", 1, "null\n"),
        ("hget user born x", 0, "1815\nnull\n"),
        ("hgetall user", 0, "a\\:b:c:d\nborn:1815\nname:Ada\n"),
        ("hlen user", 0, "3\n"),
        ("hexists user born", 0, "true\n"),
        ("hexists user x", 1, "false\n"),
        ("incr user born 10", 0, "1825\n"),
        ("incr visits", 0, "1\n"),
        ("incr visits -3", 0, "-2\n"),
        ("hdel user name born a:b", 0, "3\n"),
        ("hlen user", 0, "0\n"),
        ("sset fruits apple pear apple", 0, "2\n"),
        ("shas fruits pear", 0, "true\n"),
        ("shas fruits plum", 1, "false\n"),
        ("sdel fruits pear plum", 0, "1\n"),
        ("smembers fruits", 0, "apple\n"),
        ("scard fruits", 0, "1\n"),
        ("del fruits", 0, "1\n"),
    ] {
        assert_eq!(with(line), said(code, output), "{line}");
    }
    with("sset fruits apple");
    let wrong = |code, words: &str| (code, String::new(), format!("kvctl: {words}\n"));
    let is_a_set = "wrong type: the key is a SET";
    assert_eq!(with("get fruits"), wrong(1, is_a_set));
    assert_eq!(with("hset fruits a:b"), wrong(1, is_a_set));
    assert_eq!(with("incr name"), wrong(1, "the value is not a decimal number of 64 bits"));
    assert_eq!(with("hset user name"), wrong(2, "a field is written FIELD:VALUE"));
}

#[test]
fn answers_can_be_json_or_a_table() {
    let world = World::default();
    let node = world.node(1, &[]);
    let with = |words: &[&str]| kvctl(&[&["--endpoints", &node][..], words].concat());
    assert_eq!(json_of(with(&["-w", "json", "put", "a", "1"])), json!({ "revision": 2 }));
    with(&["put", "b", "2"]);
    with(&["put", "c", "3"]);
    let pair = |key: &str, revision: u64| {
        json!({
            "key": key, "value": (revision - 1).to_string(),
            "create_revision": revision, "mod_revision": revision, "version": 1
        })
    };
    assert_eq!(
        json_of(with(&["get", "--prefix", "", "-w", "json"])),
        json!({ "kvs": [pair("a", 2), pair("b", 3), pair("c", 4)], "count": 3, "revision": 4 })
    );
    let (code, output, _) = with(&["get", "x", "-w", "json"]);
    assert_eq!((code, output.as_str()), (1, "{\"kvs\":[],\"count\":0,\"revision\":4}\n"));
    let table = "KEY  VALUE  VERSION  MOD_REVISION\nb    2      1        3\n";
    assert_eq!(with(&["get", "b", "-w", "table"]), said(0, table));
    let deleted = json!({ "count": 1, "revision": 5 });
    assert_eq!(json_of(with(&["del", "a", "-w", "json"])), deleted);
}

#[test]
fn a_value_comes_from_the_word_the_input_or_a_file() {
    let world = World::default();
    let node = world.node(1, &[]);
    let path = std::env::temp_dir().join(format!("kvctl-value-{}", std::process::id()));
    std::fs::write(&path, b"from\0a\xfffile").unwrap();
    let file = format!("@{}", path.display());
    let table: [(&[&str], &[u8]); 6] = [
        (&["k", "-"], b"in\xffput\n"),
        (&["k", &file], b"from\0a\xfffile"),
        (&["k", "--", &file], file.as_bytes()),
        (&["--", "k", "-"], b"-"),
        (&["k", "-5"], b"-5"),
        (&["k", "a@b-"], b"a@b-"),
    ];
    for (words, value) in table {
        let words = [&["--endpoints", &node, "put"][..], words].concat();
        assert_eq!(kvctl_with(&words, b"in\xffput\n"), said(0, "OK\n"), "{words:?}");
        assert_eq!(world.value("k").as_deref(), Some(value), "{words:?}");
    }
    std::fs::remove_file(&path).unwrap();
    let (code, _, errors) = kvctl(&["put", "k", &file]);
    assert_eq!(code, 2);
    assert!(errors.starts_with("kvctl: cannot read the value from "), "{errors}");
}

#[test]
fn wrong_usage_is_one_line_and_exit_code_2() {
    for words in [
        &["put", "k"][..],
        &["put", "k", "v", "--", "w"],
        &["get"],
        &["frobnicate"],
        &["get", "k", "--timeout", "0"],
        &["get", "k", "--timeout", "x"],
        &["get", "k", "-w", "xml"],
        &["get", "k", "--endpoints", "localhost"],
        &["bench", "--in-flight", "1025"],
    ] {
        let (code, output, errors) = kvctl(words);
        assert_eq!((code, output.as_str()), (2, ""), "{words:?}");
        assert!(errors.starts_with("kvctl: ") && errors.lines().count() == 1, "{errors}");
    }
    let world = World::default();
    let (code, _, errors) = kvctl(&["put", "", "v", "--endpoints", &world.node(1, &[])]);
    assert_eq!((code, errors.as_str()), (2, "kvctl: key is not provided\n"));
}

#[test]
fn help_and_version_are_answers() {
    let (code, output, errors) = kvctl(&["--version"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert_eq!(output, format!("kvctl {}\n", env!("CARGO_PKG_VERSION")));
    let (code, output, _) = kvctl(&["help"]);
    assert!(code == 0 && output.contains("Usage: kvctl"), "{output}");
    let (code, output, errors) = kvctl(&[]);
    assert_eq!((code, output.as_str()), (2, ""));
    assert!(errors.contains("Usage: kvctl"), "{errors}");
}

#[test]
fn exit_codes_tell_not_done_from_unknown() {
    let dead = dead_address();
    let (code, _, errors) = kvctl(&["put", "k", "v", "--endpoints", &dead]);
    let text = format!("kvctl: no node answers at {dead}; start one with: kvorum dev\n");
    assert_eq!((code, errors), (3, text.clone()));
    assert_eq!(kvctl(&["status", "--endpoints", &dead]), (3, String::new(), text));

    let world = World::default();
    let other = world.door(Door::Says(b"-ERR unknown command\r\n"));
    let text = format!("kvctl: {other} does not speak Kvorum's protocol; is it another service?\n");
    assert_eq!(kvctl(&["get", "k", "--endpoints", &other]), (3, String::new(), text.clone()));
    assert_eq!(kvctl(&["status", "--endpoints", &other]), (3, String::new(), text));

    let no_leader = world.stubborn(1, Act::Refuse(Refusal::NoLeader));
    let (code, _, errors) =
        kvctl(&["put", "k", "v", "--endpoints", &no_leader, "--timeout", "0.3"]);
    assert_eq!(code, 3, "{errors}");
    let lost = world.stubborn(2, Act::LoseAnswer);
    let (code, _, errors) = kvctl(&["put", "k", "v", "--endpoints", &lost, "--timeout", "0.3"]);
    assert_eq!(code, 4);
    assert_eq!(
        errors,
        "kvctl: unknown: the write may or may not have taken effect; read what it was to change\n"
    );
}

#[test]
fn status_finds_every_member_from_one_endpoint() {
    let world = World::default();
    let (first, second) = (world.node(1, &[]), world.node(2, &[]));
    let dead = world.add_dead_member(3);
    let node = |id: u64, address: &str, role: &str| {
        json!({
            "node_id": id, "address": address, "role": role, "term": 5, "leader_id": 1,
            "commit_index": 9, "applied_index": 8, "revision": 1, "version": "0.1.0",
            "state_hash": "0000000000000000", "snapshot_index": 0, "fenced": false,
            "live_bytes": 700, "memory_max": 700, "full": true,
            "feature_level": 0, "feature_level_max": 0
        })
    };
    assert_eq!(
        json_of(kvctl(&["status", "-w", "json", "--endpoints", &second])),
        json!({
            "cluster_id": "00000000000000c1",
            "leader_id": 1,
            "term": 5,
            "nodes": [
                node(1, &first, "leader"),
                node(2, &second, "follower"),
                { "node_id": 3, "address": dead, "error": "no answer" }
            ]
        })
    );
    let (code, output, _) = kvctl(&["status", "--endpoints", &first]);
    assert!(code == 0 && output.lines().count() == 4, "{output}");
    assert!(output.contains("full: 700 bytes of live data, --memory-max is 700"), "{output}");
    let (code, output, _) = kvctl(&["status", "--endpoints", &first, "-w", "table"]);
    assert!(code == 0 && output.lines().count() == 4 && output.contains("no answer"), "{output}");
}

/// A pipe whose reader has gone.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let world = World::default();
    let node = world.node(1, &[]);
    kvctl(&["put", "k", "v", "--endpoints", &node]);
    let mut errors = Vec::new();
    let streams = Streams {
        input: Box::new(io::empty()),
        input_is_terminal: false,
        output: &mut Closed,
        errors: &mut errors,
    };
    let code = run(["kvctl", "get", "--prefix", "", "--endpoints", &node], streams);
    assert_eq!((code, errors.as_slice()), (0, &b""[..]));
}

#[test]
fn a_write_under_a_request_id_is_made_once_through_whichever_node() {
    let world = World::default();
    let (one, two) = (world.node(1, &[Act::Answer, Act::LoseAnswer]), world.node(2, &[]));
    let (code, id, _) = kvctl(&["session", "open", "--endpoints", &one]);
    assert_eq!((code, id.as_str()), (0, "1-0000000000000001\n"));
    let open = |format| kvctl(&["session", "open", "--endpoints", &one, "-w", format]);
    assert_eq!(json_of(open("json")), json!({ "client_id": "1-0000000000000002" }));
    assert_eq!(open("table"), said(0, "CLIENT_ID\n1-0000000000000003\n"));
    assert_eq!(world.writes(), [], "opening writes nothing");

    let write = |at: &str, serial: u64, words: &[&str]| {
        let request_id = format!("{}:{serial}", id.trim());
        kvctl(&[&["--endpoints", at, "--request-id", &request_id, "-w", "json"], words].concat())
    };
    let revision = |number: u64| json!({ "revision": number });
    for at in [&one, &two, &one, &two] {
        assert_eq!(json_of(write(at, 1, &["put", "a", "1"])), revision(2));
    }
    assert_eq!(json_of(write(&two, 2, &["put", "a", "2"])), revision(3));
    let both = format!("{one},{two}");
    let removed = json!({ "count": 1, "revision": 4 });
    assert_eq!(json_of(write(&both, 3, &["del", "a"])), removed);
    assert_eq!(json_of(write(&both, 3, &["del", "a"])), removed);
    assert_eq!(world.revision(), 3);

    let (code, _, errors) = write(&two, 3, &["put", "a", "9"]);
    let used = "kvctl: 1-0000000000000001:3 was used for another command, nothing was done; \
                choose another serial\n";
    assert_eq!((code, errors.as_str()), (2, used));
}

#[test]
fn what_the_session_rules_say_to_a_request_id_is_told_in_one_line() {
    let request_id = "1-00000000000000ff:2000";
    for (refusal, words) in [
        (SessionRefusal::SessionExpired, "does not know this client id"),
        (SessionRefusal::AlreadyAcknowledged, "too far below the newest"),
        (SessionRefusal::WindowExceeded, "take too much room"),
    ] {
        let world = World::default();
        let node = world.stubborn(1, Act::Session(refusal));
        let put =
            |at: &str| kvctl(&["--endpoints", at, "put", "a", "1", "--request-id", request_id]);
        let (code, output, errors) = put(&node);
        assert_eq!((code, output.as_str(), errors.lines().count()), (1, "", 1), "{errors}");
        assert!(errors.contains(words), "{errors}");
        assert_eq!(world.writes().len(), 1, "asking again would not change it");
        assert_eq!(world.writes()[0].session.acknowledged, 2000 - 1024);

        let node = world.node(2, &[Act::LoseAnswer, Act::Session(refusal)]);
        let (code, _, errors) = put(&node);
        assert_eq!(code, 4, "the first attempt may be what was executed: {errors}");
    }
}

#[test]
fn request_ids_are_for_writes_and_have_a_form() {
    let node = World::default().node(1, &[]);
    let with = |words: &[&str]| kvctl(&[&["--endpoints", &node][..], words].concat());
    let request_id = "1-00000000000000ff:1";
    for words in [&["get", "a"][..], &["status"], &["member", "list"], &["session", "open"]] {
        let (code, _, errors) = with(&[words, &["--request-id", request_id]].concat());
        let expected = "kvctl: only a write can have a --request-id\n";
        assert_eq!((code, errors.as_str()), (2, expected), "{words:?}");
    }
    for bad in ["seven:1", "7:0", "1-00000000000000ff:0", "1-00000000000000ff"] {
        let (code, _, errors) = with(&["put", "a", "1", "--request-id", bad]);
        assert_eq!((code, errors.lines().count()), (2, 1), "{errors}");
        assert!(errors.contains("client id is a number") || errors.contains("CLIENT:SERIAL"));
    }
}

/// A number stands for one session for good, whoever asks through whichever node.
#[test]
fn a_number_names_a_client_that_outlives_processes() {
    let world = World::default();
    let (one, two) = (world.node(1, &[]), world.node(2, &[]));
    let put = |at: &str, name: &str| {
        json_of(kvctl(&["--endpoints", at, "put", "a", "1", "--request-id", name, "-w", "json"]))
    };
    let first = put(&one, "7:1");
    assert_eq!(first, json!({ "revision": 3 }), "behind the number's own key");
    assert_eq!(put(&two, "7:1"), first);
    assert_eq!(put(&two, "7:2"), json!({ "revision": 4 }));
    assert_eq!(put(&one, "7:1"), first);
    assert_eq!(put(&one, "8:1"), json!({ "revision": 6 }), "another number is another client");
    let text = world.value("kvorum/clients/7").expect("the number is bound");
    let text = String::from_utf8(text).unwrap();
    let named: Vec<(String, u64)> = world
        .writes()
        .iter()
        .map(|seen| seen.session)
        .map(|it| (format!("{}-{:016x}", it.client.issued_at, it.client.random), it.serial))
        .filter(|(client, _)| *client == text)
        .collect();
    let serials: Vec<u64> = named.iter().map(|(_, serial)| *serial).collect();
    assert_eq!(serials, [1, 1, 2, 1]);
    assert_ne!(world.value("kvorum/clients/8"), world.value("kvorum/clients/7"));

    let with = |words: &[&str]| kvctl(&[&["--endpoints", &one][..], words].concat());
    with(&["put", "kvorum/clients/9", "mine"]);
    let (code, _, errors) = with(&["put", "a", "1", "--request-id", "9:1"]);
    assert_eq!(code, 2);
    assert!(errors.contains("\"kvorum/clients/9\" holds no client id"), "{errors}");
}

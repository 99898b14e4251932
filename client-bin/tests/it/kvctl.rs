//! `kvctl`: words in, words and exit codes out.

use std::io::{self, Write};

use kvorum_client::cli::{Streams, run};
use raft_core::replica::event::Refusal;
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
    assert_eq!(with(&["get", "x"]), said(1, ""));
    assert_eq!(with(&["get", "--prefix", ""]), said(0, "a\n1\nb\n2\nc\n\n"));
    assert_eq!(with(&["get", "--prefix", "x"]), said(0, ""));
    assert_eq!(with(&["del", "a", "x"]), said(0, "1\n"));
    assert_eq!(with(&["del", "a"]), said(0, "0\n"));
    assert_eq!(with(&["del", "--prefix", ""]), said(0, "2\n"));
}

#[test]
fn answers_can_be_json_or_a_table() {
    let world = World::default();
    let node = world.node(1, &[]);
    let with = |words: &[&str]| kvctl(&[&["--endpoints", &node][..], words].concat());
    assert_eq!(json_of(with(&["-w", "json", "put", "a", "1"])), json!({ "revision": 1 }));
    with(&["put", "b", "2"]);
    with(&["put", "c", "3"]);
    let pair = |key: &str, revision: u64| {
        json!({
            "key": key, "value": revision.to_string(),
            "create_revision": revision, "mod_revision": revision, "version": 1
        })
    };
    assert_eq!(
        json_of(with(&["get", "--prefix", "", "-w", "json"])),
        json!({ "kvs": [pair("a", 1), pair("b", 2), pair("c", 3)], "count": 3, "revision": 3 })
    );
    let (code, output, _) = with(&["get", "x", "-w", "json"]);
    assert_eq!((code, output.as_str()), (1, "{\"kvs\":[],\"count\":0,\"revision\":3}\n"));
    let table = "KEY  VALUE  VERSION  MOD_REVISION\nb    2      1        2\n";
    assert_eq!(with(&["get", "b", "-w", "table"]), said(0, table));
    let deleted = json!({ "count": 1, "revision": 4 });
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
            "commit_index": 9, "applied_index": 8, "revision": 0, "version": "0.1.0",
            "state_hash": "0000000000000000", "snapshot_index": 0, "fenced": false
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

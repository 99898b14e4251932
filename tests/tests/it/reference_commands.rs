//! The commands of a store of strings, hashes and sets as tf-raft documents them, with its answers:
//! bare values, `null`, `true` and `false`. At the prompt of `kvorum dev` and through `kvctl`, on
//! the same nodes, as both are typed by the same people.

use crate::harness::ports;
use crate::harness::process::{KVCTL, KVORUM, Process};
use crate::harness::scratch::Scratch;
use crate::harness::wait;

/// What is typed, what is answered, and the exit code of `kvctl`. Keys and fields keep their case;
/// where tf-raft answers nothing, we say that it is done, or how many were new or there.
const EXAMPLES: &[(&str, &[&str], i32)] = &[
    ("SET Name Ada", &["OK"], 0),
    ("GET Name", &["Ada"], 0),
    ("GET name", &["null"], 1),
    ("DEL Name", &["1"], 0),
    ("GET Name", &["null"], 1),
    ("HSET User Name:Ada born:1815 at:12:30 a\\:b:c", &["4"], 0),
    ("HGET User Name", &["Ada"], 0),
    ("HGET User at", &["12:30"], 0),
    ("HGET User a:b", &["c"], 0),
    ("HGET User name", &["null"], 1),
    ("HGET user Name", &["null"], 1),
    ("HDEL User Name born", &["2"], 0),
    ("HGET User Name born at", &["null", "null", "12:30"], 0),
    ("SSET Fruits Apple pear plum", &["3"], 0),
    ("SHAS Fruits Apple", &["true"], 0),
    ("SHAS Fruits apple", &["false"], 1),
    ("SDEL Fruits Apple pear", &["2"], 0),
    ("SHAS Fruits Apple", &["false"], 1),
    ("SHAS Fruits plum", &["true"], 0),
    ("DEL User", &["1"], 0),
    ("DEL Fruits", &["1"], 0),
];

/// The words of an example as a shell would hand them on.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    words[0] = words[0].to_lowercase();
    words
}

#[tokio::test]
async fn the_documented_commands_are_answered_as_documented() {
    let _turn = wait::turn().await;
    let scratch = Scratch::new();
    let port = ports::adjacent(3)[0];
    let port_text = port.to_string();
    let mut prompt = Process::start(&scratch, "dev", KVORUM, &["dev", "--port", &port_text]);
    let mut count = 0;
    for (line, answer, _) in EXAMPLES {
        // Lines are split as in a shell, so that a backslash is written twice.
        prompt.type_in(&format!("{}\n", line.replace('\\', "\\\\")));
        count += answer.len();
        let said = prompt.lines(count).await;
        assert_eq!(said[count - answer.len()..], **answer, "{line} at the prompt");
    }
    let endpoints: Vec<String> = (port..port + 3).map(|port| format!("127.0.0.1:{port}")).collect();
    let endpoints = endpoints.join(",");
    for (number, (line, answer, code)) in EXAMPLES.iter().enumerate() {
        let words = words(line);
        let arguments: Vec<&str> = ["--endpoints", &endpoints]
            .into_iter()
            .chain(words.iter().map(String::as_str))
            .collect();
        let name = format!("kvctl-{number}");
        let mut kvctl = Process::start(&scratch, &name, KVCTL, &arguments);
        kvctl.end_input();
        let ended = kvctl.end().await;
        let said: Vec<&str> = ended.stdout.lines().collect();
        assert_eq!((ended.code, &said[..]), (Some(*code), *answer), "{line}: {}", ended.stderr);
    }
    prompt.type_in("exit\n");
    assert_eq!(prompt.end().await.code, Some(0));
}

//! The shell of a store of strings, hashes and sets, in clusters of three sizes.

use crate::harness::scratch::Scratch;
use crate::harness::typist::Typist;
use crate::harness::wait;

/// What is typed and answered: bare values, `null`, `true` and `false`; keys, fields and members
/// keep their case, commands are known in any.
const TYPED: &[(&str, &[&str])] = &[
    ("SET Name Ada", &["OK"]),
    ("get Name", &["Ada"]),
    ("GET name", &["null"]),
    ("HSET User Name:Ada born:1815 Died:1852", &["3"]),
    ("HGET User Name", &["Ada"]),
    ("HGET User name", &["null"]),
    ("HDEL User Name born nothing", &["2"]),
    ("hget User Name Died", &["null", "1852"]),
    ("SSET Fruits Apple pear plum", &["3"]),
    ("SHAS Fruits Apple", &["true"]),
    ("SHAS Fruits apple", &["false"]),
    ("SDEL Fruits Apple pear nothing", &["2"]),
    ("shas Fruits Apple plum", &["false", "true"]),
    ("DEL Name", &["1"]),
    ("GET Name", &["null"]),
];

/// The nine commands with too few words, or too many where there can be.
const WRONG: &[&str] = &[
    "SET",
    "SET Key",
    "SET Key a b",
    "GET",
    "GET a b",
    "DEL",
    "HSET User",
    "HGET User",
    "HDEL User",
    "SSET Fruits",
    "SDEL Fruits",
    "SHAS Fruits",
];

async fn check_shell(nodes: u16, transport: &str) {
    let _turn = wait::turn().await;
    let count = nodes.to_string();
    let settings = ["--nodes", &count, "--transport", transport];
    let mut it = Typist::with(Scratch::new(), &settings);
    for (line, answer) in TYPED {
        it.check(line, answer).await;
    }
    for line in WRONG {
        let name = line.split(' ').next().unwrap().to_lowercase();
        let said = it.check_words(line, &["error: ", "usage: "]).await;
        assert!(said.to_lowercase().contains(&format!("usage: {name} ")), "{line}: {said}");
    }
    // Whoever is asked, the leader does it, also when it is another one by now.
    it.check_words("kill leader", &["node ", " killed"]).await;
    it.check("HSET User Name:Grace", &["1"]).await;
    it.check_words("revive", &["node ", " revived"]).await;
    for node in 1..=nodes {
        it.check(&format!("use {node}"), &[&format!("through node {node}")]).await;
        it.check(&format!("SET Through {node}"), &["OK"]).await;
        it.check("HGET User Name", &["Grace"]).await;
    }
    it.process.type_in("exit\n");
    assert_eq!(it.process.end().await.code, Some(1), "lines have failed");
}

/// the nine commands of the shell in memory, with one, many or too few words, also through
/// nodes that do not lead and after the leader was killed.
#[tokio::test]
async fn acc_a02_the_nine_commands_of_the_shell_in_memory() {
    for nodes in [3, 5, 7] {
        check_shell(nodes, "memory").await;
    }
}

/// the same over TCP.
#[tokio::test]
async fn acc_a02_the_nine_commands_of_the_shell_over_tcp() {
    for nodes in [3, 5, 7] {
        check_shell(nodes, "tcp").await;
    }
}

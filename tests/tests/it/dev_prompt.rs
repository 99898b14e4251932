//! `kvorum dev` as a script sees it: lines in, lines out, and an exit code.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use crate::harness::ports;
use crate::harness::process::{Ended, KVORUM, Process};
use crate::harness::scratch::Scratch;
use crate::harness::wait;

/// Starts `kvorum dev` with these arguments, on ports of its own.
fn start(scratch: &Scratch, name: &str, arguments: &str) -> Process {
    let port = ports::adjacent(10)[0].to_string();
    let mut all = vec!["dev", "--port", &port];
    all.extend(arguments.split_whitespace());
    Process::start(scratch, name, KVORUM, &all)
}

/// Starts it, types everything at once and waits for the end.
async fn run(scratch: &Scratch, name: &str, arguments: &str, lines: &str) -> Ended {
    let mut process = start(scratch, name, arguments);
    process.type_in(lines);
    process.end_input();
    process.end().await
}

fn lines(ended: &Ended) -> Vec<&str> {
    ended.stdout.lines().collect()
}

/// The example of the README, word for word where the words do not depend on who leads.
async fn check_readme(arguments: &str, nodes: usize) {
    let _turn = wait::turn().await;
    let scratch = Scratch::new();
    let script = "SET a 1\nGET a\nkill leader\nSET b 2\nGET a\nGET b\nrevive\nstatus\nexit\n";
    let ended = run(&scratch, "dev", arguments, script).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let said = lines(&ended);
    assert_eq!(said.len(), 7 + nodes, "{said:?}");
    assert_eq!(said[..2], ["OK", "1"]);
    assert!(said[2].starts_with("node ") && said[2].ends_with(" killed"), "{said:?}");
    assert_eq!(said[3..6], ["OK", "1", "2"]);
    assert!(said[6].starts_with("node ") && said[6].ends_with(" revived"), "{said:?}");
    for (number, line) in (1..).zip(&said[7..]) {
        assert!(line.starts_with(&format!("node {number} ")), "{said:?}");
    }
    let leaders = said[7..].iter().filter(|line| line.contains(" leader "));
    assert_eq!(leaders.count(), 1, "{said:?}");
}

#[tokio::test]
async fn the_example_of_the_readme_does_what_it_says() {
    check_readme("", 3).await;
}

/// Bare values, `null`, `true` and `false`, also after the leader was killed.
#[tokio::test]
async fn hashes_sets_and_numbers_are_typed_and_answered_bare() {
    let _turn = wait::turn().await;
    let scratch = Scratch::new();
    let typed = [
        ("SET name Ada", "OK"),
        ("GET name", "Ada"),
        ("HSET user name:Ada born:1815", "2"),
        ("HGET user name", "Ada"),
        ("HDEL user name", "1"),
        ("HGET user name", "null"),
        ("SSET fruits apple pear", "2"),
        ("SHAS fruits pear", "true"),
        ("kill leader", "killed"),
        ("SDEL fruits pear", "1"),
        ("shas fruits pear", "false"),
        ("incr user born 10", "1825"),
        ("DEL name", "1"),
        ("GET name", "null"),
    ];
    let script: String = typed.iter().map(|(line, _)| format!("{line}\n")).collect();
    let ended = run(&scratch, "dev", "--transport memory", &(script + "exit\n")).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let said = lines(&ended);
    assert_eq!(said.len(), typed.len(), "{said:?}");
    for ((line, expected), said) in typed.iter().zip(said) {
        assert!(
            said == *expected || (*expected == "killed" && said.ends_with("killed")),
            "{line}: {said}"
        );
    }
}

/// One thing or another, all of it or nothing.
#[tokio::test]
async fn transactions_are_typed_on_one_line() {
    let _turn = wait::turn().await;
    let scratch = Scratch::new();
    let script = "txn if version(a) = 0 then put a 1 ; incr n else get a\n\
                  TXN if not exists a then del a else get a ; hset h f:1 ; hget h f g\n\
                  txn then incr n ; sset n m\n\
                  txn if version ~ 0\n\
                  GET n\n";
    let ended = run(&scratch, "dev", "--transport memory", script).await;
    assert_eq!(ended.code, Some(1), "two lines failed: {ended:?}");
    let said = lines(&ended);
    let first = ["SUCCESS", "", "OK", "", "1"];
    let second = ["FAILURE", "", "a", "1", "", "1", "", "1", "null"];
    assert_eq!((&said[..5], &said[5..14]), (&first[..], &second[..]), "{said:?}");
    let undone = "error: nothing was done, because of operation 2: wrong type: the key is a STRING";
    assert_eq!(said[14], undone);
    assert!(said[15].starts_with("error: \"version ~ 0\": a compare is"), "{said:?}");
    assert_eq!(said[16..], ["1"]);
}

#[tokio::test]
async fn the_example_works_in_memory_with_five_nodes() {
    check_readme("--transport memory --nodes 5", 5).await;
}

/// Without a majority a write is refused soon, with a word on how many nodes live, and the
/// script fails.
#[tokio::test]
async fn without_a_majority_a_write_is_an_error_within_ten_seconds() {
    let _turn = wait::turn().await;
    let scratch = Scratch::new();
    let mut process = start(&scratch, "dev", "--transport memory");
    process.type_in("SET a 1\nkill 1\nkill 2\n");
    process.lines(3).await;
    let begun = Instant::now();
    process.type_in("SET a 2\n");
    let said = process.lines(4).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(said[3].starts_with("error: ") && said[3].contains("1 of 3 nodes alive"), "{said:?}");
    // With the majority back it goes on, and what was refused as unknown happened at most once.
    process.type_in("revive 1\nSET a 3\nGET a\n");
    process.end_input();
    let ended = process.end().await;
    assert_eq!(lines(&ended)[4..], ["node 1 revived", "OK", "3"]);
    assert_eq!(ended.code, Some(1), "a line has failed");
}

/// The data stays, after a good end and after `kill -9` of the whole process.
#[tokio::test]
async fn the_data_is_there_in_the_next_session() {
    let _turn = wait::turn().await;
    let scratch = Scratch::new();
    let first = run(&scratch, "first", "", "SET a 1\nexit\n").await;
    assert_eq!((first.code, lines(&first)), (Some(0), vec!["OK"]), "{}", first.stderr);
    let mut second = start(&scratch, "second", "--transport memory");
    second.type_in("GET a\nSET b 'two words'\n");
    assert_eq!(second.lines(2).await, ["1", "OK"]);
    second.kill();
    let third = run(&scratch, "third", "", "GET a\nGET b\n").await;
    assert_eq!((third.code, lines(&third)), (Some(0), vec!["1", "two words"]), "{}", third.stderr);
}

/// A folder that is in use, and one that holds a cluster of another size.
#[tokio::test]
async fn a_folder_that_does_not_fit_is_named_with_what_to_do() {
    let _turn = wait::turn().await;
    let scratch = Scratch::new();
    let mut first = start(&scratch, "first", "--data-dir shared");
    first.type_in("SET a 1\n");
    first.lines(1).await;
    let second = run(&scratch, "second", "--data-dir shared", "GET a\n").await;
    assert_eq!((second.code, second.stdout.as_str()), (Some(1), ""));
    let pid = first.pid().to_string();
    for words in ["error: ", "shared", &pid] {
        assert!(second.stderr.contains(words), "no {words:?} in {}", second.stderr);
    }
    first.type_in("GET a\nexit\n");
    let first = first.end().await;
    assert_eq!((first.code, lines(&first)), (Some(0), vec!["OK", "1"]), "the first goes on");

    let other = run(&scratch, "other", "--data-dir shared --nodes 5", "GET a\n").await;
    assert_eq!((other.code, other.stdout.as_str()), (Some(2), ""));
    for words in ["error: ", "shared", "3 nodes", "--nodes 3"] {
        assert!(other.stderr.contains(words), "no {words:?} in {}", other.stderr);
    }
}

/// Words in any case, quotes, what makes no sense, and the end of the input as a good end.
#[tokio::test]
async fn lines_are_forgiving_and_errors_are_helpful() {
    let _turn = wait::turn().await;
    let scratch = Scratch::new();
    let script = "sEt \"a key\" 'a \"value\"'\n\n  get 'a key'\nGET absent\nDel 'a key' absent\n\
                  SET a\nfrob\nGET 'open\nkill 9\nrevive 1\nUSE 2\nSET c Value\nget c";
    let ended = run(&scratch, "dev", "--transport memory", script).await;
    let said = lines(&ended);
    assert_eq!(said[..4], ["OK", "a \"value\"", "null", "1"], "{said:?}");
    for (line, words) in said[4..9].iter().zip([
        "usage: SET key value",
        "unknown command \"frob\"",
        "quote",
        "no node 9, only 1 to 3",
        "node 1 is alive",
    ]) {
        assert!(line.starts_with("error: ") && line.contains(words), "no {words:?} in {line:?}");
    }
    assert_eq!(said[9..], ["through node 2", "OK", "Value"], "{said:?}");
    assert_eq!(ended.code, Some(1), "some lines have failed");
}

/// Ctrl-C ends the cluster in good order, also while a command waits.
#[tokio::test]
async fn an_interrupt_ends_it_and_keeps_the_data() {
    let _turn = wait::turn().await;
    let scratch = Scratch::new();
    let mut process = start(&scratch, "first", "--transport memory");
    process.type_in("SET a 1\nkill 1\nkill 2\n");
    process.lines(3).await;
    process.type_in("SET b 2\n");
    process.signal(Signal::INT);
    let ended = process.end().await;
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    let next = run(&scratch, "next", "--transport memory", "GET a\n").await;
    assert_eq!((next.code, lines(&next)), (Some(0), vec!["1"]), "{}", next.stderr);
}

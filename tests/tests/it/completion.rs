//! What `kvctl completion` prints is taken by the shell that it is for, and completes.

use std::fs;
use std::process::Command;

use crate::harness::process::{KVCTL, Process};
use crate::harness::scratch::Scratch;

async fn script(scratch: &Scratch, shell: &str) -> String {
    let ended = Process::start(scratch, shell, KVCTL, &["completion", shell]).end().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    ended.stdout
}

#[tokio::test]
async fn bash_completes_commands_and_flags() {
    let scratch = Scratch::new();
    let script = script(&scratch, "bash").await;
    for (line, wanted) in [("kvctl mem", "member"), ("kvctl member rep", "replace")] {
        let words: Vec<String> = line.split(' ').map(|word| format!("'{word}'")).collect();
        let (at, previous) = (words.len() - 1, &words[words.len() - 2]);
        let (all, current) = (words.join(" "), &words[at]);
        let ask = format!(
            "{script}\nCOMP_WORDS=({all}); COMP_CWORD={at}\n\
             _kvctl kvctl {current} {previous}; echo \"${{COMPREPLY[@]}}\""
        );
        let file = scratch.path().join("ask.bash");
        fs::write(&file, ask).unwrap();
        // What bash itself does for a user who presses the key.
        let ended = Command::new("bash").arg(&file).output().unwrap();
        let said = String::from_utf8(ended.stdout).unwrap();
        assert!(said.split_whitespace().any(|word| word == wanted), "{line}: {said:?}");
    }
}

#[tokio::test]
async fn other_shells_have_a_script_too() {
    let scratch = Scratch::new();
    assert!(script(&scratch, "zsh").await.starts_with("#compdef kvctl"));
    assert!(script(&scratch, "fish").await.contains("complete -c kvctl"));
    let ended = Process::start(&scratch, "tea", KVCTL, &["completion", "tea"]).end().await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("tea") && ended.stderr.lines().count() == 1, "{ended:?}");
}

//! Runs every script below `tests/scripts`.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its script has failed")]

use std::fs;
use std::path::{Path, PathBuf};

/// All scripts, in order.
fn scripts(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            found.extend(scripts(&path));
        } else if path.extension().is_some_and(|extension| extension == "txt") {
            found.push(path);
        }
    }
    found
}

/// Runs the scripts of a folder and compares what they lead to with what they say.
fn check(folder: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts").join(folder);
    let paths = scripts(&root);
    assert!(!paths.is_empty(), "{folder} holds scripts");
    let mut failures = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with('#'), "{} begins with its claim", path.display());
        let seen =
            sim::script::run(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        if std::env::var_os("UPDATE_SCRIPTS").is_some() {
            fs::write(&path, seen).unwrap();
        } else if seen != text {
            let differs = seen.lines().zip(text.lines()).position(|(a, b)| a != b);
            let line = differs.unwrap_or_else(|| text.lines().count().min(seen.lines().count()));
            let (now, said) = (seen.lines().nth(line), text.lines().nth(line));
            failures.push(format!(
                "{} line {}:\n  says {said:?}\n  seen {now:?}",
                path.display(),
                line + 1
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

macro_rules! folders {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            check(stringify!($name));
        }
    )*};
}

folders!(
    elections, split_vote, log_repair, figure8, commit, restart, reads, sessions, failover,
    founding, quarantine, membership, on_demand,
);

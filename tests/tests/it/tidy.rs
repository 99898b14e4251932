//! The rules of the code that a program can check, as functions over the path and text of a
//! file. No parser: each rule reads lines, and is shown what breaks it.

mod crates;
mod limits;
mod source;
mod words;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A file of the repository, or a sample of one.
#[derive(Clone, Copy, Debug)]
struct File<'a> {
    /// From the root of the repository, with slashes.
    path: &'a str,
    text: &'a str,
    /// Every file there is.
    paths: &'a BTreeSet<String>,
}

/// One thing that is wrong with a file.
#[derive(Debug)]
struct Finding {
    /// From 1.
    line: usize,
    what: String,
}

/// A rule with what it is about.
struct Rule {
    name: &'static str,
    check: fn(&File<'_>) -> Vec<Finding>,
    /// Files that break it: path and text. A `~` is left out of both, so that a sample of what
    /// may not stand in any file can stand in this one.
    broken_by: &'static [(&'static str, &'static str)],
    /// Files that look as if they did.
    kept_by: &'static [(&'static str, &'static str)],
}

fn rules() -> impl Iterator<Item = &'static Rule> {
    [crates::RULES, limits::RULES, words::RULES].into_iter().flatten()
}

/// The lines on which `is_wrong` says so, with what it says.
fn lines<'a>(text: &'a str, is_wrong: impl Fn(&'a str) -> Option<String>) -> Vec<Finding> {
    let wrong = |(line, text)| is_wrong(text).map(|what| Finding { line, what });
    (1..).zip(text.lines()).filter_map(wrong).collect()
}

/// Folders that are not the repository's text.
const FOREIGN_FOLDERS: &[&str] = &[".git", "target", "kvorum-data"];

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name());
        if FOREIGN_FOLDERS.iter().any(|foreign| name == *foreign) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            collect(root, &path, files);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            files.push((path, text));
        }
    }
}

#[test]
fn every_file_keeps_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    collect(root, root, &mut files);
    assert!(50 < files.len(), "the repository was not found in {}", root.display());
    let paths: BTreeSet<String> = files.iter().map(|(path, _)| path.clone()).collect();
    let mut wrong = Vec::new();
    for (path, text) in &files {
        for rule in rules() {
            for Finding { line, what } in (rule.check)(&File { path, text, paths: &paths }) {
                wrong.push(format!("{path}:{line}: {}: {what}", rule.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} findings:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_rule_finds_what_breaks_it_and_nothing_else() {
    let paths = BTreeSet::from(["docs/there.md".to_owned()]);
    for rule in rules() {
        assert!(!rule.broken_by.is_empty(), "nothing shows that {:?} can fail", rule.name);
        let find = |(path, text): &(&str, &str)| {
            let (path, text) = (path.replace('~', ""), text.replace('~', ""));
            (rule.check)(&File { path: &path, text: &text, paths: &paths })
        };
        for sample in rule.broken_by {
            assert_ne!(find(sample).len(), 0, "{:?} overlooks {sample:?}", rule.name);
        }
        for sample in rule.kept_by {
            let found = find(sample);
            assert!(found.is_empty(), "{:?} finds {found:?} in {sample:?}", rule.name);
        }
    }
}

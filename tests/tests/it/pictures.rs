//! The pictures in `docs/pictures` show what their texts say, and the texts what the code does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn pictures() -> Vec<PathBuf> {
    let folder = fs::read_dir(root().join("docs/pictures")).unwrap();
    let files = folder.map(|entry| entry.unwrap().path());
    let mut texts: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|end| end == "dot")).collect();
    texts.sort();
    texts
}

/// The arrows of a picture's text, with what is written at them.
fn arrows(text: &str) -> Vec<(String, String, String)> {
    let name = |end: &str| {
        let end = end.trim().trim_matches('"');
        end.split(':').next().unwrap_or(end).to_owned()
    };
    let arrow = |line: &str| {
        let (from, rest) = line.split_once(" -> ")?;
        let to = rest.split(" [").next()?;
        let label = rest.split_once("label=\"").and_then(|(_, label)| label.split_once('"'));
        let label = label.map_or("", |(label, _)| label).replace("\\n", " ");
        Some((name(from), name(to), label))
    };
    text.lines().filter(|line| !line.trim_start().starts_with("//")).filter_map(arrow).collect()
}

/// What was drawn: the arrows between boxes, and everything that is written.
fn drawn(picture: &str) -> (BTreeSet<(String, String)>, BTreeSet<String>) {
    let plain = |text: &str| text.replace("&#45;", "-").replace("&gt;", ">").replace("&amp;", "&");
    let between = |line: &str, (begin, end): (&str, &str)| {
        let (_, rest) = line.split_once(begin)?;
        rest.split_once(end).map(|(text, _)| plain(text))
    };
    let titles = picture.lines().filter_map(|line| between(line, ("<title>", "</title>")));
    let ends = |title: String| {
        let (from, to) = title.split_once("->")?;
        let name = |end: &str| end.split(':').next().unwrap_or(end).to_owned();
        Some((name(from), name(to)))
    };
    let texts = picture.lines().filter(|line| line.starts_with("<text"));
    let words = texts.filter_map(|line| between(line, (">", "</text>")));
    let words: BTreeSet<String> =
        words.flat_map(|text| text.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
    (titles.filter_map(ends).collect(), words)
}

#[test]
fn each_picture_is_drawn_from_its_text() {
    let texts = pictures();
    assert!(!texts.is_empty());
    for path in texts {
        let (text, picture) = (read(&path), read(&path.with_extension("svg")));
        let (ends, words) = drawn(&picture);
        let asked = arrows(&text);
        let stale = format!("{} is older than its text, which says how to draw it", path.display());
        let asked_ends: BTreeSet<_> =
            asked.iter().map(|(from, to, _)| (from.clone(), to.clone())).collect();
        assert_eq!(asked_ends, ends, "{stale}");
        for word in asked.iter().flat_map(|(_, _, label)| label.split(' ')) {
            assert!(word.is_empty() || words.contains(word), "{stale}: {word} is missing");
        }
    }
}

/// Every type of the crates, by its name.
fn types(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            types(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = read(&path);
            let is_part = |word: char| !word.is_alphanumeric() && word != '_';
            let mut words = text.split(is_part).filter(|word| !word.is_empty());
            while let Some(word) = words.next() {
                if matches!(word, "struct" | "enum") {
                    found.extend(words.next().map(str::to_owned));
                }
            }
        }
    }
}

#[test]
fn the_picture_of_a_node_shows_actors_and_messages_that_there_are() {
    let mut known = BTreeSet::new();
    for folder in ["node-bin/src", "raft-net/src", "raft-core/src"] {
        types(&root().join(folder), &mut known);
    }
    let is_type = |word: &str| word.starts_with(char::is_uppercase);
    for (from, to, label) in arrows(&read(&root().join("docs/pictures/node.dot"))) {
        let named = label.split(' ').chain([from.as_str(), to.as_str()]);
        for word in named.filter(|word| is_type(word)) {
            assert!(known.contains(word), "there is no {word}, at {from} -> {to}");
        }
    }
}

#[test]
fn the_picture_of_the_crates_shows_what_they_build_on() {
    let arrows = arrows(&read(&root().join("docs/pictures/crates.dot")));
    let crates: BTreeSet<&str> =
        arrows.iter().flat_map(|(from, to, _)| [from.as_str(), to.as_str()]).collect();
    for from in &crates {
        let manifest = read(&root().join(from).join("Cargo.toml"));
        let is_named = |to: &str| {
            let names = |line: &str| line.split(['.', ' ', '=']).next() == Some(to);
            manifest.lines().any(names)
        };
        let mut reached = vec![*from];
        let mut next = 0;
        while let Some(here) = reached.get(next).copied() {
            let further = arrows.iter().filter(|(from, ..)| from == here);
            reached.extend(further.map(|(_, to, _)| to.as_str()));
            next += 1;
        }
        for to in crates.iter().filter(|to| *to != from) {
            let is_drawn = arrows.iter().any(|(one, other, _)| one == from && other == to);
            assert!(!is_drawn || is_named(to), "{from} does not build on {to}");
            assert!(!is_named(to) || reached.contains(to), "{from} builds on {to}");
        }
    }
}

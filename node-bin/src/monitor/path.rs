//! What a path of the monitor names.

/// Whom a question is for, and what it asks of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// What there is to ask.
    Root,
    /// One node.
    Node(u64, String),
    /// Every member.
    Cluster(String),
}

/// All values, with the newest entries of the log, for those who draw a picture of the node.
pub(crate) const VIEW: &str = "view";

/// What is a stream, and has no value.
pub(crate) const LOG: &str = "log";
/// What has happened is one too, whose past can be asked for.
pub(crate) const EVENTS: &str = "events";

/// Reads a path. Slashes at its end mean nothing, nor does one that is missing at its beginning.
///
/// Errors: says what to write instead.
pub(crate) fn parse(path: &str) -> Result<Aim, String> {
    let path = path.trim_matches('/');
    let (head, rest) = path.split_once('/').unwrap_or((path, ""));
    match head {
        "" => Ok(Aim::Root),
        "node" if rest.is_empty() => Ok(Aim::Root),
        "node" => {
            let (id, rest) = rest.split_once('/').unwrap_or((rest, ""));
            let id = id.parse().ok().filter(|id| *id != 0);
            let id = id.ok_or_else(|| format!("/{path} does not say which node: /node/1"))?;
            Ok(Aim::Node(id, rest.to_owned()))
        }
        "cluster" => Ok(Aim::Cluster(rest.to_owned())),
        _ => Err(format!("there is no /{path}: a path begins with /node/<id> or /cluster")),
    }
}

/// Whether a value stands at this path or below it.
pub(crate) fn covers(asked: &str, path: &str) -> bool {
    asked.is_empty()
        || path.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_node_or_all_of_them() {
        let node = |id, rest: &str| Ok(Aim::Node(id, rest.to_owned()));
        for (path, aim) in [
            ("/", Ok(Aim::Root)),
            ("", Ok(Aim::Root)),
            ("/node/", Ok(Aim::Root)),
            ("/node/2", node(2, "")),
            ("node/2/raft/term/", node(2, "raft/term")),
            ("/cluster", Ok(Aim::Cluster(String::new()))),
            ("/cluster/raft", Ok(Aim::Cluster("raft".to_owned()))),
        ] {
            assert_eq!(parse(path), aim, "{path}");
        }
        for (path, words) in
            [("/node/0", "which node"), ("/node/x/raft", "which node"), ("/raft", "there is no")]
        {
            assert!(parse(path).unwrap_err().contains(words), "{path}");
        }
    }

    #[test]
    fn a_path_covers_what_stands_below_it() {
        assert!(covers("", "raft/term") && covers("raft", "raft/term"));
        assert!(covers("raft/term", "raft/term"));
        assert!(!covers("raft/ter", "raft/term") && !covers("raft/term/x", "raft/term"));
    }
}

//! Events in words, for those who read them.

use serde_json::Value;

use super::Event;

/// What happened.
pub(super) fn of(event: &Event) -> String {
    match event.kind.as_str() {
        "started" => format!(
            "starts with a log up to {}, committed up to {}",
            entry(event, "last"),
            number(event, "commit")
        ),
        "role" => role(event),
        "timer" => timer(event),
        "vote_asked" | "vote_given" | "vote_refused" | "vote_counted" => vote(event),
        "message" => message(event),
        "appended" => format!("appends {}{}", span(event), turns(event)),
        "persisted" => format!("has {} on disk{}", span(event), turns(event)),
        "committed" => committed(event),
        "replaced" => format!("gives up {}, which the leader does not have", span(event)),
        "behind" => format!(
            "finds node {} behind: both have entries up to {} at most",
            number(event, "peer"),
            entry(event, "last")
        ),
        "caught_up" => format!(
            "node {} has caught up: it has everything up to {}",
            number(event, "peer"),
            number(event, "last")
        ),
        "snapshot" if event.text("is") == "made" => {
            format!("has made a snapshot up to {}", entry(event, "last"))
        }
        "snapshot" => format!("takes over a snapshot up to {}", entry(event, "last")),
        "members" => members(event),
        "link" if event.is("up") => format!("hears from node {} again", number(event, "peer")),
        "link" => format!("has lost the link from node {}", number(event, "peer")),
        "waiting" => format!("waits for word of {}", nodes(event, "of")),
        "admitted" => format!("counts from now on: {}", event.text("reason")),
        _ => rare(event),
    }
}

/// What should not happen, and what is done to nodes from outside.
fn rare(event: &Event) -> String {
    match event.kind.as_str() {
        "removed" => "was removed from the cluster".to_owned(),
        "fenced" => {
            format!("differs from the majority after entry {}", number(event, "index"))
        }
        "no_majority_of_states" => {
            format!("finds no majority of equal states after entry {}", number(event, "index"))
        }
        "disk_full" if event.is("full") => "has no room on its disk".to_owned(),
        "disk_full" => "has room on its disk again".to_owned(),
        "memory_full" if event.is("full") => "has no memory for more data".to_owned(),
        "memory_full" => "has memory for more data again".to_owned(),
        "slow_disk" => "gives leadership away, for its disk is slow".to_owned(),
        "foreign_node" => {
            format!("ignores another node that calls itself {}", number(event, "peer"))
        }
        "killed" => "is killed".to_owned(),
        "stopped" => "is stopped".to_owned(),
        "failed" => "ends, for one of its invariants does not hold".to_owned(),
        "paused" => "is made to stand still".to_owned(),
        "resumed" => "goes on".to_owned(),
        "cut" => format!("is no longer heard by node {}: the link is cut", number(event, "peer")),
        "healed" => format!("is heard by node {} again: the link is mended", number(event, "peer")),
        "delayed" => format!(
            "is heard {} ms late by node {}",
            number(event, "delay_ms"),
            number(event, "peer")
        ),
        "lost" => format!("{} events were lost before this one", number(event, "count")),
        "left_out" => format!("from here on is left out: {}", event.text("what")),
        // Of a later version: the document says what there is to say.
        kind => format!("{kind} {}", event.json),
    }
}

fn role(event: &Event) -> String {
    let (role, reason) = (event.text("role"), event.text("reason"));
    let term = number(event, "term");
    let what = match role {
        "leader" => format!("leads term {term}"),
        "candidate" => format!("stands for election in term {term}"),
        "pre-candidate" => "asks whether an election would be worth while".to_owned(),
        "follower" => match event.number("leader") {
            Some(leader) => format!("follows node {leader} in term {term}"),
            None => format!("follows nobody in term {term}"),
        },
        other => format!("is {other} in term {term}"),
    };
    match event.number("because_of") {
        Some(node) if !reason.is_empty() => format!("{what}: {reason} (node {node})"),
        _ => format!("{what}: {reason}"),
    }
}

fn timer(event: &Event) -> String {
    let what = event.text("what");
    match (event.text("is"), event.number("of_ms")) {
        ("ran_out", _) => format!("{what} timer runs out"),
        (_, Some(of_ms)) => format!("{what} timer begins: {of_ms} ms"),
        (_, None) => format!("{what} timer begins"),
    }
}

fn vote(event: &Event) -> String {
    let (pre, for_term) = (event.is("pre_vote"), number(event, "for_term"));
    let votes = event.number("votes").unwrap_or(0);
    match event.kind.as_str() {
        "vote_asked" if pre => {
            format!("asks {} whether they would vote for it in term {for_term}", nodes(event, "of"))
        }
        "vote_asked" => format!("asks {} for their votes in term {for_term}", nodes(event, "of")),
        "vote_given" if pre => {
            format!("would vote for node {} in term {for_term}", number(event, "to"))
        }
        "vote_given" => format!("votes for node {} in term {for_term}", number(event, "to")),
        "vote_refused" => format!(
            "{} node {} in term {for_term}: {}",
            if pre { "would not vote for" } else { "refuses its vote to" },
            number(event, "to"),
            event.text("reason")
        ),
        _ => {
            let says = if event.is("granted") { "yes" } else { "no" };
            let votes = if votes == 1 { "1 vote".to_owned() } else { format!("{votes} votes") };
            format!("hears {says} from node {}: {votes}", number(event, "from"))
        }
    }
}

fn message(event: &Event) -> String {
    let way = match (event.number("to"), event.number("from")) {
        (Some(to), _) => format!("→ {to}"),
        (None, Some(from)) => format!("← {from}"),
        (None, None) => String::new(),
    };
    let mut text = format!("{way} {}", event.text("type"));
    match (event.number("first"), event.number("last")) {
        (Some(first), Some(last)) if first == last => text += &format!(" {first}"),
        (Some(first), Some(last)) => text += &format!(" {first} to {last}"),
        (None, Some(last)) if !event.is_heartbeat() => text += &format!(" up to {last}"),
        (_, _) => {}
    }
    match event.field("granted").and_then(Value::as_bool) {
        Some(true) => text += ": yes",
        Some(false) => text += ": no",
        None => {}
    }
    if let Some(skipped) = event.number("skipped") {
        text += &format!(" (after {skipped} that are not shown)");
    }
    text
}

fn committed(event: &Event) -> String {
    let holders = event.field("held_by").and_then(Value::as_array).map_or(0, Vec::len);
    let span = span(event);
    let turns = turns(event);
    match holders {
        0 => format!("knows {span} to be committed{turns}"),
        _ => format!("commits {span}, which {} have{turns}", nodes(event, "held_by")),
    }
}

fn members(event: &Event) -> String {
    let mut text = format!("the voters are {}", nodes(event, "voters"));
    for (name, words) in [("outgoing", "outgoing"), ("learners", "learners")] {
        if event.field(name).and_then(Value::as_array).is_some_and(|ids| !ids.is_empty()) {
            text += &format!(", {words} {}", nodes(event, name));
        }
    }
    text
}

fn number(event: &Event, name: &str) -> String {
    event.number(name).map_or_else(|| "?".to_owned(), |number| number.to_string())
}

/// An entry by its index, with its term.
fn entry(event: &Event, name: &str) -> String {
    let of =
        |part: &str| event.field(name).and_then(|entry| entry.get(part)).and_then(Value::as_u64);
    match (of("index"), of("term")) {
        (Some(0), _) => "nothing".to_owned(),
        (Some(index), Some(term)) => format!("{index} (term {term})"),
        (_, _) => "?".to_owned(),
    }
}

fn span(event: &Event) -> String {
    let (first, last) = (number(event, "first"), number(event, "last"));
    if first == last { format!("entry {first}") } else { format!("entries {first} to {last}") }
}

fn turns(event: &Event) -> String {
    event.number("turns").map_or_else(String::new, |turns| format!(" ({turns} times, together)"))
}

fn nodes(event: &Event, name: &str) -> String {
    let ids = event.field(name).and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
    let ids: Vec<String> = ids.iter().filter_map(Value::as_u64).map(|id| id.to_string()).collect();
    match ids.as_slice() {
        [] => "nobody".to_owned(),
        [one] => format!("node {one}"),
        [some @ .., last] => format!("nodes {} and {last}", some.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(fields: &str) -> String {
        let json = format!("{{\"node\":1,\"seq\":2,\"at_us\":3,\"term\":4,{fields}}}");
        of(&Event::read(&json).expect("an event"))
    }

    #[test]
    fn events_read_like_a_story() {
        for (fields, expected) in [
            (
                r#""event":"role","role":"leader","leader":1,"reason":"a majority voted for it""#,
                "leads term 4: a majority voted for it",
            ),
            (
                r#""event":"role","role":"follower","leader":2,"reason":"it heard","because_of":2"#,
                "follows node 2 in term 4: it heard (node 2)",
            ),
            (
                r#""event":"timer","what":"election","is":"begun","of_ms":312"#,
                "election timer begins: 312 ms",
            ),
            (
                r#""event":"vote_asked","pre_vote":false,"for_term":5,"of":[2,3]"#,
                "asks nodes 2 and 3 for their votes in term 5",
            ),
            (
                r#""event":"message","to":2,"type":"AppendEntries","id":7,"first":4,"last":6"#,
                "→ 2 AppendEntries 4 to 6",
            ),
            (
                r#""event":"message","from":3,"type":"RequestVoteResponse","id":7,"granted":false"#,
                "← 3 RequestVoteResponse: no",
            ),
            (
                r#""event":"committed","first":5,"last":5,"applied":5,"held_by":[1,3]"#,
                "commits entry 5, which nodes 1 and 3 have",
            ),
            (
                r#""event":"committed","first":5,"last":9,"applied":9,"turns":3"#,
                "knows entries 5 to 9 to be committed (3 times, together)",
            ),
        ] {
            assert_eq!(words(fields), expected);
        }
    }

    #[test]
    fn what_is_not_known_is_shown_as_it_is() {
        let text = words(r#""event":"of_tomorrow","x":1"#);
        assert!(text.starts_with("of_tomorrow {") && text.contains("\"x\":1"), "{text}");
    }
}

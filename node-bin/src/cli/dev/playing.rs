//! What can be typed to do something to nodes and links.

use raft_net::client_protocol::playground::{NodeName, Play, PlayOrder};

/// Between the ends of a link, one direction of which is meant.
const ONE_WAY: &str = ">";
/// The same as `kvctl` has it, behind them.
const ONE_WAY_FLAG: &str = "--one-way";

/// Reads a command of this kind; `None` if it is none, or has not as many words as it needs.
///
/// Errors: one line that says what is wrong with it and what would be right.
pub(super) fn parse(name: &str, arguments: &[String]) -> Option<Result<Play, String>> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Some(match (name, words.as_slice()) {
        ("kill", [node]) => node.parse().map(Play::Kill),
        ("revive", []) => Ok(Play::Revive(None)),
        ("revive", [node]) => node.parse().map(|node| Play::Revive(Some(node))),
        ("pause", [node]) => node.parse().map(|node| Play::Pause { node, for_ms: None }),
        ("pause", [node, ms]) => pause(node, ms),
        ("resume", []) => Ok(Play::Resume(None)),
        ("resume", [node]) => node.parse().map(|node| Play::Resume(Some(node))),
        ("cut", [one, other]) => link(one, other).map(|link| Play::Cut { link, one_way: false }),
        ("cut", [from, ONE_WAY, to] | [from, to, ONE_WAY_FLAG]) => {
            link(from, to).map(|link| Play::Cut { link, one_way: true })
        }
        ("heal", []) => Ok(Play::Heal(None)),
        ("heal", [one, other]) => link(one, other).map(|link| Play::Heal(Some(link))),
        ("delay", [one, other, ms]) => delay((one, other), false, ms),
        ("delay", [from, ONE_WAY, to, ms] | [from, to, ms, ONE_WAY_FLAG]) => {
            delay((from, to), true, ms)
        }
        ("add", []) => Ok(Play::Add),
        ("remove", [node]) => node.parse().map(Play::Remove),
        ("transfer", [node]) => node.parse().map(Play::Transfer),
        ("campaign", [node]) => node.parse().map(Play::Campaign),
        ("step-down", []) => Ok(Play::StepDown(NodeName::Leader)),
        ("step-down", [node]) => node.parse().map(Play::StepDown),
        ("time-scale", [scale]) => scale.parse().map(Play::TimeScale),
        ("freeze", []) => Ok(Play::Freeze),
        ("thaw", []) => Ok(Play::Thaw),
        ("step", [ms]) => step(ms),
        _ => return None,
    })
}

fn link(one: &str, other: &str) -> Result<(NodeName, NodeName), String> {
    Ok((one.parse()?, other.parse()?))
}

fn pause(node: &str, ms: &str) -> Result<Play, String> {
    let order = Play::Pause { node: node.parse()?, for_ms: Some(millis(ms)?) };
    // What no node would take from a client is not taken here either.
    PlayOrder::from(order).to_play()
}

fn step(ms: &str) -> Result<Play, String> {
    PlayOrder::from(Play::Step(millis(ms)?)).to_play()
}

fn delay((from, to): (&str, &str), one_way: bool, ms: &str) -> Result<Play, String> {
    Ok(Play::Delay { link: link(from, to)?, one_way, delay_ms: millis(ms)? })
}

fn millis(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is not a time: give a number of milliseconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Option<Result<Play, String>> {
        let mut words = line.split(' ').map(str::to_owned);
        let name = words.next().unwrap();
        parse(&name, &words.collect::<Vec<_>>())
    }

    #[test]
    fn links_are_named_in_both_directions_or_in_one() {
        let ends = (NodeName::Leader, "2".parse().unwrap());
        for (line, one_way) in
            [("cut leader 2", false), ("cut leader > 2", true), ("cut leader 2 --one-way", true)]
        {
            assert_eq!(parsed(line), Some(Ok(Play::Cut { link: ends, one_way })));
        }
        for (line, one_way) in [("delay leader 2 50", false), ("delay leader > 2 50", true)] {
            let delay = Play::Delay { link: ends, one_way, delay_ms: 50 };
            assert_eq!(parsed(line), Some(Ok(delay)));
        }
    }

    #[test]
    fn what_makes_no_sense_is_said_with_what_would() {
        for (line, words) in [
            ("pause two", "\"two\" is not a node: give its number, or leader"),
            ("pause 2 soon", "\"soon\" is not a time: give a number of milliseconds"),
            ("pause 2 0", "a pause has 1 to"),
            ("time-scale slow", "a number from 0.1 to 100"),
            ("step 0", "a step has 1 to"),
            ("cut 1 0", "\"0\" is not a node"),
            ("delay 1 2 -1", "\"-1\" is not a time"),
        ] {
            let error = parsed(line).unwrap().unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
        for line in [
            "pause",
            "cut 1",
            "cut 1 < 2",
            "heal 1",
            "delay 1 2",
            "add 1",
            "frob",
            "step",
            "freeze 1",
        ] {
            assert_eq!(parsed(line), None, "{line}");
        }
    }
}

//! What a node by itself does of what somebody wants to see: pure decisions. It knows no other
//! node's process, and of the wires only its own ends.

use std::time::Duration;

use raft_core::types::NodeId;
use raft_net::client_protocol::playground::{NodeName, Play};
use raft_net::faults::{DELAY_MS_MAX, Faults};

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// The process ends.
    Die,
    /// The node stands still for so long.
    StandStill(Duration),
    /// This is what is wrong with the wires now.
    Wires(Faults),
    /// The node stands for election.
    Campaign,
    /// The node leads no more.
    StepDown,
}

/// Decides what is done, and what is said of it.
///
/// Errors: why nothing is, and what would help, on one line.
pub(super) fn decide(play: Play, own: NodeId, now: &Faults) -> Result<(Deed, String), String> {
    match play {
        Play::Kill(name) => {
            check_own(name, own)?;
            Ok((Deed::Die, format!("node {own} killed")))
        }
        Play::Pause { node, for_ms } => {
            check_own(node, own)?;
            let ms = for_ms.ok_or_else(|| {
                format!(
                    "say for how many ms: a node that stands still cannot be told to go on, \
                         such as pause {own} 5000"
                )
            })?;
            let deed = Deed::StandStill(Duration::from_millis(ms));
            Ok((deed, format!("node {own} paused for {ms} ms")))
        }
        Play::Cut { link, one_way } => cut(link, one_way, own, now),
        Play::Heal(None) if *now == Faults::default() => {
            Err(format!("no link of node {own} is cut or delayed here"))
        }
        Play::Heal(None) => {
            Ok((Deed::Wires(Faults::default()), format!("every link of node {own} healed")))
        }
        Play::Heal(Some(link)) => heal(link, own, now),
        Play::Delay { link, one_way, delay_ms } => delay((link, delay_ms), one_way, own, now),
        Play::Campaign(name) => {
            check_own(name, own)?;
            Ok((Deed::Campaign, format!("node {own} stands for election, unless it leads")))
        }
        Play::StepDown(NodeName::Leader) => Ok(steps_down(own)),
        Play::StepDown(name) => check_own(name, own).map(|()| steps_down(own)),
        Play::Revive(_) | Play::Resume(_) => {
            Err(format!("node {own} runs; what does not run can only be started where it was"))
        }
        Play::TimeScale(_) | Play::Freeze | Play::Thaw | Play::Step(_) => Err(format!(
            "node {own} lives in the time of its machine; kvorum dev has a time of its own"
        )),
        Play::Add | Play::Remove(_) | Play::Transfer(_) => Err(format!(
            "node {own} is no cluster in one process; see kvctl member add, remove, transfer"
        )),
    }
}

fn steps_down(own: NodeId) -> (Deed, String) {
    (Deed::StepDown, format!("node {own} leads no more, if it did"))
}

fn check_own(name: NodeName, own: NodeId) -> Result<(), String> {
    if name == NodeName::Number(own) {
        return Ok(());
    }
    Err(format!("node {own} was asked, and plays with itself alone; ask {name} with --endpoints"))
}

/// Which peer a link leads to, and whether this node is its first end.
fn other_end((from, to): (NodeName, NodeName), own: NodeId) -> Result<(NodeId, bool), String> {
    let own_name = NodeName::Number(own);
    match (from, to) {
        (NodeName::Number(from), NodeName::Number(to)) if from == to => {
            Err(format!("a node has no link to itself; name two different nodes, not {from} twice"))
        }
        (from, NodeName::Number(peer)) if from == own_name => Ok((peer, true)),
        (NodeName::Number(peer), to) if to == own_name => Ok((peer, false)),
        (NodeName::Leader, _) | (_, NodeName::Leader) => {
            Err("name both ends of the link by number".to_owned())
        }
        (NodeName::Number(from), _) => {
            Err(format!("node {own} is no end of that link; ask node {from} with --endpoints"))
        }
    }
}

fn cut(
    link: (NodeName, NodeName),
    one_way: bool,
    own: NodeId,
    now: &Faults,
) -> Result<(Deed, String), String> {
    let (peer, is_first) = other_end(link, own)?;
    let mut faults = now.clone();
    if is_first || !one_way {
        faults.cut_to.insert(peer);
    }
    if !is_first || !one_way {
        faults.cut_from.insert(peer);
    }
    if faults == *now {
        return Err(format!("that link is cut already; heal {own} {peer} mends it"));
    }
    let text = match (one_way, is_first) {
        (false, _) => format!("link {own} - {peer} cut"),
        (true, true) => format!("link {own} > {peer} cut"),
        (true, false) => format!("link {peer} > {own} cut"),
    };
    Ok((Deed::Wires(faults), text))
}

fn heal(link: (NodeName, NodeName), own: NodeId, now: &Faults) -> Result<(Deed, String), String> {
    let (peer, _) = other_end(link, own)?;
    let mut faults = now.clone();
    faults.cut_to.remove(&peer);
    faults.cut_from.remove(&peer);
    faults.delay_to_ms.remove(&peer);
    if faults == *now {
        return Err(format!("nothing is wrong between nodes {own} and {peer} here"));
    }
    Ok((Deed::Wires(faults), format!("link {own} - {peer} healed")))
}

fn delay(
    (link, delay_ms): ((NodeName, NodeName), u64),
    one_way: bool,
    own: NodeId,
    now: &Faults,
) -> Result<(Deed, String), String> {
    let (peer, is_first) = other_end(link, own)?;
    if !one_way || !is_first {
        return Err(format!(
            "node {own} delays what it sends and nothing else: delay {own} {peer} {delay_ms} \
             --one-way; ask node {peer} for the other way"
        ));
    }
    if DELAY_MS_MAX < delay_ms {
        return Err(format!("a delay has at most {DELAY_MS_MAX} ms, not {delay_ms}"));
    }
    let mut faults = now.clone();
    let text = if delay_ms == 0 {
        faults.delay_to_ms.remove(&peer);
        format!("link {own} > {peer} delayed no more")
    } else {
        faults.delay_to_ms.insert(peer, delay_ms);
        format!("link {own} > {peer} delayed by {delay_ms} ms")
    };
    Ok((Deed::Wires(faults), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: u64) -> NodeId {
        NodeId::new(id).unwrap()
    }

    fn name(number: u64) -> NodeName {
        NodeName::Number(id(number))
    }

    fn decided(play: Play, now: &Faults) -> Result<Deed, String> {
        decide(play, id(1), now).map(|(deed, _)| deed)
    }

    #[test]
    fn a_node_does_what_concerns_it() {
        let whole = Faults::default();
        assert_eq!(decided(Play::Kill(name(1)), &whole), Ok(Deed::Die));
        let pause = Play::Pause { node: name(1), for_ms: Some(7) };
        assert_eq!(decided(pause, &whole), Ok(Deed::StandStill(Duration::from_millis(7))));
        assert_eq!(decided(Play::Campaign(name(1)), &whole), Ok(Deed::Campaign));
        for leader in [name(1), NodeName::Leader] {
            assert_eq!(decided(Play::StepDown(leader), &whole), Ok(Deed::StepDown));
        }
    }

    #[test]
    fn each_direction_of_a_link_is_cut_where_this_node_can() {
        let whole = Faults::default();
        let cut = |from: u64, to: u64, one_way: bool| {
            let link = (name(from), name(to));
            match decided(Play::Cut { link, one_way }, &whole) {
                Ok(Deed::Wires(faults)) => (faults.cut_to.len(), faults.cut_from.len()),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((cut(1, 2, false), cut(2, 1, false)), ((1, 1), (1, 1)));
        assert_eq!((cut(1, 2, true), cut(2, 1, true)), ((1, 0), (0, 1)));
        let link = (name(1), name(2));
        let delay = Play::Delay { link, one_way: true, delay_ms: 9 };
        let Ok(Deed::Wires(faults)) = decided(delay, &whole) else { panic!("it can") };
        assert_eq!(faults.delay_to_ms, [(id(2), 9)].into());
        for heal in [Play::Heal(None), Play::Heal(Some((name(2), name(1))))] {
            assert_eq!(decided(heal, &faults), Ok(Deed::Wires(whole.clone())));
        }
    }

    #[test]
    fn what_it_cannot_do_is_refused_with_what_would_help() {
        let whole = Faults::default();
        let link = |from, to| (name(from), name(to));
        for (play, words) in [
            (Play::Kill(name(2)), "ask node 2 with --endpoints"),
            (Play::Kill(NodeName::Leader), "ask the leader with --endpoints"),
            (Play::Pause { node: name(1), for_ms: None }, "such as pause 1 5000"),
            (Play::Cut { link: link(2, 3), one_way: false }, "ask node 2 with --endpoints"),
            (Play::Cut { link: link(1, 1), one_way: false }, "no link to itself"),
            (Play::Cut { link: (NodeName::Leader, name(2)), one_way: true }, "by number"),
            (Play::Heal(None), "no link of node 1 is cut"),
            (Play::Heal(Some(link(1, 2))), "nothing is wrong between nodes 1 and 2"),
            (Play::Delay { link: link(1, 2), one_way: false, delay_ms: 5 }, "--one-way"),
            (Play::Delay { link: link(1, 2), one_way: true, delay_ms: 60_001 }, "at most 60000"),
            (Play::Revive(None), "node 1 runs"),
            (Play::Resume(None), "node 1 runs"),
            (Play::Add, "kvctl member add"),
            (Play::Transfer(name(2)), "kvctl member add, remove, transfer"),
        ] {
            let error = decided(play, &whole).unwrap_err();
            assert!(error.contains(words) && !error.contains('\n'), "{play:?}: {error}");
        }
        let cut = Faults { cut_to: [id(2)].into(), ..whole };
        let again = Play::Cut { link: link(1, 2), one_way: true };
        assert!(decided(again, &cut).unwrap_err().contains("cut already"));
    }
}

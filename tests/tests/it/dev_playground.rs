//! What can be done to nodes and links at the prompt of `kvorum dev`.

use crate::harness::scratch::Scratch;
use crate::harness::typist::Typist;
use crate::harness::wait;

/// The number in "node 3 leads".
fn last_node(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let place = words.iter().rposition(|word| *word == "node").unwrap();
    words[place + 1].to_owned()
}

async fn check_pauses(it: &mut Typist) {
    it.check("SET a 1", &["OK"]).await;
    it.check("pause 2", &["node 2 paused"]).await;
    it.check("pause 2", &["error: node 2 is paused; resume it first"]).await;
    it.check("revive 2", &["error: node 2 is alive"]).await;
    it.check("campaign 2", &["error: node 2 is paused; resume it first"]).await;
    it.check("SET a 2", &["OK"]).await;
    let status = it.answered("status", 3).await;
    assert_eq!(status[1], "node 2 paused", "{status:?}");
    it.check("use 2", &["through node 2"]).await;
    let asleep = "error: node 2 is paused; resume it, or choose another with use";
    it.check("GET a", &[asleep]).await;
    it.check("resume", &["node 2 resumed"]).await;
    it.check("GET a", &["2"]).await;
    it.check("use any", &["through any node"]).await;
    it.check("resume 2", &["error: node 2 is not paused; status shows who is"]).await;
    it.check("resume", &["error: no node is paused"]).await;
    // The end of a node that stands still is an end like any other.
    it.check("pause 3", &["node 3 paused"]).await;
    it.check("kill 3", &["node 3 killed"]).await;
    it.check("pause 3", &["error: node 3 is dead"]).await;
    it.check("revive 3", &["node 3 revived"]).await;
    // A leader that stands still is replaced, and goes on as a follower.
    let paused = it.answered("pause leader", 1).await.remove(0);
    let leader = paused.split(' ').nth(1).unwrap().to_owned();
    it.check("SET a 3", &["OK"]).await;
    it.check(&format!("resume {leader}"), &[&format!("node {leader} resumed")]).await;
    it.check(&format!("use {leader}"), &[&format!("through node {leader}")]).await;
    it.check("GET a", &["3"]).await;
    it.check("use any", &["through any node"]).await;
    // For a while: it goes on by itself.
    it.check("pause 1 50", &["node 1 paused for 50 ms"]).await;
    wait::until("the end of the pause", async || {
        let status = it.answered("status", 3).await;
        (!status[0].contains("paused")).then_some(())
    })
    .await;
}

async fn check_links(it: &mut Typist) {
    it.check("cut 1 2", &["link 1 - 2 cut"]).await;
    let again = "error: the link from node 1 to node 2 is cut already; heal 1 2 mends it";
    it.check("cut 1 2", &[again]).await;
    it.check_words("cut 1 1", &["error: ", "name two different nodes, not 1 twice"]).await;
    it.check("cut 1 9", &["error: there is no node 9, only 1 to 3"]).await;
    it.check_words("cut 1", &["usage: cut A B"]).await;
    it.check_words("heal 1 3", &["error: nothing is wrong between nodes 1 and 3"]).await;
    it.check("heal 2 1", &["link 2 - 1 healed"]).await;
    it.check("heal", &["error: no link is cut or delayed"]).await;
    it.check("cut 1 > 3", &["link 1 > 3 cut"]).await;
    it.check("delay 2 3 20", &["link 2 - 3 delayed by 20 ms"]).await;
    it.check("delay 3 1 9 --one-way", &["link 3 > 1 delayed by 9 ms"]).await;
    it.check_words("delay 1 2 60001", &["error: a delay has at most 60000 ms"]).await;
    it.check_words("delay 1 2 soon", &["\"soon\" is not a time"]).await;
    it.check("SET b 1", &["OK"]).await;
    let status = it.answered("status", 6).await;
    let links = ["link 1 > 3 cut", "link 2 - 3 delayed by 20 ms", "link 3 > 1 delayed by 9 ms"];
    assert_eq!(status[3..], links, "{status:?}");
    it.check("delay 2 3 0", &["link 2 - 3 delayed no more"]).await;
    it.check("heal", &["every link healed"]).await;
    assert_eq!(it.answered("status", 3).await.len(), 3);
}

async fn check_leadership(it: &mut Typist) {
    let said = it.check_words("campaign 2", &[]).await;
    let leader = if said.contains("leads already") {
        it.check_words("step-down 2", &["node 2 stepped down; node "]).await
    } else {
        assert!(said.starts_with("node 2 stood for election; node "), "{said}");
        said
    };
    assert!(leader.ends_with(" leads"), "{leader}");
    it.check_words("campaign leader", &["error: node ", " leads already; step-down "]).await;
    let first = it.check_words("step-down", &[" stepped down; node "]).await;
    let other = if last_node(&first) == "1" { "2" } else { "1" };
    it.check(&format!("transfer {other}"), &[&format!("node {other} leads")]).await;
    it.check_words(&format!("transfer {other}"), &["leads already"]).await;
    it.check_words("step-down 3", &["error: node 3 does not lead"]).await;
    it.check("SET b 2", &["OK"]).await;
}

async fn check_members(it: &mut Typist) {
    it.check("add", &["node 4 added"]).await;
    it.check("add", &["node 5 added"]).await;
    it.check("use 5", &["through node 5"]).await;
    it.check("GET b", &["2"]).await;
    it.check("use any", &["through any node"]).await;
    wait::until("two more voters", async || {
        let members = it.answered("member list", 5).await;
        members.iter().all(|line| line.contains("voter")).then_some(())
    })
    .await;
    it.check("remove 4", &["node 4 removed"]).await;
    it.check("kill 4", &["error: there is no node 4, only 1, 2, 3, 5"]).await;
    it.check_words("remove leader", &["node ", " removed"]).await;
    it.check("SET b 3", &["OK"]).await;
    it.check("add", &["node 6 added"]).await;
}

async fn check_playground(transport: &str) {
    let _turn = wait::turn().await;
    let mut it = Typist::start(transport);
    check_pauses(&mut it).await;
    check_links(&mut it).await;
    check_leadership(&mut it).await;
    check_members(&mut it).await;
    it.check_words("help pause", &["pause N [MS]: ", "SIGSTOP"]).await;
    it.process.type_in("exit\n");
    let (ended, scratch) = (it.process.end().await, it.scratch);
    assert_eq!(ended.code, Some(1), "lines have failed: {}", ended.stderr);

    // The same nodes are there again, wherever their ports are now.
    let mut again = Typist::with(scratch, &["--nodes", "4", "--transport", transport]);
    again.check("GET b", &["3"]).await;
    let status = again.answered("status", 4).await;
    assert!(status.last().unwrap().starts_with("node 6 "), "{status:?}");
    again.check("kill leader", &[&again_killed(&status)]).await;
    again.check("SET b 4", &["OK"]).await;
    let addresses = again.answered("member list", 4).await;
    let last = again.door(4);
    assert!(transport == "memory" || addresses[3].contains(&last), "{addresses:?}");
}

fn again_killed(status: &[String]) -> String {
    let leader = status.iter().find(|line| line.contains(" leader ")).unwrap();
    format!("node {} killed", leader.split(' ').nth(1).unwrap())
}

#[tokio::test]
async fn nodes_and_links_are_played_with_over_tcp() {
    check_playground("tcp").await;
}

#[tokio::test]
async fn nodes_and_links_are_played_with_in_memory() {
    check_playground("memory").await;
}

/// From one node to fifty.
#[tokio::test]
async fn a_cluster_has_one_to_fifty_nodes() {
    let _turn = wait::turn().await;
    let mut it = Typist::with(Scratch::new(), &["--transport", "memory", "--nodes", "1"]);
    it.check("SET a 1", &["OK"]).await;
    it.check_words("remove 1", &["error: the members stay as they are"]).await;
    it.check("step-down", &["node 1 stepped down; node 1 leads"]).await;
    it.check("add", &["node 2 added"]).await;
    it.check("add", &["node 3 added"]).await;
    it.check("use 3", &["through node 3"]).await;
    it.check("GET a", &["1"]).await;
    drop(it);
    for nodes in ["0", "51"] {
        let Typist { process, scratch: _scratch, .. } =
            Typist::with(Scratch::new(), &["--nodes", nodes]);
        let ended = process.end().await;
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains("1 to 50 nodes"), "{}", ended.stderr);
    }
}

/// with ten times the time elections take ten times as long, and the cluster still elects
/// and commits.
#[tokio::test]
async fn acc_a11_slow_motion_still_elects_and_commits() {
    let _turn = wait::turn().await;
    let settings = ["--transport", "memory", "--time-scale", "10"];
    let mut it = Typist::with(Scratch::new(), &settings);
    it.check("SET a 1", &["OK"]).await;
    it.check_words("pause leader", &["paused"]).await;
    let begun = tokio::time::Instant::now();
    it.check("SET a 2", &["OK"]).await;
    let taken = begun.elapsed();
    // Its last heartbeat is half a second old at most, and everybody waits for 2.5 seconds.
    assert!(std::time::Duration::from_millis(1_900) < taken, "{taken:?}");
    it.check_words("resume", &["resumed"]).await;
    it.check("GET a", &["2"]).await;
    let Typist { process, scratch: _scratch, .. } =
        Typist::with(Scratch::new(), &["--time-scale", "0"]);
    let ended = process.end().await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("from 0.1 to 100"), "{}", ended.stderr);
}

//! Debian's etcdctl against a node and against a real etcd: the same commands, the same words.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::cluster::Cluster;
use crate::harness::etcd::{RealEtcd, program};
use crate::harness::scratch::Scratch;
use crate::harness::wait;

/// One command: its words, and what it reads.
type Line = (&'static [&'static str], &'static str);

/// `LEASE` stands for the lease that was granted last.
const SCRIPT: &[Line] = &[
    (&["put", "a", "1"], ""),
    (&["get", "a"], ""),
    (&["get", "a", "-w", "json"], ""),
    (&["get", "a", "-w", "fields"], ""),
    (&["get", "a", "--print-value-only"], ""),
    (&["get", "a", "--hex"], ""),
    (&["get", "a", "--consistency", "s"], ""),
    (&["put", "a", "2", "--prev-kv"], ""),
    (&["put", "a", "--ignore-value"], ""),
    (&["put", "a", "x", "--ignore-lease"], ""),
    (&["put", "none", "--ignore-value"], ""),
    (&["put", "none", "x", "--ignore-lease"], ""),
    (&["put", "read"], "from standard input"),
    (&["put", "", "v"], ""),
    (&["get", ""], ""),
    (&["del", ""], ""),
    (&["put", "b", "3"], ""),
    (&["put", "c", "3", "-w", "json"], ""),
    (&["get", "a", "c"], ""),
    (&["get", "--prefix", ""], ""),
    (&["get", "--prefix", "", "--keys-only"], ""),
    (&["get", "--prefix", "", "--count-only", "-w", "fields"], ""),
    (&["get", "--prefix", "", "--limit", "2", "-w", "json"], ""),
    (&["get", "--from-key", "b"], ""),
    (&["get", "--prefix", "", "--sort-by", "MODIFY", "--order", "DESCEND"], ""),
    (&["get", "--prefix", "", "--sort-by", "CREATE"], ""),
    (&["get", "--prefix", "", "--sort-by", "VERSION", "--order", "DESCEND", "--limit", "1"], ""),
    (&["get", "--prefix", "", "--sort-by", "VALUE"], ""),
    (&["get", "a", "--rev", "2"], ""),
    (&["get", "a", "--rev", "100"], ""),
    (&["get", "nothing"], ""),
    (&["del", "nothing"], ""),
    (&["del", "a", "--prev-kv"], ""),
    (&["del", "b", "d", "-w", "json"], ""),
    (&["put", "k", "1"], ""),
    (&["txn"], "mod(\"k\") > \"0\"\n\nput k 2\nget k\ndel none\n\nput k fail\n\n"),
    (&["txn", "-w", "json"], "val(\"k\") = \"1\"\n\nput k 3\n\nget k\nget --prefix k\n\n"),
    (&["txn"], "ver(\"none\") = \"0\"\n\nput l 1\n\n\n"),
    (&["txn"], "\n\nput k 3\nput k 4\n\n\n\n"),
    (&["txn"], "c(\"k\") < \"0\"\n\n\n\n\n\n"),
    (&["compaction", "5"], ""),
    (&["compaction", "5"], ""),
    (&["compaction", "500"], ""),
    (&["get", "k", "--rev", "3"], ""),
    (&["watch", "k", "--rev", "2"], ""),
    (&["lease", "grant", "100"], ""),
    (&["put", "leased", "v", "--lease", "LEASE"], ""),
    (&["get", "leased", "-w", "fields"], ""),
    (&["lease", "list"], ""),
    (&["lease", "keep-alive", "--once", "LEASE"], ""),
    (&["lease", "revoke", "LEASE"], ""),
    (&["get", "leased"], ""),
    (&["lease", "revoke", "LEASE"], ""),
    (&["lease", "timetolive", "LEASE"], ""),
    (&["lease", "keep-alive", "--once", "LEASE"], ""),
    (&["lease", "grant", "1"], ""),
    (&["lease", "grant", "10000000000"], ""),
    (&["put", "x", "v", "--lease", "7777"], ""),
    (&["lock", "l", "echo", "held"], ""),
    (&["lock", "l", "false"], ""),
    (&["alarm", "list"], ""),
    (&["alarm", "disarm"], ""),
    (&["defrag"], ""),
    (&["move-leader", "777"], ""),
    (&["member", "remove", "777"], ""),
    (&["member", "promote", "777"], ""),
    (&["member", "update", "777", "--peer-urls", "http://127.0.0.1:1"], ""),
    (&["get", "--prefix", "", "-w", "json"], ""),
    (&["role", "list"], ""),
    (&["role", "add", "reader"], ""),
    (&["role", "add", "reader"], ""),
    (&["role", "add", "writer", "-w", "json"], ""),
    (&["role", "list"], ""),
    (&["role", "list", "-w", "json"], ""),
    (&["role", "get", "reader"], ""),
    (&["role", "get", "nobody"], ""),
    (&["role", "grant-permission", "reader", "read", "city"], ""),
    (&["role", "grant-permission", "reader", "write", "city"], ""),
    (&["role", "grant-permission", "reader", "read", "a", "c"], ""),
    (&["role", "grant-permission", "reader", "readwrite", "a/", "--prefix"], ""),
    (&["role", "grant-permission", "reader", "read", "z", "--from-key"], ""),
    (&["role", "grant-permission", "nobody", "read", "z"], ""),
    (&["role", "grant-permission", "reader", "eat", "z"], ""),
    (&["role", "get", "reader"], ""),
    (&["role", "get", "reader", "-w", "json"], ""),
    (&["role", "revoke-permission", "reader", "a", "c"], ""),
    (&["role", "revoke-permission", "reader", "a", "c"], ""),
    (&["role", "revoke-permission", "nobody", "a"], ""),
    (&["role", "get", "reader"], ""),
    (&["user", "list"], ""),
    (&["user", "add", "ada:secret"], ""),
    (&["user", "add", "ada:secret"], ""),
    (&["user", "add", "bob", "--no-password"], ""),
    (&["user", "add", "eve", "--interactive=false"], "a secret\n"),
    (&["user", "add", ":secret"], ""),
    (&["user", "list"], ""),
    (&["user", "list", "-w", "json"], ""),
    (&["user", "get", "ada"], ""),
    (&["user", "get", "nobody"], ""),
    (&["user", "grant-role", "ada", "writer"], ""),
    (&["user", "grant-role", "ada", "reader"], ""),
    (&["user", "grant-role", "ada", "reader"], ""),
    (&["user", "grant-role", "ada", "nobody"], ""),
    (&["user", "grant-role", "nobody", "reader"], ""),
    (&["user", "grant-role", "bob", "root"], ""),
    (&["user", "get", "ada"], ""),
    (&["user", "get", "ada", "--detail"], ""),
    (&["user", "get", "ada", "-w", "json"], ""),
    (&["user", "get", "bob"], ""),
    (&["user", "passwd", "ada", "--interactive=false"], "another\n"),
    (&["user", "passwd", "nobody", "--interactive=false"], "another\n"),
    (&["user", "revoke-role", "ada", "writer"], ""),
    (&["user", "revoke-role", "ada", "writer"], ""),
    (&["user", "revoke-role", "nobody", "writer"], ""),
    (&["role", "delete", "reader"], ""),
    (&["role", "delete", "reader"], ""),
    (&["user", "get", "ada"], ""),
    (&["user", "delete", "ada"], ""),
    (&["user", "delete", "ada"], ""),
    (&["user", "list"], ""),
    (&["role", "add", "root"], ""),
    (&["auth", "disable"], ""),
];

/// How a command ended, in words that do not depend on who was asked.
fn run(etcdctl: &Path, address: &str, (words, input): Line, lease: &mut String) -> String {
    let words = words.iter().map(|word| word.replace("LEASE", lease));
    let mut child = Command::new(etcdctl)
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", address, "--command-timeout", "10s"])
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let ended = child.wait_with_output().unwrap();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    if let Some(granted) = stdout.strip_prefix("lease ").filter(|it| it.contains(" granted ")) {
        *lease = granted.split(' ').next().unwrap().to_owned();
    }
    let said = format!("{:?}\n{stdout}{}", ended.status.code(), without_log(&stderr));
    let mut said = said.replace(address, "ADDRESS");
    if let Ok(number) = u64::from_str_radix(lease, 16) {
        let in_decimal = format!("\"Lease\" : {number}\n");
        said = said.replace(lease.as_str(), "LEASE").replace(&in_decimal, "\"Lease\" : LEASE\n");
    }
    without_ids(&said)
}

/// etcdctl logs each attempt with the time and a number drawn at random.
fn without_log(stderr: &str) -> String {
    stderr
        .lines()
        .filter(|line| !line.starts_with('{'))
        .map(|line| line.to_owned() + "\n")
        .collect()
}

/// Blanks the numbers behind names that are of one cluster.
fn without_ids(said: &str) -> String {
    let names = [
        "cluster_id\":",
        "member_id\":",
        "raft_term\":",
        "ClusterID\" : ",
        "MemberID\" : ",
        "RaftTerm\" : ",
        "Member ",
    ];
    let mut said = said.to_owned();
    for name in names {
        let parts: Vec<&str> = said.split(name).collect();
        let rest = parts[1..].iter().map(|part| {
            let part = part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
            format!("{name}N{part}")
        });
        said = parts[0].to_owned() + &rest.collect::<String>();
    }
    said
}

#[tokio::test]
async fn etcdctl_says_the_same_of_a_node_and_of_etcd() {
    let test = "etcdctl_says_the_same_of_a_node_and_of_etcd";
    let (Some(etcdctl), Some(etcd)) = (program(test, "etcdctl"), program(test, "etcd")) else {
        return;
    };
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let scratch = Scratch::new();
    let etcd = RealEtcd::start(&scratch, &etcd).await;
    let (mut lease, mut etcds_lease) = (String::new(), String::new());
    for &line in SCRIPT {
        let expected = run(&etcdctl, &etcd.address, line, &mut etcds_lease);
        let said = run(&etcdctl, cluster.address(1), line, &mut lease);
        assert_eq!(said, expected, "etcdctl {}", line.0.join(" "));
    }
}

/// What differs between the two: who the members are, and what they have in memory.
#[tokio::test]
async fn etcdctl_sees_the_members_from_any_of_them() {
    let test = "etcdctl_sees_the_members_from_any_of_them";
    let Some(etcdctl) = program(test, "etcdctl") else { return };
    let _turn = wait::turn().await;
    let cluster = Cluster::start(3).await;
    let mut lease = String::new();
    let mut ask = |id: u64, words: &'static [&'static str]| {
        run(&etcdctl, cluster.address(id), (words, ""), &mut lease)
    };
    for id in cluster.ids() {
        let members = ask(id, &["member", "list"]);
        assert_eq!(members.lines().count(), 4, "{members}");
        for other in cluster.ids() {
            // The node that was asked is blanked.
            let address = if other == id { "ADDRESS" } else { cluster.address(other) };
            let line =
                format!("{other}, started, node-{other}, http://{address}, http://{address}");
            assert!(members.contains(&line), "{members}");
        }
        let status = ask(id, &["endpoint", "status", "--cluster"]);
        assert_eq!(status.lines().filter(|line| line.contains(", 3.6.0, ")).count(), 3, "{status}");
        assert_eq!(
            status.lines().filter(|line| line.contains(" MB, true, ")).count(),
            1,
            "{status}"
        );
        let health = ask(id, &["endpoint", "health", "--cluster"]);
        assert_eq!(health.matches("is healthy").count(), 3, "{health}");
        assert!(ask(id, &["put", "k", "v"]).contains("OK"));
    }
    let hashes = ask(1, &["endpoint", "hashkv", "--cluster"]);
    let mut found: Vec<&str> =
        hashes.lines().skip(1).filter_map(|line| line.split(", ").nth(1)).collect();
    found.dedup();
    assert_eq!(found.len(), 1, "{hashes}");
}

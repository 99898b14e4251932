//! Nodes that find each other by asking, where there is no multicast.

use std::collections::BTreeSet;

use super::{Node, Place, until_voters};
use crate::harness::http;
use crate::harness::ports;
use crate::harness::process::{KVORUM, Process};
use crate::harness::wait;

/// What every node is told beside where it listens.
const QUICK: [&str; 2] = ["--wal-segment-bytes", "1048576"];

async fn check_one_cluster(nodes: &[Node]) -> Vec<String> {
    let (mut clusters, mut addresses) = (BTreeSet::new(), Vec::new());
    for node in nodes {
        let said = node.said().await;
        clusters.insert(said.cluster);
        addresses.push(said.address);
    }
    assert_eq!(clusters.len(), 1, "{clusters:?}");
    for address in &addresses {
        until_voters(address, nodes.len()).await;
    }
    addresses
}

#[tokio::test]
async fn nodes_that_ask_one_of_them_over_http_are_one_cluster() {
    let _turn = wait::turn().await;
    let (place, doors) = (Place::new(), ports::addresses(3));
    // As other systems name it.
    let name = format!("ABCD_CLUSTER_HOSTNAME={}", doors[0]);
    let start = |(number, listen): (usize, &String)| {
        let folder = format!("node-{number}");
        let unset = ["-u", "KVORUM_DISCOVERY", name.as_str(), "ABCD_NODE_IP=127.0.0.1", KVORUM];
        let own = ["--listen", listen.as_str(), "--data-dir", &folder];
        let arguments = [&unset[..], &own, &QUICK].concat();
        Node(Process::start(&place.scratch, &folder, "env", &arguments))
    };
    let nodes: Vec<Node> = doors.iter().enumerate().map(start).collect();
    let addresses = check_one_cluster(&nodes).await;
    assert_eq!(addresses, doors);
    for address in &addresses {
        let reply = http::ask(address, "GET /discovery", &[], b"").await;
        let page = reply.json();
        assert_eq!((reply.status, page["address"].as_str()), (200, Some(address.as_str())));
        assert_eq!(page["cluster_id"].as_str().map(str::len), Some(16), "{page}");
        assert!(page["node_id"].is_u64() && page["beacon"].is_string(), "{page}");
    }
}

/// A name server that knows one service.
async fn name_server(at: &str, name: &'static [u8], ports: Vec<u16>) {
    let socket = tokio::net::UdpSocket::bind(at).await.unwrap();
    let mut question = [0; 512];
    loop {
        let (length, from) = socket.recv_from(&mut question).await.unwrap();
        let question = &question[..length];
        let mut answer = question.to_vec();
        answer[2..4].copy_from_slice(&0x8180_u16.to_be_bytes());
        if question.windows(name.len()).any(|part| part == name) {
            answer[6..8].copy_from_slice(&u16::try_from(ports.len()).unwrap().to_be_bytes());
            for port in &ports {
                answer.extend_from_slice(&[0xc0, 12]);
                for word in [33, 1, 0, 60, 17, 0, 0, *port] {
                    answer.extend_from_slice(&word.to_be_bytes());
                }
                answer.extend_from_slice(b"\x09localhost\0");
            }
        } else {
            answer[3] |= 3;
        }
        socket.send_to(&answer, from).await.unwrap();
    }
}

#[tokio::test]
async fn nodes_that_a_name_server_names_are_one_cluster() {
    let _turn = wait::turn().await;
    let test = "nodes_that_a_name_server_names_are_one_cluster";
    let may = std::process::Command::new("unshare").args(["-m", "true"]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        println!("skipped: {test}: mount namespaces are not permitted");
        return;
    }
    let (place, own) = (Place::new(), ports::adjacent(3));
    // Nobody else has this address of the machine.
    let ip = format!("127.75.{}.{}", own[0] / 256, own[0] % 256);
    let conf = place.scratch.join("resolv.conf");
    std::fs::write(&conf, format!("nameserver {ip}\n")).unwrap();
    let inside = format!("mount --bind {} /etc/resolv.conf && exec \"$@\"", conf.display());
    let start = |port: &u16| {
        let (folder, listen) = (format!("node-{port}"), format!("127.0.0.1:{port}"));
        let enter = ["-m", "sh", "-c", &inside, "sh", KVORUM, "--listen", &listen];
        let name = ["--discovery", "dns", "--discovery-name", "kvorum.test", "--data-dir", &folder];
        let arguments = [&enter[..], &name, &QUICK].concat();
        Node(Process::start(&place.scratch, &folder, "unshare", &arguments))
    };
    let nodes: Vec<Node> = own.iter().map(start).collect();
    // The name server comes late, and until then nobody founds anything.
    nodes[0].0.complains(&["waiting for _kvorum._tcp.kvorum.test"]).await;
    let at = format!("{ip}:53");
    let server = name_server(&at, b"\x07_kvorum\x04_tcp\x06kvorum\x04test\0", own.clone());
    tokio::select! {
        () = server => unreachable!("it goes on"),
        _ = check_one_cluster(&nodes) => {}
    }
}

//! The bytes: what version 1 wrote decodes for ever, and nothing that arrives panics.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use raft_core::consensus::message::{AppendResult, Envelope, Message};
use raft_core::entry::{ClientId, Draft, Entries, EntryKind, SessionStamp, Stamp};
use raft_core::replica::event::{Refusal, SessionRefusal};
use raft_core::snapshot::SnapshotId;
use raft_core::types::{EntryId, Incarnation, Index, NodeId, Term};
use raft_net::client_protocol::playground::{PlayOrder, Played};
use raft_net::client_protocol::{
    ChangeRefused, Hello, LEARNER, LocalAnswer, MonitorAnswer, MonitorEntry, MonitorError,
    MonitorPart, MonitorRequest, MonitorValue, NodeStatus, Op, PieceWanted, Reply, Request,
    Response, SnapshotName, VOTER, WatchEnded,
};
use raft_net::frame::{self, FrameError, Frames, PEER_FRAME_BYTES_MAX};
use raft_net::inquiry::{self, Inquiry};
use raft_net::member_change::MemberChange;
use raft_net::peer_codec::{self, Ends};
use raft_net::preface::{Greeting, LinkClass, Nonce, Preface, Refused, Role, Welcome, Why};
use raft_net::publication::{self, Publication};

/// One line per word of version 1: its name and its frame.
const GOLDEN: &str = include_str!("../golden/version_1.hex");

fn node(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

fn id(term: u64, index: u64) -> EntryId {
    EntryId { term: Term(term), index: Index(index) }
}

fn session() -> SessionStamp {
    SessionStamp {
        client: ClientId { issued_at: 1_000_000, random: 0xdead_beef },
        serial: 7,
        acknowledged: 6,
    }
}

fn entries(term: u64, first: u64, payloads: &[&[u8]]) -> Entries {
    entries_at(5, (term, first), payloads)
}

fn entries_at(log_time: u64, (term, first): (u64, u64), payloads: &[&[u8]]) -> Entries {
    let mut draft = Draft::default();
    payloads.iter().for_each(|it| draft.push(EntryKind::Command, &session(), it));
    let (term, first) = (Term(term), Index(first));
    draft.stamp(&Stamp { term, first, log_time, feature_level: 1, wall_time: 6, seed: 7 })
}

fn messages() -> Vec<Message> {
    let mut draft = Draft::default();
    draft.push(EntryKind::Command, &session(), b"forwarded");
    let (prev, next_term) = (id(2, 9), Term(4));
    vec![
        Message::PreVote { next_term, last: prev },
        Message::PreVoteResponse { next_term, granted: true },
        Message::RequestVote { last: prev, transfer: true },
        Message::RequestVoteResponse { granted: false },
        Message::AppendEntries {
            prev,
            commit_index: Index(8),
            round: 300,
            entries: vec![entries(2, 10, &[b"one", b"\xff\x80"]), entries(3, 12, &[b""])],
        },
        Message::AppendEntries { prev, commit_index: Index(8), round: 1, entries: vec![] },
        Message::AppendEntriesResponse {
            round: 300,
            counts: true,
            result: AppendResult::Accepted { match_index: Index(12) },
        },
        Message::AppendEntriesResponse {
            round: 301,
            counts: false,
            result: AppendResult::Rejected { prev_index: Index(9), hint: id(1, 4) },
        },
        Message::Heartbeat { commit_index: Index(8), round: 1 << 40, log_time: 0 },
        Message::HeartbeatResponse { round: 2, counts: true },
        Message::ReadIndex { context: u64::MAX },
        Message::ReadIndexResponse { context: 5, index: Index(12) },
        Message::TimeoutNow,
        Message::AskEmpty,
        Message::AnswerEmpty { asked_by: Incarnation(9), empty: true },
        Message::Forward { commands: draft.into_commands().0 },
        Message::Transfer { to: Some(node(3)) },
        Message::InstallSnapshot {
            id: snapshot(),
            offset: 1 << 20,
            data: Bytes::from_static(b"\xfepiece"),
        },
        Message::InstallSnapshotResponse {
            id: snapshot(),
            next_offset: 1 << 21,
            installed: false,
            counts: true,
        },
        Message::NotAMember,
        Message::Space { is_full: true },
        Message::StateHash { index: Index(1_000), hash: u64::MAX },
        Message::AgreedHash { index: Index(1_000), hash: 7 },
        Message::RequestSnapshot { least: Index(9) },
        Message::AskPromise { round: 7, at_most_us: 250_000 },
        Message::Promise { round: 7, promise_us: 250_000 },
    ]
}

fn snapshot() -> SnapshotId {
    SnapshotId { last: id(2, 9), bytes: 1 << 22, checksum: 0xfeed_f00d }
}

fn envelope(message: Message) -> Envelope {
    let (from, incarnation) = (ends().from, ends().incarnation);
    Envelope { from, incarnation, to: ends().to, term: Term(3), message }
}

fn ends() -> Ends {
    Ends { from: node(1), incarnation: Incarnation(0xabcd), to: node(2) }
}

fn framed(envelope: &Envelope) -> BytesMut {
    let mut output = BytesMut::new();
    peer_codec::put(&mut output, envelope).unwrap();
    output
}

fn content(frame: &[u8]) -> BytesMut {
    let mut input = BytesMut::from(frame);
    let content = Frames::new(PEER_FRAME_BYTES_MAX).next(&mut input).unwrap().unwrap();
    assert!(input.is_empty(), "a frame has nothing behind it");
    content
}

fn preface() -> Preface {
    Preface {
        role: Role::Peer { link: LinkClass::Bulk },
        node_id: 1,
        to: 2,
        incarnation: 0xabcd,
        secret: true,
        nonce: Nonce([9; 16]),
        ..Preface::client(77)
    }
}

fn greetings() -> Vec<Greeting> {
    let client = session().client;
    vec![
        Greeting::Welcome(Welcome {
            version: 1,
            cluster_id: 77,
            node_id: 2,
            incarnation: 3,
            nonce: Nonce([8; 16]),
            proof: vec![7; 32],
            channels: false,
            monitor: false,
        }),
        Greeting::Hello(Hello { version: 1, cluster_id: 77, node_id: 2, client, leader: Some(1) }),
        Greeting::Refused(Refused { why: Why::WrongCluster, text: "no".to_owned() }),
    ]
}

fn welcome_with_channels() -> Welcome {
    let Greeting::Welcome(welcome) = greetings().remove(0) else { unreachable!() };
    Welcome { channels: true, ..welcome }
}

fn welcome_with_monitor() -> Welcome {
    Welcome { monitor: true, ..welcome_with_channels() }
}

fn question() -> MonitorRequest {
    MonitorRequest {
        path: "/node/2/log".to_owned(),
        value: None,
        interval_ms: 100,
        timeout_ms: 500,
        lines_seen: vec![(2, 300)],
    }
}

fn part() -> MonitorPart {
    let entry = |path: &str, value: MonitorValue, settable| MonitorEntry {
        path: path.to_owned(),
        value,
        settable,
    };
    MonitorPart {
        node_id: 2,
        entries: vec![
            entry("raft/role", "leader".into(), false),
            entry("raft/term", 300_u64.into(), false),
            entry("raft/fenced", false.into(), false),
            entry("log/level", "info".into(), true),
        ],
        error: None,
        clock_us: 1_000,
        wall_us: 1 << 50,
        asked_us: 900,
        heard_us: 1_100,
        lines_seen: 301,
        lines_lost: 2,
    }
}

fn silent() -> MonitorPart {
    let error = MonitorError { code: MonitorError::SILENT, text: "no answer".to_owned() };
    MonitorPart { node_id: 3, error: Some(error), ..MonitorPart::default() }
}

fn monitor_requests() -> Vec<Request<'static>> {
    let set = MonitorRequest {
        path: "/cluster/log/level".to_owned(),
        value: Some("debug".to_owned()),
        ..MonitorRequest::default()
    };
    let ops = [question(), set].map(|question| Op::Monitor(Box::new(question)));
    (1 << 35..).zip(ops).map(|(id, op)| Request { id, op }).collect()
}

fn monitor_response() -> Response<'static> {
    let answer = MonitorAnswer { parts: vec![part(), silent()] };
    Response { id: 200, reply: Reply::Monitored(Box::new(answer)) }
}

fn inquiries() -> [(&'static str, Inquiry); 2] {
    [
        ("mq", Inquiry::Question(300, Box::new(question()))),
        ("ma", Inquiry::Answer(300, Box::new(part()))),
    ]
}

fn publications() -> Vec<Publication> {
    let of = |channel, message| Publication {
        channel: Bytes::from_static(channel),
        message: Bytes::from_static(message),
    };
    vec![of(b"news", b"\xffbytes"), of(b"", b"")]
}

fn requests() -> Vec<Request<'static>> {
    let ops = [
        Op::Write { session: session(), timeout_ms: 5000, body: b"\xffwrite" },
        Op::Read { timeout_ms: 100, body: b"" },
        Op::Status,
    ];
    (1 << 33..).zip(ops).map(|(id, op)| Request { id, op }).collect()
}

fn status() -> NodeStatus {
    NodeStatus {
        node_id: 1,
        role: "leader".to_owned(),
        leader_id: Some(1),
        state_hash: u64::MAX,
        waiting_for: vec![2, 3],
        members: vec![(1, "a:1".to_owned()), (2, "b:2".to_owned())],
        ..NodeStatus::default()
    }
}

fn responses() -> Vec<Response<'static>> {
    let mut replies = vec![
        Reply::Answer(b"\xfeanswer"),
        Reply::Status(Box::new(status())),
        Reply::Malformed("why".into()),
    ];
    replies.extend(
        [
            Refusal::NoLeader,
            Refusal::Overloaded,
            Refusal::TooLarge,
            Refusal::Stopping,
            Refusal::Unknown,
        ]
        .map(Reply::Refused),
    );
    replies.extend(
        [
            SessionRefusal::AlreadyAcknowledged,
            SessionRefusal::WindowExceeded,
            SessionRefusal::SessionExpired,
        ]
        .map(Reply::Session),
    );
    replies.push(Reply::Refused(Refusal::NotHandedOver));
    replies.push(Reply::Refused(Refusal::NoSpace));
    replies.push(Reply::Refused(Refusal::Fenced));
    (1..).zip(replies).map(|(id, reply)| Response { id, reply }).collect()
}

fn snapshot_name() -> SnapshotName {
    SnapshotName { index: 300, term: 7, bytes: 1 << 33, checksum: 0xfeed_f00d }
}

/// What came later: its lines stand at the end of the golden file.
fn later_requests() -> Vec<Request<'static>> {
    let change = MemberChange {
        add: vec!["a:4".to_owned()],
        promote: vec![5],
        demote: vec![1],
        remove: vec![2, 3],
        readdress: vec![(6, "b:6".to_owned())],
    };
    let ops = [
        Op::Change { session: session(), timeout_ms: 5000, change: Box::new(change) },
        Op::Transfer { timeout_ms: 100, to: Some(2) },
        Op::Transfer { timeout_ms: 100, to: None },
        Op::ReadLocally { body: b"query" },
        Op::Watch { start: 300, marks: true, body: b"interest" },
        Op::Unwatch,
        Op::Mark,
        Op::Publish { channel: b"news", message: b"\xff" },
        Op::Subscribe {
            channels: vec![serde_bytes::Bytes::new(b"news"), serde_bytes::Bytes::new(b"")],
            patterns: vec![serde_bytes::Bytes::new(b"n*")],
        },
        Op::Snapshot { covers: 300 },
        Op::SnapshotPiece(Box::new(PieceWanted {
            of: snapshot_name(),
            offset: 1 << 20,
            bytes_max: 4096,
        })),
        Op::Play(Box::new(PlayOrder {
            action: "delay".to_owned(),
            node: Some(0),
            other: Some(2),
            ms: Some(300),
            one_way: true,
            percent: None,
        })),
        Op::Play(Box::new(PlayOrder { action: "add".to_owned(), ..PlayOrder::default() })),
    ];
    (1 << 34..).zip(ops).map(|(id, op)| Request { id, op }).collect()
}

fn later_responses() -> Vec<Response<'static>> {
    let roles = vec![(1, VOTER.to_owned()), (2, LEARNER.to_owned())];
    let why = WatchEnded::COMPACTED;
    let ended = WatchEnded { why, revision: 302, text: "gone".to_owned() };
    let replies = [
        Reply::Changed(vec![4, 1 << 40]),
        Reply::ChangeRefused(ChangeRefused { code: 7, about: Some(5), text: "no".to_owned() }),
        Reply::ChangeRefused(ChangeRefused { code: 2, about: None, text: String::new() }),
        Reply::Transferred,
        Reply::Status(Box::new(NodeStatus { member_roles: roles, ..status() })),
        Reply::Local(LocalAnswer { body: b"state", applied_index: 300, contact_age_ms: Some(12) }),
        Reply::Local(LocalAnswer { body: b"", applied_index: 0, contact_age_ms: None }),
        Reply::Watching(300),
        Reply::Events { is_cut: true, body: b"events" },
        Reply::Mark(301),
        Reply::Ended(Box::new(ended)),
        Reply::Status(Box::new(NodeStatus {
            live_bytes: 300,
            live_bytes_max: 1 << 31,
            ..status()
        })),
        Reply::Published(3),
        Reply::Subscribed,
        Reply::Message { pattern: None, channel: b"news", message: b"\xff" },
        Reply::Message { pattern: Some(b"n*"), channel: b"news", message: b"" },
        Reply::Snapshot(None),
        Reply::Snapshot(Some(Box::new(snapshot_name()))),
        Reply::SnapshotPiece(None),
        Reply::SnapshotPiece(Some(b"piece")),
        Reply::Status(Box::new(NodeStatus { incarnations: vec![(1, 1 << 63)], ..status() })),
        Reply::Played(Box::new(Played { is_done: true, text: "node 4 added".to_owned() })),
        Reply::Played(Box::default()),
    ];
    (100..).zip(replies).map(|(id, reply)| Response { id, reply }).collect()
}

/// Every word with its name and its frame, in the order of the golden file.
fn all() -> Vec<(String, BytesMut)> {
    let mut all = Vec::new();
    let mut add = |name: &str, encode: &dyn Fn(&mut BytesMut)| {
        let mut output = BytesMut::new();
        encode(&mut output);
        all.push((name.to_owned(), output));
    };
    add("preface", &|output| preface().open(output));
    for greeting in greetings() {
        add("greeting", &|output| greeting.encode(output));
    }
    for request in requests() {
        add("request", &|output| request.encode(output).unwrap());
    }
    for response in responses() {
        add("response", &|output| response.encode(output).unwrap());
    }
    for message in messages() {
        let name = message.name();
        let envelope = envelope(message);
        add(name, &|output| peer_codec::put(output, &envelope).unwrap());
    }
    for request in &later_requests()[..7] {
        add("request", &|output| request.encode(output).unwrap());
    }
    for response in &later_responses()[..12] {
        add("response", &|output| response.encode(output).unwrap());
    }
    let address = "a:1".to_owned();
    add("preface", &|output| Preface { address: address.clone(), ..preface() }.open(output));
    for request in &later_requests()[7..9] {
        add("request", &|output| request.encode(output).unwrap());
    }
    for response in &later_responses()[12..16] {
        add("response", &|output| response.encode(output).unwrap());
    }
    add("welcome", &|output| Greeting::Welcome(welcome_with_channels()).encode(output));
    add("ch", &|output| publication::put(output, &publications()).unwrap());
    for request in &later_requests()[9..] {
        add("request", &|output| request.encode(output).unwrap());
    }
    for response in &later_responses()[16..] {
        add("response", &|output| response.encode(output).unwrap());
    }
    add("welcome", &|output| Greeting::Welcome(welcome_with_monitor()).encode(output));
    for request in monitor_requests() {
        add("request", &|output| request.encode(output).unwrap());
    }
    add("response", &|output| monitor_response().encode(output).unwrap());
    for (name, inquiry) in inquiries() {
        add(name, &|output| inquiry::put(output, &inquiry).unwrap());
    }
    all
}

#[test]
fn version_1_is_written_as_it_always_was() {
    let written = all().iter().fold(String::new(), |mut text, (name, frame)| {
        write!(text, "{name} ").unwrap();
        frame.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
        text.push('\n');
        text
    });
    assert!(written == GOLDEN, "the wire has changed; it writes now\n{written}");
}

/// The bytes of the golden file's lines that begin with `name`.
fn golden(name: &str) -> Vec<BytesMut> {
    let lines = GOLDEN.lines().filter_map(|line| line.split_once(' '));
    lines.filter(|(found, _)| *found == name).map(|(_, hex)| unhex(hex)).collect()
}

fn unhex(hex: &str) -> BytesMut {
    let pairs = (0..hex.len()).step_by(2).map(|at| &hex[at..at + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect::<Vec<_>>()[..].into()
}

#[test]
fn what_version_1_wrote_is_read() {
    assert_eq!(GOLDEN.lines().count(), all().len(), "nothing is skipped below");
    let mut opening = golden("preface").remove(0);
    assert_eq!(opening.split_to(8), b"\0kvorum\n"[..]);
    assert_eq!(frame::read::<Preface>(&content(&opening)).unwrap(), preface());
    let mut opening = golden("preface").remove(1);
    assert_eq!(opening.split_to(8), b"\0kvorum\n"[..]);
    let with_address = Preface { address: "a:1".to_owned(), ..preface() };
    assert_eq!(frame::read::<Preface>(&content(&opening)).unwrap(), with_address);
    for (frame, greeting) in golden("greeting").iter().zip(greetings()) {
        assert_eq!(Greeting::decode(&content(frame)).unwrap(), greeting);
    }
    let all_requests = requests().into_iter().chain(later_requests()).chain(monitor_requests());
    for (frame, request) in golden("request").iter().zip(all_requests) {
        assert_eq!(Request::decode(&content(frame)).unwrap(), request);
    }
    let all_responses =
        responses().into_iter().chain(later_responses()).chain([monitor_response()]);
    for (frame, response) in golden("response").iter().zip(all_responses) {
        assert_eq!(Response::decode(&content(frame)).unwrap(), response);
    }
    let welcome = Greeting::Welcome(welcome_with_channels());
    assert_eq!(Greeting::decode(&content(&golden("welcome")[0])).unwrap(), welcome);
    let welcome = Greeting::Welcome(welcome_with_monitor());
    assert_eq!(Greeting::decode(&content(&golden("welcome")[1])).unwrap(), welcome);
    for (name, inquiry) in inquiries() {
        assert_eq!(inquiry::read(&content(&golden(name)[0])).unwrap(), inquiry);
    }
    let spread = content(&golden("ch")[0]).freeze();
    assert_eq!(publication::read(&spread).unwrap(), publications());
    let names: BTreeSet<_> = messages().iter().map(Message::name).collect();
    assert_eq!(names.len(), 24, "every message has a sample");
    for name in names {
        let written = messages().into_iter().filter(|message| message.name() == name);
        for (frame, message) in golden(name).iter().zip(written) {
            let read = peer_codec::read(&content(frame), &ends()).unwrap();
            assert_eq!(read, envelope(message));
        }
    }
}

#[test]
fn entries_commands_and_bodies_travel_as_binary() {
    // MessagePack writes bin as c4, c5 or c6; an array of numbers would be 9x, dc or dd.
    let runs = entries(2, 10, &[b"one"]);
    let append = Message::AppendEntries {
        prev: id(2, 9),
        commit_index: Index(8),
        round: 1,
        entries: vec![runs.clone()],
    };
    let forward = Message::Forward { commands: Bytes::from_static(&[0xff; 300]) };
    let mut request = BytesMut::new();
    Request { id: 1, op: Op::Read { timeout_ms: 1, body: &[0xff; 3] } }
        .encode(&mut request)
        .unwrap();
    let length = u8::try_from(runs.bytes().len()).unwrap();
    for (frame, bin) in [
        (framed(&envelope(append)), [&[0xc4, length][..], runs.bytes()].concat()),
        (framed(&envelope(forward)), [&[0xc5, 1, 44][..], &[0xff; 300]].concat()),
        (request, vec![0xc4, 3, 0xff, 0xff, 0xff]),
    ] {
        assert!(frame.windows(bin.len()).any(|part| part == bin), "{frame:x?}");
    }
}

#[test]
fn a_request_and_a_response_borrow_their_bodies() {
    let mut output = BytesMut::new();
    requests()[0].encode(&mut output).unwrap();
    let frame = content(&output);
    let Op::Write { body, .. } = Request::decode(&frame).unwrap().op else { unreachable!() };
    assert!(frame.as_ptr_range().contains(&body.as_ptr()));
}

#[test]
fn cuts_and_flipped_bytes_never_panic() {
    for (_, frame) in all().into_iter().filter(|(name, _)| name != "preface") {
        let good = content(&frame);
        for end in 0..good.len() {
            assert!(refused_by_all(&good[..end]), "cut at {end} of {good:x?}");
        }
        for at in 0..good.len() {
            for bit in [0x01, 0x10, 0x40, 0x80, 0xff] {
                let mut flipped = good.clone();
                flipped[at] ^= bit;
                refused_by_all(&flipped);
            }
        }
    }
}

fn refused_by_all(content: &[u8]) -> bool {
    let readers = [
        frame::read::<Preface>(content).is_err(),
        Greeting::decode(content).is_err(),
        Request::decode(content).is_err(),
        Response::decode(content).is_err(),
        peer_codec::read(content, &ends()).is_err(),
        publication::read(&Bytes::copy_from_slice(content)).is_err(),
        inquiry::read(content).is_err(),
    ];
    readers.iter().all(|refused| *refused)
}

#[test]
fn a_flipped_byte_in_an_entry_is_found() {
    let run = entries(2, 10, &[b"payload"]);
    let append = Message::AppendEntries {
        prev: id(2, 9),
        commit_index: Index(8),
        round: 1,
        entries: vec![run.clone()],
    };
    let good = content(&framed(&envelope(append)));
    let start = good.windows(run.bytes().len()).position(|part| part == run.bytes()).unwrap();
    for at in start..start + run.bytes().len() {
        let mut flipped = good.clone();
        flipped[at] ^= 0x20;
        assert!(peer_codec::read(&flipped, &ends()).is_err(), "byte {at} was flipped");
    }
}

#[test]
fn a_message_that_its_sender_may_not_write_is_refused() {
    let good = envelope(Message::TimeoutNow);
    for bad in [
        Envelope { from: node(3), ..good.clone() },
        Envelope { to: node(3), ..good.clone() },
        Envelope { incarnation: Incarnation(1), ..good.clone() },
    ] {
        let error = peer_codec::read(&content(&framed(&bad)), &ends()).unwrap_err();
        assert!(matches!(error, FrameError::Misaddressed { .. }), "{error}");
    }
}

/// A15 of `docs/raft.md`: zero is no node, neither as the sender nor as the receiver.
#[test]
fn rel_a15_an_envelope_from_or_to_node_zero_is_refused() {
    let good = content(&framed(&envelope(Message::TimeoutNow)));
    let from = good.iter().position(|&byte| byte == 1).expect("the sender is n1");
    let to = good.iter().rposition(|&byte| byte == 2).expect("the receiver is n2");
    assert!(from < to && peer_codec::read(&good, &ends()).is_ok());
    for at in [from, to] {
        let mut bad = good.clone();
        bad[at] = 0;
        let error = peer_codec::read(&bad, &ends()).expect_err("zero is no id");
        assert!(matches!(error, FrameError::NotMessagePack(_)), "{error}");
    }
}

#[test]
fn terms_and_indexes_that_no_cluster_reaches_are_refused() {
    let far = Index(u64::MAX);
    let gap = vec![entries(2, 10, &[b"a"]), entries(2, 12, &[b"b"])];
    let falling = vec![entries(1, 10, &[b"a"])];
    let append = |entries| Message::AppendEntries {
        prev: id(2, 9),
        commit_index: Index(8),
        round: 1,
        entries,
    };
    for message in [
        Message::PreVote { next_term: Term(u64::MAX), last: id(1, 1) },
        Message::RequestVote { last: id(u64::MAX, 1), transfer: false },
        Message::Heartbeat { commit_index: far, round: 1, log_time: 0 },
        Message::Heartbeat { commit_index: Index(8), round: 1, log_time: u64::MAX },
        Message::ReadIndexResponse { context: 1, index: far },
        append(gap),
        append(falling),
        append(vec![entries_at(u64::MAX, (2, 10), &[b"a"])]),
        append(vec![entries(2, 10, &[b"a"]), entries_at((1 << 60) + 1, (2, 11), &[b"a", b"b"])]),
    ] {
        let name = message.name();
        let error = peer_codec::read(&content(&framed(&envelope(message))), &ends());
        assert_eq!(error, Err(FrameError::Implausible(name)));
    }
    let old = append(vec![entries_at(1 << 60, (2, 10), &[b"a"])]);
    assert!(peer_codec::read(&content(&framed(&envelope(old))), &ends()).is_ok());
    let late = Envelope { term: Term(u64::MAX), ..envelope(Message::TimeoutNow) };
    assert!(peer_codec::read(&content(&framed(&late)), &ends()).is_err());
}

#[test]
fn a_later_version_may_say_more_in_the_preface() {
    // {"version_min": 1, "version_max": 9, "role": "client", "shoe_size": 44}
    let hex = "84ab76657273696f6e5f6d696e01ab76657273696f6e5f6d617809a4726f6c65a6636c69656e74\
               a973686f655f73697a652c";
    let read: Preface = frame::read(&unhex(hex)).unwrap();
    assert_eq!(read, Preface { version_max: 9, ..Preface::client(0) });
    assert_eq!(read.common_version(), Some(1));
    assert_eq!(Preface { version_min: 2, version_max: 3, ..read }.common_version(), None);
}

#[test]
fn a_part_of_a_change_that_is_not_understood_is_no_change() {
    // [1, {"c": [[[0, 0], 0, 0], 1, {"remove": [2], "replace": [3]}]}]
    let hex = "9201 81a163 93 93920000 0000 01 82 a672656d6f7665 9102 a77265706c616365 9103";
    let error = Request::decode(&unhex(&hex.replace(' ', ""))).unwrap_err().to_string();
    assert!(error.contains("replace"), "{error}");
}

#[test]
fn a_refusal_that_only_a_later_version_knows_is_a_clear_error() {
    // [1, {"n": 99}]
    let error = Response::decode(&[0x92, 1, 0x81, 0xa1, b'n', 99]).unwrap_err().to_string();
    assert!(error.contains("refusal 99 is unknown here"), "{error}");
    let refused = Refused { why: Why::Later(99), text: "x".to_owned() };
    let mut output = BytesMut::new();
    Greeting::Refused(refused.clone()).encode(&mut output);
    assert_eq!(Greeting::decode(&content(&output)).unwrap(), Greeting::Refused(refused));
}

#[test]
fn other_words_are_shown_on_one_line() {
    let refused = Refused { why: Why::NotAccepting, text: format!("a\nb{}", "c".repeat(1000)) };
    let shown = refused.to_string();
    assert!(shown.starts_with("a\\nbcc"), "{shown}");
    assert_eq!(shown.len(), 300);
}

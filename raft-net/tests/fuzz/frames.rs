//! Native frames: prefaces, requests and responses, and what nodes say to each other.

use bytes::BytesMut;
use raft_core::types::{Incarnation, NodeId};
use raft_net::client_protocol::{Op, Reply, Request, Response};
use raft_net::frame::{
    self, CLIENT_FRAME_BYTES_MAX, FrameError, Frames, PEER_FRAME_BYTES_MAX, PREFACE_FRAME_BYTES_MAX,
};
use raft_net::handshake::{ClusterSecret, Identity, judge};
use raft_net::inquiry;
use raft_net::peer_codec::{self, Ends};
use raft_net::preface::{Greeting, MAGIC, Preface};

use super::drive::Reached;
use super::mutate::{Numbers, pieces};

pub(super) const WORDS: &[&[u8]] = &[
    b"\0\0\0\x05",
    b"\0\0\x01\0",
    b"\x90",
    b"\x91",
    b"\x92",
    b"\x93",
    b"\x81",
    b"\xc0",
    b"\xc2",
    b"\xc3",
    b"\xc4\x01x",
    b"\xc5\x01\x00",
    b"\xc6\xff\xff\xff\xff",
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xcf",
    b"\xa1w",
    b"\xa1W",
    b"\xa1c",
    b"\xa2pv",
    b"\xa3hbr",
    b"\xcc\xff",
    b"\xa1s",
    b"\xa1t",
    b"\xa1n",
    b"\xa1x",
    b"\xa1l",
];

pub(super) const PREFACE_WORDS: &[&[u8]] = &[
    b"\0kvorum\n",
    b"\xabversion_min",
    b"\xabversion_max",
    b"\xa4role",
    b"\xa6client",
    b"\x81\xa4peer\x81\xa4link\xa4bulk",
    b"\xaacluster_id",
    b"\xa7node_id",
    b"\xa2to",
    b"\xa5nonce",
    b"\xc4\x10",
    b"\xa6secret",
    b"\xc3",
    b"\xa7address",
    b"\xdf\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xa7welcome",
    b"\xa5hello",
    b"\xa7refused",
    b"\xa3why",
    b"\xcc\xff",
];

/// One line per word of version 1: its name and its frame.
const GOLDEN: &str = include_str!("../golden/version_1.hex");

/// The words of these names.
pub(super) fn golden(names: &[&str]) -> Vec<Vec<u8>> {
    let lines = GOLDEN.lines().filter_map(|line| line.split_once(' '));
    lines.filter(|(name, _)| names.contains(name)).map(|(_, hex)| unhex(hex)).collect()
}

/// What nodes say to each other: those whose names begin as types do.
pub(super) fn golden_of_peers() -> Vec<Vec<u8>> {
    let lines = GOLDEN.lines().filter_map(|line| line.split_once(' '));
    let is_of_peers =
        |name: &str| name.starts_with(char::is_uppercase) || matches!(name, "mq" | "ma");
    let of_peers = lines.filter(|(name, _)| is_of_peers(name));
    of_peers.map(|(_, hex)| unhex(hex)).collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    let pairs = (0..hex.len()).step_by(2).map(|at| &hex[at..at + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// The frames in what arrives in pieces, and how it ends.
fn cut<'p>(
    pieces: impl IntoIterator<Item = &'p [u8]>,
    limit_bytes: usize,
) -> (Vec<Vec<u8>>, Option<FrameError>) {
    let (mut frames, mut input) = (Frames::new(limit_bytes), BytesMut::new());
    let mut found = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match frames.next(&mut input) {
                Ok(Some(frame)) => found.push(frame.to_vec()),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
        // What is announced is reserved for, and no more than may come.
        assert!(input.capacity() <= 2 * limit_bytes + 64 * 1024, "{}", input.capacity());
    }
    (found, frames.finish(&input).err())
}

/// The frames of an input, of which each must be the same however it was cut.
fn frames_of(input: &[u8], limit_bytes: usize, numbers: &mut Numbers) -> (Vec<Vec<u8>>, String) {
    let whole = cut([input], limit_bytes);
    assert_eq!(cut(pieces(input, numbers), limit_bytes), whole, "cut elsewhere it is another");
    let end = match &whole.1 {
        None => "whole",
        Some(FrameError::CutShort { .. }) => "cut",
        Some(FrameError::TooLarge { .. }) => "too large",
        Some(other) => panic!("{other} of a length"),
    };
    (whole.0, end.to_owned())
}

/// The content of the one frame in what was written.
fn content(written: &BytesMut) -> &[u8] {
    &written[4..]
}

/// An error in as many words as there are kinds of it.
fn kind(error: &FrameError) -> String {
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    text.chars().filter(|c| !c.is_ascii_digit()).take(60).collect()
}

pub(super) fn clients(input: &[u8], numbers: &mut Numbers) -> Reached {
    let (frames, mut reached) = frames_of(input, CLIENT_FRAME_BYTES_MAX, numbers);
    for frame in &frames {
        reached += &match Request::decode(frame) {
            Ok(request) => {
                let mut written = BytesMut::new();
                request.encode(&mut written).unwrap();
                assert_eq!(Request::decode(content(&written)).as_ref(), Ok(&request));
                if let Op::Change { change, .. } = &request.op {
                    let _ = change.to_change().map_err(|why| assert!(!why.contains('\n')));
                }
                format!("{:?}", std::mem::discriminant(&request.op))
            }
            Err(error) => kind(&error),
        };
        reached += &match Response::decode(frame) {
            Ok(response) => {
                let mut written = BytesMut::new();
                response.encode(&mut written).unwrap();
                let again = Response::decode(content(&written)).unwrap();
                let mut twice = BytesMut::new();
                again.encode(&mut twice).unwrap();
                assert_eq!(twice, written);
                // A status leaves out what nobody would look at.
                let is_status = matches!(response.reply, Reply::Status(_));
                assert!(is_status || again == response, "{again:?} instead of {response:?}");
                let is_full = matches!(&response.reply, Reply::Status(it) if it.is_full());
                format!("{:?} {is_full}", std::mem::discriminant(&response.reply))
            }
            Err(error) => kind(&error),
        };
    }
    reached
}

pub(super) fn peers(input: &[u8], numbers: &mut Numbers) -> Reached {
    let node = |number| NodeId::new(number).unwrap();
    let ends = Ends { from: node(1), incarnation: Incarnation(0xabcd), to: node(2) };
    let (frames, mut reached) = frames_of(input, PEER_FRAME_BYTES_MAX, numbers);
    for frame in &frames {
        if let Ok(read) = inquiry::read(frame) {
            let mut written = BytesMut::new();
            inquiry::put(&mut written, &read).unwrap();
            assert_eq!(inquiry::read(content(&written)).as_ref(), Ok(&read));
            reached += "inquiry";
            continue;
        }
        reached += &match peer_codec::read(frame, &ends) {
            Ok(envelope) => {
                let mut written = BytesMut::new();
                peer_codec::put(&mut written, &envelope).unwrap();
                assert_eq!(peer_codec::read(content(&written), &ends).as_ref(), Ok(&envelope));
                envelope.message.name().to_owned()
            }
            Err(error) => kind(&error),
        };
    }
    reached
}

/// The beginning of a connection from either end: the magic, frames of a preface, a greeting.
pub(super) fn prefaces(input: &[u8], numbers: &mut Numbers) -> Reached {
    let rest = input.strip_prefix(&MAGIC).unwrap_or(input);
    let (frames, mut reached) = frames_of(rest, PREFACE_FRAME_BYTES_MAX, numbers);
    for frame in &frames {
        reached += &match frame::read::<Preface>(frame) {
            Ok(preface) => {
                let mut written = BytesMut::new();
                preface.open(&mut written);
                let again = frame::read::<Preface>(&written[MAGIC.len() + 4..]);
                assert_eq!(again.as_ref(), Ok(&preface));
                judged(&preface)
            }
            Err(error) => kind(&error),
        };
        reached += &match Greeting::decode(frame) {
            Ok(greeting) => {
                let mut written = BytesMut::new();
                greeting.encode(&mut written);
                assert_eq!(Greeting::decode(content(&written)).as_ref(), Ok(&greeting));
                if let Greeting::Refused(refused) = &greeting {
                    assert!(!refused.to_string().contains('\n'));
                }
                format!("{:?}", std::mem::discriminant(&greeting))
            }
            Err(error) => kind(&error),
        };
    }
    reached
}

/// Whether nodes with a secret and without one let somebody in.
fn judged(preface: &Preface) -> String {
    let judged = [None, Some(ClusterSecret::new("s"))].map(|secret| {
        let identity = Identity {
            cluster_id: 77,
            node_id: NodeId::new(2).unwrap(),
            incarnation: Incarnation(3),
            secret,
            address: String::new(),
            feature_level: 1,
        };
        judge(&identity, preface).map_err(|refused| {
            assert!(!refused.to_string().contains('\n'));
            refused.why
        })
    });
    format!("{judged:?}")
}

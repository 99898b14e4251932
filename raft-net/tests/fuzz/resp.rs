//! Commands of Redis clients: the same however they are cut, and the same written again.

use bytes::BytesMut;
use raft_net::resp::{
    ARGUMENTS_MAX, COMMAND_BYTES_MAX, INLINE_BYTES_MAX, Parser, Protocol, ProtocolError,
    ReplyWriter,
};

use super::drive::Reached;
use super::mutate::{Numbers, pieces};

pub(super) const WORDS: &[&[u8]] = &[
    b"*",
    b"$",
    b"\r\n",
    b"\n",
    b"*1\r\n",
    b"$-1\r\n",
    b"$0\r\n\r\n",
    b"*0\r\n",
    b"*-1\r\n",
    b"\"",
    b"'",
    b"\\x00",
    b"\\",
    b" ",
    b"\0",
    b"PING\r\n",
    b"$4\r\nPING\r\n",
    b":1\r\n",
    b"+OK",
];

type Commands = Vec<Vec<Vec<u8>>>;

/// What comes of pieces that arrive one after the other.
fn parse<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> (Commands, Option<ProtocolError>) {
    let (mut parser, mut input) = (Parser::default(), BytesMut::new());
    let (mut commands, mut arrived) = (Vec::new(), 0);
    for piece in pieces {
        input.extend_from_slice(piece);
        arrived += piece.len();
        let (batch, failure) = parser.cut(&mut input);
        for place in 0..batch.len() {
            let words = batch.get(place);
            assert!(!words.is_empty() && words.len() <= ARGUMENTS_MAX.max(INLINE_BYTES_MAX));
            commands.push(words.iter().map(<[u8]>::to_vec).collect());
        }
        if failure.is_some() {
            return (commands, failure);
        }
        // Nothing is reserved for what has only been announced.
        assert!(input.len() <= arrived && batch.bytes_len() <= arrived);
        assert!(input.len() <= COMMAND_BYTES_MAX + INLINE_BYTES_MAX);
    }
    (commands, None)
}

pub(super) fn check(input: &[u8], numbers: &mut Numbers) -> Reached {
    let (commands, failure) = parse([input]);
    let cut = parse(pieces(input, numbers));
    assert_eq!(cut, (commands.clone(), failure), "cut elsewhere it means something else");
    // Written as arrays of words, the commands are the same.
    let mut written = BytesMut::new();
    for command in &commands {
        let mut writer = ReplyWriter::new(&mut written, Protocol::Resp2);
        writer.array(command.len());
        command.iter().for_each(|word| writer.bulk(word));
    }
    assert_eq!(parse([&written[..]]), (commands.clone(), None), "written again it is another");
    let words = commands.iter().map(Vec::len).max().unwrap_or(0).min(8);
    let failure = failure.map(|it| it.to_string());
    format!("{} {words} {failure:?}", commands.len().min(8))
}

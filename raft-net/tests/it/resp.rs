//! Commands of Redis clients: whole, in pieces, wrong and at random.

use bytes::BytesMut;
use raft_net::resp::{
    ARGUMENTS_MAX, COMMAND_BYTES_MAX, INLINE_BYTES_MAX, Parser, Protocol, ProtocolError,
    ReplyWriter,
};

type Commands = Vec<Vec<Vec<u8>>>;

/// What comes of pieces that arrive one after the other.
fn parse<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> (Commands, Option<ProtocolError>) {
    let (mut parser, mut input) = (Parser::default(), BytesMut::new());
    let mut commands = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        let (batch, failure) = parser.cut(&mut input);
        for place in 0..batch.len() {
            commands.push(batch.get(place).iter().map(<[u8]>::to_vec).collect());
        }
        if failure.is_some() {
            return (commands, failure);
        }
    }
    (commands, None)
}

fn command(words: &[&[u8]]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}

#[test]
fn commands_are_cut_whole_and_in_pieces() {
    let input =
        b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*0\r\n*-1\r\n\r\nPING\r\n*3\r\n$3\r\nSET\r\n$0\r\n\r\n\
                  $4\r\na\r\nb\r\nset  k \"a\\x41\\n\\\"\" 'it\\'s'\n";
    let expected = vec![
        command(&[b"GET", b"k"]),
        command(&[b"PING"]),
        command(&[b"SET", b"", b"a\r\nb"]),
        command(&[b"set", b"k", b"aA\n\"", b"it's"]),
    ];
    assert_eq!(parse([&input[..]]), (expected.clone(), None));
    assert_eq!(parse(input.chunks(1)), (expected.clone(), None));
    for at in 0..input.len() {
        let (one, other) = input.split_at(at);
        assert_eq!(parse([one, other]), (expected.clone(), None), "cut at {at}");
    }
}

#[test]
fn what_makes_no_sense_is_told_in_the_words_of_redis() {
    let count = format!("*{}\r\n", ARGUMENTS_MAX + 1);
    let length = format!("*1\r\n${}\r\n", COMMAND_BYTES_MAX + 1);
    let line = vec![b'x'; INLINE_BYTES_MAX];
    let table: [(&[u8], &str); 19] = [
        (b"*9223372036854775808\r\n", "invalid multibulk length"),
        (b"*9223372036854775807\r\n", "invalid multibulk length"),
        (b"*-9223372036854775809\r\n", "invalid multibulk length"),
        (count.as_bytes(), "invalid multibulk length"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"*0000000000000000000000000000000000000001\r\n", "too big mbulk count string"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$9223372036854775807\r\n", "invalid bulk length"),
        (length.as_bytes(), "invalid bulk length"),
        (b"*1\r\n$0000000000000000000000000000000000000001\r\n", "too big bulk count string"),
        (b"*1\r\n*1\r\n", "expected '$', got '*'"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\n\xff", "expected '$', got '\\xff'"),
        (b"*1\r\n$1\r\nabc\r\n", "expected CRLF"),
        (b"get \"k\n", "unbalanced quotes in request"),
        (b"get \"k\"v\r\n", "unbalanced quotes in request"),
        (&line, "too big inline request"),
    ];
    for (input, expected) in table {
        let (commands, failure) = parse([b"PING\r\n", input]);
        assert_eq!(commands, [command(&[b"PING"])]);
        let text = failure.unwrap_or_else(|| panic!("{} is let in", input.escape_ascii()));
        assert!(text.to_string().contains(expected), "{text} instead of {expected}");
    }
}

#[test]
fn a_command_is_no_longer_than_its_words_may_be_together() {
    let word = vec![b'x'; COMMAND_BYTES_MAX / 2];
    let mut input = b"*3\r\n".to_vec();
    for _ in 0..3 {
        input.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        input.extend_from_slice(&word);
        input.extend_from_slice(b"\r\n");
    }
    assert_eq!(parse(input.chunks(100_000)).1, Some(ProtocolError::TooLong));
}

#[test]
fn a_million_arrays_in_each_other_end_at_the_second() {
    let input = b"*1\r\n".repeat(1_000_000);
    assert_eq!(parse(input.chunks(65_536)), (Vec::new(), Some(ProtocolError::NoBulk(b'*'))));
}

#[test]
fn replies_are_written_in_both_versions() {
    let write = |protocol| {
        let mut out = BytesMut::new();
        let mut writer = ReplyWriter::new(&mut out, protocol);
        writer.status("OK");
        writer.error("ERR a\r\nb");
        writer.integer(i64::MIN);
        writer.count(u64::MAX);
        writer.bulk(b"a\r\n");
        writer.null();
        writer.null_array();
        writer.array(2);
        writer.map(3);
        writer.set(0);
        writer.push(1);
        out.to_vec()
    };
    let both =
        b"+OK\r\n-ERR a  b\r\n:-9223372036854775808\r\n:9223372036854775807\r\n$3\r\na\r\n\r\n";
    let resp2 = [&both[..], b"$-1\r\n*-1\r\n*2\r\n*6\r\n*0\r\n*1\r\n"].concat();
    let resp3 = [&both[..], b"_\r\n_\r\n*2\r\n%3\r\n~0\r\n>1\r\n"].concat();
    assert_eq!(write(Protocol::Resp2).escape_ascii().to_string(), resp2.escape_ascii().to_string());
    assert_eq!(write(Protocol::Resp3).escape_ascii().to_string(), resp3.escape_ascii().to_string());
}

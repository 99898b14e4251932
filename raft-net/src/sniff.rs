//! Tells by its first bytes what a new connection speaks.

use crate::preface::MAGIC;

/// How much of an unknown connection is looked at. Units: bytes.
pub const SNIFF_BYTES_MAX: usize = 4 * 1024;

/// What the first bytes of a connection look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniffed {
    /// Too early to say.
    MoreNeeded,
    /// The native protocol: all of the magic is there.
    Native,
    /// A TLS handshake.
    Tls,
    /// HTTP/1: the first line ends in `HTTP/1.x`, or is very long and asks for a path.
    Http,
    /// HTTP/2 without TLS, as gRPC uses it.
    Http2,
    /// Redis: an array, or a line of text that is not HTTP.
    Resp,
    /// None of these.
    Unknown,
}

const TLS_HANDSHAKE: u8 = 0x16;

/// How a request for a path begins, of which the end of the line is too far away to be seen.
const HTTP_BEGINNINGS: [&[u8]; 4] = [b"GET /", b"PUT /", b"DELETE /", b"HEAD /"];

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// Looks at everything that has arrived so far, at least one byte of it to say anything. Only
/// the first [`SNIFF_BYTES_MAX`] count, so that it does not matter how much arrives at once.
#[must_use]
pub fn sniff(bytes: &[u8]) -> Sniffed {
    let bytes = &bytes[..bytes.len().min(SNIFF_BYTES_MAX)];
    match bytes.first() {
        None => Sniffed::MoreNeeded,
        Some(&first) if first == MAGIC[0] => sniff_magic(bytes),
        Some(&TLS_HANDSHAKE) => Sniffed::Tls,
        Some(b'*') => Sniffed::Resp,
        Some(first) if first.is_ascii_graphic() => sniff_line(bytes),
        Some(_) => Sniffed::Unknown,
    }
}

fn sniff_magic(bytes: &[u8]) -> Sniffed {
    let length = bytes.len().min(MAGIC.len());
    match (bytes[..length] == MAGIC[..length], length == MAGIC.len()) {
        (true, true) => Sniffed::Native,
        (true, false) => Sniffed::MoreNeeded,
        (false, _) => Sniffed::Unknown,
    }
}

fn sniff_line(bytes: &[u8]) -> Sniffed {
    if bytes.starts_with(HTTP2_PREFACE) {
        return Sniffed::Http2;
    }
    let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
        if bytes.len() < SNIFF_BYTES_MAX {
            return Sniffed::MoreNeeded;
        }
        // An address may be that long, a line of words may not.
        let is_http = HTTP_BEGINNINGS.iter().any(|begins| bytes.starts_with(begins));
        return if is_http { Sniffed::Http } else { Sniffed::Unknown };
    };
    let line = bytes[..end].trim_ascii_end();
    let is_http = line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0");
    if is_http { Sniffed::Http } else { Sniffed::Resp }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_protocols_apart() {
        let table: [(&[u8], Sniffed); 16] = [
            (b"", Sniffed::MoreNeeded),
            (b"\0", Sniffed::MoreNeeded),
            (b"\0kvorum", Sniffed::MoreNeeded),
            (b"\0kvorum\n", Sniffed::Native),
            (b"\0kvorum\n\0\0\0\x10", Sniffed::Native),
            (b"\0kvoruM\n", Sniffed::Unknown),
            (b"\x16\x03\x01", Sniffed::Tls),
            (b"*1\r\n$4\r\nPING\r\n", Sniffed::Resp),
            (b"PING", Sniffed::MoreNeeded),
            (b"PING\r\n", Sniffed::Resp),
            (b"GET key\r\n", Sniffed::Resp),
            (b"GET / HTTP/1.1\r\n", Sniffed::Http),
            (b"HEAD /x HTTP/1.0\n", Sniffed::Http),
            (b"PRI * HTTP/2.0\r\n", Sniffed::Http2),
            (b"\x80\x00", Sniffed::Unknown),
            (b"\xff", Sniffed::Unknown),
        ];
        for (bytes, expected) in table {
            assert_eq!(sniff(bytes), expected, "{}", bytes.escape_ascii());
        }
        assert_eq!(sniff(&[b'x'; SNIFF_BYTES_MAX]), Sniffed::Unknown);
        let mut address = b"GET /kv/".to_vec();
        address.resize(SNIFF_BYTES_MAX - 1, b'k');
        assert_eq!(sniff(&address), Sniffed::MoreNeeded);
        address.push(b'k');
        assert_eq!(sniff(&address), Sniffed::Http);
    }
}

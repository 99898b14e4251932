//! A peculiarity of etcdctl 3.4: asked about an endpoint that is a URL, it says the whole URL
//! where HTTP/2 wants a host and a port, and HTTP/2 libraries refuse that.
//!
//! The name is of no use here, so the letters that may not stand there are replaced by some that
//! may, without changing any length: neither that of a frame nor that of the entry in the table
//! of headers, which later requests of the connection refer to.

/// How much of a connection is looked at: its first request stands there. Units: bytes.
pub(super) const BYTES_MAX: usize = 4 * 1024;

/// What begins a literal `:authority` that is kept in the table (RFC 7541 §6.2.1).
const LITERAL_AUTHORITY: u8 = 0x41;

/// Whether a string is Huffman's code, in the byte that says its length (RFC 7541 §5.2).
const IS_HUFFMAN: u8 = 0x80;

/// `http://` in Huffman's code: 41 bits, of which the last stands in the byte behind.
const SCHEME: [u8; 5] = [0x9d, 0x29, 0xae, 0xe3, 0x0c];

/// `httpj--`, which a host may begin with and which takes as many bits.
const HOST: [u8; 5] = [0x9d, 0x29, 0xaf, 0xa2, 0xcb];

/// The first bit of a byte.
const FIRST_BIT: u8 = 0x80;

/// Makes the URL in the first request's `:authority` a host.
pub(super) fn mend(bytes: &mut [u8]) {
    let literal_bytes = 2 + SCHEME.len() + 1;
    for at in 0..(bytes.len() + 1).saturating_sub(literal_bytes) {
        let literal = &mut bytes[at..at + literal_bytes];
        let is_url = literal[0] == LITERAL_AUTHORITY
            && literal[1] & IS_HUFFMAN != 0
            && literal[2..2 + SCHEME.len()] == SCHEME
            && literal[2 + SCHEME.len()] & FIRST_BIT == 0;
        if is_url {
            literal[2..2 + HOST.len()].copy_from_slice(&HOST);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_becomes_a_host_of_the_same_length() {
        let before = [&[0, 0x41, 0x90][..], &SCHEME, &[0x05, 7]].concat();
        let mut bytes = before.clone();
        mend(&mut bytes);
        assert_eq!(bytes, [&[0, 0x41, 0x90][..], &HOST, &[0x05, 7]].concat());
        // Another letter, another header, no Huffman code, and a cut.
        for other in [
            [&[0x41, 0x90][..], &SCHEME, &[0x85]].concat(),
            [&[0x44, 0x90][..], &SCHEME, &[0x05]].concat(),
            [&[0x41, 0x10][..], &SCHEME, &[0x05]].concat(),
            [&[0x41, 0x90][..], &SCHEME].concat(),
        ] {
            let mut bytes = other.clone();
            mend(&mut bytes);
            assert_eq!(bytes, other);
        }
        mend(&mut []);
    }
}

//! Replies as they are written to Redis clients.

use bytes::{BufMut, BytesMut};

/// Which version of the protocol a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RESP2, in which every connection begins.
    #[default]
    Resp2,
    /// RESP3, after `HELLO 3`.
    Resp3,
}

/// Appends replies. Aggregates are announced with how many elements follow; whoever announces
/// them writes them next.
#[derive(Debug)]
pub struct ReplyWriter<'o> {
    out: &'o mut BytesMut,
    protocol: Protocol,
}

impl<'o> ReplyWriter<'o> {
    /// Appends to `out` in this version.
    pub fn new(out: &'o mut BytesMut, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// The version.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// A reply, or several, that were written before in this version.
    pub fn raw(&mut self, replies: &[u8]) {
        self.out.extend_from_slice(replies);
    }

    /// A status such as `OK`: text without line ends.
    pub fn status(&mut self, text: &str) {
        self.line(b'+', text);
    }

    /// An error, its code first; line ends in it become blanks.
    pub fn error(&mut self, text: &str) {
        self.line(b'-', text);
    }

    fn line(&mut self, mark: u8, text: &str) {
        self.out.put_u8(mark);
        let one_line = |byte: u8| if byte == b'\r' || byte == b'\n' { b' ' } else { byte };
        self.out.extend(text.bytes().map(one_line));
        self.out.extend_from_slice(b"\r\n");
    }

    /// A number.
    pub fn integer(&mut self, number: i64) {
        self.out.put_u8(b':');
        if number < 0 {
            self.out.put_u8(b'-');
        }
        self.digits(number.unsigned_abs());
        self.out.extend_from_slice(b"\r\n");
    }

    /// A count, which is a number; beyond the numbers of 63 bits the largest of them.
    pub fn count(&mut self, count: u64) {
        self.integer(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Bytes.
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 32);
        self.head(b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Nothing, where bytes would stand.
    pub fn null(&mut self) {
        let nothing: &[u8] = match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        };
        self.out.extend_from_slice(nothing);
    }

    /// Nothing, where an array would stand.
    pub fn null_array(&mut self) {
        let nothing: &[u8] = match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        };
        self.out.extend_from_slice(nothing);
    }

    /// An array of so many elements.
    pub fn array(&mut self, count: usize) {
        self.head(b'*', count);
    }

    /// A map of so many pairs; in RESP2 an array of twice as many elements.
    pub fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => self.head(b'*', 2 * pairs),
            Protocol::Resp3 => self.head(b'%', pairs),
        }
    }

    /// A set of so many elements; in RESP2 an array.
    pub fn set(&mut self, count: usize) {
        match self.protocol {
            Protocol::Resp2 => self.head(b'*', count),
            Protocol::Resp3 => self.head(b'~', count),
        }
    }

    /// Something that nobody asked for at this place, of so many elements; in RESP2 an array.
    pub fn push(&mut self, count: usize) {
        match self.protocol {
            Protocol::Resp2 => self.head(b'*', count),
            Protocol::Resp3 => self.head(b'>', count),
        }
    }

    fn head(&mut self, mark: u8, count: usize) {
        self.out.put_u8(mark);
        self.digits(count as u64);
        self.out.extend_from_slice(b"\r\n");
    }

    fn digits(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + u8::try_from(number % 10).expect("a digit is below ten");
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.out.extend_from_slice(&digits[at..]);
    }
}

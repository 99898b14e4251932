//! Keys as HTTP resources: the addresses `/kv/<key>?<query>` and the ETags that stand for
//! revisions, as clients write them.
//!
//! Plain functions over bytes; what a request means is not known here.
//! Source: RFC 3986 (percent-encoding), RFC 9110 §8.8.3 (ETags) and §13.1 (conditions).

mod condition;
mod parameters;
mod percent;

use std::fmt;

pub use condition::{BadCondition, Condition, etag};
pub use parameters::{NAME_CHARS_SHOWN, Parameter, Parameters};

/// What every address of a key begins with.
pub const PATH: &str = "/kv/";

/// The address of a key, or of the keys with a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// The key or prefix: any bytes, perhaps none.
    pub key: Vec<u8>,
    /// What the query says.
    pub parameters: Parameters,
}

/// Why an address makes no sense. Its text says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// The path is not below [`PATH`].
    #[error("a key is at {PATH}KEY")]
    NotAKey,
    /// A percent sign without two hexadecimal digits behind it.
    #[error("in an address % is followed by two hexadecimal digits; write %25 for the sign itself")]
    Escape,
    /// No parameter has this name. It comes from outside, so not all of it is kept.
    #[error("there is no parameter {0:?}; docs/http.md has those that there are")]
    Unknown(String),
    /// A parameter stands there more than once.
    #[error("the parameter {0} stands there twice; give it once")]
    Twice(Parameter),
    /// The value of a parameter is not what it takes.
    #[error("the parameter {0} takes {what}", what = .0.takes())]
    Value(Parameter),
}

impl Address {
    /// Reads the path of a request and its query, without the question mark between them.
    ///
    /// Errors: `BadAddress`; nothing was asked for then.
    pub fn parse(path: &[u8], query: &[u8]) -> Result<Self, BadAddress> {
        let key = path.strip_prefix(PATH.as_bytes()).ok_or(BadAddress::NotAKey)?;
        let key = percent::decode(key, percent::Plus::IsItself).ok_or(BadAddress::Escape)?;
        Ok(Self { key, parameters: Parameters::parse(query)? })
    }
}

/// Writes the address so that it is read again as it is: a path, and a query if there is one.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PATH)?;
        percent::encode(&self.key, percent::Slash::IsItself, f)?;
        self.parameters.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str, query: &str) -> Result<Address, BadAddress> {
        Address::parse(path.as_bytes(), query.as_bytes())
    }

    #[test]
    fn keys_are_any_bytes() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        let address = Address { key: all, ..Address::default() };
        let written = address.to_string();
        assert!(written.is_ascii() && !written.contains([' ', '?', '#', '"']));
        assert_eq!(parse(&written, ""), Ok(address));
        for (path, key) in [
            ("/kv/", &b""[..]),
            ("/kv/a/b", b"a/b"),
            ("/kv/a%2Fb%2fc", b"a/b/c"),
            ("/kv//", b"/"),
            ("/kv/a+b%20c", b"a+b c"),
            ("/kv/%00%ff", b"\0\xff"),
            ("/kv/\u{e9}", "\u{e9}".as_bytes()),
        ] {
            assert_eq!(parse(path, "").map(|address| address.key), Ok(key.to_vec()), "{path}");
        }
    }

    #[test]
    fn what_is_no_address_is_said() {
        for (path, query, why) in [
            ("/kv", "", BadAddress::NotAKey),
            ("/v3/kv", "", BadAddress::NotAKey),
            ("/kv/%", "", BadAddress::Escape),
            ("/kv/%4", "", BadAddress::Escape),
            ("/kv/%zz", "", BadAddress::Escape),
            ("/kv/%+1", "", BadAddress::Escape),
            ("/kv/k", "prefx", BadAddress::Unknown("prefx".to_owned())),
            ("/kv/k", "=1", BadAddress::Unknown(String::new())),
            ("/kv/k", "raw&raw", BadAddress::Twice(Parameter::Raw)),
            ("/kv/k", "raw=yes", BadAddress::Value(Parameter::Raw)),
            ("/kv/k", "limit", BadAddress::Value(Parameter::Limit)),
            ("/kv/k", "limit=%2B1", BadAddress::Value(Parameter::Limit)),
            ("/kv/k", "limit=18446744073709551616", BadAddress::Value(Parameter::Limit)),
            ("/kv/k", "ttl=0", BadAddress::Value(Parameter::Ttl)),
            ("/kv/k", "ttl=1d", BadAddress::Value(Parameter::Ttl)),
            ("/kv/k", "ttl=18446744073709551615h", BadAddress::Value(Parameter::Ttl)),
            ("/kv/k", "from=%f", BadAddress::Escape),
        ] {
            assert_eq!(parse(path, query), Err(why), "{path}?{query}");
        }
        let long = parse("/kv/k", &"x".repeat(1_000)).unwrap_err().to_string();
        assert!(long.len() < 2 * NAME_CHARS_SHOWN + 60, "{long}");
    }

    #[test]
    fn parameters_are_read_and_written() {
        let query =
            "prefix&raw=true&local=1&wait=false&limit=5&from=a%2Fb+c&ttl=5m&&timeout=1500ms";
        let address = parse("/kv/k", query).unwrap();
        let expected = Parameters {
            prefix: true,
            raw: true,
            local: true,
            limit: Some(5),
            from: Some(b"a/b c".to_vec()),
            ttl_ms: Some(300_000),
            timeout_ms: Some(1_500),
            ..Parameters::default()
        };
        assert_eq!(address.parameters, expected);
        let written = address.to_string();
        assert_eq!(
            written,
            "/kv/k?prefix&local&raw&limit=5&from=a%2Fb%20c&ttl=300000ms&timeout=1500ms"
        );
        let (path, query) = written.split_once('?').unwrap();
        assert_eq!(parse(path, query), Ok(address));
    }
}

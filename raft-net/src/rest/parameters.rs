//! The query of an address.

use std::fmt;

use super::BadAddress;
use super::percent::{self, Plus, Slash};

/// How much of a parameter that there is not is shown to whoever gave it.
pub const NAME_CHARS_SHOWN: usize = 40;

/// Units of a time, and how many milliseconds each has.
const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("", 1_000)];

/// What a query says. A parameter stands there once at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// The keys with this prefix.
    pub prefix: bool,
    /// From the node that is asked, however old.
    pub local: bool,
    /// The value alone.
    pub raw: bool,
    /// Keys without their values.
    pub keys: bool,
    /// When something has changed.
    pub wait: bool,
    /// Whatever changes, one event after the other.
    pub watch: bool,
    /// With what was there before each change.
    pub prev: bool,
    /// Every version of a key.
    pub history: bool,
    /// As it was at this revision.
    pub revision: Option<u64>,
    /// How many at most.
    pub limit: Option<u64>,
    /// The first key, field or member that is wanted.
    pub from: Option<Vec<u8>>,
    /// Changes after this revision.
    pub after: Option<u64>,
    /// How long the key stays. Units: milliseconds.
    pub ttl_ms: Option<u64>,
    /// The lease that the key goes with.
    pub lease: Option<u64>,
    /// How long to wait. Units: milliseconds.
    pub timeout_ms: Option<u64>,
}

/// The name of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// `prefix`
    Prefix,
    /// `local`
    Local,
    /// `raw`
    Raw,
    /// `keys`
    Keys,
    /// `wait`
    Wait,
    /// `watch`
    Watch,
    /// `prev`
    Prev,
    /// `history`
    History,
    /// `revision`
    Revision,
    /// `limit`
    Limit,
    /// `from`
    From,
    /// `after`
    After,
    /// `ttl`
    Ttl,
    /// `lease`
    Lease,
    /// `timeout`
    Timeout,
}

impl Parameter {
    const ALL: [Self; 15] = [
        Self::Prefix,
        Self::Local,
        Self::Raw,
        Self::Keys,
        Self::Wait,
        Self::Watch,
        Self::Prev,
        Self::History,
        Self::Revision,
        Self::Limit,
        Self::From,
        Self::After,
        Self::Ttl,
        Self::Lease,
        Self::Timeout,
    ];

    /// How it stands in a query.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Local => "local",
            Self::Raw => "raw",
            Self::Keys => "keys",
            Self::Wait => "wait",
            Self::Watch => "watch",
            Self::Prev => "prev",
            Self::History => "history",
            Self::Revision => "revision",
            Self::Limit => "limit",
            Self::From => "from",
            Self::After => "after",
            Self::Ttl => "ttl",
            Self::Lease => "lease",
            Self::Timeout => "timeout",
        }
    }

    /// What may stand behind its equals sign, for people.
    #[must_use]
    pub const fn takes(self) -> &'static str {
        match self {
            Self::Prefix
            | Self::Local
            | Self::Raw
            | Self::Keys
            | Self::Wait
            | Self::Watch
            | Self::Prev
            | Self::History => "nothing, or true or false",
            Self::Revision | Self::Limit | Self::After | Self::Lease => "a number of 64 bits",
            Self::From => "a key, percent-encoded",
            Self::Ttl | Self::Timeout => "seconds above 0, or 500ms, 10s, 5m, 2h",
        }
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Parameters {
    /// Reads a query. What stands between two `&` may be empty.
    pub(super) fn parse(query: &[u8]) -> Result<Self, BadAddress> {
        let (mut parameters, mut seen) = (Self::default(), [false; Parameter::ALL.len()]);
        for part in query.split(|&byte| byte == b'&').filter(|part| !part.is_empty()) {
            let equals = part.iter().position(|&byte| byte == b'=');
            let (name, value) = part.split_at(equals.unwrap_or(part.len()));
            let value = equals.map(|_| percent::decode(&value[1..], Plus::IsBlank));
            let value = match value {
                Some(value) => Some(value.ok_or(BadAddress::Escape)?),
                None => None,
            };
            let place = Parameter::ALL.iter().position(|it| it.name().as_bytes() == name);
            let place = place.ok_or_else(|| {
                let shown = String::from_utf8_lossy(name).chars().take(NAME_CHARS_SHOWN).collect();
                BadAddress::Unknown(shown)
            })?;
            let parameter = Parameter::ALL[place];
            if std::mem::replace(&mut seen[place], true) {
                return Err(BadAddress::Twice(parameter));
            }
            parameters.set(parameter, value).ok_or(BadAddress::Value(parameter))?;
        }
        Ok(parameters)
    }

    /// Takes a value; `None` if it is none for this parameter.
    fn set(&mut self, parameter: Parameter, value: Option<Vec<u8>>) -> Option<()> {
        let text = || std::str::from_utf8(value.as_deref()?).ok();
        match parameter {
            Parameter::Prefix => self.prefix = flag(value.as_deref())?,
            Parameter::Local => self.local = flag(value.as_deref())?,
            Parameter::Raw => self.raw = flag(value.as_deref())?,
            Parameter::Keys => self.keys = flag(value.as_deref())?,
            Parameter::Wait => self.wait = flag(value.as_deref())?,
            Parameter::Watch => self.watch = flag(value.as_deref())?,
            Parameter::Prev => self.prev = flag(value.as_deref())?,
            Parameter::History => self.history = flag(value.as_deref())?,
            Parameter::Revision => self.revision = Some(number(text()?)?),
            Parameter::Limit => self.limit = Some(number(text()?)?),
            Parameter::After => self.after = Some(number(text()?)?),
            Parameter::Lease => self.lease = Some(number(text()?)?),
            Parameter::Ttl => self.ttl_ms = Some(time_ms(text()?)?),
            Parameter::Timeout => self.timeout_ms = Some(time_ms(text()?)?),
            Parameter::From => self.from = Some(value?),
        }
        Some(())
    }

    /// Whether a parameter says anything.
    #[must_use]
    pub const fn has(&self, parameter: Parameter) -> bool {
        match parameter {
            Parameter::Prefix => self.prefix,
            Parameter::Local => self.local,
            Parameter::Raw => self.raw,
            Parameter::Keys => self.keys,
            Parameter::Wait => self.wait,
            Parameter::Watch => self.watch,
            Parameter::Prev => self.prev,
            Parameter::History => self.history,
            Parameter::Revision => self.revision.is_some(),
            Parameter::Limit => self.limit.is_some(),
            Parameter::From => self.from.is_some(),
            Parameter::After => self.after.is_some(),
            Parameter::Ttl => self.ttl_ms.is_some(),
            Parameter::Lease => self.lease.is_some(),
            Parameter::Timeout => self.timeout_ms.is_some(),
        }
    }

    /// The first parameter that says something and is not among these.
    #[must_use]
    pub fn other_than(&self, known: &[Parameter]) -> Option<Parameter> {
        let others = Parameter::ALL.into_iter().filter(|it| !known.contains(it));
        others.into_iter().find(|it| self.has(*it))
    }
}

/// Writes a question mark and the query, or nothing.
impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = Parameter::ALL.into_iter().filter(|it| self.has(*it));
        for (place, parameter) in said.enumerate() {
            write!(f, "{}{parameter}", if place == 0 { '?' } else { '&' })?;
            let number = match parameter {
                Parameter::Revision => self.revision,
                Parameter::Limit => self.limit,
                Parameter::After => self.after,
                Parameter::Lease => self.lease,
                Parameter::Ttl => self.ttl_ms,
                Parameter::Timeout => self.timeout_ms,
                Parameter::From => {
                    f.write_str("=")?;
                    percent::encode(self.from.as_deref().unwrap_or(b""), Slash::IsEncoded, f)?;
                    None
                }
                Parameter::Prefix
                | Parameter::Local
                | Parameter::Raw
                | Parameter::Keys
                | Parameter::Wait
                | Parameter::Watch
                | Parameter::Prev
                | Parameter::History => None,
            };
            if let Some(number) = number {
                let is_time = matches!(parameter, Parameter::Ttl | Parameter::Timeout);
                write!(f, "={number}{}", if is_time { "ms" } else { "" })?;
            }
        }
        Ok(())
    }
}

fn flag(value: Option<&[u8]>) -> Option<bool> {
    match value {
        None | Some(b"" | b"true" | b"1") => Some(true),
        Some(b"false" | b"0") => Some(false),
        Some(_) => None,
    }
}

/// Digits and nothing else.
pub(super) fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// A time above zero: digits, and a unit or seconds. Units of the result: milliseconds.
fn time_ms(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number(digits)?.checked_mul(*unit_ms).filter(|ms| 0 < *ms)
}

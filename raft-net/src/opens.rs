//! Which doors a port opens.

use std::fmt;
use std::str::FromStr;

/// A door: a protocol, and for whom it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Clients of the native protocol.
    Native,
    /// Other nodes.
    Peers,
    /// Clients of etcd, by gRPC and by JSON.
    Etcd,
    /// Clients of Redis.
    Resp,
    /// Clients that ask for keys by HTTP.
    Http,
}

impl Door {
    /// Every door.
    pub const ALL: [Self; 5] = [Self::Native, Self::Peers, Self::Etcd, Self::Resp, Self::Http];

    /// How settings call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Peers => "peers",
            Self::Etcd => "etcd",
            Self::Resp => "resp",
            Self::Http => "http",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Native => 1,
            Self::Peers => 2,
            Self::Etcd => 4,
            Self::Resp => 8,
            Self::Http => 16,
        }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The doors that a port opens, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opens(u8);

/// A text that does not name doors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no door; there are native, peers, etcd, resp and http")]
pub struct BadDoor(String);

impl Opens {
    /// All doors at one port.
    pub const ALL: Self = Self(31);

    /// One door.
    #[must_use]
    pub const fn only(door: Door) -> Self {
        Self(door.bit())
    }

    /// Whether a door is among them.
    #[must_use]
    pub const fn has(self, door: Door) -> bool {
        self.0 & door.bit() != 0
    }
}

impl FromStr for Opens {
    type Err = BadDoor;

    /// Reads names with commas between them.
    ///
    /// Errors: `BadDoor` names the first that is none; so is nothing at all.
    fn from_str(text: &str) -> Result<Self, BadDoor> {
        let mut opens = 0;
        for name in text.split(',').map(str::trim) {
            let door = Door::ALL.into_iter().find(|door| door.name() == name);
            opens |= door.ok_or_else(|| BadDoor(name.to_owned()))?.bit();
        }
        Ok(Self(opens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_are_named_with_commas_between_them() {
        let some: Opens = "native, peers".parse().unwrap();
        let opened = Door::ALL.map(|door| some.has(door));
        assert_eq!(opened, [true, true, false, false, false]);
        assert_eq!("native,peers,etcd,resp,http".parse(), Ok(Opens::ALL));
        assert!(Door::ALL.into_iter().all(|door| Opens::only(door).has(door)));
        for (text, bad) in [("", ""), ("native,", ""), ("redis", "redis"), ("all", "all")] {
            assert_eq!(text.parse::<Opens>(), Err(BadDoor(bad.to_owned())), "{text}");
        }
    }
}

//! Conditions on a key's revision: `If-Match` and `If-None-Match`.

use super::parameters::number;

/// What `If-Match` or `If-None-Match` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `*`: the key, whatever it is.
    Any,
    /// The key as its change at this revision made it.
    Revision {
        /// The revision.
        revision: u64,
        /// Whether it is named as alike only (`W/"12"`), as something between client and node
        /// may do that changes the body. Such a tag never satisfies `If-Match`.
        is_weak: bool,
    },
    /// A tag that no node has given.
    Other,
}

/// A text that is neither `*` nor one ETag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("If-Match and If-None-Match take * or one ETag with its quotes, as in \"12\"")]
pub struct BadCondition;

impl Condition {
    /// Reads the value of a header.
    ///
    /// Errors: `BadCondition`; whoever asked should be told, since a condition that is not
    /// understood is not kept.
    pub fn parse(value: &[u8]) -> Result<Self, BadCondition> {
        let value = value.trim_ascii();
        if value == b"*" {
            return Ok(Self::Any);
        }
        let (is_weak, tag) =
            value.strip_prefix(b"W/").map_or((false, value), |strong| (true, strong));
        let tag = tag.strip_prefix(b"\"").and_then(|tag| tag.strip_suffix(b"\""));
        let tag = tag.filter(|tag| !tag.contains(&b'"')).ok_or(BadCondition)?;
        let revision = std::str::from_utf8(tag).ok().and_then(number);
        // A node writes no zeros before a number.
        let revision = revision.filter(|number| number.to_string().as_bytes() == tag);
        Ok(revision.map_or(Self::Other, |revision| Self::Revision { revision, is_weak }))
    }
}

/// The ETag of a key that was changed last at this revision.
#[must_use]
pub fn etag(mod_revision: u64) -> String {
    format!("\"{mod_revision}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_a_star_or_one_tag() {
        let revision = |revision, is_weak| Ok(Condition::Revision { revision, is_weak });
        for (value, expected) in [
            ("*", Ok(Condition::Any)),
            (" \"12\" ", revision(12, false)),
            ("W/\"12\"", revision(12, true)),
            (&etag(u64::MAX), revision(u64::MAX, false)),
            ("\"012\"", Ok(Condition::Other)),
            ("\"x\"", Ok(Condition::Other)),
            ("\"\"", Ok(Condition::Other)),
            ("\"18446744073709551616\"", Ok(Condition::Other)),
            ("12", Err(BadCondition)),
            ("\"1\", \"2\"", Err(BadCondition)),
            ("\"", Err(BadCondition)),
            ("", Err(BadCondition)),
            ("w/\"1\"", Err(BadCondition)),
        ] {
            assert_eq!(Condition::parse(value.as_bytes()), expected, "{value}");
        }
    }
}

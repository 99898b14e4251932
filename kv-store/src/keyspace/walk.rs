//! Keys of a range in order, for as long as somebody wants more of them.

use super::{Content, Keyspace, NEWEST};
use crate::command::KeyRange;

impl Keyspace {
    /// Shows the keys of a range as they are now, in order, until `visit` answers that it wants
    /// no more.
    pub(crate) fn walk<'s>(
        &'s self,
        range: &KeyRange<'s>,
        mut visit: impl FnMut(&'s [u8], u64, Content<'s>) -> bool,
    ) {
        for place in self.keys.places(*range) {
            let record = self.keys.get(place);
            let Some((mod_revision, content)) = self.content_at(record, NEWEST) else { continue };
            if !visit(record.key.as_bytes(), mod_revision, content) {
                return;
            }
        }
    }
}

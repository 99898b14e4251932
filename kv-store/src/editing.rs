//! Values that are changed in part, and keys that get another name.

use bytes::BytesMut;

use crate::command::{Answer, Edit, KeyRange, Kind, Name, No, VALUE_BYTES_MAX_DEFAULT};
use crate::decimal::Decimal;
use crate::keyspace::NEWEST;
use crate::store::Store;

/// How long an edit may make a value. The same on all nodes, whatever their limits are, since
/// it is decided where the command is applied.
const EDITED_BYTES_MAX: usize = VALUE_BYTES_MAX_DEFAULT;

impl Store {
    /// Changes a part of a string, or of a field of a hash, and answers.
    ///
    /// Errors: `WrongType`, `NotANumber`, `Overflow`, `ValueTooLong`.
    pub(crate) fn edit(
        &mut self,
        key: &[u8],
        field: Option<&[u8]>,
        edit: &Edit<'_>,
        out: &mut BytesMut,
    ) -> Result<(), No> {
        let kind = if field.is_some() { Kind::Hash } else { Kind::String };
        self.check_kind(key, kind, NEWEST)?;
        let found = match field {
            Some(field) => self.keyspace.item(key, field, NEWEST).map(|(_, item)| item),
            None => self.keyspace.get(key, NEWEST).map(|(_, content)| content),
        };
        let tenure = found.map(|content| content.tenure).unwrap_or_default();
        let edited = edited(found.map(|content| content.value), edit)?;
        let revision = self.revision + 1;
        match field {
            Some(field) => {
                self.keyspace.put_item(revision, (key, kind), (field, &edited), tenure);
            }
            None => self.keyspace.put(revision, key, &edited, tenure),
        }
        let revision = self.revision_so_far();
        match edit {
            Edit::Append(_) | Edit::Overwrite { .. } => {
                Answer::Length { revision, count: edited.len() as u64 }.encode(out);
            }
            Edit::AddDecimal(_) => {
                let values = std::iter::once(Some(Name(&edited))).collect();
                Answer::Values { revision, values }.encode(out);
            }
        }
        Ok(())
    }

    /// Gives what a key is another key; returns how many there were.
    pub(crate) fn rename(&mut self, from: &[u8], to: &[u8]) -> u64 {
        let Some((_, content)) = self.keyspace.get(from, NEWEST) else { return 0 };
        if from == to {
            return 1;
        }
        let (kind, value, tenure) = (content.kind, content.value.to_vec(), content.tenure);
        let (revision, mut items) = (self.revision + 1, Vec::new());
        self.keyspace.visit_items(from, b"", NEWEST, |name, item| {
            items.push((name.to_vec(), item.value.to_vec(), item.tenure));
            true
        });
        self.keyspace.remove(revision, &KeyRange::single(from), |_| ());
        self.keyspace.remove(revision, &KeyRange::single(to), |_| ());
        if kind == Kind::String {
            self.keyspace.put(revision, to, &value, tenure);
            return 1;
        }
        for (name, value, tenure) in &items {
            self.keyspace.put_item(revision, (to, kind), (name, value), *tenure);
        }
        self.keyspace.set_tenure(revision, to, tenure);
        1
    }
}

/// What a value becomes.
fn edited(value: Option<&[u8]>, edit: &Edit<'_>) -> Result<Vec<u8>, No> {
    let too_long = No::ValueTooLong { limit: EDITED_BYTES_MAX as u64 };
    let (at, bytes) = match edit {
        Edit::AddDecimal(by) => {
            let number = value.map_or(Some(Decimal::ZERO), Decimal::parse);
            let (number, by) = (number.ok_or(No::NotANumber)?, Decimal::parse(by));
            let sum = number.plus(by.ok_or(No::NotANumber)?).ok_or(No::Overflow)?;
            return Ok(sum.to_string().into_bytes());
        }
        Edit::Append(bytes) => (value.map_or(0, <[u8]>::len), *bytes),
        Edit::Overwrite { at, bytes } => (usize::try_from(*at).map_err(|_| too_long)?, *bytes),
    };
    let mut edited = value.unwrap_or_default().to_vec();
    let end = at.checked_add(bytes.len()).filter(|end| *end <= EDITED_BYTES_MAX).ok_or(too_long)?;
    if edited.len() < end {
        edited.resize(end, 0);
    }
    edited[at..end].copy_from_slice(bytes);
    Ok(edited)
}

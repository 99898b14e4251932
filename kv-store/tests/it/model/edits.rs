//! Edits, other names, lots and sets together, of the model.

use std::collections::BTreeSet;
use std::rc::Rc;

use bytes::BytesMut;
use kv_store::command::{
    Answer, Combination, Edit, Item, KeyRange, KeyValue, Kind, List, Name, No,
    VALUE_BYTES_MAX_DEFAULT,
};

use super::{Model, Row, Rows, STAYS, encoded, pair, rows_in};

fn unvalued<'r>(key: &'r Rc<[u8]>, row: &'r Rc<Row>) -> KeyValue<'r> {
    KeyValue { value: b"", ..pair(key, row) }
}

/// The lots of a seed (Steele 2014, SplitMix64): the next of so many.
fn lot(seed: &mut u64, bound: usize) -> usize {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut word = *seed;
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^= word >> 31;
    usize::try_from((u128::from(word) * bound as u128) >> 64).expect("below the bound")
}

/// What is drawn of these: one after the other is swapped to the front.
fn drawn<T: Clone>(mut all: Vec<T>, mut seed: u64, count: u64, repeats: bool) -> Vec<T> {
    let (count, total) = (usize::try_from(count).expect("a count fits"), all.len());
    if total == 0 || (total <= count && !repeats) {
        return all;
    }
    if repeats {
        return (0..count).map(|_| all[lot(&mut seed, total)].clone()).collect();
    }
    for place in 0..count {
        let other = place + lot(&mut seed, total - place);
        all.swap(place, other);
    }
    all.truncate(count);
    all
}

impl Model {
    /// Edits a string or a field.
    pub(super) fn edit(
        &mut self,
        key: &[u8],
        field: Option<&[u8]>,
        edit: &Edit<'_>,
    ) -> Result<BytesMut, No> {
        let row = self.of_kind(key, if field.is_some() { Kind::Hash } else { Kind::String })?;
        let old = match field {
            Some(field) => row.and_then(|row| row.items.get(field)),
            None => row,
        };
        let ends = old.map_or(STAYS, |row| row.ends);
        let mut value = old.map(|row| row.value.clone());
        match edit {
            Edit::Append(bytes) => value.get_or_insert_default().extend_from_slice(bytes),
            Edit::Overwrite { at, bytes } => {
                let value = value.get_or_insert_default();
                let limit = VALUE_BYTES_MAX_DEFAULT as u64;
                let at = usize::try_from(*at).ok().filter(|at| *at <= VALUE_BYTES_MAX_DEFAULT);
                let at = at.ok_or(No::ValueTooLong { limit })?;
                value.resize(value.len().max(at + bytes.len()), 0);
                value[at..at + bytes.len()].copy_from_slice(bytes);
            }
            Edit::AddDecimal(by) => {
                let old = value.as_deref().map_or(Some(0), units).ok_or(No::NotANumber)?;
                let by = units(by).ok_or(No::NotANumber)?;
                let text = spelled(old.checked_add(by).ok_or(No::Overflow)?);
                value = Some(text.as_bytes().to_vec());
            }
        }
        let value = value.expect("an edit makes a value");
        match field {
            Some(field) => {
                self.put_item((key, Kind::Hash), field, &value, ends.1);
            }
            None => self.put(key, &value, ends),
        }
        let revision = self.so_far();
        Ok(encoded(&match edit {
            Edit::AddDecimal(_) => {
                let values = std::iter::once(Some(Name(&value))).collect();
                Answer::Values { revision, values }
            }
            Edit::Append(_) | Edit::Overwrite { .. } => {
                Answer::Length { revision, count: value.len() as u64 }
            }
        }))
    }

    pub(super) fn rename(&mut self, from: &[u8], to: &[u8]) -> usize {
        let Some(row) = self.next.get(from).cloned() else { return 0 };
        if from == to {
            return 1;
        }
        self.remove(from);
        self.remove(to);
        if row.kind == Kind::String {
            self.put(to, &row.value, row.ends);
            return 1;
        }
        for (name, item) in &row.items {
            self.put_item((to, row.kind), name, &item.value, item.ends.1);
        }
        let items = self.next.get(to).map(|row| row.items.clone()).expect("it has items");
        self.set((to, row.kind), b"", items, row.ends);
        1
    }

    pub(super) fn take(&mut self, key: &[u8], count: u64) -> Result<BytesMut, No> {
        let row = self.of_kind(key, Kind::Set)?;
        let all: Vec<Rc<[u8]>> =
            row.map(|row| row.items.keys().cloned().collect()).unwrap_or_default();
        let total = all.len();
        let taken = drawn(all, self.index, count, false);
        let left = (total - taken.len()) as u64;
        for name in &taken {
            self.remove_item(key, name);
        }
        let items = taken.iter().map(|name| Item { name, value: b"" }).collect();
        let revision = self.so_far();
        Ok(encoded(&Answer::Items { revision, items, more: false, count: left }))
    }

    pub(super) fn combined(
        &self,
        how: Combination,
        keys: &[Name<'_>],
    ) -> Result<BTreeSet<Rc<[u8]>>, No> {
        let mut sets = Vec::new();
        for key in keys {
            let row = self.of_kind(key.0, Kind::Set)?;
            let names = |row: &Rc<Row>| row.items.keys().cloned().collect::<BTreeSet<_>>();
            sets.push(row.map(names).unwrap_or_default());
        }
        let both = |one: BTreeSet<_>, other: &BTreeSet<_>| match how {
            Combination::Intersection => &one & other,
            Combination::Union => &one | other,
            Combination::Difference => &one - other,
        };
        let mut sets = sets.iter();
        let first = sets.next().cloned().unwrap_or_default();
        Ok(sets.fold(first, both))
    }

    pub(super) fn store_combined(
        &mut self,
        to: &[u8],
        how: Combination,
        keys: &[Name<'_>],
    ) -> Result<BytesMut, No> {
        let members = self.combined(how, keys)?;
        if self.next.contains_key(to) {
            self.remove(to);
        }
        for name in &members {
            self.put_item((to, Kind::Set), name, b"", 0);
        }
        let count = members.len() as u64;
        Ok(encoded(&Answer::Length { revision: self.so_far(), count }))
    }

    pub(super) fn sample(
        &self,
        (key, kind): (&[u8], Kind),
        count: u64,
        repeats: bool,
        seed: u64,
    ) -> Result<Answer<'_>, No> {
        let row = self.of_kind(key, kind)?;
        let all: Vec<Item<'_>> = row
            .into_iter()
            .flat_map(|row| row.items.iter())
            .map(|(name, row)| Item { name, value: &row.value })
            .collect();
        let count_all = all.len() as u64;
        let items = drawn(all, seed, count, repeats).into_iter().collect();
        Ok(Answer::Items { revision: self.so_far(), items, more: false, count: count_all })
    }

    pub(super) fn keys(&self, range: &KeyRange<'_>, limit: u64) -> Answer<'_> {
        let limit = if limit == 0 { usize::MAX } else { usize::try_from(limit).expect("fits") };
        let mut rows = rows_in(&self.next, range);
        let shown = |(key, row)| unvalued(key, row);
        let kvs: List<_> = rows.by_ref().take(limit).map(shown).collect();
        let (more, count) = (rows.next().is_some(), kvs.len() as u64);
        Answer::Range { revision: self.so_far(), kvs, more, count }
    }

    pub(super) fn any_key(&self, seed: u64) -> Answer<'_> {
        let (mut seed, rows): (u64, &Rows) = (seed, &self.next);
        let at = if rows.is_empty() { 0 } else { lot(&mut seed, rows.len()) };
        let found = rows.iter().nth(at);
        let shown = |(key, row)| unvalued(key, row);
        let kvs: List<_> = found.map(shown).into_iter().collect();
        let count = kvs.len() as u64;
        Answer::Range { revision: self.so_far(), kvs, more: false, count }
    }
}

/// What text spells, in units of the seventeenth digit behind the point.
fn units(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?;
    let (sign, text) = match text.split_at_checked(1) {
        Some(("-", rest)) => (-1, rest),
        Some(("+", rest)) => (1, rest),
        _ => (1, text),
    };
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let (all, exponent) = (format!("{whole}{part}"), exponent.parse::<i32>().ok()?);
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) || 400 < exponent.abs() {
        return None;
    }
    let point = i32::try_from(whole.len()).ok()? + exponent + 17;
    let Ok(point) = usize::try_from(point) else { return Some(0) };
    let kept = format!("{:0<point$}", &all[..point.min(all.len())]);
    let kept = kept.trim_start_matches('0');
    let kept: i128 = if kept.is_empty() { 0 } else { kept.parse().ok()? };
    let is_more = all.as_bytes().get(point).is_some_and(|digit| b'5' <= *digit);
    Some(sign * (kept + i128::from(is_more)))
}

fn spelled(units: i128) -> String {
    let (sign, digits) = (if units < 0 { "-" } else { "" }, format!("{:018}", units.abs()));
    let (whole, part) = digits.split_at(digits.len() - 17);
    format!("{sign}{whole}.{part}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

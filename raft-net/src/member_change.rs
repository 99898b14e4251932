//! What a client wants changed of the members, by names and numbers that may be wrong.

use std::collections::BTreeSet;

use raft_core::configuration::{ADDRESS_BYTES_MAX, Change, MEMBERS_MAX};
use raft_core::types::NodeId;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

/// What a client wants changed of the members, all of it at once. Travels as a map.
///
/// A field that the node does not know is an error: part of a change is another change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemberChange {
    /// Addresses of nodes to be taken in as learners, each under a new id.
    pub add: Vec<String>,
    /// Learners that are to vote.
    pub promote: Vec<u64>,
    /// Voters that are to be learners.
    pub demote: Vec<u64>,
    /// Members that are to leave for ever.
    pub remove: Vec<u64>,
    /// Members that are reached elsewhere from now on, each with its address.
    pub readdress: Vec<(u64, String)>,
}

/// By hand because everything else after the preface travels as arrays.
impl Serialize for MemberChange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry("add", &self.add)?;
        map.serialize_entry("promote", &self.promote)?;
        map.serialize_entry("demote", &self.demote)?;
        map.serialize_entry("remove", &self.remove)?;
        map.serialize_entry("readdress", &self.readdress)?;
        map.end()
    }
}

impl MemberChange {
    /// The change, if it makes sense whoever the members are.
    ///
    /// Errors: one line that says what does not, for the client.
    pub fn to_change(&self) -> Result<Change, String> {
        let Self { add, promote, demote, remove, readdress } = self;
        let named = add.len() + promote.len() + demote.len() + remove.len() + readdress.len();
        if named == 0 {
            return Err("the change names no node".to_owned());
        }
        if MEMBERS_MAX < named {
            return Err(format!("a change names at most {MEMBERS_MAX} nodes, not {named}"));
        }
        let ids = |numbers: &[u64]| {
            numbers.iter().map(|&number| id(number)).collect::<Result<BTreeSet<NodeId>, String>>()
        };
        add.iter().try_for_each(|address| check_address(address))?;
        readdress.iter().try_for_each(|(_, address)| check_address(address))?;
        let places = readdress.iter().map(|(number, at)| Ok((id(*number)?, at.clone())));
        Ok(Change {
            add: add.clone(),
            promote: ids(promote)?,
            demote: ids(demote)?,
            remove: ids(remove)?,
            readdress: places.collect::<Result<_, String>>()?,
        })
    }
}

fn id(number: u64) -> Result<NodeId, String> {
    NodeId::new(number).ok_or_else(|| "0 is not the number of a node".to_owned())
}

/// Whether `address` is a host and a port, short enough, without blanks.
fn check_address(address: &str) -> Result<(), String> {
    let is_whole = address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| 0 < p));
    let is_odd = |c: char| c.is_whitespace() || c.is_control();
    if is_whole && address.len() <= ADDRESS_BYTES_MAX && !address.contains(is_odd) {
        return Ok(());
    }
    let shown: String = address.escape_debug().take(ADDRESS_BYTES_MAX).collect();
    Err(format!("\"{shown}\" is not an address such as 127.0.0.1:2379"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_makes_no_sense_is_refused_with_the_reason() {
        let add = |address: &str| MemberChange { add: vec![address.into()], ..Default::default() };
        let remove = |ids: &[u64]| MemberChange { remove: ids.to_vec(), ..Default::default() };
        let long = format!("{}:1", "h".repeat(ADDRESS_BYTES_MAX));
        for (change, words) in [
            (MemberChange::default(), "names no node"),
            (remove(&[1, 0]), "0 is not the number"),
            (remove(&[7; MEMBERS_MAX + 1]), "at most 100 nodes, not 101"),
            (add("host"), "\"host\" is not an address"),
            (add("host:0"), "is not an address"),
            (add(":1"), "is not an address"),
            (add("a b:1"), "is not an address"),
            (add("a\nb:1"), "\"a\\nb:1\" is not an address"),
            (add(&long), "is not an address"),
        ] {
            let error = change.to_change().unwrap_err();
            assert!(error.contains(words) && !error.contains('\n'), "{error}");
        }
        let change = MemberChange { promote: vec![4, 5], ..add("[::1]:80") }.to_change().unwrap();
        assert_eq!((change.add, change.promote.len()), (vec!["[::1]:80".to_owned()], 2));
    }
}

//! PATCH: fields of a hash and members of a set, one by one, all of it in one step.

use bytes::Bytes;
use http::{Response, StatusCode};
use kv_store::command::{Answer, Collection, Command, Item, List, Name, Operation};
use serde::Deserialize;
use serde_json::{Map, Value};
use tonic::body::Body;

use super::super::super::etcd::Behind;
use super::asked::Patch;
use super::document::Written;
use super::node;
use super::refused::Refused;
use super::write::{conditionally, look, transacted, unlike, written};

/// What a body asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Edits {
    /// Fields to set.
    set: Map<String, Value>,
    /// Fields to remove.
    unset: Vec<String>,
    /// Members to add.
    add: Vec<String>,
    /// Members to remove.
    remove: Vec<String>,
}

/// Changes some of the fields of a hash, or of the members of a set.
pub(super) async fn patch(
    behind: &Behind,
    asked: &Patch,
    body: &Bytes,
) -> Result<Response<Body>, Refused> {
    let edits = Edits::of(body)?;
    let fields = edits.fields()?;
    let key = &asked.key[..];
    let writes = edits.commands(key, &fields).into_iter().map(Operation::Write);
    let then = std::iter::once(look(key)).chain(writes);
    let command = conditionally(key, asked.conditions.compares(key), then);
    let said = node::write(behind, &command, asked.session).await?;
    let transacted = transacted(&said)?;
    let revision = transacted.revision;
    if !transacted.succeeded {
        return Err(unlike(&transacted.answers, revision));
    }
    let changed = transacted.answers.iter().filter_map(|answer| match answer {
        Answer::Changed { count, .. } => Some(*count),
        _ => None,
    });
    Ok(written(StatusCode::OK, &Written { count: Some(changed.sum()), revision }))
}

impl Edits {
    /// Reads a body.
    ///
    /// Errors: what is wrong with it.
    fn of(body: &Bytes) -> Result<Self, Refused> {
        let takes = "the body takes {\"set\": {\"field\": \"value\"}, \"unset\": [\"field\"]} of a \
                     hash, or {\"add\": [\"member\"], \"remove\": [\"member\"]} of a set";
        let edits: Self = serde_json::from_slice(body)
            .map_err(|error| Refused::bad(format!("{takes}: {error}")))?;
        let is_of_hash = !edits.set.is_empty() || !edits.unset.is_empty();
        let is_of_set = !edits.add.is_empty() || !edits.remove.is_empty();
        if is_of_hash == is_of_set {
            return Err(Refused::bad(takes));
        }
        Ok(edits)
    }

    /// The fields to set with their values.
    ///
    /// Errors: that a value is no text.
    fn fields(&self) -> Result<List<Item<'_>>, Refused> {
        let mut fields = Vec::new();
        for (name, value) in &self.set {
            let Some(value) = value.as_str() else {
                return Err(Refused::bad(format!("the value of the field {name:?} is no text")));
            };
            fields.push(Item { name: name.as_bytes(), value: value.as_bytes() });
        }
        Ok(fields.into_iter().collect())
    }

    /// The same as commands, of which those that would do nothing are left out.
    fn commands<'a>(&'a self, key: &'a [u8], fields: &List<Item<'a>>) -> Vec<Command<'a>> {
        let names = |names: &'a [String]| names.iter().map(|name| Name(name.as_bytes())).collect();
        let mut commands = Vec::new();
        if !fields.is_empty() {
            commands.push(Command::SetFields { key, fields: fields.clone() });
        }
        if !self.add.is_empty() {
            commands.push(Command::AddMembers { key, members: names(&self.add) });
        }
        for (of, gone) in [(Collection::Hash, &self.unset), (Collection::Set, &self.remove)] {
            if !gone.is_empty() {
                commands.push(Command::RemoveItems { of, key, names: names(gone) });
            }
        }
        commands
    }
}

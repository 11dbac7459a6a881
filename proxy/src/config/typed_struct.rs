//! Configuration in JSON form inside an `Any`, of messages that have no type here: Istio's own extensions come so.
//!
//! Names are those of the messages, in either spelling that JSON allows. What nobody knows is noted, not refused: the struct comes from a
//! control plane that may be newer.

use std::collections::HashMap;

use outrigger_xds_api::TypedStruct;
use outrigger_xds_api::google::protobuf::value::Kind;
use outrigger_xds_api::google::protobuf::{Any, Struct};

use super::common::Translated;
use super::cx::Cx;
use super::error::At;

/// The struct in `config` and the type that it stands for, if there is one.
pub(super) fn unwrap(config: &Any, at: &At<'_>) -> Translated<Option<(String, Members)>> {
    let found = TypedStruct::from_any(config).map_err(|error| at.error(error))?;
    Ok(found.map(|TypedStruct { type_url, value }| (type_url, Members::of(value))))
}

/// The members of a struct, to be taken one by one.
#[derive(Debug, Default)]
pub(super) struct Members(HashMap<String, Kind>);

impl Members {
    pub(super) fn of(message: Option<Struct>) -> Self {
        let fields = message.unwrap_or_default().fields.into_iter();
        let set = fields.filter_map(|(name, value)| match value.kind? {
            Kind::NullValue(_) => None,
            kind => Some((name, kind)),
        });
        Self(set.collect())
    }

    fn take(&mut self, name: &str) -> Option<Kind> {
        self.0.remove(name).or_else(|| self.0.remove(&camel(name)))
    }

    pub(super) fn text(&mut self, name: &str, at: &At<'_>) -> Translated<String> {
        match self.take(name) {
            None => Ok(String::new()),
            Some(Kind::StringValue(text)) => Ok(text),
            Some(_) => Err(at.field(name).error("must be a text")),
        }
    }

    pub(super) fn flag(&mut self, name: &str, at: &At<'_>) -> Translated<bool> {
        match self.take(name) {
            None => Ok(false),
            Some(Kind::BoolValue(flag)) => Ok(flag),
            Some(_) => Err(at.field(name).error("must be true or false")),
        }
    }

    /// A member that is a struct.
    pub(super) fn members(&mut self, name: &str, at: &At<'_>) -> Translated<Option<Self>> {
        match self.take(name) {
            None => Ok(None),
            Some(Kind::StructValue(message)) => Ok(Some(Self::of(Some(message)))),
            Some(_) => Err(at.field(name).error("must be an object")),
        }
    }

    pub(super) fn texts(&mut self, name: &str, at: &At<'_>) -> Translated<Vec<String>> {
        let text = |kind| match kind {
            Some(Kind::StringValue(text)) => Ok(text),
            _ => Err(at.field(name).error("must be a list of texts")),
        };
        self.list(name, at)?.into_iter().map(text).collect()
    }

    /// A member that is a list of structs.
    pub(super) fn list_of_members(&mut self, name: &str, at: &At<'_>) -> Translated<Vec<Self>> {
        let members = |kind| match kind {
            Some(Kind::StructValue(message)) => Ok(Self::of(Some(message))),
            _ => Err(at.field(name).error("must be a list of objects")),
        };
        self.list(name, at)?.into_iter().map(members).collect()
    }

    fn list(&mut self, name: &str, at: &At<'_>) -> Translated<Vec<Option<Kind>>> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Kind::ListValue(list)) => {
                Ok(list.values.into_iter().map(|value| value.kind).collect())
            }
            Some(_) => Err(at.field(name).error("must be a list")),
        }
    }

    /// Notes the members that nobody took.
    pub(super) fn finish(self, at: &At<'_>, cx: &Cx<'_>) {
        let mut names: Vec<_> = self.0.into_keys().collect();
        names.sort();
        for name in names {
            cx.note_ignored(&at.field(&name), "nobody knows a field of this name");
        }
    }
}

/// `skip_external` as `skipExternal`.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut out = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut chars = word.chars();
        out.extend(chars.next().map(|first| first.to_ascii_uppercase()));
        out.extend(chars);
    }
    out
}

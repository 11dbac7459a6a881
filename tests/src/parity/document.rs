//! Operations on configuration documents: merging a case's fields over defaults, completing type names.

use anyhow::{Result, bail};
use serde_json::{Map, Value};

/// A map; nothing is an empty one.
///
/// # Errors
/// When it is something else.
pub(super) fn object(value: &Value) -> Result<Map<String, Value>> {
    match value {
        Value::Null => Ok(Map::new()),
        Value::Object(map) => Ok(map.clone()),
        other => bail!("a map, not {other}"),
    }
}

/// Maps are merged, a null removes, anything else replaces.
pub(super) fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (_, Value::Null) => {}
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                if value.is_null() {
                    into.remove(&key);
                } else {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (into, from) => *into = from,
    }
}

/// Completes type names: `filters.http.fault.v3.HTTPFault` is below `envoy.extensions`.
pub(super) fn expand(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(expand),
        Value::Object(all) => {
            if let Some(Value::String(kind)) = all.get_mut("@type")
                && !kind.contains('/')
            {
                *kind = format!("type.googleapis.com/envoy.extensions.{kind}");
            }
            all.values_mut().for_each(expand);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn maps_are_merged_and_null_removes() {
        let mut into = json!({"a": {"b": 1, "c": 2}, "d": [1], "e": 3});
        merge(&mut into, json!({"a": {"b": 9, "c": null}, "d": [2, 3], "f": 4}));
        assert_eq!(into, json!({"a": {"b": 9}, "d": [2, 3], "e": 3, "f": 4}));
        merge(&mut into, Value::Null);
        assert_eq!(into.get("e"), Some(&json!(3)));
    }
}

//! The shape of a JSON document: what is left to compare of a dump whose values differ from run to run.

use serde_json::Value;

/// The paths of all members of a JSON document, list elements without their number.
pub(super) fn shape(json: &Value, below: &[String]) -> Vec<String> {
    fn walk(value: &Value, path: &str, out: &mut Vec<String>) {
        match value {
            Value::Object(all) => {
                for (key, value) in all {
                    let path = format!("{path}.{key}");
                    out.push(path.clone());
                    walk(value, &path, out);
                }
            }
            Value::Array(all) => {
                all.iter().for_each(|value| walk(value, &format!("{path}[]"), out))
            }
            _ => {}
        }
    }
    let mut out = Vec::new();
    walk(json, "", &mut out);
    out.sort();
    out.dedup();
    out.retain(|path| below.is_empty() || below.iter().any(|wanted| path.starts_with(wanted)));
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_shape_of_json_is_its_member_paths() {
        let json = json!({"a": [{"b": 1}, {"b": 2, "c": {}}], "d": null});
        assert_eq!(shape(&json, &[]), [".a", ".a[].b", ".a[].c", ".d"]);
        assert_eq!(shape(&json, &[".a[]".to_owned()]), [".a[].b", ".a[].c"]);
    }
}

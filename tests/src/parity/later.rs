//! Parts of a group that Outrigger does not support yet, and refuses by name.
//!
//! A map in a group's data that has the key `later` is such a part: a listener, a cluster, a route, a filter, whatever. Cases that need it
//! have `later: true`. The other cases run without these parts; each part alone must make Outrigger refuse the bootstrap with a
//! message that contains the marker's text. A whole group may be marked as well. When a part is taken one day, its marker fails.

use serde_json::Value;

use super::case::Group;

const MARKER: &str = "later";

/// The texts of a group's markers, in the order of the data.
#[must_use]
pub fn texts(group: &Group) -> Vec<String> {
    let mut found: Vec<String> = group.later.iter().cloned().collect();
    for value in parts(group) {
        walk(value, &mut found);
    }
    found
}

/// The group as it runs with the part `kept` and without all others; markers are taken out.
#[must_use]
pub fn with_only(group: &Group, kept: Option<usize>) -> Group {
    let mut group = group.clone();
    // A marked group is a part of its own.
    let mut next = usize::from(group.later.is_some());
    let Group { listeners, clusters, bootstrap, .. } = &mut group;
    for map in [listeners, clusters] {
        map.retain(|_, value| {
            let stays = stays(value, kept, &mut next);
            if stays {
                strip(value, kept, &mut next);
            }
            stays
        });
    }
    strip(bootstrap, kept, &mut next);
    group
}

/// The group with all parts, and no markers: as Envoy takes it.
#[must_use]
pub fn whole(group: &Group) -> Group {
    let mut group = group.clone();
    let Group { listeners, clusters, bootstrap, .. } = &mut group;
    listeners.values_mut().chain(clusters.values_mut()).chain([bootstrap]).for_each(unmark);
    group
}

fn parts(group: &Group) -> impl Iterator<Item = &Value> {
    group.listeners.values().chain(group.clusters.values()).chain([&group.bootstrap])
}

fn walk(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(text)) = map.get(MARKER) {
                found.push(text.clone());
            }
            map.values().for_each(|inner| walk(inner, found));
        }
        Value::Array(list) => list.iter().for_each(|inner| walk(inner, found)),
        _ => {}
    }
}

/// Whether a value stays, if it is marked; then without its marker.
fn stays(value: &mut Value, kept: Option<usize>, next: &mut usize) -> bool {
    let Value::Object(map) = value else { return true };
    if map.remove(MARKER).is_none() {
        return true;
    }
    *next += 1;
    kept == Some(*next - 1)
}

fn strip(value: &mut Value, kept: Option<usize>, next: &mut usize) {
    match value {
        Value::Object(map) => map.retain(|_, inner| {
            let stays = stays(inner, kept, next);
            if stays {
                strip(inner, kept, next);
            }
            stays
        }),
        Value::Array(list) => list.retain_mut(|inner| {
            let stays = stays(inner, kept, next);
            if stays {
                strip(inner, kept, next);
            }
            stays
        }),
        _ => {}
    }
}

fn unmark(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove(MARKER);
            map.values_mut().for_each(unmark);
        }
        Value::Array(list) => list.iter_mut().for_each(unmark),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Group {
        let text = "group: g\nlisteners:\n  a: {routes: [{x: 1}, {x: 2, later: two}]}\n  b: {later: bee}\nclusters: {c: {y: {later: why}}}\ncases: []\n";
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn parts_are_left_out_or_tried_one_at_a_time() {
        let group = group();
        assert_eq!(texts(&group), ["two", "bee", "why"]);
        let none = with_only(&group, None);
        assert_eq!(none.listeners.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(none.listeners["a"].to_string(), r#"{"routes":[{"x":1}]}"#);
        assert_eq!(none.clusters["c"].to_string(), "{}");
        let first = with_only(&group, Some(0));
        assert_eq!(first.listeners["a"].to_string(), r#"{"routes":[{"x":1},{"x":2}]}"#);
        let second = with_only(&group, Some(1));
        assert_eq!(second.listeners["b"].to_string(), "{}");
        assert_eq!(texts(&whole(&group)), [""; 0]);
        assert_eq!(whole(&group).clusters["c"].to_string(), r#"{"y":{}}"#);
    }
}

//! `%DYNAMIC_METADATA(NAMESPACE:KEY)%`, `%CLUSTER_METADATA(NAMESPACE:KEY)%` and `%METADATA(TYPE:NAMESPACE:KEY)%`: what filters have
//! noted of a stream, which are texts, and what the control plane says of its cluster and route.

use std::sync::Arc;

use serde_json::Value;

use super::{Operator, Row, Wrote, text};
use crate::telemetry::access_log::{Record, escape};
use crate::upstream;

pub(super) const ROWS: &[Row] = &[
    Row::required("DYNAMIC_METADATA", |args| Ok(Box::new(Metadata::of(args)))).with_length(),
    Row::required("CLUSTER_METADATA", |args| Ok(Box::new(OfCluster(Metadata::of(args))))),
    Row::required("METADATA", |args| match args.split_once(':').unwrap_or((args, "")) {
        ("DYNAMIC", args) => Ok(Box::new(Metadata::of(args))),
        ("CLUSTER", args) => Ok(Box::new(OfCluster(Metadata::of(args)))),
        ("ROUTE", args) => Ok(Box::new(OfRoute(Metadata::of(args)))),
        (
            kind @ ("UPSTREAM_HOST" | "LISTENER" | "LISTENER_FILTER_CHAIN"
            | "VIRTUAL_HOST"),
            _,
        ) => Err(format!("is not supported: metadata of type {kind}")),
        (kind, _) => Err(format!("knows no metadata of type '{kind}'")),
    })
    .with_length(),
];

#[derive(Debug)]
struct Metadata {
    namespace: Box<str>,
    /// Empty for all of the namespace.
    path: Box<[Box<str>]>,
}

impl Metadata {
    fn of(args: &str) -> Self {
        let mut parts = args.split(':').map(Box::from);
        let namespace = parts.next().unwrap_or_default();
        Self { namespace, path: parts.collect() }
    }

    /// The value in what a control plane says.
    fn of_said(&self, said: &upstream::Metadata, out: &mut Vec<u8>) -> Wrote {
        let Some(values) = said.of(&self.namespace) else { return Wrote::Nothing };
        let mut path = self.path.iter();
        let Some(first) = path.next() else { return json(out, values) };
        let start = values.get(&**first);
        let found = path.fold(start, |value, key| value.and_then(|value| value.get(&**key)));
        match found {
            None | Some(Value::Null) => Wrote::Nothing,
            Some(Value::String(value)) => text(out, value.as_bytes()),
            Some(value) => json(out, value),
        }
    }
}

impl Operator for Metadata {
    fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Wrote {
        let entries = record.info.metadata.iter();
        let mut entries = entries.filter(|(namespace, _, _)| **namespace == *self.namespace);
        match &*self.path {
            [] => {
                let mut entries: Vec<_> = entries.map(|(_, key, value)| (key, value)).collect();
                entries.sort();
                object(out, &entries)
            }
            // The latest stands.
            [key] => match entries.rfind(|(_, known, _)| **known == **key) {
                Some((_, _, value)) => text(out, value.as_bytes()),
                None => Wrote::Nothing,
            },
            _ => Wrote::Nothing,
        }
    }
}

/// What the control plane says of the stream's cluster. (envoy: Cluster.metadata)
#[derive(Debug)]
struct OfCluster(Metadata);

impl Operator for OfCluster {
    fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Wrote {
        let upstream = record.info.upstream.borrow();
        let Some(cluster) = &upstream.cluster else { return Wrote::Nothing };
        self.0.of_said(&cluster.settings.metadata, out)
    }
}

/// What the control plane says of the stream's route. (envoy: Route.metadata)
#[derive(Debug)]
struct OfRoute(Metadata);

impl Operator for OfRoute {
    fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Wrote {
        match &record.info.route_metadata {
            Some(said) => self.0.of_said(said, out),
            None => Wrote::Nothing,
        }
    }
}

fn json(out: &mut Vec<u8>, value: &impl serde::Serialize) -> Wrote {
    // Maps of texts to values always have a form in JSON, and memory takes all of it.
    let _ = serde_json::to_writer(out, value);
    Wrote::Json
}

fn object(out: &mut Vec<u8>, entries: &[(&Arc<str>, &Arc<str>)]) -> Wrote {
    if entries.is_empty() {
        return Wrote::Nothing;
    }
    for (index, (key, value)) in entries.iter().enumerate() {
        out.push(if index == 0 { b'{' } else { b',' });
        string(out, key);
        out.push(b':');
        string(out, value);
    }
    out.push(b'}');
    Wrote::Json
}

fn string(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    let start = out.len();
    out.extend_from_slice(value.as_bytes());
    escape::json(out, start);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use crate::telemetry::access_log::testing::{Stream, compile_error, write, write_json};

    #[test]
    fn what_filters_noted_is_written() {
        let mut stream = Stream::default();
        stream.info.metadata.push(("my.md", "s".into(), "text \"q\"".into()));
        stream.info.metadata.push(("my.md", "b".into(), "\n".into()));
        stream.info.metadata.push(("other", "s".into(), "x".into()));
        for (format, text, json) in [
            ("%DYNAMIC_METADATA(my.md:s)%", "text \"q\"", r#""text \"q\"""#),
            ("%DYNAMIC_METADATA(my.md:s):2%", "te", r#""te""#),
            ("%METADATA(DYNAMIC:my.md:s)%", "text \"q\"", r#""text \"q\"""#),
            ("%DYNAMIC_METADATA(my.md:none)%", "-", "null"),
            ("%DYNAMIC_METADATA(my.md:s:deep)%", "-", "null"),
            ("%DYNAMIC_METADATA(none)%", "-", "null"),
            ("%METADATA(DYNAMIC)%", "-", "null"),
            (
                "%DYNAMIC_METADATA(my.md)%",
                r#"{"b":"\n","s":"text \"q\""}"#,
                r#"{"b":"\n","s":"text \"q\""}"#,
            ),
            (
                "%DYNAMIC_METADATA(my.md):8%",
                r#"{"b":"\n"#,
                r#"{"b":"\n","s":"text \"q\""}"#,
            ),
        ] {
            assert_eq!(write(format, &stream), text, "{format}");
            assert_eq!(write_json(format, &stream), json, "{format}");
        }
    }

    #[test]
    fn other_metadata_and_other_lengths_are_refused() {
        for (format, expected) in [
            ("%METADATA(LISTENER:x)%", "is not supported: metadata of type LISTENER"),
            ("%CLUSTER_METADATA(x:y):3%", "takes no length"),
            ("%METADATA(FOO:x)%", "knows no metadata of type 'FOO'"),
        ] {
            assert_eq!(compile_error(format), expected);
        }
    }
}

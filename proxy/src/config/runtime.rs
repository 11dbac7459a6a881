//! Runtime values: what the layers of the bootstrap set. (envoy: config.bootstrap.v3.LayeredRuntime)
//!
//! Values are fixed when the process starts: they decide at translation, and cost nothing afterwards. Kept for the admin endpoint `/runtime`.

use std::collections::BTreeMap;

use outrigger_policy::fraction::{Denominator, Fraction};
use outrigger_xds_api::google::protobuf::value::Kind;
use outrigger_xds_api::google::protobuf::{Struct, Value as Message};

/// Deepest nesting of a layer.
const MOST_LEVELS: usize = 32;

/// The layers, merged; later ones win.
#[derive(Debug, Default)]
pub struct Runtime {
    layers: Vec<Box<str>>,
    entries: BTreeMap<Box<str>, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    /// One for each layer that there was when it was set; a missing one sets nothing.
    values: Vec<Option<Value>>,
}

#[derive(Debug)]
struct Value {
    text: String,
    meaning: Meaning,
}

#[derive(Debug)]
enum Meaning {
    Bool(bool),
    Number(f64),
    Fraction(Fraction),
    Text,
}

/// No values.
pub(super) static EMPTY: Runtime = Runtime { layers: Vec::new(), entries: BTreeMap::new() };

impl Runtime {
    /// Adds a layer over the ones before.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn push(&mut self, name: &str, layer: Struct) -> Result<(), String> {
        self.layers.push(name.into());
        self.add(&mut String::new(), layer, 0)
    }

    fn add(&mut self, prefix: &mut String, layer: Struct, level: usize) -> Result<(), String> {
        if level > MOST_LEVELS {
            return Err(format!("is nested more than {MOST_LEVELS} deep at '{prefix}'"));
        }
        let length = prefix.len();
        // The map comes in any order: sorted, the same mistake is always told first, and the same spelling wins.
        let fields: BTreeMap<_, _> = layer.fields.into_iter().collect();
        for (key, message) in fields {
            if !prefix.is_empty() {
                prefix.push('.');
            }
            prefix.push_str(&key);
            match message.kind {
                Some(Kind::StructValue(inner)) => match fraction(&inner) {
                    Some(value) => self.set(prefix, value),
                    None => self.add(prefix, inner, level + 1)?,
                },
                Some(Kind::NullValue(_) | Kind::ListValue(_)) | None => {
                    return Err(format!(
                        "the value of '{prefix}' is neither text, number nor bool"
                    ));
                }
                Some(Kind::BoolValue(value)) => {
                    self.set(
                        prefix,
                        Value { text: value.to_string(), meaning: Meaning::Bool(value) },
                    );
                }
                Some(Kind::NumberValue(value)) => {
                    let meaning = Meaning::Number(value);
                    self.set(prefix, Value { text: value.to_string(), meaning });
                }
                Some(Kind::StringValue(text)) => {
                    let meaning = match text.parse() {
                        Ok(number) => Meaning::Number(number),
                        Err(_) => text.parse().map_or(Meaning::Text, Meaning::Bool),
                    };
                    self.set(prefix, Value { text, meaning });
                }
            }
            prefix.truncate(length);
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: Value) {
        let values = &mut self.entries.entry(key.into()).or_default().values;
        values.resize_with(self.layers.len() - 1, || None);
        values.push(Some(value));
    }

    fn meaning(&self, key: &str) -> Option<&Meaning> {
        let values = &self.entries.get(key)?.values;
        values.iter().rev().flatten().next().map(|value| &value.meaning)
    }

    /// A switch; also of numbers, of which 0 is off.
    #[must_use]
    pub fn flag(&self, key: &str, default: bool) -> bool {
        match self.meaning(key) {
            Some(Meaning::Bool(value)) => *value,
            Some(Meaning::Number(number)) => *number != 0.0,
            Some(Meaning::Fraction(_) | Meaning::Text) | None => default,
        }
    }

    /// A whole number from 0.
    #[must_use]
    pub fn integer(&self, key: &str) -> Option<u64> {
        match self.meaning(key)? {
            Meaning::Number(number) => whole(*number),
            Meaning::Bool(_) | Meaning::Fraction(_) | Meaning::Text => None,
        }
    }

    /// A share: a fraction, or a whole number of percent.
    #[must_use]
    pub fn fraction(&self, key: &str) -> Option<Fraction> {
        match self.meaning(key)? {
            Meaning::Fraction(fraction) => Some(*fraction),
            Meaning::Number(number) => {
                let percent = u32::try_from(whole(*number)?).unwrap_or(u32::MAX);
                Some(Fraction::new(percent, Denominator::Hundred))
            }
            Meaning::Bool(_) | Meaning::Text => None,
        }
    }

    /// The names of the layers, in their order.
    #[must_use]
    pub fn layers(&self) -> &[Box<str>] {
        &self.layers
    }

    /// Keys, and what each layer says of them, if anything.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Vec<Option<&str>>)> {
        self.entries.iter().map(|(key, entry)| {
            let texts = entry.values.iter().map(|v| v.as_ref().map(|value| value.text.as_str()));
            (&**key, texts.chain(std::iter::repeat(None)).take(self.layers.len()).collect())
        })
    }
}

fn whole(number: f64) -> Option<u64> {
    let is_whole = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "just checked")]
    is_whole.then_some(number as u64)
}

/// `{numerator: …, denominator: …}`. (envoy: type.v3.FractionalPercent)
fn fraction(layer: &Struct) -> Option<Value> {
    let known = |key: &String| matches!(key.as_str(), "numerator" | "denominator");
    if layer.fields.is_empty() || !layer.fields.keys().all(known) {
        return None;
    }
    let kind = |name| layer.fields.get(name).and_then(|Message { kind }| kind.as_ref());
    let numerator = match kind("numerator") {
        Some(Kind::NumberValue(number)) => u32::try_from(whole(*number)?).ok()?,
        Some(_) => return None,
        None => 0,
    };
    let (denominator, name) = match kind("denominator") {
        None => (Denominator::Hundred, "HUNDRED"),
        Some(Kind::StringValue(name)) => match name.as_str() {
            "HUNDRED" => (Denominator::Hundred, "HUNDRED"),
            "TEN_THOUSAND" => (Denominator::TenThousand, "TEN_THOUSAND"),
            "MILLION" => (Denominator::Million, "MILLION"),
            _ => return None,
        },
        Some(_) => return None,
    };
    let text = format!("numerator: {numerator}\ndenominator: {name}\n");
    Some(Value { text, meaning: Meaning::Fraction(Fraction::new(numerator, denominator)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(fields: &[(&str, Kind)]) -> Struct {
        let entry =
            |(key, kind): &(&str, Kind)| ((*key).to_owned(), Message { kind: Some(kind.clone()) });
        Struct { fields: fields.iter().map(entry).collect() }
    }

    #[test]
    fn later_layers_win_and_keys_are_joined() {
        let mut runtime = Runtime::default();
        let inner = layer(&[("b", Kind::NumberValue(1.0)), ("c", Kind::BoolValue(false))]);
        runtime.push("base", layer(&[("a", Kind::StructValue(inner))])).unwrap();
        runtime.push("over", layer(&[("a.b", Kind::StringValue("7".into()))])).unwrap();
        runtime.push("admin", layer(&[])).unwrap();
        assert_eq!(runtime.integer("a.b"), Some(7));
        assert!(!runtime.flag("a.c", true));
        assert!(runtime.flag("x", true));
        let entries: Vec<_> = runtime.entries().collect();
        assert_eq!(
            entries,
            [("a.b", vec![Some("1"), Some("7"), None]), ("a.c", vec![Some("false"), None, None])]
        );
    }

    #[test]
    fn shares_are_fractions_or_percent() {
        let mut runtime = Runtime::default();
        let half = layer(&[
            ("numerator", Kind::NumberValue(5.0)),
            ("denominator", Kind::StringValue("TEN_THOUSAND".into())),
        ]);
        let values = layer(&[
            ("f", Kind::StructValue(half)),
            ("n", Kind::NumberValue(20.0)),
            ("t", Kind::StringValue("x".into())),
        ]);
        runtime.push("l", values).unwrap();
        assert_eq!(runtime.fraction("f"), Some(Fraction::new(5, Denominator::TenThousand)));
        assert_eq!(runtime.fraction("n"), Some(Fraction::new(20, Denominator::Hundred)));
        assert_eq!(runtime.fraction("t"), None);
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let mut runtime = Runtime::default();
        let error = runtime.push("l", layer(&[("k", Kind::NullValue(0))])).unwrap_err();
        assert!(error.contains("'k'"), "{error}");
    }
}

//! Writes the table of known fields that `src/unknown.rs` reads: every message by name, and its fields by number.
//!
//! Only numbers and one text: nothing for a loader to relocate, so that the pages of the table stay shared and those that nobody reads stay on disk.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FileDescriptorProto};

/// A Rust expression: `Known { text, messages, fields }`.
pub(crate) fn table<'a>(files: impl Iterator<Item = &'a FileDescriptorProto>) -> String {
    let mut messages = BTreeMap::new();
    for file in files {
        file.message_type
            .iter()
            .for_each(|message| collect(message, file.package(), &mut messages));
    }
    let numbers: BTreeMap<&str, usize> = messages.keys().map(String::as_str).zip(1..).collect();
    let (mut text, mut rows, mut fields) = (Text::default(), String::new(), String::new());
    let mut count = 0;
    for (name, message) in &messages {
        let mut known: Vec<_> = message.field.iter().collect();
        known.sort_by_key(|field| field.number());
        let (at, len) = text.place(name);
        let _ = writeln!(rows, "[{at}, {len}, {count}, {}],", count + known.len());
        count += known.len();
        for field in known {
            let (at, len) = text.place(field.name());
            let many = usize::from(field.label() == Label::Repeated);
            let holds = (field.r#type() == Type::Message)
                .then(|| numbers.get(field.type_name().trim_start_matches('.')))
                .flatten()
                .unwrap_or(&0);
            let _ = writeln!(fields, "[{}, {at}, {}, {holds}],", field.number(), len * 2 + many);
        }
    }
    format!("Known {{ text: {:?}, messages: &[{rows}], fields: &[{fields}] }}", text.text)
}

fn collect<'a>(
    message: &'a DescriptorProto,
    scope: &str,
    messages: &mut BTreeMap<String, &'a DescriptorProto>,
) {
    let name = format!("{scope}.{}", message.name());
    message.nested_type.iter().for_each(|nested| collect(nested, &name, messages));
    messages.insert(name, message);
}

/// Names, each once.
#[derive(Default)]
struct Text {
    text: String,
    places: BTreeMap<String, usize>,
}

impl Text {
    fn place(&mut self, name: &str) -> (usize, usize) {
        let at = *self.places.entry(name.to_owned()).or_insert_with(|| {
            self.text.push_str(name);
            self.text.len() - name.len()
        });
        (at, name.len())
    }
}

//! Makes the descriptors that YAML and JSON are read and written with.
//!
//! The package `envoy-types` ships the descriptors of everything it generates, with comments, in one
//! file that its own code never uses. This script finds that file and writes three of its own to
//! `OUT_DIR`: `descriptors.bin`, only what configuration can hold and without anything but names,
//! numbers and types; `sensitive.rs`, the fields whose values must not be shown; and `known.rs`, the
//! numbers of all fields. Messages of ours are only in the last: `src/schema.rs` adds them at run time.

#[path = "build/known.rs"]
mod known;
#[path = "src/schema.rs"]
mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use prost::Message;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumOptions, FileDescriptorProto, FileDescriptorSet,
    MessageOptions,
};
use serde_json::Value;

/// Files in these folders are kept, and whatever they import.
const ROOTS: &[&str] = &[
    "envoy/admin/",
    "envoy/config/",
    "envoy/extensions/",
    "envoy/service/discovery/",
    "envoy/service/runtime/",
    "envoy/type/",
    "google/protobuf/any.proto",
    "google/protobuf/duration.proto",
    "google/protobuf/empty.proto",
    "google/protobuf/struct.proto",
    "google/protobuf/timestamp.proto",
    "google/protobuf/wrappers.proto",
    "xds/core/",
    "xds/type/",
];

/// Imports that only define options: with the options gone, nobody needs them.
const OPTIONS_ONLY: &[&str] = &[
    "envoy/annotations/",
    "google/api/annotations.proto",
    "google/api/http.proto",
    "google/protobuf/descriptor.proto",
    "udpa/annotations/",
    "validate/",
    "xds/annotations/",
];

fn main() -> Result<(), Box<dyn Error>> {
    let (lock_file, package) = locate_envoy_types()?;
    let source = package.join("src/generated/types.bin");
    let bytes = fs::read(&source).map_err(|error| format!("{}: {error}", source.display()))?;

    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("sensitive.rs"), sensitive_fields(&bytes)?)?;
    let descriptors = configuration_only(&bytes)?;
    let ours = schema::files();
    fs::write(out.join("known.rs"), known::table(descriptors.file.iter().chain(&ours)))?;
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;

    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build/known.rs");
    println!("cargo::rerun-if-changed=src/schema.rs");
    println!("cargo::rerun-if-changed={}", lock_file.display());
    println!("cargo::rerun-if-changed={}", source.display());
    Ok(())
}

/// The workspace's lock file, and the folder of the package `envoy-types` that it names.
///
/// Only the platforms in use are asked for: packages of the others need not be on this machine.
fn locate_envoy_types() -> Result<(PathBuf, PathBuf), Box<dyn Error>> {
    let output = Command::new(env::var("CARGO")?)
        .args(["metadata", "--format-version=1", "--frozen"])
        .args(["--filter-platform", &env::var("TARGET")?, "--filter-platform", &env::var("HOST")?])
        .current_dir(env::var("CARGO_MANIFEST_DIR")?)
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let root = text(&metadata, "workspace_root").ok_or("no workspace root")?;
    let packages = metadata.get("packages").and_then(Value::as_array).ok_or("no packages")?;
    let manifests: Vec<&str> = packages
        .iter()
        .filter(|package| text(package, "name") == Some("envoy-types"))
        .filter_map(|package| text(package, "manifest_path"))
        .collect();
    let [manifest] = manifests.as_slice() else {
        return Err(format!("expected one package envoy-types, found {manifests:?}").into());
    };
    let folder = Path::new(manifest).parent().ok_or("a manifest without a folder")?;
    Ok((Path::new(root).join("Cargo.lock"), folder.to_path_buf()))
}

fn text<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str()
}

fn configuration_only(bytes: &[u8]) -> Result<FileDescriptorSet, Box<dyn Error>> {
    let all = FileDescriptorSet::decode(bytes)?;
    let by_name: BTreeMap<&str, &FileDescriptorProto> =
        all.file.iter().map(|file| (file.name(), file)).collect();

    let mut wanted: Vec<&str> =
        by_name.keys().copied().filter(|name| starts_with_any(name, ROOTS)).collect();
    let mut kept = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        if !starts_with_any(name, OPTIONS_ONLY) && kept.insert(name) {
            let file = by_name.get(name).ok_or_else(|| format!("no descriptor of {name}"))?;
            wanted.extend(file.dependency.iter().map(String::as_str));
        }
    }

    let file = all.file.iter().filter(|file| kept.contains(file.name())).map(bare_file).collect();
    Ok(FileDescriptorSet { file })
}

fn starts_with_any(name: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

fn bare_file(file: &FileDescriptorProto) -> FileDescriptorProto {
    let imports = file.dependency.iter().filter(|name| !starts_with_any(name, OPTIONS_ONLY));
    FileDescriptorProto {
        name: file.name.clone(),
        package: file.package.clone(),
        syntax: file.syntax.clone(),
        dependency: imports.cloned().collect(),
        message_type: file.message_type.iter().map(bare_message).collect(),
        enum_type: file.enum_type.iter().map(bare_enum).collect(),
        ..FileDescriptorProto::default()
    }
}

fn bare_message(message: &DescriptorProto) -> DescriptorProto {
    let mut bare = DescriptorProto {
        name: message.name.clone(),
        field: message.field.clone(),
        oneof_decl: message.oneof_decl.clone(),
        nested_type: message.nested_type.iter().map(bare_message).collect(),
        enum_type: message.enum_type.iter().map(bare_enum).collect(),
        ..DescriptorProto::default()
    };
    for field in &mut bare.field {
        field.options = None;
    }
    for oneof in &mut bare.oneof_decl {
        oneof.options = None;
    }
    if let Some(MessageOptions { map_entry: Some(true), .. }) = message.options {
        bare.options = Some(MessageOptions { map_entry: Some(true), ..MessageOptions::default() });
    }
    bare
}

fn bare_enum(message: &EnumDescriptorProto) -> EnumDescriptorProto {
    let mut bare = EnumDescriptorProto {
        name: message.name.clone(),
        value: message.value.clone(),
        ..EnumDescriptorProto::default()
    };
    for value in &mut bare.value {
        value.options = None;
    }
    if let Some(EnumOptions { allow_alias, .. }) = message.options {
        bare.options = Some(EnumOptions { allow_alias, ..EnumOptions::default() });
    }
    bare
}

/// A Rust slice of the full names of all fields with the option `udpa.annotations.sensitive`, sorted.
///
/// The general descriptor types drop options that they do not know, so the few fields needed are
/// read with types of our own.
fn sensitive_fields(bytes: &[u8]) -> Result<String, Box<dyn Error>> {
    let mut names = BTreeSet::new();
    for file in options::Files::decode(bytes)?.file {
        for message in &file.message_type {
            collect_sensitive(message, &file.package, &mut names);
        }
    }
    if names.is_empty() {
        return Err("no sensitive field found: has the option's number changed?".into());
    }
    Ok(format!("&{:#?}", names.into_iter().collect::<Vec<_>>()))
}

fn collect_sensitive(message: &options::Message, scope: &str, names: &mut BTreeSet<String>) {
    let scope = format!("{scope}.{}", message.name);
    for field in &message.field {
        if field.options.as_ref().is_some_and(|options| options.sensitive) {
            names.insert(format!("{scope}.{}", field.name));
        }
    }
    for nested in &message.nested_type {
        collect_sensitive(nested, &scope, names);
    }
}

/// As much of `google/protobuf/descriptor.proto` as leads to one option of a field.
mod options {
    #[derive(prost::Message)]
    pub(crate) struct Files {
        #[prost(message, repeated, tag = "1")]
        pub file: Vec<File>,
    }

    #[derive(prost::Message)]
    pub(crate) struct File {
        #[prost(string, tag = "2")]
        pub package: String,
        #[prost(message, repeated, tag = "4")]
        pub message_type: Vec<Message>,
    }

    #[derive(prost::Message)]
    pub(crate) struct Message {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(message, repeated, tag = "2")]
        pub field: Vec<Field>,
        #[prost(message, repeated, tag = "3")]
        pub nested_type: Vec<Self>,
    }

    #[derive(prost::Message)]
    pub(crate) struct Field {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(message, optional, tag = "8")]
        pub options: Option<FieldOptions>,
    }

    #[derive(prost::Message)]
    pub(crate) struct FieldOptions {
        /// udpa.annotations.sensitive
        #[prost(bool, tag = "76569463")]
        pub sensitive: bool,
    }
}

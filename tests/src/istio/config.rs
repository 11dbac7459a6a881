//! The Istio configuration in force: the project's own YAML, one file for each resource in the folder that istiod watches.
//!
//! A group of checks puts resources over it by kind, namespace and name, and takes them back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    /// By the name of its file.
    all: BTreeMap<String, Value>,
}

/// The documents of a file.
///
/// # Errors
/// When it cannot be read, or is no YAML.
pub fn documents(path: &Path) -> Result<Vec<Value>> {
    let context = || path.display().to_string();
    let text = fs::read_to_string(path).with_context(context)?;
    let all: Vec<Value> = serde_saphyr::from_multiple(&text).with_context(context)?;
    Ok(all.into_iter().filter(|document| !document.is_null()).collect())
}

/// Every file of a folder, in the order of names.
///
/// # Errors
/// When the folder cannot be read.
pub fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "yaml"));
    paths.sort();
    Ok(paths)
}

impl Folder {
    /// An empty one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(dir: PathBuf) -> Result<Self> {
        fs::create_dir_all(&dir)?;
        Ok(Self { dir, all: BTreeMap::new() })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Everything in force.
    pub fn resources(&self) -> impl Iterator<Item = &Value> {
        self.all.values()
    }

    /// The resource of this name, as `Kind/namespace/name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn resource(&self, name: &str) -> Result<Value> {
        let found = self.all.get(&format!("{}.yaml", name.replace('/', ".")));
        found.cloned().with_context(|| format!("no {name}"))
    }

    /// Puts these resources in force, and returns what undoes it.
    ///
    /// # Errors
    /// When one has no kind or name, or cannot be written.
    pub fn put(&mut self, resources: &[Value]) -> Result<Before> {
        let mut before = Before::default();
        for resource in resources {
            let file = file(resource)?;
            let old = self.set(&file, Some(resource.clone()))?;
            before.0.entry(file).or_insert(old);
        }
        Ok(before)
    }

    /// Takes resources out of force that are named as `Kind/namespace/name`.
    ///
    /// # Errors
    /// When there is no such resource.
    pub fn remove(&mut self, names: &[String]) -> Result<Before> {
        let mut before = Before::default();
        for name in names {
            let file = format!("{}.yaml", name.replace('/', "."));
            let old = self.set(&file, None)?;
            before.0.insert(file, Some(old.with_context(|| format!("no {name}"))?));
        }
        Ok(before)
    }

    /// Puts back what was there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn restore(&mut self, before: Before) -> Result<()> {
        for (file, old) in before.0 {
            self.set(&file, old)?;
        }
        Ok(())
    }

    fn set(&mut self, file: &str, resource: Option<Value>) -> Result<Option<Value>> {
        let path = self.dir.join(file);
        Ok(match resource {
            Some(resource) => {
                // istiod must never see half a file.
                let new = self.dir.join(format!("{file}.new"));
                fs::write(&new, serde_json::to_vec_pretty(&resource)?)?;
                fs::rename(new, path)?;
                self.all.insert(file.to_owned(), resource)
            }
            None => {
                fs::remove_file(path)?;
                self.all.remove(file)
            }
        })
    }
}

/// What was in force before a change.
#[derive(Debug, Default)]
pub struct Before(BTreeMap<String, Option<Value>>);

impl Before {
    /// This change, and then another.
    pub fn and(mut self, later: Self) -> Self {
        for (file, old) in later.0 {
            self.0.entry(file).or_insert(old);
        }
        self
    }
}

fn file(resource: &Value) -> Result<String> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let kind = text(resource.get("kind")).with_context(|| format!("no kind in {resource}"))?;
    let metadata =
        resource.get("metadata").with_context(|| format!("no metadata in {resource}"))?;
    let name = text(metadata.get("name")).with_context(|| format!("no name in {resource}"))?;
    let namespace = text(metadata.get("namespace")).unwrap_or_else(|| "default".into());
    Ok(format!("{kind}.{namespace}.{name}.yaml"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn what_was_put_over_the_configuration_is_taken_back() {
        let scratch = Scratch::new().unwrap();
        let mut folder = Folder::new(scratch.path().join("istio")).unwrap();
        let resource = |name: &str, spec: u8| json!({"kind": "VirtualService", "metadata": {"name": name}, "spec": spec});
        let names = |folder: &Folder| files(folder.dir()).unwrap().len();
        drop(folder.put(&[resource("a", 1)]).unwrap());
        let before = folder.put(&[resource("a", 2), resource("b", 1)]).unwrap();
        let before = before.and(folder.remove(&["VirtualService/default/a".into()]).unwrap());
        assert_eq!(names(&folder), 1);
        folder.restore(before).unwrap();
        assert_eq!(names(&folder), 1);
        let file = folder.dir().join("VirtualService.default.a.yaml");
        assert_eq!(documents(&file).unwrap(), [resource("a", 1)]);
    }
}

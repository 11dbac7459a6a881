//! istiod, its configuration, and the worlds that it drives.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};
use serde_json::Value;

use super::authority::{Authority, Outside};
use super::config::{Folder, documents, files};
use super::istiod::{Istiod, Settings};
use super::net::Namespace;
use super::pod::Spec;
use super::tools::Tools;
use super::world::{Material, World};
use crate::scratch::Scratch;

/// How a mesh is to be.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The proxies, each by the name of its world.
    pub proxies: Vec<(String, PathBuf)>,
    /// Folders of Istio YAML below `tests/istio`, the later over the earlier.
    pub sets: Vec<&'static str>,
    /// Istio's own filters, which only Istio's build of Envoy has, and Outrigger.
    pub with_filters: bool,
    /// The pods to make; all of them when it names none.
    pub pods: &'static [&'static str],
    /// More of every agent's environment.
    pub environment: Vec<(String, String)>,
}

#[derive(Debug)]
pub struct Mesh {
    pub istiod: Istiod,
    pub config: Folder,
    pub worlds: Vec<World>,
    pub outside: Outside,
    kubernetes: PathBuf,
    _namespace: Namespace,
    pub scratch: Scratch,
}

const DATA: &str = "tests/istio";

impl Mesh {
    /// Starts istiod and every pod.
    ///
    /// # Errors
    /// When something cannot be made, or istiod does not become ready.
    pub fn start(plan: &Plan, tools: &Tools) -> Result<Self> {
        let scratch = Scratch::new()?;
        let dir = scratch.path().to_owned();
        fs::set_permissions(&dir, Permissions::from_mode(0o755))?;
        let authority = Authority::new("Root CA")?;
        authority.write(&dir.join("ca"))?;
        let outside = Outside::new(dir.join("outside"), &authority)?;
        let kubernetes = dir.join("kubernetes");
        fs::create_dir_all(&kubernetes)?;
        fs::write(
            kubernetes.join("shop.yaml"),
            outside.secret("shop-cert", "shop.example.com", false)?,
        )?;
        fs::write(
            kubernetes.join("mtls.yaml"),
            outside.secret("mtls-cert", "mtls.example.com", true)?,
        )?;
        let mut config = Folder::new(dir.join("istio"))?;
        for set in &plan.sets {
            for file in files(&Path::new(DATA).join(set))? {
                drop(config.put(&documents(&file)?)?);
            }
        }
        let mesh = dir.join("mesh.yaml");
        let mut text = fs::read_to_string(Path::new(DATA).join("mesh.yaml"))?;
        let mut environment = Vec::new();
        if plan.with_filters {
            text += "defaultProviders:\n  metrics: [prometheus]\n";
        } else {
            for name in ["PILOT_ENABLE_METADATA_EXCHANGE", "PILOT_ENABLE_ALPN_FILTER"] {
                environment.push((name.to_owned(), "false".to_owned()));
            }
        }
        fs::write(&mesh, text)?;
        let namespace = Namespace::new("istiod", "127.0.0.1 localhost\n")?;
        let settings = Settings {
            program: tools.istiod.clone(),
            config: config.dir().into(),
            mesh,
            authority: dir.join("ca"),
            kubernetes: kubernetes.clone(),
            environment,
        };
        let istiod = Istiod::start(&namespace, &dir, tools, settings)?;
        let specs: Vec<Spec> =
            serde_saphyr::from_str(&fs::read_to_string(format!("{DATA}/pods.yaml"))?)?;
        let is_wanted =
            |spec: &Spec| plan.pods.is_empty() || plan.pods.contains(&spec.name.as_str());
        let mut specs: Vec<Spec> = specs.into_iter().filter(is_wanted).collect();
        for (name, value) in &plan.environment {
            for spec in &mut specs {
                spec.environment.insert(name.clone(), value.clone().into());
            }
        }
        let hosts = hosts(&config, &specs);
        let roots = dir.join("ca/root-cert.pem");
        let worlds = thread::scope(|scope| {
            let mut all = Vec::new();
            for (index, (name, proxy)) in plan.proxies.iter().enumerate() {
                let material = Material {
                    name,
                    index,
                    proxy,
                    dir: dir.join(name),
                    specs: &specs,
                    hosts: &hosts,
                    istiod: &namespace,
                    tools,
                    authority: &authority,
                    roots: &roots,
                    certificates: &outside.dir,
                };
                all.push(scope.spawn(move || World::start(&material)));
            }
            all.into_iter()
                .map(|world| world.join().map_err(|_| anyhow!("a world's thread panicked"))?)
                .collect::<Result<Vec<_>>>()
        })?;
        Ok(Self { istiod, config, worlds, outside, kubernetes, _namespace: namespace, scratch })
    }

    /// Adds a Secret to the cluster, or replaces it.
    ///
    /// # Errors
    /// When istiod does not take it.
    pub fn put_secret(&mut self, name: &str, yaml: &str) -> Result<()> {
        fs::write(self.kubernetes.join(format!("{name}.yaml")), yaml)?;
        self.istiod.reread()
    }

    /// # Errors
    /// When there is none of this name.
    pub fn remove_secret(&mut self, name: &str) -> Result<()> {
        fs::remove_file(self.kubernetes.join(format!("{name}.yaml")))?;
        self.istiod.reread()
    }

    /// How many proxies there are.
    pub fn proxies(&self) -> usize {
        self.worlds.iter().flat_map(|world| &world.pods).filter(|pod| pod.has_proxy()).count()
    }

    /// Changes the configuration and waits until every proxy has acknowledged what comes of it; false when that takes too long.
    ///
    /// # Errors
    /// When the change fails or istiod does not answer.
    pub fn change<T>(
        &mut self,
        change: impl FnOnce(&mut Folder) -> Result<T>,
    ) -> Result<(T, bool)> {
        let before = self.istiod.state()?;
        let done = change(&mut self.config)?;
        let settled = self.istiod.settle(&before, self.proxies(), Duration::from_secs(4));
        Ok((done, settled))
    }
}

/// The hosts file of a pod: services by the names that Kubernetes' DNS would know, and pods as `NAME.pod`.
fn hosts(config: &Folder, specs: &[Spec]) -> String {
    let mut lines = BTreeMap::new();
    for entry in config.resources().filter(|r| r.get("kind").is_some_and(|k| k == "ServiceEntry")) {
        let list = |name: &str| {
            let list = entry.pointer(&format!("/spec/{name}")).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>()
        };
        for (host, address) in list("hosts").into_iter().zip(list("addresses")) {
            let mut names = vec![host.to_owned()];
            if let Some(short) = host.strip_suffix(".svc.cluster.local") {
                names.push(format!("{short}.svc"));
                names.push(short.to_owned());
                names.extend(short.split('.').next().map(str::to_owned));
            }
            lines.insert(address.to_owned(), names.join(" "));
        }
    }
    let services = lines.into_iter().map(|(address, names)| format!("{address} {names}\n"));
    let pods = specs.iter().map(|spec| format!("{} {}.pod\n", spec.ip, spec.name));
    services.chain(pods).collect()
}

//! All pods of one proxy, on a bridge of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use super::authority::Authority;
use super::net::{Hub, Namespace};
use super::pod::{Pod, Setting, Spec, reachable};
use super::tools::Tools;

const READY_LIMIT: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct World {
    pub name: String,
    pub pods: Vec<Pod>,
    /// Per pod, how long it took from the agent's start until it was ready; or why it is not.
    pub starts: Vec<(String, Result<Duration, String>)>,
    pub dir: PathBuf,
    /// Last, so that the bridge goes after its pods.
    pub hub: Hub,
}

/// What a world is made of.
#[derive(Debug)]
pub struct Material<'a> {
    pub name: &'a str,
    pub index: usize,
    pub proxy: &'a Path,
    pub dir: PathBuf,
    pub specs: &'a [Spec],
    pub hosts: &'a str,
    pub istiod: &'a Namespace,
    pub tools: &'a Tools,
    pub authority: &'a Authority,
    pub roots: &'a Path,
    pub certificates: &'a Path,
}

impl World {
    /// Starts every pod and waits until each is ready, or does not become it.
    ///
    /// # Errors
    /// When a namespace or a process cannot be made. A proxy that is not ready is no error here: [`World::starts`] has it.
    pub fn start(material: &Material<'_>) -> Result<Self> {
        let bin = material.dir.join("bin");
        fs::create_dir_all(&bin)?;
        let hub = Hub::new(material.name, material.index, material.istiod)?;
        let setting = Setting {
            hub: &hub,
            world: material.name,
            dir: &material.dir,
            agent: &reachable(&material.tools.agent, &bin)?,
            proxy: &reachable(material.proxy, &bin)?,
            template: &reachable(&material.tools.template, &bin)?,
            app: &material.tools.app,
            authority: material.authority,
            roots: material.roots,
            certificates: material.certificates,
            hosts: material.hosts,
        };
        let mut pods = material
            .specs
            .iter()
            .map(|spec| Pod::new(spec, &setting).with_context(|| spec.name.clone()))
            .collect::<Result<Vec<_>>>()?;
        let mut starts = Vec::new();
        // A few at once: ready times are of a machine that does something else too.
        for some in pods.chunks_mut(3) {
            let ready = thread::scope(|scope| {
                let all: Vec<_> = some
                    .iter_mut()
                    .filter(|pod| pod.has_proxy())
                    .map(|pod| {
                        scope.spawn(|| {
                            pod.start_agent()?;
                            let took = pod.wait_ready(READY_LIMIT);
                            Ok((pod.spec.name.clone(), took.map_err(|error| format!("{error:#}"))))
                        })
                    })
                    .collect();
                all.into_iter()
                    .map(|one| one.join().map_err(|_| anyhow!("a pod's thread panicked"))?)
                    .collect::<Result<Vec<_>>>()
            });
            starts.extend(ready?);
        }
        Ok(Self { name: material.name.into(), pods, starts, dir: material.dir.clone(), hub })
    }

    /// # Errors
    /// When there is no pod of this name.
    pub fn pod(&self, name: &str) -> Result<&Pod> {
        self.pods.iter().find(|pod| pod.spec.name == name).with_context(|| format!("no pod {name}"))
    }

    /// # Errors
    /// When there is no pod of this name.
    pub fn pod_mut(&mut self, name: &str) -> Result<&mut Pod> {
        let found = self.pods.iter_mut().find(|pod| pod.spec.name == name);
        found.with_context(|| format!("no pod {name}"))
    }
}

//! One pod: a namespace with an application, Istio's rules, and pilot-agent, which starts the proxy.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::authority::Authority;
use super::call::{Answer, Call};
use super::net::{HUB, Hub, Namespace};
use super::observed::Observed;
use super::process::{Process, Start, sh};

/// The user whose traffic Istio's rules leave alone.
const PROXY: u32 = 1337;

/// A pod as `tests/istio/pods.yaml` has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    pub name: String,
    pub ip: String,
    #[serde(default)]
    pub account: String,
    #[serde(default)]
    pub labels: serde_json::Map<String, Value>,
    #[serde(default)]
    pub kind: Kind,
    /// The certificate of the application's port 8443.
    #[serde(default)]
    pub certificate: Option<String>,
    /// More of pilot-agent's environment.
    #[serde(default)]
    pub environment: serde_json::Map<String, Value>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    #[default]
    Sidecar,
    Gateway,
    /// An application and nothing else.
    Bare,
}

/// What all pods of a world share.
#[derive(Debug)]
pub struct Setting<'a> {
    pub hub: &'a Hub,
    pub world: &'a str,
    pub dir: &'a Path,
    /// Copies that [`PROXY`] can reach.
    pub agent: &'a Path,
    pub proxy: &'a Path,
    pub template: &'a Path,
    pub app: &'a Path,
    pub authority: &'a Authority,
    pub roots: &'a Path,
    pub certificates: &'a Path,
    /// The hosts file: names of services with their addresses.
    pub hosts: &'a str,
}

#[derive(Debug)]
pub struct Pod {
    pub spec: Spec,
    pub dir: PathBuf,
    pub log: PathBuf,
    socket: PathBuf,
    app: Option<Process>,
    agent: Option<Process>,
    agent_path: PathBuf,
    proxy_path: PathBuf,
    environment: Vec<(String, String)>,
    /// Last, so that it goes when nothing runs in it any more.
    namespace: Namespace,
}

impl Pod {
    /// Makes the namespace, starts the application and writes the rules; [`Pod::start_agent`] comes next.
    ///
    /// # Errors
    /// When the machine does not allow it.
    pub fn new(spec: &Spec, setting: &Setting<'_>) -> Result<Self> {
        let dir = setting.dir.join(&spec.name);
        fs::create_dir_all(&dir)?;
        let hosts =
            format!("127.0.0.1 localhost\n{HUB} istiod.istio-system.svc\n{}", setting.hosts);
        let namespace = Namespace::new(&format!("{}-{}", setting.world, spec.name), &hosts)?;
        setting.hub.attach(&namespace, &spec.ip)?;
        let mut pod = Self {
            spec: spec.clone(),
            log: dir.join("proxy.log"),
            socket: dir.join("app.sock"),
            app: None,
            agent: None,
            agent_path: setting.agent.into(),
            proxy_path: setting.proxy.into(),
            environment: Vec::new(),
            dir,
            namespace,
        };
        let mut arguments = vec![spec.name.clone(), pod.socket.display().to_string()];
        if let Some(certificate) = &spec.certificate {
            arguments.push(setting.certificates.join(certificate).display().to_string());
        }
        let app = Start { arguments, ..Start::new(&pod.namespace.name, setting.app) };
        pod.app = Some(app.run(pod.dir.join("app.log"))?);
        let limit = Instant::now() + Duration::from_secs(10);
        while !pod.socket.exists() {
            ensure!(Instant::now() < limit, "the application does not start: {}", pod.app_output());
            thread::sleep(Duration::from_millis(10));
        }
        if spec.kind == Kind::Bare {
            return Ok(pod);
        }
        if spec.kind == Kind::Sidecar {
            let rules = "istio-iptables -p 15001 -z 15006 -u 1337 -m REDIRECT -i * -b * -d 15090,15021,15020";
            pod.namespace.run(&format!("{} {rules}", setting.agent.display()))?;
        }
        pod.environment = pod.environment(setting)?;
        Ok(pod)
    }

    fn app_output(&self) -> String {
        self.app.as_ref().map(|app| app.last_output(4)).unwrap_or_default()
    }

    /// The environment that injection would give the container, and a first certificate instead of a token of Kubernetes.
    fn environment(&self, setting: &Setting<'_>) -> Result<Vec<(String, String)>> {
        let spec = &self.spec;
        let first = self.dir.join("first");
        fs::create_dir_all(&first)?;
        let identity = format!("spiffe://cluster.local/ns/default/sa/{}", spec.account);
        let (certificate, key) = setting.authority.sign(&[&identity])?;
        fs::write(first.join("cert-chain.pem"), certificate)?;
        fs::write(first.join("key.pem"), key)?;
        fs::write(first.join("root-cert.pem"), &setting.authority.root)?;
        for path in [&self.dir, &first, &first.join("key.pem")] {
            chown(path, Some(PROXY), Some(PROXY))?;
        }
        let path = |path: &Path| path.display().to_string();
        let roots = path(setting.roots);
        let config = json!({
            "discoveryAddress": "istiod.istio-system.svc:15012", "configPath": path(&self.dir.join("etc")),
            "binaryPath": path(setting.proxy), "controlPlaneAuthPolicy": "MUTUAL_TLS", "concurrency": 1,
            "statusPort": 15020, "terminationDrainDuration": "2s", "drainDuration": "10s",
        });
        let label =
            |name: &str| spec.labels.get(name).and_then(Value::as_str).unwrap_or(&spec.name);
        let workload = format!("{}-{}", label("app"), label("version"));
        let owner = format!("kubernetes://apis/apps/v1/namespaces/default/deployments/{workload}");
        let mut all: Vec<(String, String)> = [
            ("PROV_CERT", path(&first)),
            ("CA_ADDR", "istiod.istio-system.svc:15012".into()),
            ("XDS_ROOT_CA", roots.clone()),
            ("CA_ROOT_CA", roots),
            ("ISTIOD_SAN", "istiod.istio-system.svc".into()),
            ("PILOT_CERT_PROVIDER", "istiod".into()),
            ("POD_NAME", spec.name.clone()),
            ("POD_NAMESPACE", "default".into()),
            ("INSTANCE_IP", spec.ip.clone()),
            ("SERVICE_ACCOUNT", spec.account.clone()),
            ("TRUST_DOMAIN", "cluster.local".into()),
            ("HOME", path(&self.dir)),
            ("ISTIO_BOOTSTRAP", path(setting.template)),
            ("ISTIO_META_CLUSTER_ID", "Kubernetes".into()),
            ("ISTIO_META_INTERCEPTION_MODE", "REDIRECT".into()),
            ("ISTIO_META_MESH_ID", "cluster.local".into()),
            ("ISTIO_META_WORKLOAD_NAME", workload),
            ("ISTIO_META_OWNER", owner),
            // An agent that was built here does not know which version it is.
            ("ISTIO_META_ISTIO_VERSION", "1.32.0".into()),
            ("ISTIO_METAJSON_LABELS", serde_json::to_string(&spec.labels)?),
            ("PROXY_CONFIG", config.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        for (name, value) in &spec.environment {
            let value = value.as_str().with_context(|| format!("{name} is no string"))?;
            all.push((name.clone(), value.to_owned()));
        }
        Ok(all)
    }

    /// Starts pilot-agent, which starts the proxy.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_agent(&mut self) -> Result<()> {
        let kind = match self.spec.kind {
            Kind::Sidecar => "sidecar",
            Kind::Gateway => "router",
            Kind::Bare => return Ok(()),
        };
        let words = format!(
            "proxy {kind} --domain default.svc.cluster.local --proxyLogLevel=warning --log_output_level=default:warn"
        );
        let start = Start {
            user: Some(PROXY),
            arguments: words.split(' ').map(str::to_owned).collect(),
            environment: self.environment.clone(),
            directory: Some(&self.dir),
            ..Start::new(&self.namespace.name, &self.agent_path)
        };
        self.agent = Some(start.run(self.log.clone())?);
        Ok(())
    }

    /// Whether pilot-agent runs here.
    pub fn has_proxy(&self) -> bool {
        self.spec.kind != Kind::Bare
    }

    /// Waits until the agent says that the proxy is ready; returns how long that took.
    ///
    /// # Errors
    /// When it does not in time: the text ends with the last lines of its log.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<Duration> {
        let begun = Instant::now();
        while !self.is_ready() {
            let ended = self.agent.as_mut().is_some_and(Process::has_ended);
            if ended || begun.elapsed() > limit {
                let output = self.agent.as_ref().map(|agent| agent.last_output(12));
                bail!("{} is not ready: {}", self.spec.name, output.unwrap_or_default());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(begun.elapsed())
    }

    pub fn is_ready(&self) -> bool {
        let mut call = Call::get("http://127.0.0.1:15021/healthz/ready");
        call.limit_ms = 1_000;
        self.answers(&call).is_ok_and(|all| all.first().is_some_and(|answer| answer.status == 200))
    }

    /// Has the application make a call.
    ///
    /// # Errors
    /// When the call is wrong or the application has gone.
    pub fn answers(&self, call: &Call) -> Result<Vec<Answer>> {
        call.answers(&self.socket).with_context(|| self.spec.name.clone())
    }

    /// The socket that takes calls.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// A page of the proxy's admin port.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn admin(&self, page: &str) -> Result<String> {
        let call = Call::get(&format!("http://127.0.0.1:15000/{page}"));
        let answer = self.answers(&call)?.pop().context("no answer")?;
        ensure!(answer.status == 200, "/{page}: {} {}", answer.status, answer.end);
        Ok(answer.body)
    }

    /// Ends agent and proxy as Kubernetes does, and waits for it: SIGTERM, and what the agent makes of it.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn terminate(&mut self) -> Result<()> {
        if let Some(mut agent) = self.agent.take() {
            agent.signal("TERM")?;
            agent.wait();
        }
        Ok(())
    }

    /// Ends agent and proxy at once.
    pub fn kill(&mut self) {
        self.agent = None;
    }

    /// Stops or continues the agent alone: the proxy's streams to it stay open and silent.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn stall_agent(&self, stalled: bool) -> Result<()> {
        let agent = self.agent.as_ref().context("no agent")?;
        agent.signal(if stalled { "STOP" } else { "CONT" })
    }

    /// The proxy's process.
    ///
    /// # Errors
    /// When there is none.
    pub fn proxy(&self) -> Result<Observed> {
        let pids = sh(&format!("ip netns pids {}", self.namespace.name))?;
        let is_proxy = |pid: &&str| {
            fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == self.proxy_path)
        };
        let pid = pids.split_whitespace().find(is_proxy).context("no proxy runs")?;
        Ok(Observed::new(pid.parse()?))
    }

    /// Runs a command in the pod's namespace.
    ///
    /// # Errors
    /// When it fails.
    pub fn run(&self, words: &str) -> Result<String> {
        self.namespace.run(words)
    }

    pub fn namespace(&self) -> &str {
        &self.namespace.name
    }
}

/// A copy of a program that the proxy's user can reach and run.
///
/// # Errors
/// When it cannot be copied.
pub fn reachable(program: &Path, dir: &Path) -> Result<PathBuf> {
    let name = program.file_name().context("a program without a name")?;
    let copy = dir.join(name);
    fs::copy(program, &copy).with_context(|| program.display().to_string())?;
    fs::set_permissions(&copy, Permissions::from_mode(0o755))?;
    Ok(copy)
}

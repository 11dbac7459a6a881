//! A control plane with its files, a proxy under it, and a client.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::{ControlPlane, resources};
use crate::binary;
use crate::ports::free_port;
use crate::proxy::Proxy;
use crate::scratch::Scratch;
use crate::wire;

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the proxy speaks with the control plane.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// State of the world, over TCP.
    Sotw,
    /// Delta, over a Unix socket, as Istio has it.
    Delta,
}

/// See the module.
#[derive(Debug)]
pub struct World {
    pub scratch: Scratch,
    pub form: Form,
    pub plane: Option<ControlPlane>,
    pub proxy: Option<Proxy>,
    /// Where the proxy is to listen.
    pub port: u16,
    admin: u16,
    address: String,
    version: u32,
}

impl World {
    /// Files, and nothing that runs.
    ///
    /// # Errors
    /// When there is no place or port for it.
    pub fn new(form: Form) -> Result<Self> {
        let scratch = Scratch::new()?;
        fs::create_dir(scratch.path().join("resources"))?;
        let address = match form {
            Form::Sotw => format!("127.0.0.1:{}", free_port()?),
            Form::Delta => scratch.path().join("xds").to_string_lossy().into_owned(),
        };
        let (port, admin) = (free_port()?, free_port()?);
        Ok(Self { scratch, form, plane: None, proxy: None, port, admin, address, version: 0 })
    }

    /// The bootstrap that leads to the control plane, as the server of secrets too.
    #[must_use]
    pub fn bootstrap(&self) -> Value {
        let mode = match self.form {
            Form::Sotw => "GRPC",
            Form::Delta => "DELTA_GRPC",
        };
        let mut bootstrap = resources::bootstrap(self.admin, mode, &self.address);
        let clusters = bootstrap.pointer_mut("/static_resources/clusters");
        if let Some(clusters) = clusters.and_then(Value::as_array_mut) {
            clusters.push(resources::server_cluster("sds-grpc", &self.address));
        }
        bootstrap
    }

    fn file(&self, name: &str) -> PathBuf {
        self.scratch.path().join("resources").join(name).with_extension("json")
    }

    /// Writes a resource; it is served with the next [`push`](Self::push).
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, file: &str, resource: &Value) -> Result<()> {
        Ok(fs::write(self.file(file), resource.to_string())?)
    }

    /// What follows the encoding of a resource: fields that are in no JSON.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_tail(&self, file: &str, bytes: &[u8]) -> Result<()> {
        Ok(fs::write(self.file(file).with_extension("tail"), bytes)?)
    }

    /// Removes a resource.
    ///
    /// # Errors
    /// When there is none.
    pub fn remove(&self, file: &str) -> Result<()> {
        Ok(fs::remove_file(self.file(file))?)
    }

    /// Starts the control plane, or another one in its place.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start_plane(&mut self) -> Result<()> {
        self.version += 1;
        let directory = self.scratch.path().join("resources");
        let plane =
            ControlPlane::start(&directory, &self.version.to_string(), &self.address).await?;
        self.plane = Some(plane);
        Ok(())
    }

    /// Kills the control plane.
    ///
    /// # Errors
    /// When there is none.
    pub fn kill_plane(&mut self) -> Result<()> {
        self.plane.take().map(drop).context("there is no control plane")
    }

    /// Serves the files as they are now.
    ///
    /// # Errors
    /// When there is no control plane.
    pub async fn push(&mut self) -> Result<()> {
        self.version += 1;
        let version = self.version.to_string();
        self.plane()?.load(&version).await
    }

    /// The control plane.
    ///
    /// # Errors
    /// When there is none.
    pub fn plane(&mut self) -> Result<&mut ControlPlane> {
        self.plane.as_mut().context("there is no control plane")
    }

    /// Starts the proxy, without waiting until it is ready.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn launch(&mut self, bootstrap: &Value) -> Result<()> {
        let binary = binary::built()?;
        let dir = self.scratch.path();
        let flags = ["--concurrency", "2", "--log-level", "info"];
        self.proxy = Some(Proxy::launch(&binary, bootstrap, dir, self.admin, &flags)?);
        Ok(())
    }

    /// Starts the control plane and the proxy, and waits until it is ready.
    ///
    /// # Errors
    /// When one of them fails.
    pub async fn start(&mut self) -> Result<()> {
        self.start_plane().await?;
        let bootstrap = self.bootstrap();
        self.launch(&bootstrap)?;
        self.proxy()?.ready().await
    }

    /// The proxy.
    ///
    /// # Errors
    /// When there is none.
    pub fn proxy(&mut self) -> Result<&mut Proxy> {
        self.proxy.as_mut().context("there is no proxy")
    }

    /// What the admin server answers.
    ///
    /// # Errors
    /// When it does not answer 200.
    pub async fn admin(&self, path: &str) -> Result<String> {
        let admin = crate::admin::Admin { port: self.admin };
        let (status, body) = admin.get(path).await?;
        if status != 200 {
            bail!("{path}: {status} {body}");
        }
        Ok(body)
    }

    /// A counter or gauge; `None` if there is none of this name.
    ///
    /// # Errors
    /// When the admin server does not answer.
    pub async fn stat(&self, name: &str) -> Result<Option<i64>> {
        // As a pattern of the name's length: a proxy with thousands of clusters has much to tell.
        let is_plain = |byte: char| byte.is_ascii_alphanumeric() || byte == '_';
        let pattern = name.replace(|byte| !is_plain(byte), ".");
        let text = self.admin(&format!("/stats?filter=^{pattern}$")).await?;
        let mut lines = text.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(found, _)| *found == name);
        Ok(found.and_then(|(_, value)| value.parse().ok()))
    }

    /// The parts of `/config_dump` with these parameters.
    ///
    /// # Errors
    /// When the admin server does not answer.
    pub async fn dump(&self, parameters: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.admin(&format!("/config_dump?{parameters}")).await?)?)
    }

    /// One request to the proxy: status and body. Nothing, if nobody listens.
    pub async fn get(&self, path: &str) -> Option<(u16, String)> {
        timeout(PATIENCE, get(self.port, path)).await.ok()?
    }

    /// Asks until the answer is `wanted`.
    ///
    /// # Errors
    /// When it does not come to that: what was answered last.
    pub async fn until(
        &self,
        path: &str,
        wanted: impl Fn(Option<&(u16, String)>) -> bool,
    ) -> Result<()> {
        let limit = Instant::now() + PATIENCE;
        loop {
            let answer = self.get(path).await;
            if wanted(answer.as_ref()) {
                return Ok(());
            }
            if Instant::now() > limit {
                let log = self.proxy.as_ref().map(|proxy| proxy.last_output(8));
                bail!("the answer stays {answer:?}: {}", log.unwrap_or_default());
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until a counter or gauge has a value.
    ///
    /// # Errors
    /// When it does not get it: its last value.
    pub async fn until_stat(&self, name: &str, wanted: impl Fn(i64) -> bool) -> Result<()> {
        let limit = Instant::now() + PATIENCE;
        loop {
            let value = self.stat(name).await?;
            if value.is_some_and(&wanted) {
                return Ok(());
            }
            if Instant::now() > limit {
                bail!("{name} stays {value:?}");
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: mesh\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.ok()?;
    let (head, rest) = wire::head(&bytes)?;
    let (body, _) = wire::body(head.response_framing(b"GET"), rest);
    Some((head.status(), String::from_utf8_lossy(&body.bytes).into_owned()))
}

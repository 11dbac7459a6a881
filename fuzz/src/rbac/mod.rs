//! Authorization: the compiled engine against an interpreter that knows no shortcut.
//!
//! The input is a seed from which a policy message and requests are made (`message`, `request`). The engine has an index, an order of
//! its own and compiled matchers; the interpreter (`interpret`) walks the message as Envoy documents it. Both must name the same policy.

mod interpret;
mod message;
mod request;
mod words;

use std::sync::LazyLock;

use arbitrary::Unstructured;
use outrigger::config::filters::rbac;
use outrigger::config::{At, Cx};
use outrigger::telemetry::metrics::{Registry, StatsSpec};
use outrigger_xds_api::envoy::extensions::filters::http::rbac::v3::{Rbac as Filter, RbacPerRoute};
use std::sync::Arc;

use self::request::Facts;

/// Requests that each policy is asked about.
const REQUESTS: usize = 6;

#[expect(clippy::expect_used, reason = "without a registry there is nothing to test")]
static REGISTRY: LazyLock<Arc<Registry>> =
    LazyLock::new(|| Registry::new(StatsSpec::default(), 1).expect("the defaults are valid"));

/// `data` decides about the policies and the requests.
pub fn rbac(data: &[u8]) {
    // Whatever is missing of `data` counts as zero.
    let _ = try_rbac(&mut Unstructured::new(data));
}

fn try_rbac(choices: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let rules = message::rules(choices)?;
    let requests: Vec<_> =
        (0..REQUESTS).map(|_| Facts::arbitrary(choices)).collect::<Result<_, _>>()?;
    let cx = Cx::new(&REGISTRY);
    let filter = Filter { rules: Some(rules.clone()), ..Filter::default() };
    let route = RbacPerRoute { rbac: Some(filter) };
    let config = match rbac::per_route(route, &At::root("rbac"), &cx) {
        Ok(config) => config,
        Err(error) => {
            assert!(error.path.starts_with("rbac.rbac.rules"), "no place: {error}");
            return Ok(());
        }
    };
    for facts in &requests {
        facts.with_request(|request| {
            let outcome = config.engine.decide(request);
            let compiled = outcome.enforced.map(|decision| (decision.allowed, decision.policy));
            let interpreted = interpret::decide(&rules, facts);
            assert_eq!(compiled, Some(interpreted), "{facts:#?}\n{rules:#?}");
            assert_eq!(outcome.denial().is_some(), !interpreted.0);
            let reason = config.engine.rules.as_ref().and_then(|rules| rules.explain(request));
            assert_eq!(reason.is_some(), !interpreted.0, "{reason:?}");
        });
    }
    Ok(())
}

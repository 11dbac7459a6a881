//! What one level changes about filters, and what of it holds for a route.
//! (envoy: typed_per_filter_config, config.route.v3.FilterConfig)
//!
//! Two questions are asked of the levels from the most specific on, each on its own, as Envoy does: is the filter off (the first level
//! that names it decides), and with which settings does it run (the first level that has any, but cross-origin policies of all
//! levels are merged). All is answered here: a route carries the result.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use outrigger_policy::cors::{CorsLevel, CorsPolicy};
use outrigger_policy::fault::Fault;
use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::route::v3::FilterConfig;
use outrigger_xds_api::google::protobuf::Any;

use crate::config::common::{Translated, decode, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::filters;
use crate::http::filters::{FilterOverride, FilterOverrides, RbacConfig};

/// Filters that a level may name: more than any connection manager has, and few enough for a search.
const MAX_FILTERS: usize = 100;

/// What one level says of filters, by their names.
#[derive(Default)]
pub(super) struct Overrides(BTreeMap<Arc<str>, Setting>);

/// What one level says of one filter.
enum Setting {
    /// It is off.
    Off,
    /// It is on, with the settings of a less specific level or its own.
    On,
    Cors(Box<CorsLevel>),
    Fault(Arc<Fault>),
    Rbac(Arc<RbacConfig>),
}

impl Overrides {
    pub(super) fn new(
        messages: HashMap<String, Any>,
        at: &At<'_>,
        cx: &Cx<'_>,
    ) -> Translated<Self> {
        let at = at.field("typed_per_filter_config");
        if messages.len() > MAX_FILTERS {
            return Err(at.error(format_args!("names more than {MAX_FILTERS} filters")));
        }
        // The map comes in any order: sorted, the same mistake is always told first.
        let mut messages: Vec<_> = messages.into_iter().collect();
        messages.sort_by(|a, b| a.0.cmp(&b.0));
        let setting = |(name, any): (String, Any)| {
            Ok((name.as_str().into(), setting(&any, &at.key(&name), cx)?))
        };
        messages.into_iter().map(setting).collect::<Result<_, _>>().map(Self)
    }

    /// What holds at this level, which stands above `below`, the most specific first. `inherited` is what holds at the first of
    /// them, or nothing where another place is asked for filters that this level does not name.
    pub(super) fn over(
        &self,
        below: &[&Self],
        inherited: Option<&Arc<FilterOverrides>>,
    ) -> Arc<FilterOverrides> {
        if self.0.is_empty() {
            return inherited.cloned().unwrap_or_default();
        }
        let by_name = self.0.iter().map(|(name, own)| {
            let less_specific = below.iter().filter_map(|level| level.0.get(name));
            let settings: Vec<_> = std::iter::once(own).chain(less_specific).collect();
            (name.clone(), resolve(&settings))
        });
        Arc::new(FilterOverrides { by_name: by_name.collect(), inherited: inherited.cloned() })
    }
}

fn resolve(settings: &[&Setting]) -> FilterOverride {
    if let Some(Setting::Off) = settings.first() {
        return FilterOverride::Disabled;
    }
    let first = settings.iter().find(|setting| !matches!(setting, Setting::Off | Setting::On));
    match first {
        Some(Setting::Fault(fault)) => FilterOverride::Fault(fault.clone()),
        Some(Setting::Rbac(config)) => FilterOverride::Rbac(config.clone()),
        Some(Setting::Cors(_)) => cors(settings),
        None | Some(Setting::Off | Setting::On) => FilterOverride::Enabled,
    }
}

/// Levels were checked one by one, so merging them cannot fail.
fn cors(settings: &[&Setting]) -> FilterOverride {
    let levels = settings.iter().filter_map(|setting| match setting {
        Setting::Cors(level) => Some((**level).clone()),
        _ => None,
    });
    match CorsPolicy::new(levels) {
        Ok(Some(policy)) => FilterOverride::Cors(Arc::new(policy)),
        Ok(None) | Err(_) => FilterOverride::Enabled,
    }
}

fn setting(config: &Any, at: &At<'_>, cx: &Cx<'_>) -> Translated<Setting> {
    if any::type_name(&config.type_url) != Some("envoy.config.route.v3.FilterConfig") {
        return match known(config, at, cx)? {
            Some(setting) => Ok(setting),
            None => Err(at.unsupported(format_args!("the filter setting '{}'", config.type_url))),
        };
    }
    let message: FilterConfig = decode(config, at)?;
    fields!(cx, at, message => FilterConfig { used: config, is_optional, disabled; });
    if disabled {
        return Ok(Setting::Off);
    }
    let at = at.field("config");
    let config = required(config, &at)?;
    if config.type_url.is_empty() {
        return Ok(Setting::On);
    }
    match known(&config, &at, cx)? {
        Some(setting) => Ok(setting),
        None if is_optional => {
            cx.note_ignored(&at, "it is optional and not known");
            Ok(Setting::On)
        }
        None => Err(at.unsupported(format_args!("the filter setting '{}'", config.type_url))),
    }
}

/// The setting in `config`, if its type is known.
fn known(config: &Any, at: &At<'_>, cx: &Cx<'_>) -> Translated<Option<Setting>> {
    Ok(Some(match any::type_name(&config.type_url) {
        Some("envoy.extensions.filters.http.cors.v3.CorsPolicy") => {
            Setting::Cors(Box::new(filters::cors_level(decode(config, at)?, at, cx)?))
        }
        Some("envoy.extensions.filters.http.fault.v3.HTTPFault") => {
            Setting::Fault(Arc::new(filters::fault(decode(config, at)?, at, cx)?))
        }
        Some("envoy.extensions.filters.http.rbac.v3.RBACPerRoute") => {
            Setting::Rbac(Arc::new(filters::rbac::per_route(decode(config, at)?, at, cx)?))
        }
        _ => return Ok(None),
    }))
}

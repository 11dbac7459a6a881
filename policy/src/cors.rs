//! Cross-origin requests: which are answered here, and which responses are marked.
//! (envoy: extensions.filters.http.cors.v3)
//!
//! The filter asks [`CorsPolicy::decide`] when a route is known that leads to a cluster: direct responses and
//! redirects are left alone. A granted response is marked by [`CorsPolicy::mark`], local replies of later
//! filters included. Header names and their order are Envoy's. Absent: the upstream's own headers are not
//! judged, only replaced.

use std::borrow::Cow;
use std::sync::Arc;

use rand::Rng;
use smallvec::SmallVec;

use crate::fraction::Fraction;
use crate::head::{Headers, Id, RequestHead, ResponseHead, is_value_byte};
use crate::matcher::StringMatcher;

/// `%RESPONSE_CODE_DETAILS%` of an answered preflight request.
pub const ANSWER_DETAILS: &str = "cors_response";

/// The settings of one level: a route, its virtual host or its route configuration. Many routes take them
/// from one level, so they are shared.
/// (envoy: extensions.filters.http.cors.v3.CorsPolicy)
#[derive(Clone, Debug, Default)]
pub struct CorsLevel {
    /// Origins that are allowed; one that matches `*` allows all.
    pub allow_origins: Arc<[StringMatcher]>,
    /// `access-control-allow-methods`; `*` repeats what was asked for.
    pub allow_methods: Arc<str>,
    /// `access-control-allow-headers`; `*` repeats what was asked for.
    pub allow_headers: Arc<str>,
    /// `access-control-expose-headers`
    pub expose_headers: Arc<str>,
    /// `access-control-max-age`
    pub max_age: Arc<str>,
    /// `access-control-allow-credentials`; off.
    pub allow_credentials: Option<bool>,
    /// `access-control-allow-private-network`; off.
    pub allow_private_network: Option<bool>,
    /// Preflight requests of other origins go to the upstream; on.
    pub forward_not_matching_preflights: Option<bool>,
    /// Share of requests for which the policy counts; all. Only the most specific level's is used.
    pub filter_enabled: Option<Fraction>,
    /// Share of the other requests of which the origin is only counted; none. As above.
    pub shadow_enabled: Option<Fraction>,
}

/// A text of the policy cannot stand in a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} holds a control character")]
pub struct CorsError(&'static str);

/// The policy of a route, of all its levels.
#[derive(Clone, Debug)]
pub struct CorsPolicy {
    level: CorsLevel,
    any_origin: bool,
}

/// An origin that was granted access, as the request spelled it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted(SmallVec<[u8; 64]>);

/// What to do with a request, and what to count.
#[derive(Clone, Debug)]
pub struct CorsDecision {
    /// `Some` if the request has an origin that was judged: counters `origin_valid`, `origin_invalid`.
    pub origin_valid: Option<bool>,
    /// What to do.
    pub action: CorsAction,
}

/// What to do with a request.
#[derive(Clone, Debug)]
pub enum CorsAction {
    /// Send it on; leave the response as it is.
    Pass,
    /// Send it on and mark whatever response comes.
    Mark(Granted),
    /// Send this response, with [`ANSWER_DETAILS`].
    Answer(ResponseHead),
}

impl CorsPolicy {
    /// Merges `levels`, the most specific first; `None` without levels. What a level leaves empty or unset
    /// it takes from the next.
    ///
    /// # Errors
    /// If a text holds what no header value may hold.
    pub fn new(levels: impl IntoIterator<Item = CorsLevel>) -> Result<Option<Self>, CorsError> {
        let mut levels = levels.into_iter();
        let Some(first) = levels.next() else { return Ok(None) };
        let level = levels.fold(first, inherit);
        for (field, text) in [
            ("allow_methods", &level.allow_methods),
            ("allow_headers", &level.allow_headers),
            ("expose_headers", &level.expose_headers),
            ("max_age", &level.max_age),
        ] {
            if !text.bytes().all(is_value_byte) {
                return Err(CorsError(field));
            }
        }
        let any_origin = level.allow_origins.iter().any(|matcher| matcher.matches(b"*"));
        Ok(Some(Self { level, any_origin }))
    }

    /// Decides about a request whose route leads to a cluster.
    pub fn decide(&self, head: &RequestHead, rng: &mut impl Rng) -> CorsDecision {
        let mut decision = CorsDecision { origin_valid: None, action: CorsAction::Pass };
        let mut draw = |fraction: Fraction| fraction.holds(rng.next_u64());
        let enabled = self.level.filter_enabled.is_none_or(&mut draw);
        if !enabled && !self.level.shadow_enabled.is_some_and(draw) {
            return decision;
        }
        let Some(origin) = value(&head.headers, Id::ORIGIN).filter(|origin| !origin.is_empty())
        else {
            return decision;
        };
        let valid = self.allows(&origin);
        decision.origin_valid = Some(valid);
        if enabled {
            decision.action = self.act(head, &origin, valid);
        }
        decision
    }

    /// Marks the response to a granted request: a header that is there is replaced in its place.
    pub fn mark(&self, granted: &Granted, response: &mut ResponseHead) {
        let headers = &mut response.headers;
        headers.set(Id::ACCESS_CONTROL_ALLOW_ORIGIN, &granted.0);
        if self.level.allow_credentials == Some(true) {
            headers.set(Id::ACCESS_CONTROL_ALLOW_CREDENTIALS, b"true");
        }
        if !self.level.expose_headers.is_empty() {
            headers.set(Id::ACCESS_CONTROL_EXPOSE_HEADERS, self.level.expose_headers.as_bytes());
        }
    }

    fn allows(&self, origin: &[u8]) -> bool {
        self.any_origin || self.level.allow_origins.iter().any(|matcher| matcher.matches(origin))
    }

    fn act(&self, head: &RequestHead, origin: &[u8], valid: bool) -> CorsAction {
        let method = value(&head.headers, Id::ACCESS_CONTROL_REQUEST_METHOD);
        let preflight = method.filter(|method| head.method() == b"OPTIONS" && !method.is_empty());
        let granted = valid.then(|| Granted(SmallVec::from_slice(origin)));
        let forward = self.level.forward_not_matching_preflights.unwrap_or(true);
        match (preflight, granted) {
            (Some(method), granted) if granted.is_some() || !forward => {
                CorsAction::Answer(self.answer(head, &method, granted.as_ref()))
            }
            (_, Some(granted)) => CorsAction::Mark(granted),
            (_, None) => CorsAction::Pass,
        }
    }

    /// The answer to a preflight request; without `granted` a browser reads a refusal.
    fn answer(&self, head: &RequestHead, method: &[u8], granted: Option<&Granted>) -> ResponseHead {
        let level = &self.level;
        let mut response = ResponseHead::new(200);
        let headers = &mut response.headers;
        if let Some(Granted(origin)) = granted {
            headers.append_id(Id::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
        if level.allow_credentials == Some(true) {
            headers.append_id(Id::ACCESS_CONTROL_ALLOW_CREDENTIALS, b"true");
        }
        match &*level.allow_methods {
            "" => {}
            "*" => headers.append_id(Id::ACCESS_CONTROL_ALLOW_METHODS, method),
            text => headers.append_id(Id::ACCESS_CONTROL_ALLOW_METHODS, text.as_bytes()),
        }
        match &*level.allow_headers {
            "" => {}
            "*" => {
                let asked = value(&head.headers, Id::ACCESS_CONTROL_REQUEST_HEADERS);
                headers.append_id(Id::ACCESS_CONTROL_ALLOW_HEADERS, &asked.unwrap_or_default());
            }
            text => headers.append_id(Id::ACCESS_CONTROL_ALLOW_HEADERS, text.as_bytes()),
        }
        if !level.max_age.is_empty() {
            headers.append_id(Id::ACCESS_CONTROL_MAX_AGE, level.max_age.as_bytes());
        }
        let private = value(&head.headers, Id::ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK);
        if level.allow_private_network == Some(true) && private.as_deref() == Some(b"true") {
            headers.append_id(Id::ACCESS_CONTROL_ALLOW_PRIVATE_NETWORK, b"true");
        }
        if let Some(granted) = granted {
            self.mark(granted, &mut response);
        }
        response
    }
}

fn inherit(level: CorsLevel, less_specific: CorsLevel) -> CorsLevel {
    let text = |own: Arc<str>, other| if own.is_empty() { other } else { own };
    CorsLevel {
        allow_origins: if level.allow_origins.is_empty() {
            less_specific.allow_origins
        } else {
            level.allow_origins
        },
        allow_methods: text(level.allow_methods, less_specific.allow_methods),
        allow_headers: text(level.allow_headers, less_specific.allow_headers),
        expose_headers: text(level.expose_headers, less_specific.expose_headers),
        max_age: text(level.max_age, less_specific.max_age),
        allow_credentials: level.allow_credentials.or(less_specific.allow_credentials),
        allow_private_network: level.allow_private_network.or(less_specific.allow_private_network),
        forward_not_matching_preflights: level
            .forward_not_matching_preflights
            .or(less_specific.forward_not_matching_preflights),
        filter_enabled: level.filter_enabled,
        shadow_enabled: level.shadow_enabled,
    }
}

/// The value of `id`, its lines joined by commas: two origins are then none that is allowed.
fn value(headers: &Headers, id: Id) -> Option<Cow<'_, [u8]>> {
    let mut lines = headers.get_all_id(id);
    let first = lines.next()?;
    let mut value = Cow::Borrowed(first);
    for line in lines {
        let joined = value.to_mut();
        joined.push(b',');
        joined.extend_from_slice(line);
    }
    Some(value)
}

#[cfg(test)]
mod tests;

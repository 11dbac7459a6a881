//! Compresses responses for clients that say they can read them. (envoy: envoy.filters.http.compressor, with gzip)
//!
//! Decides by the headers of both sides; `gzip` does it while the body passes.

use std::str;

use outrigger_policy::head::{Headers, Id, integer, tokens};

use super::{FilterOverride, Step};
use crate::exchange::Exchange;
use crate::http::gzip::Gzip;
use crate::telemetry::metrics::{CompressedStat, CompressedStats, CompressorStat, CompressorStats};

/// The filter.
#[derive(Debug)]
pub struct CompressorFilter {
    /// It does something. (envoy: enabled)
    pub is_enabled: bool,
    /// Shorter bodies are left alone. (envoy: min_content_length)
    pub min_length: u64,
    /// Other types of content are left alone: in lower case; all are compressed if there is none. (envoy: content_type)
    pub content_types: Box<[Box<str>]>,
    /// What has a validator is left alone. (envoy: disable_on_etag_header)
    pub spares_etags: bool,
    /// A strong validator is made a weak one, and does not go. (envoy: weaken_etag_on_compress)
    pub weakens_etags: bool,
    /// The upstream does not learn what the client can read. (envoy: remove_accept_encoding_header)
    pub hides_accepted: bool,
    /// Statuses whose bodies are left alone. (envoy: uncompressible_response_codes)
    pub spared_codes: Box<[u16]>,
    /// From 1, quick, to 9, small. (envoy: compression_level)
    pub level: u32,
    /// Counters of what clients can read.
    pub stats: CompressorStats,
    /// Counters of what was done.
    pub compressed: CompressedStats,
}

/// What the client can read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Accepted {
    /// It does not say.
    #[default]
    Unsaid,
    /// Nothing that we write, or nonsense.
    Nothing,
    /// Rather what is not compressed.
    Identity,
    /// Anything.
    Anything,
    /// Our encoding by its name.
    Gzip,
}

impl CompressorFilter {
    pub(super) fn on_request(&self, exchange: &mut Exchange, _: Option<&FilterOverride>) -> Step {
        exchange.filters.accepted = accepted(&exchange.request.headers);
        if self.is_enabled && self.hides_accepted {
            exchange.request_mut().headers.remove(Id::ACCEPT_ENCODING);
        }
        Step::Continue
    }

    pub(super) fn on_response(&self, exchange: &mut Exchange) {
        let is_long = self.is_enabled && self.is_long_enough(&exchange.response.headers);
        let has_body = is_long && !exchange.response_body.is_end();
        let may_be = is_long && self.may_be_compressed(exchange);
        if has_body && self.is_accepted(exchange) && may_be {
            self.mark(&mut exchange.response.headers);
            let body = std::mem::take(&mut exchange.response_body);
            exchange.response_body = Gzip::around(body, self.level, self.compressed.clone());
            self.compressed.inc(CompressedStat::compressed);
        } else {
            self.compressed.inc(CompressedStat::not_compressed);
        }
        // Caches have to know even if this client gets it as it is.
        if may_be && !exchange.response.headers.has_token(Id::VARY, "accept-encoding") {
            vary(&mut exchange.response.headers);
        }
    }

    fn may_be_compressed(&self, exchange: &Exchange) -> bool {
        let headers = &exchange.response.headers;
        if self.spares_etags && headers.contains(Id::ETAG) {
            self.stats.inc(CompressorStat::not_compressed_etag);
            return false;
        }
        let status = exchange.response.status;
        status != 101
            && status != 206
            && !self.spared_codes.contains(&status)
            && self.is_of_a_type(headers)
            && !headers.has_token(Id::CACHE_CONTROL, "no-transform")
            && !headers.contains(Id::CONTENT_ENCODING)
    }

    fn is_of_a_type(&self, headers: &Headers) -> bool {
        let Some(value) = headers.get(Id::CONTENT_TYPE) else { return true };
        let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
        let name = value.get(..end).unwrap_or_default().trim_ascii();
        let mut types = self.content_types.iter();
        self.content_types.is_empty()
            || types.any(|wanted| wanted.as_bytes().eq_ignore_ascii_case(name))
    }

    fn is_long_enough(&self, headers: &Headers) -> bool {
        let length = headers.get(Id::CONTENT_LENGTH).and_then(integer);
        let is_long = length.is_none_or(|length| length >= self.min_length);
        if !is_long {
            self.compressed.inc(CompressedStat::content_length_too_small);
        }
        is_long
    }

    fn is_accepted(&self, exchange: &Exchange) -> bool {
        let accepted = match exchange.filters.accepted {
            // For other types of content we do not count as an encoder.
            Accepted::Anything | Accepted::Gzip
                if !self.is_of_a_type(&exchange.response.headers) =>
            {
                Accepted::Nothing
            }
            accepted => accepted,
        };
        self.stats.inc(match accepted {
            Accepted::Unsaid => CompressorStat::no_accept_header,
            Accepted::Nothing => CompressorStat::header_not_valid,
            Accepted::Identity => CompressorStat::header_identity,
            Accepted::Anything => CompressorStat::header_wildcard,
            Accepted::Gzip => CompressorStat::header_compressor_used,
        });
        matches!(accepted, Accepted::Anything | Accepted::Gzip)
    }

    fn mark(&self, headers: &mut Headers) {
        if let Some(etag) = headers.get(Id::ETAG)
            && !etag.starts_with(b"W/")
            && !etag.starts_with(b"w/")
        {
            // It promises the same bytes.
            let weak = [b"W/", etag].concat();
            if self.weakens_etags {
                headers.set(Id::ETAG, &weak);
            } else {
                headers.remove(Id::ETAG);
            }
        }
        headers.remove(Id::CONTENT_LENGTH);
        headers.set(Id::CONTENT_ENCODING, b"gzip");
    }
}

fn vary(headers: &mut Headers) {
    let value = match headers.get(Id::VARY) {
        Some(value) => [value, b", Accept-Encoding"].concat(),
        None => b"Accept-Encoding".to_vec(),
    };
    headers.set(Id::VARY, &value);
}

/// What the client likes best of what there is; of equals, what it names first. (envoy: `chooseEncoding`)
fn accepted(headers: &Headers) -> Accepted {
    if !headers.contains(Id::ACCEPT_ENCODING) {
        return Accepted::Unsaid;
    }
    let mut best = (0.0, Accepted::Nothing);
    for token in headers.get_all_id(Id::ACCEPT_ENCODING).flat_map(tokens) {
        let mut parts = token.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let encoding = match parts.next() {
            Some(b"*") => Accepted::Anything,
            Some(b"gzip") => Accepted::Gzip,
            Some(b"identity") => Accepted::Identity,
            _ => continue,
        };
        let weight = parts.find_map(quality).unwrap_or(1.0);
        if weight > best.0 {
            best = (weight, encoding);
        }
    }
    best.1
}

/// The number in `q=0.5`; zero if it is none.
fn quality(parameter: &[u8]) -> Option<f32> {
    let (name, value) = parameter.split_at(parameter.iter().position(|byte| *byte == b'=')?);
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    let number = str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    name.trim_ascii().eq_ignore_ascii_case(b"q").then(|| number.unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_says_what_it_can_read() {
        for (value, expected) in [
            ("gzip", Accepted::Gzip),
            ("deflate, gzip;q=1.0, *;q=0.5", Accepted::Gzip),
            ("gzip;q=0", Accepted::Nothing),
            ("br", Accepted::Nothing),
            ("gzip;q=x", Accepted::Nothing),
            ("", Accepted::Nothing),
            ("GZIP", Accepted::Nothing),
            ("*", Accepted::Anything),
            ("*;q=0.1", Accepted::Anything),
            ("identity, gzip", Accepted::Identity),
            ("gzip, identity", Accepted::Gzip),
            ("identity;q=0.5, gzip ; q=0.6", Accepted::Gzip),
        ] {
            let mut headers = Headers::default();
            headers.append(b"accept-encoding", value.as_bytes());
            assert_eq!(accepted(&headers), expected, "{value}");
        }
        assert_eq!(accepted(&Headers::default()), Accepted::Unsaid);
    }
}

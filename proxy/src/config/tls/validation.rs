//! How a peer's certificate is checked. (envoy: extensions.transport_sockets.tls.v3.CertificateValidationContext)

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use outrigger_policy::matcher::StringMatcher;
use outrigger_xds_api::envoy::extensions::transport_sockets::tls::v3::certificate_validation_context::TrustChainVerification;
use outrigger_xds_api::envoy::extensions::transport_sockets::tls::v3::subject_alt_name_matcher::SanType;
use outrigger_xds_api::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, SubjectAltNameMatcher,
};
use outrigger_xds_api::envoy::r#type::matcher::v3::StringMatcher as StringMessage;

use super::context::Side;
use crate::config::common::{Translated, data_source, data_source_path, enumeration, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::matcher;
use crate::tls::{Roots, SanKind, SanMatcher, Validation};

/// (envoy: CertificateValidationContext.max_verify_depth)
const MAX_DEPTH: u32 = 100;

/// A whole context: what contradicts itself is refused.
pub(super) fn validation(
    message: CertificateValidationContext,
    at: &At<'_>,
    cx: &Cx<'_>,
    side: Side,
) -> Translated<Validation> {
    let validation = partial(message, at, cx, side)?;
    if validation.roots.is_none() && !validation.sans.is_empty() {
        return Err(at.error(
            "names in a certificate that nobody has signed prove nothing: trusted_ca is missing",
        ));
    }
    Ok(validation)
}

/// A context that a secret completes.
pub(super) fn partial(
    message: CertificateValidationContext,
    at: &At<'_>,
    cx: &Cx<'_>,
    side: Side,
) -> Translated<Validation> {
    fields!(cx, at, message => CertificateValidationContext {
        used: trusted_ca, verify_certificate_spki, verify_certificate_hash,
            match_typed_subject_alt_names, match_subject_alt_names, trust_chain_verification,
            max_verify_depth, suppress_client_ca_list;
        ignored:
            watched_directory = "only secrets by discovery are watched, as in Envoy",
            only_verify_leaf_cert_crl = "there is no revocation list";
        refused:
            ca_certificate_provider_instance = "a certificate provider",
            system_root_certs = "trust in the roots of the system",
            require_signed_certificate_timestamp = "requiring signed certificate timestamps",
            crl = "a revocation list",
            allow_expired_certificate = "accepting expired certificates",
            custom_validator_config = "another validator";
    });
    let verification_at = at.field("trust_chain_verification");
    let accepts_untrusted = match enumeration(trust_chain_verification, &verification_at)? {
        TrustChainVerification::VerifyTrustChain => false,
        TrustChainVerification::AcceptUntrusted => match side {
            Side::Client => true,
            Side::Server => {
                return Err(verification_at.unsupported("accepting clients that are not verified"));
            }
        },
    };
    let max_depth = max_verify_depth.map(|depth| depth.value);
    if max_depth.is_some_and(|depth| depth > MAX_DEPTH) {
        return Err(at.field("max_verify_depth").error("must be at most 100"));
    }
    let sans = if match_typed_subject_alt_names.is_empty() {
        untyped_sans(match_subject_alt_names, &at.field("match_subject_alt_names"), cx)?
    } else {
        typed_sans(match_typed_subject_alt_names, &at.field("match_typed_subject_alt_names"), cx)?
    };
    let hash_at = at.field("verify_certificate_hash");
    let spki_at = at.field("verify_certificate_spki");
    let each = |(index, text): (usize, String)| hash(&text, &hash_at.index(index));
    let hashes =
        verify_certificate_hash.into_iter().enumerate().map(each).collect::<Translated<_>>()?;
    let each = |(index, text): (usize, String)| spki_hash(&text, &spki_at.index(index));
    let spki_hashes =
        verify_certificate_spki.into_iter().enumerate().map(each).collect::<Translated<_>>()?;
    let roots = match trusted_ca {
        None => None,
        Some(message) => {
            let at = at.field("trusted_ca");
            let path = data_source_path(&message);
            let pem = data_source(message, &at, cx)?;
            let roots = Roots::from_pem(&pem).map_err(|error| at.error(error))?;
            Some(roots.from_path(&path))
        }
    };
    Ok(Validation {
        roots,
        max_depth,
        sans,
        hashes,
        spki_hashes,
        accepts_untrusted,
        hides_roots: suppress_client_ca_list,
    })
}

fn typed_sans(
    messages: Vec<SubjectAltNameMatcher>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Vec<SanMatcher>> {
    let each = |(index, message)| {
        let at = at.index(index);
        fields!(cx, at, message => SubjectAltNameMatcher {
            used: san_type, matcher;
            ignored: oid = "only names of other types have one";
        });
        let type_at = at.field("san_type");
        let kind = match enumeration(san_type, &type_at)? {
            SanType::Unspecified => return Err(type_at.error("must be specified")),
            SanType::Email => SanKind::Email,
            SanType::Dns => SanKind::Dns,
            SanType::Uri => SanKind::Uri,
            SanType::IpAddress => SanKind::Ip,
            SanType::OtherName => return Err(type_at.unsupported("a name of another type")),
        };
        let at = at.field("matcher");
        Ok(SanMatcher { kind, matcher: matcher::string(required(matcher, &at)?, &at, cx)? })
    };
    messages.into_iter().enumerate().map(each).collect()
}

/// Matchers without a type match names of all types. Istio still writes them.
fn untyped_sans(
    messages: Vec<StringMessage>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Vec<SanMatcher>> {
    let mut sans = Vec::new();
    for (index, message) in messages.into_iter().enumerate() {
        let matcher: StringMatcher = matcher::string(message, &at.index(index), cx)?;
        for kind in [SanKind::Dns, SanKind::Uri, SanKind::Email, SanKind::Ip] {
            sans.push(SanMatcher { kind, matcher: matcher.clone() });
        }
    }
    Ok(sans)
}

/// 64 hex digits, or 32 pairs of them with colons between.
fn hash(text: &str, at: &At<'_>) -> Translated<[u8; 32]> {
    let error = || at.error(format_args!("'{}' is no SHA-256 in hex", text.escape_debug()));
    let pairs: Vec<&str> = if text.contains(':') {
        text.split(':').collect()
    } else {
        let (mut pairs, mut rest) = (Vec::new(), text);
        while let Some((pair, tail)) = rest.split_at_checked(2).filter(|_| !rest.is_empty()) {
            pairs.push(pair);
            rest = tail;
        }
        if rest.is_empty() { pairs } else { return Err(error()) }
    };
    let is_hex = |pair: &&str| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
    if !pairs.iter().all(is_hex) {
        return Err(error());
    }
    let bytes = pairs.iter().filter_map(|pair| u8::from_str_radix(pair, 16).ok());
    bytes.collect::<Vec<u8>>().try_into().map_err(|_| error())
}

/// 44 characters of base64.
fn spki_hash(text: &str, at: &At<'_>) -> Translated<[u8; 32]> {
    let decoded = STANDARD.decode(text).ok();
    decoded
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| at.error(format_args!("'{}' is no SHA-256 in base64", text.escape_debug())))
}

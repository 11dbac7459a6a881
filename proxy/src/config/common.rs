//! Small messages that stand in many others.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use outrigger_policy::fraction::{Denominator, Fraction};
use outrigger_policy::head::is_value_byte;
use outrigger_xds::Resource;
use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::core::v3::address::Address as AddressKind;
use outrigger_xds_api::envoy::config::core::v3::socket_address::PortSpecifier;
use outrigger_xds_api::envoy::config::core::v3::{
    Address, CidrRange, DataSource, Locality as LocalityMessage, Pipe, RuntimeFractionalPercent,
    SocketAddress, TypedExtensionConfig, data_source,
};
use outrigger_xds_api::envoy::r#type::v3::fractional_percent::DenominatorType;
use outrigger_xds_api::envoy::r#type::v3::{FractionalPercent, Int32Range, Percent};
use outrigger_xds_api::google;
use outrigger_xds_api::google::protobuf::Any;

use super::cx::Cx;
use super::error::{At, ConfigError};
use super::fields::fields;
use crate::net;
use crate::upstream::host::Locality;

/// The longest duration. (envoy: `DurationUtil::validateDurationNoThrow`)
const MAX_DURATION_SECS: u64 = 9_223_372_035;

/// Bytes of a file that configuration may name.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The result of translating something.
pub(super) type Translated<T> = Result<T, ConfigError>;

/// The message in `config`.
pub(super) fn decode<M: prost::Message + prost::Name + Default>(
    config: &Any,
    at: &At<'_>,
) -> Translated<M> {
    any::decode(config).map_err(|error| at.error(error))
}

/// The message in a resource.
pub(super) fn message_of<M: prost::Message + Default>(
    resource: &Resource,
    at: &At<'_>,
) -> Translated<M> {
    M::decode(resource.body.clone()).map_err(|error| at.error(error))
}

/// A place.
pub(super) fn locality(message: LocalityMessage, at: &At<'_>, cx: &Cx<'_>) -> Locality {
    fields!(cx, at, message => LocalityMessage { used: region, zone, sub_zone; });
    Locality { region: region.into(), zone: zone.into(), sub_zone: sub_zone.into() }
}

/// The value of a field that must be set.
pub(super) fn required<T>(value: Option<T>, at: &At<'_>) -> Translated<T> {
    value.ok_or_else(|| at.error("is required"))
}

/// A string that must not be empty.
pub(super) fn non_empty(text: String, at: &At<'_>) -> Translated<String> {
    if text.is_empty() { Err(at.error("must not be empty")) } else { Ok(text) }
}

/// A text that may be the value of a header line.
pub(super) fn header_value(text: String, at: &At<'_>) -> Translated<String> {
    if text.bytes().all(is_value_byte) {
        Ok(text)
    } else {
        Err(at.error("holds a control character"))
    }
}

/// A duration, which must not be negative.
pub(super) fn duration(
    value: Option<google::protobuf::Duration>,
    at: &At<'_>,
) -> Translated<Option<Duration>> {
    let Some(google::protobuf::Duration { seconds, nanos }) = value else { return Ok(None) };
    let (Ok(seconds), Ok(nanos)) = (u64::try_from(seconds), u32::try_from(nanos)) else {
        return Err(at.error("must not be negative"));
    };
    if nanos >= 1_000_000_000 || seconds > MAX_DURATION_SECS {
        return Err(at.error("is no valid duration"));
    }
    Ok(Some(Duration::new(seconds, nanos)))
}

/// A timeout: `default` if it is unset, none if it is zero.
pub(super) fn timeout(
    value: Option<google::protobuf::Duration>,
    default: Option<Duration>,
    at: &At<'_>,
) -> Translated<Option<Duration>> {
    Ok(duration(value, at)?.map_or(default, |timeout| Some(timeout).filter(|t| !t.is_zero())))
}

/// The value of a wrapped number.
pub(super) fn u32_or(value: Option<google::protobuf::UInt32Value>, default: u32) -> u32 {
    value.map_or(default, |value| value.value)
}

/// The value of a wrapped boolean.
pub(super) fn bool_or(value: Option<google::protobuf::BoolValue>, default: bool) -> bool {
    value.map_or(default, |value| value.value)
}

/// A number of an enumeration as its value; unknown numbers are refused.
pub(super) fn enumeration<E: TryFrom<i32>>(number: i32, at: &At<'_>) -> Translated<E> {
    E::try_from(number)
        .map_err(|_| at.error(format_args!("{number} is no value of the enumeration")))
}

/// The name and the configuration of an extension.
pub(super) fn extension(
    message: TypedExtensionConfig,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> (String, Option<Any>) {
    fields!(cx, at, message => TypedExtensionConfig { used: name, typed_config; });
    (name, typed_config)
}

/// Which kind of address it is.
pub(super) fn address_kind(message: Address, at: &At<'_>, cx: &Cx<'_>) -> Translated<AddressKind> {
    fields!(cx, at, message => Address { used: address; });
    required(address, at)
}

/// A range of numbers: the first, and the one after the last.
pub(super) fn int_range(message: Int32Range, at: &At<'_>, cx: &Cx<'_>) -> (i32, i32) {
    fields!(cx, at, message => Int32Range { used: start, end; });
    (start, end)
}

/// An address that sockets can be bound or connected to.
pub(super) fn address(message: Address, at: &At<'_>, cx: &Cx<'_>) -> Translated<net::Address> {
    match address_kind(message, at, cx)? {
        AddressKind::SocketAddress(message) => {
            let at = at.field("socket_address");
            let Endpoint { host, port, .. } = socket_address(message, &at, cx)?;
            let ip: IpAddr = host.parse().map_err(|_| {
                at.field("address").error(format_args!("'{host}' is no IP address"))
            })?;
            Ok(SocketAddr::new(ip, port).into())
        }
        AddressKind::Pipe(message) => pipe(message, &at.field("pipe"), cx).map(|(path, _)| path),
        AddressKind::EnvoyInternalAddress(_) => {
            Err(at.field("envoy_internal_address").unsupported("an internal address"))
        }
    }
}

/// A socket address whose host may be a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Name or IP address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// An IPv6 socket also takes IPv4.
    pub ipv4_compat: bool,
}

/// A socket address.
pub(super) fn socket_address(
    message: SocketAddress,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Endpoint> {
    fields!(cx, at, message => SocketAddress {
        used: protocol, address, port_specifier, ipv4_compat;
        refused:
            resolver_name = "a resolver of its own",
            network_namespace_filepath = "another network namespace";
    });
    if protocol != 0 {
        return Err(at.field("protocol").unsupported("UDP"));
    }
    let host = non_empty(address, &at.field("address"))?;
    let port = match required(port_specifier, &at.field("port_value"))? {
        PortSpecifier::PortValue(port) => u16::try_from(port)
            .map_err(|_| at.field("port_value").error(format_args!("{port} is no port")))?,
        PortSpecifier::NamedPort(_) => {
            return Err(at.field("named_port").unsupported("a named port"));
        }
    };
    Ok(Endpoint { host, port, ipv4_compat })
}

/// The path of a Unix socket, and its mode.
pub(super) fn pipe(message: Pipe, at: &At<'_>, cx: &Cx<'_>) -> Translated<(net::Address, u32)> {
    fields!(cx, at, message => Pipe { used: path, mode; });
    let path = non_empty(path, &at.field("path"))?;
    if path.starts_with('@') {
        return Err(at.field("path").unsupported("an abstract socket"));
    }
    if path.len() > 107 {
        return Err(at.field("path").error("is longer than a Unix socket's path can be"));
    }
    Ok((net::Address::Pipe(path.into()), mode))
}

/// An address range.
pub(super) fn cidr(message: CidrRange, at: &At<'_>, cx: &Cx<'_>) -> Translated<IpNet> {
    fields!(cx, at, message => CidrRange { used: address_prefix, prefix_len; });
    let ip: IpAddr = address_prefix.parse().map_err(|_| {
        at.field("address_prefix").error(format_args!("'{address_prefix}' is no IP address"))
    })?;
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    // Envoy takes a longer prefix for the whole address.
    let length = u32_or(prefix_len, 0).min(longest);
    let length = u8::try_from(length).unwrap_or(u8::MAX);
    IpNet::new(ip, length).map_err(|error| at.error(error))
}

/// Address ranges.
pub(super) fn cidrs(messages: Vec<CidrRange>, at: &At<'_>, cx: &Cx<'_>) -> Translated<Vec<IpNet>> {
    let each = |(index, message)| cidr(message, &at.index(index), cx);
    messages.into_iter().enumerate().map(each).collect()
}

/// A share of requests.
pub(super) fn fraction(
    message: FractionalPercent,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Fraction> {
    fields!(cx, at, message => FractionalPercent { used: numerator, denominator; });
    let denominator = match enumeration(denominator, &at.field("denominator"))? {
        DenominatorType::Hundred => Denominator::Hundred,
        DenominatorType::TenThousand => Denominator::TenThousand,
        DenominatorType::Million => Denominator::Million,
    };
    Ok(Fraction::new(numerator, denominator))
}

/// A share of requests that a runtime value goes before.
pub(super) fn runtime_fraction(
    message: RuntimeFractionalPercent,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Fraction> {
    fields!(cx, at, message => RuntimeFractionalPercent { used: default_value, runtime_key; });
    let at = at.field("default_value");
    let default = fraction(required(default_value, &at)?, &at, cx)?;
    Ok(cx.runtime.fraction(&runtime_key).unwrap_or(default))
}

/// A percentage in hundredths of a percent: 10,000 is all.
pub(super) fn percent(
    message: Option<Percent>,
    default: u32,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<u32> {
    let Some(message) = message else { return Ok(default) };
    fields!(cx, at, message => Percent { used: value; });
    if !(0.0..=100.0).contains(&value) {
        return Err(at.field("value").error("must be between 0 and 100"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Ok((value * 100.0).round() as u32)
}

/// Where a data source's bytes are, for people.
pub(super) fn data_source_path(message: &DataSource) -> String {
    match &message.specifier {
        Some(data_source::Specifier::Filename(path)) => path.clone(),
        _ => "<inline>".into(),
    }
}

/// The bytes that a data source stands for.
pub(super) fn data_source(message: DataSource, at: &At<'_>, cx: &Cx<'_>) -> Translated<Vec<u8>> {
    fields!(cx, at, message => DataSource {
        used: specifier;
        ignored: watched_directory = "files are read once";
    });
    match required(specifier, at)? {
        data_source::Specifier::Filename(path) => {
            let at = at.field("filename");
            read_file(&path).map_err(|error| at.error(format_args!("{path}: {error}")))
        }
        data_source::Specifier::InlineBytes(bytes) => Ok(bytes),
        data_source::Specifier::InlineString(text) => Ok(text.into_bytes()),
        data_source::Specifier::EnvironmentVariable(name) => {
            let at = at.field("environment_variable");
            std::env::var(&name)
                .map(String::into_bytes)
                .map_err(|_| at.error(format_args!("the environment has no {name}")))
        }
    }
}

fn read_file(path: &str) -> std::io::Result<Vec<u8>> {
    // Opening anything else could wait for somebody who writes.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("is no regular file"));
    }
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

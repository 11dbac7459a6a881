//! Durations between the moments of a stream: those that have a name, and `%COMMON_DURATION(START:END:PRECISION)%`.

use outrigger_policy::verdict::ResponseFlag;
use tokio::time::Instant;

use super::{Operator, Row, Wrote, number};
use crate::telemetry::access_log::Record;

pub(super) const ROWS: &[Row] = &[
    Row::number("DURATION", |record, out| {
        let end = record.info.timing.end.unwrap_or_else(Instant::now);
        signed_millis(out, Some(record.info.start), Some(end))
    }),
    Row::number("REQUEST_DURATION", |record, out| {
        signed_millis(out, Some(record.info.start), record.info.timing.request_end)
    }),
    Row::number("REQUEST_TX_DURATION", |record, out| {
        let end = record.info.upstream.borrow().last_tx;
        signed_millis(out, Some(record.info.start), end)
    }),
    Row::number("RESPONSE_DURATION", |record, out| {
        let end = record.info.upstream.borrow().first_rx;
        signed_millis(out, Some(record.info.start), end)
    }),
    Row::number("RESPONSE_TX_DURATION", |record, out| {
        let start = record.info.upstream.borrow().first_rx;
        signed_millis(out, start, response_end(record))
    }),
    // Counted from the begin of the stream, so it is negative for a request on a connection that was there before.
    Row::number("DOWNSTREAM_HANDSHAKE_DURATION", |record, out| {
        let end = record.info.connection.handshake_end;
        signed_millis(out, Some(record.info.start), end)
    }),
    // Of QUIC only.
    Row::number("ROUNDTRIP_DURATION", |_, _| Wrote::Nothing),
    Row::required("COMMON_DURATION", compile),
];

/// When the response's last byte was handed to the client's connection: the stream's end, unless the client did not wait for it.
fn response_end(record: &Record<'_>) -> Option<Instant> {
    let timing = &record.info.timing;
    timing.response_start?;
    let is_cut = record.info.flags.contains(ResponseFlag::DownstreamConnectionTermination)
        || record.info.flags.contains(ResponseFlag::DownstreamRemoteReset);
    timing.end.filter(|_| !is_cut)
}

fn signed_millis(out: &mut Vec<u8>, start: Option<Instant>, end: Option<Instant>) -> Wrote {
    let (Some(start), Some(end)) = (start, end) else { return Wrote::Nothing };
    match end.checked_duration_since(start) {
        Some(after) => number(out, u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        None => match start.duration_since(end).as_millis() {
            0 => number(out, 0_u8),
            before => {
                out.push(b'-');
                number(out, before)
            }
        },
    }
}

/// A moment of a stream. The names are Envoy's: downstream and upstream, received and sent, begin and end.
#[derive(Clone, Copy, Debug)]
enum Moment {
    RequestBegin,
    RequestEnd,
    UpstreamTxBegin,
    UpstreamTxEnd,
    UpstreamRxBegin,
    UpstreamRxEnd,
    ResponseBegin,
    ResponseEnd,
}

const MOMENTS: &[(&str, Moment)] = &[
    ("DS_RX_BEG", Moment::RequestBegin),
    ("DS_RX_END", Moment::RequestEnd),
    ("US_TX_BEG", Moment::UpstreamTxBegin),
    ("US_TX_END", Moment::UpstreamTxEnd),
    ("US_RX_BEG", Moment::UpstreamRxBegin),
    ("US_RX_END", Moment::UpstreamRxEnd),
    ("DS_TX_BEG", Moment::ResponseBegin),
    ("DS_TX_END", Moment::ResponseEnd),
];

impl Moment {
    /// Envoy takes any name, for filters that note moments of their own; none of ours does, so another name is a mistake.
    fn named(name: &str) -> Result<Self, String> {
        match MOMENTS.iter().find(|(known, _)| *known == name) {
            Some((_, moment)) => Ok(*moment),
            None if matches!(name, "US_CX_BEG" | "US_CX_END" | "US_HS_END" | "US_RX_BODY_BEG") => {
                Err(format!("cannot tell {name}: that moment is not noted"))
            }
            None => Err(format!("knows no moment '{name}'")),
        }
    }

    fn of(self, record: &Record<'_>) -> Option<Instant> {
        let timing = &record.info.timing;
        let upstream = || record.info.upstream.borrow();
        match self {
            Self::RequestBegin => Some(record.info.start),
            Self::RequestEnd => timing.request_end,
            Self::UpstreamTxBegin => upstream().first_tx,
            Self::UpstreamTxEnd => upstream().last_tx,
            Self::UpstreamRxBegin => upstream().first_rx,
            Self::UpstreamRxEnd => upstream().last_rx,
            Self::ResponseBegin => timing.response_start,
            Self::ResponseEnd => response_end(record),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Precision {
    Millis,
    Micros,
    Nanos,
}

#[derive(Debug)]
struct Between {
    start: Moment,
    end: Moment,
    precision: Precision,
}

fn compile(args: &str) -> Result<Box<dyn Operator>, String> {
    let parts: Vec<_> = args.split(':').collect();
    let (start, end, precision) = match *parts.as_slice() {
        [start, end] => (start, end, "ms"),
        [start, end, precision] => (start, end, precision),
        _ => return Err("takes START:END or START:END:PRECISION".to_owned()),
    };
    let precision = match precision {
        "ms" => Precision::Millis,
        "us" => Precision::Micros,
        "ns" => Precision::Nanos,
        other => return Err(format!("takes ms, us or ns, not '{other}'")),
    };
    Ok(Box::new(Between { start: Moment::named(start)?, end: Moment::named(end)?, precision }))
}

impl Operator for Between {
    fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Wrote {
        let (Some(start), Some(end)) = (self.start.of(record), self.end.of(record)) else {
            return Wrote::Nothing;
        };
        let Some(between) = end.checked_duration_since(start) else { return Wrote::Nothing };
        number(out, match self.precision {
            Precision::Millis => between.as_millis(),
            Precision::Micros => between.as_micros(),
            Precision::Nanos => between.as_nanos(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_checked() {
        for good in ["DS_RX_BEG:DS_TX_END", "US_TX_BEG:US_RX_END:us", "DS_RX_BEG:DS_RX_BEG:ns"] {
            assert!(compile(good).is_ok(), "{good}");
        }
        for (bad, expected) in [
            ("DS_RX_BEG", "takes START:END or START:END:PRECISION"),
            ("a:b:us:d", "takes START:END or START:END:PRECISION"),
            ("DS_RX_BEG:DS_RX_END:xs", "takes ms, us or ns, not 'xs'"),
            ("DS_RX_BEG:nope", "knows no moment 'nope'"),
            ("US_CX_BEG:DS_RX_END", "cannot tell US_CX_BEG: that moment is not noted"),
        ] {
            assert_eq!(compile(bad).unwrap_err(), expected);
        }
    }
}

//! The rows of the comparison: which file, which work, how fast.
//!
//! A row is one line of [`ROWS`]. The rates leave every peer room to breathe: what is compared is the CPU time that a request takes,
//! not who saturates last.

use anyhow::{Result, bail};

/// What is done to the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// HTTP/1.1 requests on [`CONNECTIONS`] connections.
    Http1 {
        /// Inside mTLS.
        tls: bool,
        /// Each request opens a connection of its own, and closes it.
        connects: bool,
    },
    /// HTTP/2 requests on [`CONNECTIONS_2`] connections with [`STREAMS_2`] streams at once on each, evenly spaced.
    Http2 {
        /// gRPC calls with one message each way, else `GET`.
        grpc: bool,
    },
    /// The same `GET`s by h2load, which lets requests arrive together.
    H2load,
    /// As many bytes as go through [`CONNECTIONS_TCP`] connections, from the upstream to the downstream.
    Bytes,
}

pub const CONNECTIONS: usize = 64;
pub const CONNECTIONS_2: usize = 8;
pub const STREAMS_2: usize = 32;
pub const CONNECTIONS_TCP: usize = 8;

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub name: &'static str,
    /// The name of its file, without what it ends with: that depends on the peer.
    pub file: &'static str,
    pub work: Work,
    /// Requests per second, at fixed times; 0 where there are none.
    pub rate: u32,
    /// The path of a request.
    pub path: &'static str,
    /// The length of an answer's body.
    pub answer_bytes: usize,
}

const fn row(name: &'static str, file: &'static str, work: Work, rate: u32) -> Row {
    Row { name, file, work, rate, path: "/api/v1/items", answer_bytes: 128 }
}

const fn http1(tls: bool, connects: bool) -> Work {
    Work::Http1 { tls, connects }
}

const fn http2(grpc: bool) -> Work {
    Work::Http2 { grpc }
}

/// All rows, in the order of the table.
pub const ROWS: [Row; 11] = [
    row("h1-128", "h1-128", http1(false, false), 6_000),
    row("h1-newconn", "h1-128", http1(false, true), 2_500),
    row("h2", "h2", Work::H2load, 8_000),
    row("h2-spaced", "h2", http2(false), 8_000),
    Row { path: "/pkg.Svc/Call", ..row("grpc", "h2", http2(true), 8_000) },
    Row { answer_bytes: 1024, ..row("mtls-ka", "mtls-ka", http1(true, false), 6_000) },
    row("mtls-newconn", "mtls-ka", http1(true, true), 250),
    row("tcp", "tcp", Work::Bytes, 0),
    row("sidecar-in", "sidecar-in", http1(true, false), 4_000),
    row("sidecar-out", "sidecar-out", http1(false, false), 4_000),
    Row { path: "/pkg.Svc/Call", ..row("sidecar-grpc", "sidecar-grpc", http2(true), 4_000) },
];

/// The rows of these names, all if there are none.
///
/// # Errors
/// When there is no such row.
pub fn named(names: &[String]) -> Result<Vec<Row>> {
    if names.is_empty() {
        return Ok(ROWS.to_vec());
    }
    let mut rows = Vec::new();
    for name in names {
        let Some(row) = ROWS.iter().find(|row| row.name == name) else {
            let known: Vec<_> = ROWS.iter().map(|row| row.name).collect();
            bail!("no row {name:?}: there are {}", known.join(", "));
        };
        rows.push(*row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_name_and_an_unknown_one_is_refused_with_the_known_ones() {
        assert_eq!(named(&[]).unwrap().len(), ROWS.len());
        let some = named(&["tcp".to_owned(), "h2".to_owned()]).unwrap();
        assert_eq!(some.iter().map(|row| row.name).collect::<Vec<_>>(), ["tcp", "h2"]);
        let error = named(&["h3".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("\"h3\"") && error.contains("sidecar-in"), "{error}");
    }

    #[test]
    fn what_is_paced_has_a_rate_and_bytes_have_none() {
        for row in ROWS {
            assert_eq!(row.rate == 0, row.work == Work::Bytes, "{}", row.name);
        }
    }
}

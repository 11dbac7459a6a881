//! Listener filters that look at the first bytes of a connection without taking them. (envoy: tls_inspector, http_inspector)

pub mod http;
pub mod tls;

use std::future::poll_fn;

use super::predicate::Predicate;
use crate::net::{Stream, with_scratch};
use crate::telemetry::metrics::{
    Counter, HttpInspectorStat, HttpInspectorStats, TlsInspectorStat, TlsInspectorStats,
};

/// What the first bytes told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// `tls` or `raw_buffer`; empty if nobody looked.
    pub transport_protocol: &'static str,
    /// SNI in lower case.
    pub server_name: Option<String>,
    /// ALPN of TLS, or the version of plain HTTP.
    pub application_protocols: Vec<String>,
}

/// Which inspectors look, and for which destinations they do not.
#[derive(Debug, Default)]
pub struct Inspectors {
    /// Counts what is found of TLS.
    pub tls_stats: Option<TlsInspectorStats>,
    /// Counts what is found of HTTP.
    pub http_stats: Option<HttpInspectorStats>,
    /// Looks for TLS.
    pub tls: Option<Inspector>,
    /// Looks for plain HTTP.
    pub http: Option<Inspector>,
}

/// An inspector.
#[derive(Debug, Default)]
pub struct Inspector {
    /// Connections that it passes over. (envoy: ListenerFilter.filter_disabled)
    pub disabled_for: Option<Predicate>,
}

impl Inspector {
    fn looks_at(&self, port: Option<u16>) -> bool {
        !self.disabled_for.as_ref().is_some_and(|predicate| predicate.holds(port))
    }
}

/// Whether more bytes are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look<T> {
    /// It is this.
    Is(T),
    /// It is something else.
    IsNot,
    /// It cannot be told yet.
    NeedMore,
}

/// The bytes end before it can be told, or the socket fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

impl Inspectors {
    /// True if no inspector looks at connections to `port`.
    #[must_use]
    pub fn is_blind(&self, port: Option<u16>) -> bool {
        let looks = |inspector: &Option<Inspector>| {
            inspector.as_ref().is_some_and(|inspector| inspector.looks_at(port))
        };
        !looks(&self.tls) && !looks(&self.http)
    }

    /// Looks at the first bytes of `stream`, which keeps them. The caller bounds the time.
    ///
    /// # Errors
    /// If the client leaves before it is known what it speaks.
    pub async fn look(
        &self,
        stream: &mut Stream,
        port: Option<u16>,
        found: &mut Found,
    ) -> Result<(), Ended> {
        let mut seen: Vec<u8> = Vec::new();
        let result = self.decide(stream, port, found, &mut seen).await;
        stream.unread(&seen);
        result
    }

    async fn decide(
        &self,
        stream: &mut Stream,
        port: Option<u16>,
        found: &mut Found,
        seen: &mut Vec<u8>,
    ) -> Result<(), Ended> {
        if self.tls.as_ref().is_some_and(|inspector| inspector.looks_at(port)) {
            loop {
                match tls::client_hello(seen) {
                    Look::Is(hello) => {
                        self.count_hello(&hello);
                        found.transport_protocol = "tls";
                        found.server_name = hello.server_name;
                        found.application_protocols = hello.application_protocols;
                        return Ok(());
                    }
                    Look::IsNot => {
                        self.count_tls(TlsInspectorStat::tls_not_found);
                        found.transport_protocol = "raw_buffer";
                        break;
                    }
                    Look::NeedMore => read_more(stream, seen).await?,
                }
            }
        }
        if self.http.as_ref().is_some_and(|inspector| inspector.looks_at(port)) {
            loop {
                match http::version(seen) {
                    Look::Is(version) => {
                        self.count_http(match version {
                            "h2c" => HttpInspectorStat::http2_found,
                            "http/1.0" => HttpInspectorStat::http10_found,
                            _ => HttpInspectorStat::http11_found,
                        });
                        found.application_protocols = vec![version.to_owned()];
                        return Ok(());
                    }
                    Look::IsNot => {
                        self.count_http(HttpInspectorStat::http_not_found);
                        return Ok(());
                    }
                    Look::NeedMore => read_more(stream, seen).await?,
                }
            }
        }
        Ok(())
    }
}

impl Inspectors {
    fn count_hello(&self, hello: &tls::ClientHello) {
        self.count_tls(TlsInspectorStat::tls_found);
        self.count_tls(match hello.server_name {
            Some(_) => TlsInspectorStat::sni_found,
            None => TlsInspectorStat::sni_not_found,
        });
        self.count_tls(if hello.application_protocols.is_empty() {
            TlsInspectorStat::alpn_not_found
        } else {
            TlsInspectorStat::alpn_found
        });
    }

    fn count_tls(&self, stat: Counter<TlsInspectorStat>) {
        if let Some(stats) = &self.tls_stats {
            stats.inc(stat);
        }
    }

    fn count_http(&self, stat: Counter<HttpInspectorStat>) {
        if let Some(stats) = &self.http_stats {
            stats.inc(stat);
        }
    }
}

async fn read_more(stream: &mut Stream, seen: &mut Vec<u8>) -> Result<(), Ended> {
    let length = poll_fn(|cx| {
        with_scratch(|scratch| {
            let mut buffer = tokio::io::ReadBuf::new(scratch);
            let read = std::pin::Pin::new(&mut *stream);
            std::task::ready!(tokio::io::AsyncRead::poll_read(read, cx, &mut buffer))?;
            seen.extend_from_slice(buffer.filled());
            std::task::Poll::Ready(std::io::Result::Ok(buffer.filled().len()))
        })
    })
    .await;
    match length {
        Ok(0) | Err(_) => Err(Ended),
        Ok(_) => Ok(()),
    }
}

//! A line of Istio's default access log, 24 fields in JSON, written to the worker's buffer.

use anyhow::Result;
use outrigger::exchange::Exchange;
use outrigger::telemetry::access_log::Record;
use tempfile::TempDir;

use super::stream::{self, Sidecar};

/// An exchange that is over, and the sidecar's log.
pub struct LogLine {
    exchange: Box<Exchange>,
    folder: TempDir,
}

impl LogLine {
    /// One line is already written: the buffer is there.
    ///
    /// # Errors
    /// If the sidecar's file is refused.
    pub fn new() -> Result<Self> {
        let Sidecar { manager, cluster, folder } = Sidecar::new()?;
        let mut exchange = stream::exchange(&manager);
        exchange.response.status = 200;
        exchange.response.headers.append(b"x-envoy-upstream-service-time", b"3");
        let info = &mut exchange.info;
        info.response_code = 200;
        info.details = "via_upstream".into();
        info.bytes_sent = 128;
        info.route_name = "default".into();
        info.cluster_name = Some(cluster.name.clone());
        let mut upstream = info.upstream.borrow_mut();
        upstream.host = cluster.hosts().load().hosts.first().cloned();
        upstream.local_address = Some(info.connection.local.clone());
        upstream.cluster = Some(cluster);
        drop(upstream);
        let log = Self { exchange, folder };
        log.write();
        Ok(log)
    }

    /// Writes the line.
    pub fn write(&self) {
        self.exchange.manager.access_log.write(&Record::of(&self.exchange));
    }

    /// What has been written.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn written(&self) -> std::io::Result<String> {
        outrigger::telemetry::access_log::flush();
        std::fs::read_to_string(self.folder.path().join("access.log"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_all_fields() {
        let log = LogLine::new().unwrap();
        log.write();
        let written = log.written().unwrap();
        let lines: Vec<serde_json::Map<_, _>> =
            written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        for line in lines {
            assert_eq!(line.len(), 24);
            assert_eq!(line["upstream_host"], "127.0.0.1:2");
            assert_eq!(line["response_code"], 200);
        }
    }
}

//! `/stats` and `/stats/prometheus`.

use super::{Endpoint, Reply, Request, Server};
use crate::telemetry::metrics::{
    StatsFormat, StatsQuery, write_json, write_prometheus, write_text,
};

pub(super) const ENDPOINT: Endpoint = Endpoint {
    path: "/stats",
    is_post: false,
    help: "print server stats",
    parameters: &[
        ("usedonly", "Only include stats that have been written by system since restart"),
        ("filter", "Regular expression for filtering stats"),
        ("invert_filter", "Invert the filter regex"),
        ("format", "Format to use; One of (text, json, prometheus)"),
        (
            "type",
            "Stat types to include.; One of (All, Counters, Histograms, Gauges, TextReadouts)",
        ),
        (
            "histogram_buckets",
            "Histogram bucket display mode; One of (cumulative, disjoint, detailed, summary)",
        ),
    ],
    reply: |server, request| reply(server, request, false),
};

pub(super) const PROMETHEUS: Endpoint = Endpoint {
    path: "/stats/prometheus",
    is_post: false,
    help: "print server stats in prometheus format",
    parameters: &[
        ("usedonly", "Only include stats that have been written by system since restart"),
        ("text_readouts", "Render text_readouts as new gaugues with value 0"),
        ("filter", "Regular expression for filtering stats"),
        ("histogram_buckets", "Histogram bucket display mode; One of (cumulative, summary)"),
    ],
    reply: |server, request| reply(server, request, true),
};

fn reply(server: &Server, request: &Request, is_prometheus: bool) -> Reply {
    let pairs = request.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let query = match StatsQuery::parse(is_prometheus, pairs) {
        Ok(query) => query,
        Err(error) => return Reply::text(400, error.to_string()),
    };
    let registry = {
        let mut control = server.control.borrow_mut();
        control.refresh_gauges();
        control.environment.registry.clone()
    };
    let mut body = Vec::new();
    let (written, content_type) = match query.format {
        StatsFormat::Text => {
            (write_text(&registry, &query, &mut body), "text/plain; charset=UTF-8")
        }
        StatsFormat::Json => (write_json(&registry, &query, &mut body), "application/json"),
        StatsFormat::Prometheus => {
            let written = write_prometheus(&registry, &query, &mut body);
            body.extend_from_slice(server.own.text(&query).as_bytes());
            (written, "text/plain; charset=UTF-8")
        }
    };
    match written {
        Ok(()) => Reply { status: 200, content_type, body },
        Err(error) => Reply::text(500, error.to_string()),
    }
}

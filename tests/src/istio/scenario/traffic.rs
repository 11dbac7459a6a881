//! What runs while something is disturbed: HTTP/1 and HTTP/2 at a steady rate, and streams that last as long. None of it may notice.

use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::{load, loads, row, sockets, under_load};
use crate::istio::call::{Answer, Call, Outcome};
use crate::istio::compare::Row;
use crate::istio::mesh::Mesh;
use crate::istio::world::World;

const STREAMS: usize = 50;
/// Streams end so long before the load.
const MARGIN: Duration = Duration::from_secs(2);

/// From the pod `sleep` of every world.
#[derive(Clone, Copy, Debug)]
pub struct Traffic<'a> {
    /// What is asked for.
    pub url: &'a str,
    /// Requests of each version of HTTP.
    pub per_second: u64,
    /// How long it takes.
    pub length: Duration,
}

/// How it ended in each world.
#[derive(Debug)]
pub struct Ends {
    one: Vec<Outcome>,
    two: Vec<Outcome>,
    streams: Vec<Vec<Answer>>,
}

impl Traffic<'_> {
    /// Runs it, and meanwhile `disturb`, which must not take longer.
    ///
    /// # Errors
    /// When the disturbance fails or the URL is wrong.
    pub fn during<T>(
        &self,
        mesh: &mut Mesh,
        disturb: impl FnOnce(&mut Mesh) -> Result<T>,
    ) -> Result<(Ends, T)> {
        let seconds = self.length.as_secs_f64();
        let one = load(self.url, self.per_second, 16, seconds);
        let mut two = load(self.url, self.per_second, 4, seconds);
        if let Some(http) = &mut two.http {
            http.two = true;
        }
        let streams = self.streams();
        let sockets = sockets(mesh, "sleep")?;
        thread::scope(|scope| {
            let (two, streams) = (&two, &streams);
            let others: Vec<_> = sockets
                .iter()
                .map(|socket| {
                    let streams = scope.spawn(move || streams.answers(socket));
                    (scope.spawn(move || two.outcome(socket)), streams)
                })
                .collect();
            let (one, done) = under_load(mesh, "sleep", &one, disturb)?;
            let mut ends = Ends { one, two: Vec::new(), streams: Vec::new() };
            for (two, streams) in others {
                let panicked = |_| anyhow!("a load's thread panicked");
                ends.two.push(two.join().map_err(panicked)??);
                ends.streams.push(streams.join().map_err(panicked)??);
            }
            Ok((ends, done))
        })
    }

    fn streams(&self) -> Call {
        let mut call = Call::get(self.url);
        let lasting = self.length.saturating_sub(MARGIN).as_millis();
        if let Some(http) = &mut call.http {
            http.headers.push(format!("x-app-stream-ms: {lasting}"));
        }
        (call.times, call.at_once) = (STREAMS, STREAMS);
        call.limit_ms = self.length.as_secs() * 1000 + 20_000;
        call
    }
}

impl Ends {
    /// A row for each kind: none may have failed, no connection may have been drained.
    pub fn rows(&self, scenario: &str, what: &str, worlds: &[World]) -> Vec<Row> {
        let streams = self
            .streams
            .iter()
            .map(|streams| {
                let whole = streams.iter().filter(|a| a.status == 200 && a.end == "whole").count();
                let cell = format!("{whole} of {STREAMS} whole");
                (cell.clone(), (whole < STREAMS).then_some(cell))
            })
            .collect();
        let limit = (0, Some(0));
        vec![
            loads(scenario, &format!("{what}: HTTP/1"), worlds, &self.one, limit),
            loads(scenario, &format!("{what}: HTTP/2"), worlds, &self.two, limit),
            row(scenario, &format!("{what}: long streams"), worlds, streams),
        ]
    }
}

//! One proxy, one row, once: start, connect, warm up, measure, end.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use outrigger_tests::child::Process;
use outrigger_tests::scratch::Scratch;
use tokio::time::sleep;

use super::backend::Backend;
use super::cores::Cores;
use super::figure::percentile;
use super::identity::Identity;
use super::load::{Done, Load};
use super::pace::Tally;
use super::peer::Peer;
use super::row::Row;
use super::usage::{cpu_time, pss_kib};

const WARM_UP: Duration = Duration::from_secs(1);
/// Between listening and being idle: what only the start needed is given back by then.
const SETTLE: Duration = Duration::from_secs(2);
/// A round whose rate is further from the wanted one is thrown away.
const OFF: f64 = 0.02;
/// How often a round is tried before the row says that the rate cannot be had.
const TRIES: usize = 3;

/// What a comparison has in common: it is the same for every row and side.
#[derive(Debug)]
pub struct Setting {
    pub scratch: Scratch,
    pub identity: Identity,
    pub cores: Cores,
    /// Of one measurement.
    pub length: Duration,
}

impl Setting {
    /// Makes the certificates, and pins this thread to its core.
    ///
    /// # Errors
    /// When the files cannot be written or the machine has one core.
    pub fn new(length: Duration) -> Result<Self> {
        let scratch = Scratch::new()?;
        let identity = Identity::create(&scratch.path().join("certs"))?;
        let cores = Cores::choose()?;
        cores.pin_load()?;
        Ok(Self { scratch, identity, cores, length })
    }

    /// A proxy on the row's file, and what is behind it.
    ///
    /// # Errors
    /// When a port is taken or the proxy does not start.
    pub async fn start(&self, peer: &Peer, row: &Row) -> Result<(Backend, Process)> {
        let backend = Backend::start(&self.identity, row.answer_bytes).await?;
        let certs = self.scratch.path().join("certs");
        match peer.start(row, self.scratch.path(), &certs, self.cores).await {
            Ok(proxy) => Ok((backend, proxy)),
            Err(error) => {
                backend.end().await;
                Err(error)
            }
        }
    }
}

/// What one proxy has shown in one round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Microseconds of CPU for a request, or for a Gbit.
    pub cost_us: f64,
    /// Requests per second, or Gbit.
    pub rate: f64,
    /// From when a request was due; none where there are no requests.
    pub p50_us: Option<f64>,
    pub p99_us: Option<f64>,
    /// Before its first connection.
    pub idle_pss_kib: u64,
    /// After its last request, with the connections open.
    pub loaded_pss_kib: u64,
}

/// Measures until the rate was the wanted one.
///
/// # Errors
/// When it never was, when the proxy does not start, or when a request failed: a proxy that answers errors is not fast.
pub async fn measure(setting: &Setting, peer: &Peer, row: &Row) -> Result<Measured> {
    let mut rates = Vec::new();
    for _ in 0..TRIES {
        let measured = attempt(setting, peer, row).await?;
        if row.rate == 0 || is_near(measured.rate, row.rate) {
            return Ok(measured);
        }
        rates.push(format!("{:.0}", measured.rate));
    }
    bail!("{} requests per second wanted, {} had", row.rate, rates.join(", "))
}

fn is_near(rate: f64, wanted: u32) -> bool {
    (rate / f64::from(wanted) - 1.0).abs() <= OFF
}

async fn attempt(setting: &Setting, peer: &Peer, row: &Row) -> Result<Measured> {
    let (backend, proxy) = setting.start(peer, row).await?;
    let measured = drive(setting, row, proxy.pid()).await;
    backend.end().await;
    measured.with_context(|| format!("its log ends with: {:?}", proxy.last_output(3)))
}

async fn drive(setting: &Setting, row: &Row, pid: u32) -> Result<Measured> {
    sleep(SETTLE).await;
    let idle_pss_kib = pss_kib(pid)?;
    let load = Load::connect(row, &setting.identity, setting.scratch.path()).await?;
    if let Done::Requests(Tally { failure: Some(failure), .. }) = load.run(WARM_UP).await.read()? {
        bail!("while warming up: {failure}");
    }
    let before = cpu_time(pid)?;
    let done = load.run(setting.length).await;
    let cpu = cpu_time(pid)? - before;
    let loaded_pss_kib = pss_kib(pid)?;
    reckon(done.read()?, setting.length, cpu).map(|figures| Measured {
        idle_pss_kib,
        loaded_pss_kib,
        ..figures
    })
}

/// The figures of what was done in this time with this much CPU, without the memory.
fn reckon(done: Done, length: Duration, cpu: Duration) -> Result<Measured> {
    let cpu_us = cpu.as_secs_f64() * 1e6;
    let (amount, rate, [p50_us, p99_us]) = match done {
        Done::Bytes(bytes) => {
            let gbit = bytes as f64 * 8.0 / 1e9;
            (gbit, gbit / length.as_secs_f64(), [None; 2])
        }
        Done::Requests(Tally { failure: Some(failure), .. }) => bail!(failure),
        Done::Requests(tally) => {
            let latency = |share| percentile(&tally.latencies_ns, share).map(|ns| ns as f64 / 1e3);
            (tally.latencies_ns.len() as f64, tally.rate(), [0.5, 0.99].map(latency))
        }
    };
    ensure!(amount > 0.0, "nothing came through");
    let cost_us = cpu_us / amount;
    Ok(Measured { cost_us, rate, p50_us, p99_us, idle_pss_kib: 0, loaded_pss_kib: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_is_cpu_time_by_requests_or_by_gbit() {
        let tally = Tally {
            latencies_ns: vec![1_000, 2_000, 3_000, 900_000],
            took: Duration::from_secs(2),
            failure: None,
        };
        let [length, cpu] = [2, 1].map(Duration::from_secs);
        let found = reckon(Done::Requests(tally), length, cpu).unwrap();
        assert_eq!((found.cost_us, found.rate), (250_000.0, 2.0));
        assert_eq!((found.p50_us, found.p99_us), (Some(2.0), Some(900.0)));
        let found = reckon(Done::Bytes(1_250_000_000), length, cpu).unwrap();
        assert_eq!((found.cost_us, found.rate, found.p50_us), (100_000.0, 5.0, None));
    }

    #[test]
    fn a_failure_and_nothing_at_all_are_no_figures() {
        let failed = Tally {
            latencies_ns: vec![1],
            took: Duration::from_secs(1),
            failure: Some("status 503".to_owned()),
        };
        let [length, cpu] = [Duration::from_secs(1); 2];
        let error = reckon(Done::Requests(failed), length, cpu).unwrap_err();
        assert_eq!(error.to_string(), "status 503");
        for none in [Done::Requests(Tally::default()), Done::Bytes(0)] {
            assert!(reckon(none, length, cpu).is_err());
        }
    }

    #[test]
    fn a_rate_is_wrong_in_both_directions() {
        for (rate, near) in [(979.0, false), (981.0, true), (1019.0, true), (1021.0, false)] {
            assert_eq!(is_near(rate, 1000), near, "{rate}");
        }
    }
}

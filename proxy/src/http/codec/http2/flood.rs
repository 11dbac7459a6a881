//! Ends connections that flood us with frames which cost the sender nothing, or that do not read what we answer.
//!
//! The limits are Envoy's (envoy: Http2ProtocolOptions, `ProtocolConstraints`) with Envoy's defaults. Envoy knows no limit for PING, SETTINGS and
//! unknown frames of a peer that reads the answers; here they are held to a budget that grows with time and with the real traffic.

use std::time::Duration;

use tokio::time::Instant;

use super::frame::kind;
use crate::clock;
use crate::telemetry::metrics::{Counter, Http2Stat};

/// Frames without content in a row. (envoy: max_consecutive_inbound_frames_with_empty_payload)
const EMPTY_FRAMES: u32 = 1;
/// (envoy: max_inbound_priority_frames_per_stream)
const PRIORITY_PER_STREAM: u64 = 100;
/// (envoy: max_inbound_window_update_frames_per_data_frame_sent)
const WINDOW_UPDATES_PER_DATA: u64 = 10;
/// Frames that wait for a peer that does not read. (envoy: max_outbound_frames)
const OUTBOUND_FRAMES: u32 = 10_000;
/// The same of answers to its own control frames. (envoy: max_outbound_control_frames)
const OUTBOUND_CONTROL_FRAMES: u32 = 1_000;

/// Control frames that may come at once; more than this is also what can be saved up.
const BURST: u64 = 2_000;
/// Control frames that may come every second for ever.
const PER_SECOND: u64 = 200;
/// What a head earns: a few settings and pings of its own.
const PER_HEADERS: u64 = 20;
/// Bytes sent that earn one frame: a peer measures by PING how fast they come.
const BYTES_PER_FRAME: u64 = 1024;
/// Streams that we may end for errors of the peer; every stream without one earns another.
const FAULTS: u32 = 1_024;

/// Requests that a client may reset before they are answered, if they are more than half of all.
/// (envoy: overload.premature_reset_total_stream_count)
const PREMATURE_RESETS: u64 = 500;
/// A request that was given so much time was meant. (envoy: overload.premature_reset_min_stream_lifetime_seconds)
const MEANT: Duration = Duration::from_secs(2);

/// A limit was passed.
#[derive(Clone, Copy)]
pub(super) enum Flood {
    /// One that Envoy has a counter for.
    Counted(Counter<Http2Stat>),
    /// That of requests which are reset at once.
    PrematureResets,
    /// Another.
    Other,
}

/// What a connection has sent and received so far.
#[derive(Debug)]
pub(super) struct FloodGuard {
    streams: u64,
    empty_in_a_row: u32,
    priorities: u64,
    window_updates: u64,
    data_sent: u64,
    outbound: u32,
    outbound_control: u32,
    budget: u64,
    refilled: Option<Instant>,
    bytes_sent: u64,
    faults: u32,
    closed: u64,
    premature: u64,
}

impl Default for FloodGuard {
    fn default() -> Self {
        Self {
            streams: 0,
            empty_in_a_row: 0,
            priorities: 0,
            window_updates: 0,
            data_sent: 0,
            outbound: 0,
            outbound_control: 0,
            budget: BURST,
            refilled: None,
            bytes_sent: 0,
            faults: FAULTS,
            closed: 0,
            premature: 0,
        }
    }
}

impl FloodGuard {
    /// A frame came. `is_empty` says that it has neither content nor ends anything.
    pub(super) fn received(&mut self, frame: u8, is_empty: bool) -> Result<(), Flood> {
        match frame {
            kind::DATA | kind::HEADERS | kind::CONTINUATION => {
                if frame == kind::HEADERS {
                    self.budget = (self.budget + PER_HEADERS).min(BURST);
                }
                self.empty_in_a_row = if is_empty { self.empty_in_a_row + 1 } else { 0 };
                if self.empty_in_a_row > EMPTY_FRAMES {
                    return Err(Flood::Counted(Http2Stat::inbound_empty_frames_flood));
                }
                return Ok(());
            }
            kind::PRIORITY => {
                self.priorities += 1;
                if self.priorities > PRIORITY_PER_STREAM * (1 + self.streams) {
                    return Err(Flood::Counted(Http2Stat::inbound_priority_frames_flood));
                }
                return Ok(());
            }
            kind::WINDOW_UPDATE => {
                self.window_updates += 1;
                let allowed = 5 + 2 * (self.streams + WINDOW_UPDATES_PER_DATA * self.data_sent);
                if self.window_updates > allowed {
                    return Err(Flood::Counted(Http2Stat::inbound_window_update_frames_flood));
                }
                return Ok(());
            }
            _ => {}
        }
        if self.budget == 0 {
            self.refill();
        }
        self.budget = self.budget.checked_sub(1).ok_or(Flood::Other)?;
        Ok(())
    }

    fn refill(&mut self) {
        let now = clock::now();
        // The first burst has had the time of the connection so far.
        let since = self.refilled.map_or(0, |then| now.duration_since(then).as_millis());
        let earned = u64::try_from(since).unwrap_or(0) * PER_SECOND / 1000;
        self.budget = (self.budget + earned + self.bytes_sent / BYTES_PER_FRAME).min(BURST);
        self.refilled = Some(now);
        self.bytes_sent = 0;
    }

    /// A stream was opened, by whichever side.
    pub(super) const fn opened(&mut self) {
        self.streams += 1;
    }

    /// A stream has ended without an error.
    pub(super) fn closed_well(&mut self) {
        self.faults = (self.faults + 1).min(FAULTS);
        self.closed += 1;
    }

    /// The peer has reset a stream of this age. `is_early` says that it has not waited for an answer. (envoy: `maybeDrainDueToPrematureResets`)
    pub(super) fn reset_by_peer(&mut self, is_early: bool, age: Duration) -> Result<(), Flood> {
        self.closed += 1;
        if is_early && age < MEANT {
            self.premature += 1;
            // Below the limit there must be so many that good ones could not make up for them any more.
            if 2 * self.premature >= self.closed.max(PREMATURE_RESETS) {
                return Err(Flood::PrematureResets);
            }
        }
        Ok(())
    }

    /// A stream had to be reset for what the peer did. (CVE-2025-8671)
    pub(super) fn fault(&mut self) -> Result<(), Flood> {
        self.faults = self.faults.checked_sub(1).ok_or(Flood::Other)?;
        Ok(())
    }

    /// DATA goes out.
    pub(super) const fn data_queued(&mut self) {
        self.data_sent += 1;
        self.outbound += 1;
    }

    /// Another frame goes out; `is_control` if it answers the peer's own (RST_STREAM, and acknowledgements of SETTINGS and PING).
    pub(super) fn queued(&mut self, is_control: bool) -> Result<(), Flood> {
        self.outbound += 1;
        if is_control {
            self.outbound_control += 1;
            if self.outbound_control > OUTBOUND_CONTROL_FRAMES {
                return Err(Flood::Counted(Http2Stat::outbound_control_flood));
            }
        }
        if self.outbound > OUTBOUND_FRAMES {
            return Err(Flood::Counted(Http2Stat::outbound_flood));
        }
        Ok(())
    }

    /// Bytes have left.
    pub(super) const fn sent(&mut self, bytes: usize, is_all: bool) {
        self.bytes_sent += bytes as u64;
        if is_all {
            self.outbound = 0;
            self.outbound_control = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> FloodGuard {
        // Starts the clock of the budget.
        FloodGuard { refilled: Some(Instant::now()), ..FloodGuard::default() }
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn control_frames_have_a_budget() {
        for frame in [kind::SETTINGS, kind::PING, kind::RST_STREAM, 99] {
            let mut guard = guard();
            for _ in 0..BURST {
                assert!(guard.received(frame, false).is_ok());
            }
            assert!(guard.received(frame, false).is_err(), "{frame}");
        }
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn time_and_traffic_earn_more() {
        let mut guard = guard();
        let pings = |guard: &mut FloodGuard, number: u64| {
            (0..number).all(|_| guard.received(kind::PING, false).is_ok())
        };
        assert!(pings(&mut guard, BURST));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(pings(&mut guard, PER_SECOND));
        guard.sent(100 * BYTES_PER_FRAME as usize, true);
        assert!(pings(&mut guard, 100));
        assert!(guard.received(kind::HEADERS, false).is_ok());
        assert!(pings(&mut guard, PER_HEADERS));
        assert!(!pings(&mut guard, 1));
    }

    #[test]
    fn limits_of_envoy() {
        let mut guard = FloodGuard::default();
        for _ in 0..10_000 {
            assert!(guard.received(kind::DATA, false).is_ok());
            assert!(guard.received(kind::DATA, true).is_ok());
        }
        assert!(guard.received(kind::CONTINUATION, true).is_err());

        let mut guard = FloodGuard::default();
        guard.opened();
        assert!((0..200).all(|_| guard.received(kind::PRIORITY, false).is_ok()));
        assert!(guard.received(kind::PRIORITY, false).is_err());

        let mut guard = FloodGuard::default();
        guard.opened();
        guard.data_queued();
        assert!((0..27).all(|_| guard.received(kind::WINDOW_UPDATE, false).is_ok()));
        assert!(guard.received(kind::WINDOW_UPDATE, false).is_err());

        let mut guard = FloodGuard::default();
        for _ in 0..3 {
            assert!((0..OUTBOUND_CONTROL_FRAMES).all(|_| guard.queued(true).is_ok()));
            guard.sent(1, true);
        }
        assert!((0..OUTBOUND_CONTROL_FRAMES).all(|_| guard.queued(true).is_ok()));
        assert!(guard.queued(true).is_err());

        let mut guard = FloodGuard::default();
        assert!((0..OUTBOUND_FRAMES).all(|_| guard.queued(false).is_ok()));
        assert!(guard.queued(false).is_err());

        let mut guard = FloodGuard::default();
        assert!((0..FAULTS).all(|_| guard.fault().is_ok()));
        assert!(guard.fault().is_err());
        guard.closed_well();
        assert!(guard.fault().is_ok());

        let mut guard = FloodGuard::default();
        let early = Duration::from_millis(10);
        assert!((0..249).all(|_| guard.reset_by_peer(true, early).is_ok()));
        assert!((0..1000).all(|_| guard.reset_by_peer(true, MEANT).is_ok()));
        assert!((0..1000).all(|_| guard.reset_by_peer(false, early).is_ok()));
        assert!(guard.reset_by_peer(true, early).is_ok());
        let mut guard = FloodGuard::default();
        assert!((0..249).all(|_| guard.reset_by_peer(true, early).is_ok()));
        assert!(matches!(guard.reset_by_peer(true, early), Err(Flood::PrematureResets)));
    }
}

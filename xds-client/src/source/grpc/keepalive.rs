//! Finds out that a server is gone which never said so: after a time of silence it is asked for a sign of life. (RFC 9113 §6.7)

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep};

/// When to ask, and how long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// So long nothing was heard, or at most twice as long. Servers of gRPC hang up on clients that ask more often than they like; the interval doubles when one does.
    pub interval: Duration,
    /// So long the answer may take.
    pub timeout: Duration,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { interval: Duration::from_secs(30), timeout: Duration::from_secs(20) }
    }
}

/// Of one connection.
#[derive(Debug)]
pub(super) struct Pulse {
    keepalive: Keepalive,
    pings: PingPong,
    timer: Pin<Box<Sleep>>,
    is_asked: bool,
    has_heard: bool,
}

impl Pulse {
    pub(super) fn new(keepalive: Keepalive, pings: PingPong) -> Self {
        let timer = Box::pin(sleep(keepalive.interval));
        Self { keepalive, pings, timer, is_asked: false, has_heard: false }
    }

    /// Something came.
    pub(super) const fn hear(&mut self) {
        self.has_heard = true;
    }

    /// Ready when the server is gone.
    pub(super) fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // An error is one of the connection, which says so itself.
            if self.is_asked && self.pings.poll_pong(cx).is_ready() {
                self.is_asked = false;
                self.restart(self.keepalive.interval);
            }
            ready!(self.timer.as_mut().poll(cx));
            match (self.is_asked, std::mem::take(&mut self.has_heard)) {
                (true, false) => return Poll::Ready(()),
                // The answer may be behind a large response.
                (true, true) => self.restart(self.keepalive.timeout),
                (false, true) => self.restart(self.keepalive.interval),
                (false, false) => {
                    self.is_asked = self.pings.send_ping(Ping::opaque()).is_ok();
                    self.restart(self.keepalive.timeout);
                }
            }
        }
    }

    fn restart(&mut self, after: Duration) {
        let now = Instant::now();
        // A time that cannot be told never comes; a year is as good.
        let at = now.checked_add(after).unwrap_or(now + Duration::from_secs(365 * 24 * 3600));
        self.timer.as_mut().reset(at);
    }
}

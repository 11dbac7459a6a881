//! Both directions of a relayed connection.
//!
//! Each ends by itself: the end of one side's bytes is passed on, and the other side may still speak. A reset ends both, and so does silence for
//! longer than the idle timeout.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::peer_exchange::Hearing;
use super::pump::Pump;
use crate::clock;
use crate::net::Io;
use crate::telemetry::StreamInfo;

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Both sides have said all.
    Done,
    /// Nothing has moved for the timeout.
    Idle,
    /// One side has reset its connection.
    Reset(By),
}

/// Who.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Client,
    Host,
}

/// A connection that is relayed.
#[derive(Debug)]
pub(super) struct Relay<'a> {
    request: Pump<'a>,
    response: Pump<'a>,
    idle: Option<Idle>,
}

/// When bytes moved last.
#[derive(Debug)]
struct Idle {
    timeout: Duration,
    last: Instant,
    /// Armed for some time before the deadline, and then again: not for every byte.
    sleep: Pin<Box<Sleep>>,
}

impl<'a> Relay<'a> {
    /// Of a client and a host, each of which may say something of itself before its bytes, and is told the same of us.
    pub(super) fn new(
        idle_timeout: Option<Duration>,
        client: Option<Hearing<'a>>,
        host: Option<Hearing<'a>>,
    ) -> Self {
        let idle = idle_timeout.map(|timeout| Idle {
            timeout,
            last: clock::now(),
            sleep: Box::pin(clock::sleep(timeout)),
        });
        let to_client = client.as_ref().map(Hearing::frame);
        let to_host = host.as_ref().map(Hearing::frame);
        Self { request: Pump::new(client, to_host), response: Pump::new(host, to_client), idle }
    }

    /// Bytes from the client and from the host.
    pub(super) const fn bytes(&self) -> (u64, u64) {
        (self.request.moved(), self.response.moved())
    }

    /// Notes what both sides have said of themselves.
    pub(super) fn settle(&self, info: &mut StreamInfo) {
        if let Some(told) = self.request.told() {
            info.downstream_peer = told;
        }
        if let Some(told) = self.response.told() {
            info.upstream.borrow_mut().peer = told;
        }
    }

    /// Moves bytes until the connection is over. What has moved stays known when this is dropped, and it may be called again.
    pub(super) async fn run(&mut self, downstream: &mut Io, upstream: &mut Io) -> End {
        poll_fn(|cx| self.poll(cx, downstream, upstream)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>, downstream: &mut Io, upstream: &mut Io) -> Poll<End> {
        let before = self.bytes();
        let request = self.request.poll(cx, downstream, upstream);
        if request == Poll::Ready(Err(super::pump::Reset)) {
            return Poll::Ready(End::Reset(By::Client));
        }
        let response = self.response.poll(cx, upstream, downstream);
        if response == Poll::Ready(Err(super::pump::Reset)) {
            return Poll::Ready(End::Reset(By::Host));
        }
        if request.is_ready() && response.is_ready() {
            return Poll::Ready(End::Done);
        }
        let has_moved = before != self.bytes();
        match &mut self.idle {
            Some(idle) => idle.poll(cx, has_moved).map(|()| End::Idle),
            None => Poll::Pending,
        }
    }
}

impl Idle {
    /// Ready when nothing has moved for the timeout.
    fn poll(&mut self, cx: &mut Context<'_>, has_moved: bool) -> Poll<()> {
        if has_moved {
            self.last = clock::now();
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            let deadline = self.last + self.timeout;
            if clock::now() >= deadline {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::net::Stream;

    /// Two ends of a connection: ours, as the relay sees it, and the other.
    async fn pair() -> (Io, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (near, _) = listener.accept().await.unwrap();
        (Io::Plain(Stream::from(near)), far)
    }

    #[tokio::test]
    async fn much_passes_both_ways_and_each_direction_ends_by_itself() {
        const LENGTH: usize = 5 << 20;
        let (mut downstream, mut client) = pair().await;
        let (mut upstream, mut host) = pair().await;
        let host = tokio::spawn(async move {
            let mut request = Vec::new();
            host.read_to_end(&mut request).await.unwrap();
            // Only now, and slowly at first: the client waits with its direction closed.
            for piece in request.chunks(64 * 1024) {
                host.write_all(piece).await.unwrap();
            }
        });
        let client = tokio::spawn(async move {
            let sent: Vec<u8> = (0..LENGTH).map(|n| u8::try_from(n % 253).unwrap()).collect();
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
            let mut received = Vec::new();
            client.read_to_end(&mut received).await.unwrap();
            received == sent
        });
        let mut relay = Relay::new(Some(Duration::from_secs(60)), None, None);
        assert_eq!(relay.run(&mut downstream, &mut upstream).await, End::Done);
        assert_eq!(relay.bytes(), (LENGTH as u64, LENGTH as u64));
        drop((downstream, upstream));
        host.await.unwrap();
        assert!(client.await.unwrap());
    }

    #[tokio::test]
    async fn a_sink_that_does_not_read_stops_the_source() {
        let (mut downstream, mut client) = pair().await;
        let (mut upstream, _host) = pair().await;
        let sent = tokio::spawn(async move {
            let piece = vec![7; 64 * 1024];
            let mut sent = 0_u64;
            let write = async {
                loop {
                    client.write_all(&piece).await.unwrap();
                    sent += piece.len() as u64;
                }
            };
            let _ = tokio::time::timeout(Duration::from_millis(500), write).await;
            (sent, client)
        });
        let mut relay = Relay::new(None, None, None);
        let run = relay.run(&mut downstream, &mut upstream);
        assert!(tokio::time::timeout(Duration::from_secs(1), run).await.is_err());
        let (sent, _client) = sent.await.unwrap();
        let (moved, _) = relay.bytes();
        // What is under way lies in the buffers of four sockets and one pipe.
        assert!(moved > 0 && sent < 64 << 20, "{moved} of {sent}");
    }

    #[tokio::test]
    async fn a_reset_ends_both_directions() {
        let (mut downstream, client) = pair().await;
        let (mut upstream, _host) = pair().await;
        client.set_zero_linger().unwrap();
        drop(client);
        let mut relay = Relay::new(None, None, None);
        assert_eq!(relay.run(&mut downstream, &mut upstream).await, End::Reset(By::Client));
    }

    #[tokio::test]
    async fn silence_ends_it_and_bytes_put_that_off() {
        let (mut downstream, mut client) = pair().await;
        let (mut upstream, mut host) = pair().await;
        let talk = tokio::spawn(async move {
            let mut byte = [0];
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                client.write_all(b"x").await.unwrap();
                host.read_exact(&mut byte).await.unwrap();
            }
            (client, host)
        });
        let started = Instant::now();
        let mut relay = Relay::new(Some(Duration::from_millis(250)), None, None);
        assert_eq!(relay.run(&mut downstream, &mut upstream).await, End::Idle);
        assert!(started.elapsed() >= Duration::from_millis(640), "{:?}", started.elapsed());
        talk.await.unwrap();
    }
}

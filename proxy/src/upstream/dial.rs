//! Opens a socket to a host: its addresses in turn, the next before the one before has failed for good. (RFC 8305)

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::Instant;

use super::cluster::ClusterSettings;
use super::host::Host;
use crate::net::{Address, Stream};

/// Until the next address is tried as well. (envoy: `HappyEyeballsConnectionProvider`)
const STAGGER: Duration = Duration::from_millis(300);

/// The first socket that comes up. The caller limits the time.
///
/// # Errors
/// That of the last address, if none comes up.
pub(super) async fn dial(settings: &ClusterSettings, host: &Host) -> io::Result<Stream> {
    if host.additional_addresses.is_empty() {
        return open(settings, &host.address).await;
    }
    let mut waiting = in_turn(&host.address, &host.additional_addresses).into_iter();
    let mut running: Vec<Pin<Box<_>>> = Vec::new();
    let mut last_error = io::Error::from(io::ErrorKind::NotConnected);
    loop {
        match waiting.next() {
            Some(address) => running.push(Box::pin(open(settings, address))),
            None if running.is_empty() => return Err(last_error),
            None => {}
        }
        let patience = tokio::time::sleep_until(Instant::now() + STAGGER);
        let mut patience = std::pin::pin!(patience);
        let is_last = waiting.len() == 0;
        let outcome = poll_fn(|cx| {
            for place in 0..running.len() {
                let Some(attempt) = running.get_mut(place) else { continue };
                if let Poll::Ready(result) = attempt.as_mut().poll(cx) {
                    drop(running.remove(place));
                    return Poll::Ready(Some(result));
                }
            }
            if is_last { Poll::Pending } else { patience.as_mut().poll(cx).map(|()| None) }
        });
        match outcome.await {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => last_error = error,
            None => {}
        }
    }
}

/// Addresses of the first one's family and of the others by turns.
fn in_turn<'a>(first: &'a Address, additional: &'a [Address]) -> Vec<&'a Address> {
    let is_v4 = |address: &Address| address.ip().is_some_and(|ip| ip.is_ipv4());
    let all = std::iter::once(first).chain(additional);
    let (mut same, mut other): (Vec<_>, Vec<_>) = all.partition(|a| is_v4(a) == is_v4(first));
    let count = same.len() + other.len();
    same.reverse();
    other.reverse();
    let mut ordered = Vec::with_capacity(count);
    while ordered.len() < count {
        ordered.extend(same.pop());
        ordered.extend(other.pop());
    }
    ordered
}

async fn open(settings: &ClusterSettings, address: &Address) -> io::Result<Stream> {
    let address = match address {
        Address::Pipe(path) => return Ok(UnixStream::connect(&**path).await?.into()),
        Address::Ip(address) => *address,
    };
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let is_fit = |source: &&SocketAddr| source.is_ipv4() == address.is_ipv4();
    if let Some(source) = settings.bind_addresses.iter().find(is_fit) {
        socket.bind(*source)?;
    }
    let stream = socket.connect(address).await?;
    set_options(&stream, settings);
    Ok(stream.into())
}

/// Options that make a connection better; without them it still works.
fn set_options(stream: &TcpStream, settings: &ClusterSettings) {
    let _ = stream.set_nodelay(true);
    if let Some(wanted) = settings.keepalive {
        let mut keepalive = TcpKeepalive::new();
        if let Some(time) = wanted.time {
            keepalive = keepalive.with_time(time);
        }
        if let Some(interval) = wanted.interval {
            keepalive = keepalive.with_interval(interval);
        }
        if let Some(probes) = wanted.probes {
            keepalive = keepalive.with_retries(probes);
        }
        let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_beginning_with_the_first_address() {
        let address = |text: &str| Address::from(text.parse::<SocketAddr>().unwrap());
        let [a, b, c, d] = ["[::1]:1", "[::2]:1", "10.0.0.1:1", "[::3]:1"].map(address);
        let all = [b.clone(), c.clone(), d.clone()];
        assert_eq!(in_turn(&a, &all), [&a, &c, &b, &d]);
        assert_eq!(in_turn(&c, &[a.clone(), b.clone()]), [&c, &a, &b]);
    }
}

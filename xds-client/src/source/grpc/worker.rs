//! The only task: drives the protocol with a stream, and opens the next stream when one has ended.

use std::cell::RefCell;
use std::io;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, mpsc};

use super::call::{Call, Step};
use super::keepalive::Keepalive;
use super::status::Status;
use super::{Config, Event};
use crate::mux::{Mux, Received};

/// What the owner's handle and the task share. Both live on one thread, and neither holds it across an await.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) mux: RefCell<Mux>,
    /// There may be something to send.
    pub(super) wishes: Notify,
    /// The next deadline may be another one.
    pub(super) deadlines: Notify,
}

pub(super) async fn run<C, S>(
    shared: &Shared,
    mut config: Config,
    connect: C,
    events: mpsc::Sender<Event>,
) where
    C: AsyncFn() -> io::Result<S>,
    S: AsyncRead + AsyncWrite + Unpin,
{
    tokio::select! {
        () = events.closed() => {}
        () = expire(shared, &events) => {}
        () = reopen(shared, &mut config, &connect, &events) => {}
    }
    shared.mux.borrow_mut().on_stream_closed();
}

/// Tells of resources whose time has passed, with a stream and without.
async fn expire(shared: &Shared, events: &mpsc::Sender<Event>) {
    loop {
        let next = shared.mux.borrow().next_deadline();
        match next {
            None => shared.deadlines.notified().await,
            Some(at) => tokio::select! {
                () = shared.deadlines.notified() => {}
                () = tokio::time::sleep_until(at.into()) => {}
            },
        }
        let expired = shared.mux.borrow_mut().on_time(Instant::now());
        for update in expired {
            tell(events, Event::Expired(update)).await;
        }
    }
}

/// One stream after the other.
async fn reopen<C, S>(
    shared: &Shared,
    config: &mut Config,
    connect: &C,
    events: &mpsc::Sender<Event>,
) where
    C: AsyncFn() -> io::Result<S>,
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let status = match dial(config, connect).await {
            Ok(call) => follow(shared, config, call, events).await,
            Err(status) => status,
        };
        shared.mux.borrow_mut().on_stream_closed();
        let text = format!(
            "{} gRPC config stream to {} closed: {status}",
            config.service.method(),
            config.cluster
        );
        tell(events, Event::Closed { status, text }).await;
        let wait = config.backoff.next(rand::random());
        tokio::time::sleep(wait).await;
    }
}

async fn dial<C, S>(config: &Config, connect: &C) -> Result<Call<S>, Status>
where
    C: AsyncFn() -> io::Result<S>,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let dial = async {
        let io = connect().await.map_err(|error| {
            Status::before_headers(format_args!("remote connection failure: {error}"))
        })?;
        Call::open(io, config).await
    };
    let dialled = tokio::time::timeout(config.connect_timeout, dial).await;
    dialled.unwrap_or_else(|_| Err(Status::before_headers("connection timeout")))
}

/// Follows a stream to its end.
async fn follow<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    config: &mut Config,
    mut call: Call<S>,
    events: &mpsc::Sender<Event>,
) -> Status {
    shared.mux.borrow_mut().on_stream_open();
    tell(events, Event::Opened).await;
    loop {
        if call.can_send() {
            let request = shared.mux.borrow_mut().next_request();
            if let Some(request) = request {
                call.send(&request.encode());
            }
        }
        // One delivery at a time: the owner sets the pace.
        let reads = !shared.mux.borrow().awaits_judgement();
        let step = tokio::select! {
            () = shared.wishes.notified() => continue,
            step = call.next(reads) => step,
        };
        let message = match step {
            Step::Sent => continue,
            Step::Message(message) => message,
            Step::Closed(status) => {
                if call.is_overasked() {
                    calm(config.keepalive.as_mut());
                }
                return status;
            }
        };
        config.backoff.reset();
        let received = shared.mux.borrow_mut().on_message(message, Instant::now());
        shared.deadlines.notify_one();
        let event = match received {
            Ok(Received::Delivery(delivery)) => Event::Delivered(delivery),
            Ok(Received::Rejected { kind, reason }) => Event::Rejected { kind, reason },
            Ok(Received::Unknown { type_url }) => Event::Unknown { type_url },
            Ok(Received::Done) => continue,
            Err(error) => return Status::internal(error),
        };
        tell(events, event).await;
    }
}

/// Asks half as often from now on.
fn calm(keepalive: Option<&mut Keepalive>) {
    if let Some(keepalive) = keepalive {
        keepalive.interval = keepalive.interval.saturating_mul(2);
    }
}

/// If nobody listens any more, the task is about to end.
async fn tell(events: &mpsc::Sender<Event>, event: Event) {
    drop(events.send(event).await);
}

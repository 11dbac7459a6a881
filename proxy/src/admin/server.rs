//! The admin server's sockets and connections. HTTP/1 is hyper's: nothing here is worth a codec of our own.

use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    CACHE_CONTROL, CONTENT_TYPE, DATE, HeaderValue, SERVER, X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use super::{Reply, Request, Server};
use crate::config::bootstrap::AdminSpec;
use crate::net::Address;

/// Connections at once; more wait in the kernel.
const MOST_CONNECTIONS: usize = 128;
/// For a request's head: who connects and says nothing goes.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Time to wait when the process has no descriptor left.
const BREATH: Duration = Duration::from_millis(50);

/// Why there is no admin server.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Its address cannot be had.
    #[error("cannot bind '{address}': {error}")]
    Bind {
        /// The address.
        address: Address,
        /// Why.
        error: io::Error,
    },
    /// Its address cannot be written down.
    #[error("cannot write --admin-address-path {path}: {error}")]
    AddressPath {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Server {
    /// Begins to answer.
    ///
    /// # Errors
    /// If the address cannot be had, or not be written to `address_path`.
    pub fn start(
        self: Rc<Self>,
        spec: &AdminSpec,
        address_path: Option<&str>,
    ) -> Result<(), AdminError> {
        let (socket, bound) = bind(&spec.address)
            .map_err(|error| AdminError::Bind { address: spec.address.clone(), error })?;
        if let Some(path) = address_path {
            std::fs::write(path, bound.to_string())
                .map_err(|error| AdminError::AddressPath { path: path.into(), error })?;
        }
        tracing::info!("admin address: {bound}");
        let allowed = spec.allowed_paths.clone();
        let is_allowed = move |path: &str| {
            allowed.is_empty() || allowed.iter().any(|matcher| matcher.matches(path.as_bytes()))
        };
        tokio::task::spawn_local(self.accept(socket, Rc::new(is_allowed)));
        Ok(())
    }

    async fn accept(self: Rc<Self>, socket: Socket, is_allowed: Rc<dyn Fn(&str) -> bool>) {
        let places = Rc::new(tokio::sync::Semaphore::new(MOST_CONNECTIONS));
        loop {
            let Ok(place) = acquire(&places).await else { return };
            let accepted = match &socket {
                Socket::Tcp(socket) => socket.accept().await.map(|(stream, _)| {
                    let _ = stream.set_nodelay(true);
                    self.spawn(stream, &is_allowed, place)
                }),
                Socket::Unix(socket) => {
                    socket.accept().await.map(|(stream, _)| self.spawn(stream, &is_allowed, place))
                }
            };
            if accepted.is_err() {
                tokio::time::sleep(BREATH).await;
            }
        }
    }

    fn spawn(
        self: &Rc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
        is_allowed: &Rc<dyn Fn(&str) -> bool>,
        place: Place,
    ) {
        let (server, is_allowed) = (self.clone(), is_allowed.clone());
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
            let request = Request::new(request.method().as_str(), target);
            let reply = if is_allowed(&request.path) {
                server.answer(&request)
            } else {
                let path = &request.path;
                Reply::text(403, format!("request to path {path} not allowed"))
            };
            std::future::ready(Ok::<_, Infallible>(response(reply)))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        tokio::task::spawn_local(async move {
            let _place = place;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an admin connection ended");
            }
        });
    }
}

/// A place among the connections, given back when dropped.
struct Place(Rc<tokio::sync::Semaphore>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

async fn acquire(places: &Rc<tokio::sync::Semaphore>) -> Result<Place, tokio::sync::AcquireError> {
    places.acquire().await?.forget();
    Ok(Place(places.clone()))
}

fn bind(address: &Address) -> io::Result<(Socket, Address)> {
    match address {
        Address::Ip(address) => {
            let socket = std::net::TcpListener::bind(address)?;
            socket.set_nonblocking(true)?;
            let bound = Address::Ip(socket.local_addr()?);
            Ok((Socket::Tcp(TcpListener::from_std(socket)?), bound))
        }
        Address::Pipe(path) => {
            // A socket that an earlier process has left behind is in the way.
            if std::os::unix::net::UnixStream::connect(&**path).is_err() {
                let _ = std::fs::remove_file(&**path);
            }
            Ok((Socket::Unix(UnixListener::bind(&**path)?), address.clone()))
        }
    }
}

fn response(reply: Reply) -> hyper::Response<Full<Bytes>> {
    let mut response = hyper::Response::new(Full::new(reply.body.into()));
    *response.status_mut() =
        hyper::StatusCode::from_u16(reply.status).unwrap_or(hyper::StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, max-age=0"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(SERVER, HeaderValue::from_static("envoy"));
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    if let Ok(date) = HeaderValue::try_from(date) {
        headers.insert(DATE, date);
    }
    response
}

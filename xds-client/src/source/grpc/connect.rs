//! Ways to a server. Any other, such as TLS, is a function of its own.

use std::io;
use std::path::Path;

use tokio::net::{TcpStream, ToSocketAddrs, UnixStream};

/// To an address, or to the first that answers.
///
/// # Errors
/// If nobody listens there.
pub async fn tcp(address: impl ToSocketAddrs) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// To a socket in the file system.
///
/// # Errors
/// If nobody listens there.
pub async fn unix(path: impl AsRef<Path>) -> io::Result<UnixStream> {
    UnixStream::connect(path).await
}

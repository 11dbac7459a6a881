//! Sockets that listeners are bound to.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::accept::ListenSocket;
use super::listener::Bind;
use crate::net::Address;

impl Bind {
    /// Binds and listens; one socket for each of `count` workers, or the same for all.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn open(&self, count: usize) -> io::Result<Vec<ListenSocket>> {
        match &self.address {
            Address::Pipe(path) => self.open_unix(path, count),
            Address::Ip(_) if self.reuse_port => {
                let mut sockets = vec![self.open_tcp()?];
                let bound = match sockets.first() {
                    Some(ListenSocket::Tcp(socket)) => socket.local_addr()?,
                    _ => return Ok(sockets),
                };
                // With port 0 the others join the port that the first was given.
                let others = Self { address: Address::Ip(bound), ..self.clone() };
                for _ in 1..count {
                    sockets.push(others.open_tcp()?);
                }
                Ok(sockets)
            }
            Address::Ip(_) => match self.open_tcp()? {
                ListenSocket::Tcp(socket) => {
                    (0..count).map(|_| socket.try_clone().map(ListenSocket::Tcp)).collect()
                }
                unix @ ListenSocket::Unix(_) => Ok(vec![unix]),
            },
        }
    }

    fn open_tcp(&self) -> io::Result<ListenSocket> {
        let Some(address) = self.address.socket() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if self.reuse_port {
            socket.set_reuse_port(true)?;
        }
        if address.is_ipv6() {
            socket.set_only_v6(!self.ipv4_compat)?;
        }
        if self.freebind {
            match address.is_ipv4() {
                true => socket.set_freebind_v4(true)?,
                false => socket.set_freebind_v6(true)?,
            }
        }
        socket.bind(&SockAddr::from(address))?;
        socket.listen(self.backlog)?;
        socket.set_nonblocking(true)?;
        Ok(ListenSocket::Tcp(socket.into()))
    }

    fn open_unix(&self, path: &str, count: usize) -> io::Result<Vec<ListenSocket>> {
        // A socket that an earlier process has left behind is in the way.
        if std::os::unix::net::UnixStream::connect(path).is_err() {
            let _ = std::fs::remove_file(path);
        }
        let socket = UnixListener::bind(path)?;
        socket.set_nonblocking(true)?;
        if self.mode != 0 {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(self.mode))?;
        }
        (0..count).map(|_| socket.try_clone().map(ListenSocket::Unix)).collect()
    }
}

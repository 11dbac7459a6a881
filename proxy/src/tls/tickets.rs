//! Session tickets of one server configuration.
//!
//! Keys are made here and thrown away: a ticket is worth nothing to another configuration, nor after its time.

use std::sync::Arc;
use std::time::Duration;

use rustls::TicketRotator;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{NoServerSessionStorage, ProducesTickets, ServerConfig};

use super::certificate::TlsError;

/// How long a session may be resumed if nothing else is configured. (BoringSSL: `SSL_DEFAULT_SESSION_TIMEOUT`)
pub(super) const DEFAULT_LIFETIME: Duration = Duration::from_secs(7200);

/// Lets clients of `config` resume their sessions for `lifetime` at most; none if that is less than two seconds.
pub(super) fn issue(config: &mut ServerConfig, lifetime: Duration) -> Result<(), TlsError> {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // A key opens tickets for two rotations.
    let rotation = u32::try_from(lifetime.as_secs() / 2).unwrap_or(u32::MAX / 2);
    if rotation == 0 {
        config.send_tls13_tickets = 0;
        return Ok(());
    }
    config.ticketer = Arc::new(TicketRotator::new(rotation, || match Ticketer::new() {
        Ok(ticketer) => Ok(Box::new(Key(ticketer))),
        Err(_) => Err(rustls::crypto::GetRandomFailed),
    })?);
    config.send_tls13_tickets = 1;
    Ok(())
}

/// One key.
#[derive(Debug)]
struct Key(Arc<dyn ProducesTickets>);

impl ProducesTickets for Key {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(cipher)
    }
}

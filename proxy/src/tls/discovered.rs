//! Certificates and roots that a control plane brings: TLS that is compiled when they are there, and again when they have changed.
//!
//! A [`SecretCell`] is the place of a secret, shared by all who name it; the control runtime fills it. A [`Discovered`] side looks at its cells
//! at every handshake, so a rotation reaches the next handshake of everybody and touches no connection. While a secret is missing there is no
//! handshake; what does not fit together leaves what was there before in force.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::ArcSwapOption;

use super::verify::Validation;
use super::{
    Certificate, ClientSpec, ClientTls, CommonSpec, InUse, ServerSpec, ServerTls, TlsError,
};
use crate::telemetry::metrics::{Registry, TlsFactoryStat, TlsFactoryStats};

/// What a secret is.
#[derive(Debug)]
pub enum Secret {
    /// A certificate of ours, and its key.
    Certificate(Certificate),
    /// How others are checked.
    Validation(Validation),
}

/// The place of a secret.
#[derive(Debug)]
pub struct SecretCell {
    /// Its name.
    pub name: Arc<str>,
    value: ArcSwapOption<Secret>,
}

impl SecretCell {
    /// An empty place.
    #[must_use]
    pub fn new(name: Arc<str>) -> Self {
        Self { name, value: ArcSwapOption::empty() }
    }
}

/// The places of all secrets that are named.
#[derive(Debug, Default)]
pub struct SecretCells(Mutex<HashMap<Arc<str>, Arc<SecretCell>>>);

impl SecretCells {
    /// The place of the secret of this name.
    pub fn cell(&self, name: &str) -> Arc<SecretCell> {
        let mut cells = self.lock();
        if let Some(cell) = cells.get(name) {
            return cell.clone();
        }
        let cell = Arc::new(SecretCell::new(name.into()));
        cells.insert(cell.name.clone(), cell.clone());
        cell
    }

    /// Fills a place, or empties it.
    pub fn set(&self, name: &str, secret: Option<Arc<Secret>>) {
        match secret {
            Some(secret) => self.cell(name).value.store(Some(secret)),
            None => {
                let mut cells = self.lock();
                if let Some(cell) = cells.get(name) {
                    cell.value.store(None);
                }
                // Whoever still looks at a place looks at the one that others will find.
                cells.retain(|_, cell| Arc::strong_count(cell) > 1 || cell.value.load().is_some());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<SecretCell>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One side of TLS, as configured.
pub trait Side {
    /// The same, compiled.
    type Tls;

    /// What both sides have.
    fn common(&mut self) -> &mut CommonSpec;

    /// Compiles it.
    ///
    /// # Errors
    /// If its parts do not fit together.
    fn compile(&self) -> Result<Self::Tls, TlsError>;
}

impl Side for ServerSpec {
    type Tls = ServerTls;

    fn common(&mut self) -> &mut CommonSpec {
        &mut self.common
    }

    fn compile(&self) -> Result<ServerTls, TlsError> {
        ServerTls::new(self)
    }
}

impl Side for ClientSpec {
    type Tls = ClientTls;

    fn common(&mut self) -> &mut CommonSpec {
        &mut self.common
    }

    fn compile(&self) -> Result<ClientTls, TlsError> {
        let has_roots = self.common.validation.as_ref().is_some_and(|it| it.roots.is_some());
        if self.validates_sni && !has_roots {
            return Err(TlsError("auto_sni_san_validation without trusted_ca".to_owned()));
        }
        ClientTls::new(self)
    }
}

/// Why there is no TLS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// This secret has not arrived.
    #[error("secret {0} is missing")]
    Missing(Arc<str>),
    /// The secrets that have arrived do not fit.
    #[error("{0}")]
    Unfit(Arc<str>),
}

/// One side of TLS whose secrets are discovered.
pub struct Discovered<S: Side> {
    spec: S,
    certificates: Vec<Arc<SecretCell>>,
    validation: Option<Arc<SecretCell>>,
    compiled: ArcSwapOption<Compiled<S::Tls>>,
    counts: Counts,
}

/// Where it counts, once it is used.
struct Counts {
    registry: Arc<Registry>,
    scope: Box<str>,
    stats: OnceLock<TlsFactoryStats>,
}

/// What became of the secrets that were there.
struct Compiled<T> {
    from: Vec<Arc<Secret>>,
    tls: Result<Arc<T>, Unavailable>,
}

impl<S: Side + Clone> Discovered<S> {
    /// `spec` without what the cells bring: certificates, and validation or the rest of it. Counts in the scope, which ends in a dot.
    #[must_use]
    pub fn new(
        spec: S,
        certificates: Vec<Arc<SecretCell>>,
        validation: Option<Arc<SecretCell>>,
        registry: &Arc<Registry>,
        scope: String,
    ) -> Self {
        let counts =
            Counts { registry: registry.clone(), scope: scope.into(), stats: OnceLock::new() };
        Self { spec, certificates, validation, compiled: ArcSwapOption::empty(), counts }
    }

    /// TLS with the secrets that are there now.
    ///
    /// # Errors
    /// If one is missing, or if they never fitted together.
    pub fn tls(&self) -> Result<Arc<S::Tls>, Unavailable> {
        let secrets = self.secrets()?;
        let held = self.compiled.load();
        let is_same = |held: &Compiled<S::Tls>| {
            held.from.len() == secrets.len()
                && held.from.iter().zip(&secrets).all(|(held, now)| Arc::ptr_eq(held, now))
        };
        if let Some(held) = held.as_ref().filter(|held| is_same(held)) {
            return held.tls.clone();
        }
        let tls = match self.compile(&secrets) {
            Ok(tls) => {
                self.stats().inc(TlsFactoryStat::ssl_context_update_by_sds);
                Ok(Arc::new(tls))
            }
            Err(TlsError(reason)) => {
                tracing::warn!("secrets do not fit, and are not used: {reason}");
                match held.as_ref() {
                    Some(held) => held.tls.clone(),
                    None => Err(Unavailable::Unfit(reason.into())),
                }
            }
        };
        self.compiled.store(Some(Arc::new(Compiled { from: secrets, tls: tls.clone() })));
        tls
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> &TlsFactoryStats {
        let Counts { registry, scope, stats } = &self.counts;
        stats.get_or_init(|| registry.stats(scope))
    }

    fn secrets(&self) -> Result<Vec<Arc<Secret>>, Unavailable> {
        let cells = self.certificates.iter().chain(&self.validation);
        let value = |cell: &Arc<SecretCell>| {
            cell.value.load_full().ok_or_else(|| Unavailable::Missing(cell.name.clone()))
        };
        cells.map(value).collect()
    }

    fn compile(&self, secrets: &[Arc<Secret>]) -> Result<S::Tls, TlsError> {
        let mut spec = self.spec.clone();
        let common = spec.common();
        for (place, secret) in secrets.iter().enumerate() {
            match (&**secret, place < self.certificates.len()) {
                (Secret::Certificate(certificate), true) => {
                    common.certificates.push(certificate.clone());
                }
                (Secret::Validation(validation), false) => {
                    let default = common.validation.take().unwrap_or_default();
                    let merged = default.completed_by(validation);
                    if merged.is_empty() {
                        return Err(TlsError("the validation context checks nothing".to_owned()));
                    }
                    if merged.roots.is_none() && !merged.sans.is_empty() {
                        return Err(TlsError(
                            "names in a certificate that nobody has signed prove nothing"
                                .to_owned(),
                        ));
                    }
                    common.validation = Some(merged);
                }
                (Secret::Certificate(_), false) => {
                    return Err(TlsError(
                        "a certificate where a validation context belongs".into(),
                    ));
                }
                (Secret::Validation(_), true) => {
                    return Err(TlsError(
                        "a validation context where a certificate belongs".into(),
                    ));
                }
            }
        }
        spec.compile()
    }
}

impl Discovered<ServerSpec> {
    /// The certificates in use, if there are any.
    #[must_use]
    pub fn in_use(&self) -> Option<InUse> {
        Some(self.tls().ok()?.in_use().clone())
    }
}

impl Discovered<ClientSpec> {
    /// The certificates in use, if there are any.
    #[must_use]
    pub fn in_use(&self) -> Option<InUse> {
        Some(self.tls().ok()?.in_use().clone())
    }
}

impl<S: Side> fmt::Debug for Discovered<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> =
            self.certificates.iter().chain(&self.validation).map(|cell| &*cell.name).collect();
        f.debug_struct("Discovered").field("secrets", &names).finish_non_exhaustive()
    }
}

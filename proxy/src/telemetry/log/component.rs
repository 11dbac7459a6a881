//! Levels, one for each component. Names of both are Envoy's.

use std::sync::atomic::{AtomicU8, Ordering};

/// How much something matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Every step.
    Trace,
    /// What an investigation needs.
    Debug,
    /// What an operator may want to know.
    Info,
    /// Something is not as it should be.
    Warning,
    /// Something failed.
    Error,
    /// The process cannot go on.
    Critical,
    /// Above all levels: nothing is logged.
    Off,
}

impl Level {
    /// All levels.
    pub const ALL: [Self; 7] = [
        Self::Trace,
        Self::Debug,
        Self::Info,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Off,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Off => "off",
        }
    }

    /// The level of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let name = if name == "warn" { "warning" } else { name };
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }

    pub(super) const fn of(level: &tracing::Level) -> Self {
        match *level {
            tracing::Level::TRACE => Self::Trace,
            tracing::Level::DEBUG => Self::Debug,
            tracing::Level::INFO => Self::Info,
            tracing::Level::WARN => Self::Warning,
            tracing::Level::ERROR => Self::Error,
        }
    }
}

/// A part of the program that logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Component {
    /// The admin server.
    Admin,
    /// Configuration and its sources.
    Config,
    /// Listeners and their connections.
    ConnHandler,
    /// TLS.
    Connection,
    /// Name resolution.
    Dns,
    /// HTTP.
    Http,
    /// The process.
    Main,
    /// Libraries.
    Misc,
    /// Clusters and hosts.
    Upstream,
}

impl Component {
    /// All components.
    pub const ALL: [Self; 9] = [
        Self::Admin,
        Self::Config,
        Self::ConnHandler,
        Self::Connection,
        Self::Dns,
        Self::Http,
        Self::Main,
        Self::Misc,
        Self::Upstream,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Config => "config",
            Self::ConnHandler => "conn_handler",
            Self::Connection => "connection",
            Self::Dns => "dns",
            Self::Http => "http",
            Self::Main => "main",
            Self::Misc => "misc",
            Self::Upstream => "upstream",
        }
    }

    /// The component of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|component| component.as_str() == name)
    }

    /// The component of a module's path.
    #[must_use]
    pub fn of_target(target: &str) -> Self {
        let Some(path) = target.strip_prefix("outrigger") else { return Self::Misc };
        if path.starts_with("_xds") {
            return Self::Config;
        }
        match path.trim_start_matches("::").split("::").next() {
            Some("admin") => Self::Admin,
            Some("config") => Self::Config,
            Some("dns") => Self::Dns,
            Some("http") => Self::Http,
            Some("listener") => Self::ConnHandler,
            Some("tls") => Self::Connection,
            Some("upstream") => Self::Upstream,
            _ => Self::Main,
        }
    }
}

static LEVELS: [AtomicU8; Component::ALL.len()] =
    [const { AtomicU8::new(Level::Info as u8) }; Component::ALL.len()];

fn cell(component: Component) -> &'static AtomicU8 {
    // The discriminants are the places.
    LEVELS.get(component as usize).unwrap_or(&LEVELS[0])
}

/// What a component logs from.
#[must_use]
pub fn level(component: Component) -> Level {
    let place = usize::from(cell(component).load(Ordering::Relaxed));
    Level::ALL.get(place).copied().unwrap_or(Level::Info)
}

/// Sets the level of a component.
pub fn set_component(component: Component, level: Level) {
    cell(component).store(level as u8, Ordering::Relaxed);
    tracing::callsite::rebuild_interest_cache();
}

/// Sets the level of all components.
pub fn set_all(level: Level) {
    for component in Component::ALL {
        cell(component).store(level as u8, Ordering::Relaxed);
    }
    tracing::callsite::rebuild_interest_cache();
}

/// A level that there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error: invalid log level specified '{0}'")]
pub struct UnknownLevel(pub String);

/// Sets levels from `upstream:debug,config:trace`; names of Envoy's components that there are not here are passed over.
///
/// # Errors
/// If a level is none; nothing is changed then.
pub fn set_from_list(list: &str) -> Result<(), UnknownLevel> {
    let mut changes = Vec::new();
    for entry in list.split(',').filter(|entry| !entry.is_empty()) {
        let unknown = || UnknownLevel(entry.to_owned());
        let (name, level) = entry.split_once(':').ok_or_else(unknown)?;
        let level = Level::parse(level).ok_or_else(unknown)?;
        changes.extend(Component::parse(name).map(|component| (component, level)));
    }
    for (component, level) in changes {
        set_component(component, level);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_belong_to_components() {
        for (target, component) in [
            ("outrigger::upstream::pool", Component::Upstream),
            ("outrigger::app", Component::Main),
            ("outrigger_xds::source::filesystem", Component::Config),
            ("h2::codec", Component::Misc),
        ] {
            assert_eq!(Component::of_target(target), component, "{target}");
        }
    }

    #[test]
    fn a_list_is_taken_whole_or_not() {
        assert_eq!(set_from_list("dns:error,admin:loud"), Err(UnknownLevel("admin:loud".into())));
        assert_eq!(level(Component::Dns), Level::Info);
        set_from_list("dns:error,nosuch:debug,").unwrap();
        assert_eq!(level(Component::Dns), Level::Error);
        set_component(Component::Dns, Level::Info);
    }
}

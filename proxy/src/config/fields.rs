//! Every field of every message is used, ignored for a reason, or refused by name.
//!
//! A translator takes its message apart with `fields!`, which has no rest pattern: a field that a new version of the message types
//! brings is a compile error until somebody has decided about it. The same lines make the table in `docs/configuration.md`.

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It does what Envoy's documentation says.
    Used,
    /// It changes nothing, for this reason.
    Ignored(&'static str),
    /// It is refused if it is set, for this reason.
    Refused(&'static str),
}

/// A message that a translator takes apart.
pub trait Documented {
    /// Its fields, in the translator's order.
    const FIELDS: &'static [(&'static str, Fate)];
}

/// Whether a field has another value than the default, which is what an unset one has.
pub(super) trait IsSet {
    /// True if it has.
    fn is_set(&self) -> bool;
}

impl<T> IsSet for Option<T> {
    fn is_set(&self) -> bool {
        self.is_some()
    }
}

impl<T> IsSet for Vec<T> {
    fn is_set(&self) -> bool {
        !self.is_empty()
    }
}

impl<K, V, S> IsSet for std::collections::HashMap<K, V, S> {
    fn is_set(&self) -> bool {
        !self.is_empty()
    }
}

impl IsSet for String {
    fn is_set(&self) -> bool {
        !self.is_empty()
    }
}

macro_rules! set_if_not_default {
    ($($type:ty),+) => {
        $(impl IsSet for $type {
            fn is_set(&self) -> bool {
                *self != Self::default()
            }
        })+
    };
}

set_if_not_default!(bool, i32, i64, u32, u64, f32, f64);

/// The field's name as messages spell it, without the `r#` of a Rust keyword.
#[must_use]
pub(super) const fn field_name(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

/// Takes a message apart: binds the used fields, notes the ignored ones that are set, refuses the refused ones.
///
/// ```text
/// fields!(cx, at, message => Cluster {
///     used: name, connect_timeout;
///     ignored: cleanup_interval = "hosts are cleaned up at every change";
///     refused: health_checks = "active health checks";
/// });
/// ```
///
/// `cx` is the [`Cx`](super::cx::Cx) of the translation and `at` the [`At`](super::error::At) of the message; refusing returns from the
/// function. A reason after `refused` completes "… is not supported".
macro_rules! fields {
    ($cx:expr, $at:expr, $message:expr => $Type:ty as $Pattern:path {
        $(used: $($used:ident),+ $(,)?;)?
        $(ignored: $($ignored:ident = $why:literal),+ $(,)?;)?
        $(refused: $($refused:ident = $what:literal),+ $(,)?;)?
    }) => {
        #[allow(non_local_definitions)]
        impl $crate::config::fields::Documented for $Type {
            const FIELDS: &'static [(&'static str, $crate::config::fields::Fate)] = &[
                $($((
                    $crate::config::fields::field_name(stringify!($used)),
                    $crate::config::fields::Fate::Used,
                ),)+)?
                $($((
                    $crate::config::fields::field_name(stringify!($ignored)),
                    $crate::config::fields::Fate::Ignored($why),
                ),)+)?
                $($((
                    $crate::config::fields::field_name(stringify!($refused)),
                    $crate::config::fields::Fate::Refused($what),
                ),)+)?
            ];
        }
        #[allow(deprecated)]
        let $Pattern { $($($used,)+)? $($($ignored,)+)? $($($refused,)+)? } = $message;
        $($(
            if $crate::config::fields::IsSet::is_set(&$ignored) {
                $cx.note_ignored(&$at.field($crate::config::fields::field_name(stringify!($ignored))), $why);
            }
        )+)?
        $($(
            if $crate::config::fields::IsSet::is_set(&$refused) {
                return Err($at
                    .field($crate::config::fields::field_name(stringify!($refused)))
                    .unsupported($what));
            }
        )+)?
        let _ = (&$cx, &$at);
    };
    ($cx:expr, $at:expr, $message:expr => $Type:ident { $($rest:tt)* }) => {
        fields!($cx, $at, $message => $Type as $Type { $($rest)* })
    };
}

pub(super) use fields;

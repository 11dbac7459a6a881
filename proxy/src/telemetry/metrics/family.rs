//! What a family is: a fixed set of stats with Envoy's names, declared once by `family!`.
//!
//! A declaration gives an empty enum that carries one constant for each stat, whose type says what can
//! be done with it: `ClusterStat::upstream_rq_total` is a `Counter<ClusterStat>`, so that it fits only a
//! `Stats<ClusterStat>`, and only where a counter is asked for. The constants hold the place of the
//! stat's cell, so the hot path sees no name. Absent: instances and their scopes (`stats`, `registry`).

use std::marker::PhantomData;

use super::cells::Words;
pub(super) use super::codes::CODE_WORDS;

/// A set of stats. Implemented by `family!` only.
pub trait Family: Send + Sync + 'static {
    /// The cells of one shard.
    type Words: Words;
    /// The family's own name, which tells the families of one scope apart.
    const NAME: &'static str;
    /// The stats; their order means nothing.
    const STATS: &'static [Descriptor];
    /// The word that holds a bit for each gauge that was ever written.
    const GAUGES_USED: usize;
    /// Number of histograms.
    const HISTOGRAMS: usize;
}

/// One stat of a family.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    /// What follows the scope in the full name, as `upstream_rq_total` or `ssl.handshake`.
    pub name: &'static str,
    /// What it is and where its cells are.
    pub kind: Kind,
    /// When it is listed.
    pub shown: Shown,
}

/// What a stat is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only goes up.
    Counter {
        /// Its word.
        word: u16,
    },
    /// Goes up and down, or is set.
    Gauge {
        /// Its word.
        word: u16,
        /// Its bit in the word of used gauges.
        bit: u8,
    },
    /// Counts samples by size.
    Histogram {
        /// Its place among the family's histograms.
        index: u16,
    },
    /// A counter for each status code; the code follows the name.
    Codes {
        /// The first of its words.
        word: u16,
    },
}

/// When a stat is listed in dumps that do not ask for used ones only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Always.
    Always,
    /// From its first use on, as Envoy does with names that are made by the data.
    OnceUsed,
    /// Always, and once more for each worker, as `worker_0.downstream_cx_total`.
    ByWorkerToo,
}

macro_rules! handles {
    ($($(#[$doc:meta])* $handle:ident { $($field:ident: $type:ty),+ })+) => {$(
        $(#[$doc])*
        pub struct $handle<F> {
            $(pub(super) $field: $type,)+
            family: PhantomData<fn() -> F>,
        }

        impl<F> $handle<F> {
            /// For `family!`.
            #[doc(hidden)]
            #[must_use]
            pub const fn at($($field: $type),+) -> Self {
                Self { $($field,)+ family: PhantomData }
            }
        }

        impl<F> Clone for $handle<F> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<F> Copy for $handle<F> {}
    )+};
}

handles! {
    /// A counter of family `F`.
    Counter { word: u16 }
    /// A gauge of family `F`.
    Gauge { word: u16, bit: u8 }
    /// A histogram of family `F`.
    Histogram { index: u16 }
    /// Counters by status code of family `F`.
    Codes { word: u16 }
}

/// Declares a family. Sections come in the order below and may be left out:
///
/// ```text
/// family! {
///     /// What the family is about.
///     ListenerStat as ListenerStats {
///         counters { downstream_cx_overflow, handshake = "ssl.handshake" }
///         split_counters { downstream_cx_total }     // listed for each worker too
///         rare_counters { upstream_rq_5xx }          // listed from the first use on
///         gauges { downstream_pre_cx_active }
///         split_gauges { downstream_cx_active }
///         histograms { downstream_cx_length_ms }
///         rare_histograms { upstream_rq_time }
///         codes { upstream_rq = "upstream_rq_" }     // one counter for each status code
///     }
/// }
/// ```
///
/// A stat's name is its identifier, unless a string says otherwise.
macro_rules! family {
    (
        $(#[$meta:meta])*
        $family:ident as $stats:ident {
            $(counters { $($counter:ident $(= $counter_name:literal)?),+ $(,)? })?
            $(split_counters { $($split:ident $(= $split_name:literal)?),+ $(,)? })?
            $(rare_counters { $($rare:ident $(= $rare_name:literal)?),+ $(,)? })?
            $(gauges { $($gauge:ident $(= $gauge_name:literal)?),+ $(,)? })?
            $(split_gauges { $($level:ident $(= $level_name:literal)?),+ $(,)? })?
            $(histograms { $($histogram:ident $(= $histogram_name:literal)?),+ $(,)? })?
            $(rare_histograms { $($timing:ident $(= $timing_name:literal)?),+ $(,)? })?
            $(codes { $($codes:ident = $codes_name:literal),+ $(,)? })?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub enum $family {}

        #[doc = concat!("The stats of [`", stringify!($family), "`] of one scope.")]
        pub type $stats = $crate::telemetry::metrics::Stats<$family>;

        #[expect(
            non_camel_case_types,
            non_upper_case_globals,
            reason = "stats keep Envoy's names, so that a search finds them"
        )]
        const _: () = {
            use $crate::telemetry::metrics::family as kit;

            enum Word {
                $($($counter,)+)?
                $($($split,)+)?
                $($($rare,)+)?
                $($($gauge,)+)?
                $($($level,)+)?
                Used,
            }
            enum GaugeBit { $($($gauge,)+)? $($($level,)+)? End }
            enum HistogramIndex { $($($histogram,)+)? $($($timing,)+)? End }
            enum CodesIndex { $($($codes,)+)? End }

            const FIRST_CODES: usize = Word::Used as usize + 1;
            const WORDS: usize = FIRST_CODES + CodesIndex::End as usize * kit::CODE_WORDS;
            const _: () = assert!(GaugeBit::End as usize <= 64, "a family holds at most 64 gauges");

            impl $family {
                $($(pub const $counter: kit::Counter<Self> =
                    kit::Counter::at(Word::$counter as u16);)+)?
                $($(pub const $split: kit::Counter<Self> =
                    kit::Counter::at(Word::$split as u16);)+)?
                $($(pub const $rare: kit::Counter<Self> =
                    kit::Counter::at(Word::$rare as u16);)+)?
                $($(pub const $gauge: kit::Gauge<Self> =
                    kit::Gauge::at(Word::$gauge as u16, GaugeBit::$gauge as u8);)+)?
                $($(pub const $level: kit::Gauge<Self> =
                    kit::Gauge::at(Word::$level as u16, GaugeBit::$level as u8);)+)?
                $($(pub const $histogram: kit::Histogram<Self> =
                    kit::Histogram::at(HistogramIndex::$histogram as u16);)+)?
                $($(pub const $timing: kit::Histogram<Self> =
                    kit::Histogram::at(HistogramIndex::$timing as u16);)+)?
                $($(pub const $codes: kit::Codes<Self> =
                    kit::Codes::at(
                    (FIRST_CODES + CodesIndex::$codes as usize * kit::CODE_WORDS) as u16);)+)?
            }

            impl kit::Family for $family {
                type Words = [std::sync::atomic::AtomicU64; WORDS];
                const NAME: &'static str = stringify!($family);
                const GAUGES_USED: usize = Word::Used as usize;
                const HISTOGRAMS: usize = HistogramIndex::End as usize;
                const STATS: &'static [kit::Descriptor] = &[
                    $($(kit::Descriptor {
                        name: kit::stat_name!($counter $($counter_name)?),
                        kind: kit::Kind::Counter { word: $family::$counter.word },
                        shown: kit::Shown::Always,
                    },)+)?
                    $($(kit::Descriptor {
                        name: kit::stat_name!($split $($split_name)?),
                        kind: kit::Kind::Counter { word: $family::$split.word },
                        shown: kit::Shown::ByWorkerToo,
                    },)+)?
                    $($(kit::Descriptor {
                        name: kit::stat_name!($rare $($rare_name)?),
                        kind: kit::Kind::Counter { word: $family::$rare.word },
                        shown: kit::Shown::OnceUsed,
                    },)+)?
                    $($(kit::Descriptor {
                        name: kit::stat_name!($gauge $($gauge_name)?),
                        kind: kit::Kind::Gauge { word: $family::$gauge.word, bit: $family::$gauge.bit },
                        shown: kit::Shown::Always,
                    },)+)?
                    $($(kit::Descriptor {
                        name: kit::stat_name!($level $($level_name)?),
                        kind: kit::Kind::Gauge { word: $family::$level.word, bit: $family::$level.bit },
                        shown: kit::Shown::ByWorkerToo,
                    },)+)?
                    $($(kit::Descriptor {
                        name: kit::stat_name!($histogram $($histogram_name)?),
                        kind: kit::Kind::Histogram { index: $family::$histogram.index },
                        shown: kit::Shown::Always,
                    },)+)?
                    $($(kit::Descriptor {
                        name: kit::stat_name!($timing $($timing_name)?),
                        kind: kit::Kind::Histogram { index: $family::$timing.index },
                        shown: kit::Shown::OnceUsed,
                    },)+)?
                    $($(kit::Descriptor {
                        name: $codes_name,
                        kind: kit::Kind::Codes { word: $family::$codes.word },
                        shown: kit::Shown::OnceUsed,
                    },)+)?
                ];
            }
        };
    };
}

/// A stat's name: the string if there is one, else the identifier.
macro_rules! stat_name {
    ($stat:ident) => {
        stringify!($stat)
    };
    ($stat:ident $name:literal) => {
        $name
    };
}

pub(super) use {family, stat_name};

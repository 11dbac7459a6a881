//! The families: Envoy 1.40's stats, by who feeds them.
//!
//! A stat stands here only if this proxy feeds it: one that is always 0 would be a lie. Each name is
//! checked against a recording of the real Envoy (`tests/parity.rs`). A family says in its first line the
//! scope that its owner gives to `Registry::stats`.

/// Gives stats a method that counts an answer: that it is complete, its class, and its code if the family
/// has codes.
macro_rules! count_answers {
    ($stats:ident, $stat:ident, $completed:ident, $classes:tt $(, $codes:ident)?) => {
        impl $stats {
            /// Counts an answer with this status.
            #[inline]
            pub fn completed(&self, status: u16) {
                self.inc($stat::$completed);
                $(self.code($stat::$codes, status);)?
                count_answers!(@class self, $stat, status, $classes);
            }
        }
    };
    (@class $self:ident, $stat:ident, $status:ident,
     [$one:ident, $two:ident, $three:ident, $four:ident, $five:ident]) => {
        match $status / 100 {
            1 => $self.inc($stat::$one),
            2 => $self.inc($stat::$two),
            3 => $self.inc($stat::$three),
            4 => $self.inc($stat::$four),
            5 => $self.inc($stat::$five),
            _ => {}
        }
    };
}

mod cluster;
mod codec;
mod filter;
mod http;
mod istio;
mod listener;
mod network;
mod server;
mod telemetry;
mod tls;
mod upstream;
mod xds;

pub use self::cluster::{BreakerGauges, ClusterStat, ClusterStats, breaker_gauges};
pub use self::codec::{Http1Stat, Http1Stats, Http2Stat, Http2Stats};
pub use self::filter::{
    CompressedStat, CompressedStats, CompressorStat, CompressorStats, CorsStat, CorsStats,
    ExtAuthzClusterStat, ExtAuthzClusterStats, ExtAuthzStat, ExtAuthzStats, FaultStat, FaultStats,
    GrpcMethodStat, GrpcMethodStats, JwtStat, JwtStats, LocalRateLimitStat, LocalRateLimitStats,
    RateLimitClusterStat, RateLimitClusterStats, RbacShadowStat, RbacShadowStats, RbacStat,
    RbacStats,
};
pub use self::http::{HttpStat, HttpStats, RouterStat, RouterStats};
pub use self::istio::{
    IstioBuildStat, IstioBuildStats, IstioGrpcStat, IstioGrpcStats, IstioHttpStat, IstioHttpStats,
    IstioTcpStat, IstioTcpStats,
};
pub use self::listener::{
    HttpInspectorStat, HttpInspectorStats, ListenerHttpStat, ListenerHttpStats, ListenerStat,
    ListenerStats, ProxyProtocolStat, ProxyProtocolStats, TlsInspectorStat, TlsInspectorStats,
};
pub use self::network::{
    ConnectionLimitStat, ConnectionLimitStats, MetadataExchangeStat, MetadataExchangeStats,
    NetworkRateLimitStat, NetworkRateLimitStats, TcpStat, TcpStats,
};
pub use self::server::{
    ClusterManagerStat, ClusterManagerStats, ListenerManagerStat, ListenerManagerStats,
    OverloadStat, OverloadStats, RuntimeStat, RuntimeStats, ServerStat, ServerStats,
};
pub use self::telemetry::{
    FilesystemStat, FilesystemStats, GrpcAccessLogStat, GrpcAccessLogStats, OpenTelemetryStat,
    OpenTelemetryStats, ZipkinStat, ZipkinStats,
};
pub use self::tls::{
    CertificateStat, CertificateStats, Settled, TlsFactoryStat, TlsFactoryStats, TlsParameter,
    TlsStat, TlsStats,
};
pub use self::upstream::{
    CodeStat, CodeStats, HealthCheckStat, HealthCheckStats, HostStat, HostStats, MaglevStat,
    MaglevStats, OutlierStat, OutlierStats, RemainingStat, RemainingStats, RingHashStat,
    RingHashStats, SizeStat, SizeStats, TimeoutBudgetStat, TimeoutBudgetStats, VirtualClusterStat,
    VirtualClusterStats,
};
pub use self::xds::{
    ControlPlaneStat, ControlPlaneStats, EdsStat, EdsStats, RdsStat, RdsStats, ReloadStat,
    ReloadStats, SdsStat, SdsStats, SubscriptionStat, SubscriptionStats,
};

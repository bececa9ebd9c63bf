//! The requests that are known by name: a closed set, so that counters cannot grow by what clients write.

use crate::metrics::GrpcMetrics;
use std::sync::LazyLock;

macro_rules! kinds {
    ($($kind:ident $name:literal,)+) => {
        /// What a request is, as far as the door tells them apart.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(super) enum Kind {
            $($kind,)+
            /// Between members of Nacos's own clusters.
            ClusterOnly,
            /// A name that nobody answers.
            Other,
        }

        impl Kind {
            const LABELS: &[&str] = &[$($name,)+ "cluster_only", "other"];

            /// By `metadata.type`.
            pub(super) fn of(name: &str) -> Self {
                match name {
                    $($name => Kind::$kind,)+
                    "DistroDataRequest"
                    | "MemberReportRequest"
                    | "ServerLoaderInfoRequest"
                    | "ServerReloadRequest"
                    | "ConfigChangeClusterSyncRequest" => Kind::ClusterOnly,
                    _ => Kind::Other,
                }
            }
        }
    };
}

kinds! {
    ServerCheck "ServerCheckRequest",
    HealthCheck "HealthCheckRequest",
    Instance "InstanceRequest",
    BatchInstance "BatchInstanceRequest",
    PersistentInstance "PersistentInstanceRequest",
    ServiceQuery "ServiceQueryRequest",
    ServiceList "ServiceListRequest",
    SubscribeService "SubscribeServiceRequest",
    FuzzyWatch "NamingFuzzyWatchRequest",
    ConfigQuery "ConfigQueryRequest",
    ConfigPublish "ConfigPublishRequest",
    ConfigRemove "ConfigRemoveRequest",
    ConfigBatchListen "ConfigBatchListenRequest",
    ConfigFuzzyWatch "ConfigFuzzyWatchRequest",
    Lock "LockOperationRequest",
}

impl Kind {
    /// The counters of its kind, looked up once.
    pub(super) fn metrics(self) -> &'static GrpcMetrics {
        static ALL: LazyLock<Vec<GrpcMetrics>> =
            LazyLock::new(|| Kind::LABELS.iter().map(|label| GrpcMetrics::new(label)).collect());
        &ALL[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_own_label() {
        assert_eq!(
            Kind::LABELS[Kind::of("LockOperationRequest") as usize],
            "LockOperationRequest"
        );
        assert_eq!(Kind::LABELS[Kind::of("DistroDataRequest") as usize], "cluster_only");
        assert_eq!(Kind::LABELS[Kind::of("instancerequest") as usize], "other");
        assert_eq!(Kind::LABELS.len(), Kind::Other as usize + 1);
    }
}

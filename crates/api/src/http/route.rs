//! Which call a method and a path mean.

use crate::metrics::RouteMetrics;
use hyper::Method;
use std::sync::LazyLock;

macro_rules! routes {
    ($($name:ident => $label:literal),* $(,)?) => {
        /// Every call that is answered. The label is the metrics'.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(super) enum Route { $($name),* }

        impl Route {
            const ALL: &'static [(Route, &'static str)] = &[$((Route::$name, $label)),*];
        }
    };
}

routes! {
    Beat => "instance_beat",
    InstanceList => "instance_list",
    InstanceRegister => "instance_register",
    InstanceDeregister => "instance_deregister",
    InstanceUpdate => "instance_update",
    InstancePatch => "instance_patch",
    InstanceDetail => "instance_detail",
    InstanceStatuses => "instance_statuses",
    MetadataUpdate => "metadata_update",
    MetadataDelete => "metadata_delete",
    ServiceCreate => "service_create",
    ServiceUpdate => "service_update",
    ServiceDetail => "service_detail",
    ServiceDelete => "service_delete",
    ServiceList => "service_list",
    ServiceNames => "service_names",
    ServiceSubscribers => "service_subscribers",
    SelectorTypes => "selector_types",
    CatalogServices => "catalog_services",
    CatalogService => "catalog_service",
    CatalogInstances => "catalog_instances",
    OperatorMetrics => "operator_metrics",
    Switches => "switches",
    SwitchUpdate => "switch_update",
    OperatorServers => "operator_servers",
    PushState => "push_state",
    HealthServer => "health_server",
    HealthUpdate => "health_update",
    HealthCheckers => "health_checkers",
    ClusterUpdate => "cluster_update",
    CoreSelf => "core_self",
    CoreNodes => "core_nodes",
    CoreSimpleNodes => "core_simple_nodes",
    CoreHealth => "core_health",
    ConsoleState => "console_state",
    ConsoleLiveness => "console_liveness",
    ConsoleReadiness => "console_readiness",
    ConsoleNamespaces => "console_namespaces",
    Login => "login",
    StateLiveness => "state_liveness",
    StateReadiness => "state_readiness",
    AdminCluster => "admin_cluster",
    AdminMemberAdd => "admin_member_add",
    AdminMemberRemove => "admin_member_remove",
    AdminTransferLeader => "admin_transfer_leader",
    AdminServices => "admin_services",
    AdminService => "admin_service",
    AdminInstances => "admin_instances",
    HealthLive => "health_live",
    HealthReady => "health_ready",
    Metrics => "metrics",
    Unknown => "unknown",
}

static METRICS: LazyLock<Vec<RouteMetrics>> =
    LazyLock::new(|| Route::ALL.iter().map(|(_, label)| RouteMetrics::new(label)).collect());

/// Whose manners an answer follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Family {
    /// `/v1/ns`: only while the node serves; unknown paths are 501.
    Naming,
    /// The rest of Nacos's paths.
    Nacos,
    /// Our own, under `/v3/admin/muster`.
    Admin,
    /// At the root: health and metrics.
    Probe,
}

/// Where a path leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Target {
    pub(super) route: Route,
    pub(super) family: Family,
    /// The path is one of ours, whatever the method.
    pub(super) path_exists: bool,
}

impl Route {
    pub(super) fn metrics(self) -> &'static RouteMetrics {
        &METRICS[self as usize]
    }

    /// What `method` on `path` means, where Nacos's paths stand below `prefix`. Of our own paths only the family is found
    /// here; [`own`](super::own) routes them.
    pub(super) fn find(prefix: &str, method: &Method, path: &str) -> Target {
        let found = |family, (route, path_exists)| Target {
            route,
            family,
            path_exists,
        };
        if let Some(below) = path.strip_prefix(prefix) {
            if let Some(rest) = below.strip_prefix("/v1/ns/") {
                return found(Family::Naming, naming(method, rest));
            }
            if below.starts_with("/v3/admin/muster/") {
                return found(Family::Admin, (Route::Unknown, false));
            }
            if below.starts_with("/v1/") || below.starts_with("/v2/") || below.starts_with("/v3/") {
                return found(Family::Nacos, nacos(method, below));
            }
        }
        found(Family::Probe, (Route::Unknown, false))
    }
}

/// The first of `of` whose method fits; `HEAD` asks as `GET` does.
fn by_method(method: &Method, of: &[(Method, Route)]) -> (Route, bool) {
    let asked = if *method == Method::HEAD { &Method::GET } else { method };
    let route = of
        .iter()
        .find(|(m, _)| m == asked)
        .map_or(Route::Unknown, |(_, route)| *route);
    (route, true)
}

fn naming(method: &Method, rest: &str) -> (Route, bool) {
    let by = |of: &[(Method, Route)]| by_method(method, of);
    match rest {
        "instance/beat" => by(&[(Method::PUT, Route::Beat)]),
        "instance/list" => by(&[(Method::GET, Route::InstanceList)]),
        "instance" => by(&[
            (Method::POST, Route::InstanceRegister),
            (Method::DELETE, Route::InstanceDeregister),
            (Method::PUT, Route::InstanceUpdate),
            (Method::PATCH, Route::InstancePatch),
            (Method::GET, Route::InstanceDetail),
        ]),
        "instance/statuses" => (Route::InstanceStatuses, true),
        "instance/metadata/batch" => by(&[
            (Method::PUT, Route::MetadataUpdate),
            (Method::DELETE, Route::MetadataDelete),
        ]),
        "service" => by(&[
            (Method::POST, Route::ServiceCreate),
            (Method::PUT, Route::ServiceUpdate),
            (Method::GET, Route::ServiceDetail),
            (Method::DELETE, Route::ServiceDelete),
        ]),
        "service/list" => by(&[(Method::GET, Route::ServiceList)]),
        "service/names" => (Route::ServiceNames, true),
        "service/subscribers" => by(&[(Method::GET, Route::ServiceSubscribers)]),
        "service/selector/types" => by(&[(Method::GET, Route::SelectorTypes)]),
        "catalog/services" => by(&[(Method::GET, Route::CatalogServices)]),
        "catalog/service" => by(&[(Method::GET, Route::CatalogService)]),
        "catalog/instances" => (Route::CatalogInstances, true),
        "operator/metrics" | "ops/metrics" => by(&[(Method::GET, Route::OperatorMetrics)]),
        "operator/switches" | "ops/switches" => {
            by(&[(Method::GET, Route::Switches), (Method::PUT, Route::SwitchUpdate)])
        }
        "operator/servers" | "ops/servers" => by(&[(Method::GET, Route::OperatorServers)]),
        "operator/push/state" | "ops/push/state" => (Route::PushState, true),
        "health/server" => (Route::HealthServer, true),
        "health" | "health/instance" => by(&[(Method::PUT, Route::HealthUpdate)]),
        "health/checkers" => by(&[(Method::GET, Route::HealthCheckers)]),
        "cluster" => by(&[(Method::PUT, Route::ClusterUpdate)]),
        _ => (Route::Unknown, false),
    }
}

fn nacos(method: &Method, below: &str) -> (Route, bool) {
    let by = |of: &[(Method, Route)]| by_method(method, of);
    match below {
        "/v1/core/cluster/self" => by(&[(Method::GET, Route::CoreSelf)]),
        "/v1/core/cluster/nodes" => by(&[(Method::GET, Route::CoreNodes)]),
        "/v1/core/cluster/simple/nodes" => by(&[(Method::GET, Route::CoreSimpleNodes)]),
        "/v1/core/cluster/health" => by(&[(Method::GET, Route::CoreHealth)]),
        "/v1/console/server/state" => by(&[(Method::GET, Route::ConsoleState)]),
        "/v1/console/health/liveness" => by(&[(Method::GET, Route::ConsoleLiveness)]),
        "/v1/console/health/readiness" => by(&[(Method::GET, Route::ConsoleReadiness)]),
        "/v1/console/namespaces" => by(&[(Method::GET, Route::ConsoleNamespaces)]),
        "/v1/auth/users/login" | "/v1/auth/login" => by(&[(Method::POST, Route::Login)]),
        "/v3/admin/core/state/liveness" => by(&[(Method::GET, Route::StateLiveness)]),
        "/v3/admin/core/state/readiness" => by(&[(Method::GET, Route::StateReadiness)]),
        _ => (Route::Unknown, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_stands_where_its_number_says() {
        for (place, (route, _)) in Route::ALL.iter().enumerate() {
            assert_eq!(*route as usize, place);
        }
    }

    #[test]
    fn paths_are_found_below_any_prefix() {
        for prefix in ["/nacos", "", "/a/b"] {
            let path = format!("{prefix}/v1/ns/instance");
            assert_eq!(
                Route::find(prefix, &Method::POST, &path).route,
                Route::InstanceRegister,
                "{prefix}"
            );
        }
        let outside = Route::find("/nacos", &Method::POST, "/v1/ns/instance");
        assert_eq!((outside.route, outside.path_exists), (Route::Unknown, false));
    }

    #[test]
    fn a_wrong_method_is_unknown_on_a_path_that_exists() {
        let target = Route::find("/nacos", &Method::POST, "/nacos/v1/console/namespaces");
        assert_eq!(
            target,
            Target {
                route: Route::Unknown,
                family: Family::Nacos,
                path_exists: true
            }
        );
    }
}

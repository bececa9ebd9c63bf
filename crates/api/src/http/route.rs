//! Which call a method and a path mean.

use super::endpoint::Endpoint;
use super::routes;
use crate::metrics::RouteMetrics;
use hyper::Method;
use std::collections::HashMap;
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
    V2InstanceRegister => "v2_instance_register",
    V2InstanceDeregister => "v2_instance_deregister",
    V2InstanceUpdate => "v2_instance_update",
    V2InstancePatch => "v2_instance_patch",
    V2InstanceDetail => "v2_instance_detail",
    V2InstanceList => "v2_instance_list",
    V2Beat => "v2_instance_beat",
    V2MetadataUpdate => "v2_metadata_update",
    V2MetadataDelete => "v2_metadata_delete",
    V2InstanceStatuses => "v2_instance_statuses",
    V2ServiceCreate => "v2_service_create",
    V2ServiceUpdate => "v2_service_update",
    V2ServiceDetail => "v2_service_detail",
    V2ServiceDelete => "v2_service_delete",
    V2ServiceList => "v2_service_list",
    V2CatalogInstances => "v2_catalog_instances",
    V2HealthUpdate => "v2_health_update",
    V2Switches => "v2_switches",
    V2SwitchUpdate => "v2_switch_update",
    V2OperatorMetrics => "v2_operator_metrics",
    V2ClientList => "v2_client_list",
    V2ClientDetail => "v2_client_detail",
    V2ClientPublished => "v2_client_published",
    V2ClientSubscribed => "v2_client_subscribed",
    V2ServicePublishers => "v2_service_publishers",
    V2ServiceSubscribers => "v2_service_subscribers",
    V2CoreSelf => "v2_core_self",
    V2CoreHealth => "v2_core_health",
    V2CoreNodes => "v2_core_nodes",
    V2Liveness => "v2_liveness",
    V2Readiness => "v2_readiness",
    V2Namespaces => "v2_namespaces",
    V2Namespace => "v2_namespace",
    V2Disabled => "v2_disabled",
    V3LightRegister => "v3_light_register",
    V3LightDeregister => "v3_light_deregister",
    V3LightList => "v3_light_list",
    V3InstanceRegister => "v3_instance_register",
    V3InstanceDeregister => "v3_instance_deregister",
    V3InstanceUpdate => "v3_instance_update",
    V3InstanceDetail => "v3_instance_detail",
    V3InstancePartial => "v3_instance_partial",
    V3InstanceList => "v3_instance_list",
    V3MetadataUpdate => "v3_metadata_update",
    V3MetadataDelete => "v3_metadata_delete",
    V3ServiceCreate => "v3_service_create",
    V3ServiceUpdate => "v3_service_update",
    V3ServiceDetail => "v3_service_detail",
    V3ServiceDelete => "v3_service_delete",
    V3ServiceList => "v3_service_list",
    V3Subscribers => "v3_subscribers",
    V3SelectorTypes => "v3_selector_types",
    V3ClusterUpdate => "v3_cluster_update",
    V3HealthUpdate => "v3_health_update",
    V3HealthCheckers => "v3_health_checkers",
    V3Switches => "v3_switches",
    V3SwitchUpdate => "v3_switch_update",
    V3OperatorMetrics => "v3_operator_metrics",
    V3ClientList => "v3_client_list",
    V3ClientDetail => "v3_client_detail",
    V3ClientPublished => "v3_client_published",
    V3ClientSubscribed => "v3_client_subscribed",
    V3ServicePublishers => "v3_service_publishers",
    V3ServiceSubscribers => "v3_service_subscribers",
    V3State => "v3_state",
    V3CoreSelf => "v3_core_self",
    V3CoreHealth => "v3_core_health",
    V3CoreNodes => "v3_core_nodes",
    V3Namespaces => "v3_namespaces",
    V3Namespace => "v3_namespace",
    V3NamespaceCheck => "v3_namespace_check",
    V3Liveness => "v3_liveness",
    V3Readiness => "v3_readiness",
    V3Disabled => "v3_disabled",
    AdminCluster => "admin_cluster",
    AdminMemberAdd => "admin_member_add",
    AdminMemberRemove => "admin_member_remove",
    AdminTransferLeader => "admin_transfer_leader",
    AdminServices => "admin_services",
    AdminService => "admin_service",
    AdminInstances => "admin_instances",
    OpenApi => "openapi",
    HealthLive => "health_live",
    HealthReady => "health_ready",
    Metrics => "metrics",
    Unknown => "unknown",
}

static METRICS: LazyLock<Vec<RouteMetrics>> = LazyLock::new(|| {
    Route::ALL
        .iter()
        .map(|(route, _)| RouteMetrics::new(route.label()))
        .collect()
});

/// Whose manners an answer follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Family {
    /// `/v1/ns`: unknown paths are 501.
    Naming,
    /// A call of v2 or of v3: answered in a `Result`.
    V2,
    V3,
    /// The rest of Nacos's paths.
    Nacos,
    /// Our own, under `/v3/admin/muster`.
    Admin,
    /// At the root: health and metrics.
    Probe,
}

/// Where a path leads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'p> {
    pub(super) route: Route,
    pub(super) family: Family,
    /// What it is asked by; none for our own paths and for those that nobody knows.
    pub(super) endpoint: Option<&'static Endpoint>,
    /// The path is one of ours, whatever the method.
    pub(super) path_exists: bool,
    /// Answered only while the node serves.
    pub(super) gated: bool,
    /// The parameter at the path's end, as it stands there.
    pub(super) path_value: Option<(&'static str, &'p str)>,
}

impl Route {
    /// Its name in metrics, and wherever else a call needs one.
    pub(super) fn label(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    #[cfg(test)]
    pub(super) fn every() -> impl Iterator<Item = Route> {
        Self::ALL.iter().map(|(route, _)| *route)
    }

    pub(super) fn metrics(self) -> &'static RouteMetrics {
        &METRICS[self as usize]
    }

    /// What `method` on `path` means, where Nacos's paths stand below `prefix`. Of our own paths only the family is found
    /// here; [`own`](super::own) routes them.
    pub(super) fn find<'p>(prefix: &str, method: &Method, path: &'p str) -> Target<'p> {
        let Some(below) = path.strip_prefix(prefix) else {
            return Target::unknown(Family::Probe);
        };
        if below.starts_with("/v3/admin/muster/") || below == "/openapi.json" {
            return Target::unknown(Family::Admin);
        }
        if !["/v1/", "/v2/", "/v3/"].iter().any(|start| below.starts_with(start)) {
            return Target::unknown(Family::Probe);
        }
        let family = match below {
            _ if below.starts_with("/v1/ns/") => Family::Naming,
            _ if below.starts_with("/v2/") => Family::V2,
            _ if below.starts_with("/v3/") => Family::V3,
            _ => Family::Nacos,
        };
        let (found, path_value) = INDEX.at(below);
        let endpoint = found.iter().find(|endpoint| endpoint.verb.fits(method)).copied();
        let unknown_as = if family == Family::Naming {
            family
        } else {
            Family::Nacos
        };
        Target {
            route: endpoint.map_or(Route::Unknown, |endpoint| endpoint.route),
            family: if endpoint.is_some() { family } else { unknown_as },
            endpoint,
            path_exists: !found.is_empty(),
            gated: GATED.iter().any(|start| below.starts_with(start)),
            path_value,
        }
    }
}

/// Calls that see or change instances: a node that has not loaded them has nothing to say to these.
const GATED: [&str; 4] = ["/v1/ns/", "/v2/ns/", "/v3/client/ns/", "/v3/admin/ns/"];

impl Target<'_> {
    /// Success and refusal alike are answered in a `Result`.
    pub(super) fn in_results(&self) -> bool {
        matches!(self.family, Family::V2 | Family::V3)
    }

    fn unknown(family: Family) -> Self {
        Target {
            route: Route::Unknown,
            family,
            endpoint: None,
            path_exists: false,
            gated: false,
            path_value: None,
        }
    }
}

/// All calls by their path.
struct Index {
    plain: HashMap<&'static str, Vec<&'static Endpoint>>,
    /// The start of a path that ends with a parameter, and its name.
    templates: Vec<(&'static str, &'static str, Vec<&'static Endpoint>)>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut index = Index {
        plain: HashMap::new(),
        templates: Vec::new(),
    };
    for endpoint in routes::all() {
        for path in endpoint.paths() {
            match path.strip_suffix('}').and_then(|path| path.split_once('{')) {
                Some((start, name)) => index.templates.push((start, name, vec![endpoint])),
                None => index.plain.entry(path).or_default().push(endpoint),
            }
        }
    }
    index
});

impl Index {
    /// The calls at a path, and the parameter at its end.
    fn at<'p>(&self, path: &'p str) -> (&[&'static Endpoint], Option<(&'static str, &'p str)>) {
        if let Some(found) = self.plain.get(path) {
            return (found, None);
        }
        for (start, name, found) in &self.templates {
            let value = path
                .strip_prefix(start)
                .filter(|value| !value.is_empty() && !value.contains('/'));
            if let Some(value) = value {
                return (found, Some((name, value)));
            }
        }
        (&[], None)
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
            (target.route, target.family, target.path_exists),
            (Route::Unknown, Family::Nacos, true)
        );
    }

    #[test]
    fn no_two_calls_share_a_path_and_a_method() {
        let mut seen = std::collections::HashSet::new();
        for endpoint in routes::all() {
            for path in endpoint.paths() {
                assert!(seen.insert((path, format!("{:?}", endpoint.verb))), "{path}");
            }
        }
    }

    #[test]
    fn a_parameter_at_the_end_of_a_path_is_found_and_an_empty_one_is_not() {
        let path = "/nacos/v2/ns/instance/statuses/public%23%23G@@s";
        let target = Route::find("/nacos", &Method::GET, path);
        assert_eq!(target.route, Route::V2InstanceStatuses);
        assert_eq!(target.path_value, Some(("key", "public%23%23G@@s")));
        for path in ["/nacos/v2/ns/instance/statuses/", "/nacos/v2/ns/instance/statuses/a/b"] {
            assert!(!Route::find("/nacos", &Method::GET, path).path_exists, "{path}");
        }
    }

    #[test]
    fn calls_of_instances_are_gated_and_those_of_the_node_are_not() {
        let gated = |path: &str| Route::find("/nacos", &Method::GET, path).gated;
        assert!(gated("/nacos/v2/ns/instance/list") && gated("/nacos/v3/client/ns/instance/list"));
        assert!(gated("/nacos/v3/admin/ns/service/list"));
        assert!(!gated("/nacos/v2/core/cluster/node/self") && !gated("/nacos/v3/admin/core/state"));
    }
}

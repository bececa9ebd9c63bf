//! Parameters that calls of v2 and v3 have beside those of an instance's form.

use muster_wire::{GROUP, GROUPED_SERVICE, IP, NAMESPACE, PORT, Parameter, SERVICE};

pub(super) const PAGE: Parameter = Parameter::integer("pageNo", "number of the page, from 1").or("1");
pub(super) const PAGE_SIZE_20: Parameter = Parameter::integer("pageSize", "rows of a page, 500 at most").or("20");
pub(super) const PAGE_SIZE_100: Parameter = Parameter::integer("pageSize", "rows of a page").or("100");
/// A larger page is answered as one of this size; Nacos caps v2's there.
pub(super) const PAGE_SIZE_MAX: usize = 500;

pub(super) const HEALTHY_ONLY: Parameter = Parameter::flag("healthyOnly", "leave unhealthy ones out").or("false");
pub(super) const PUSH_IP: Parameter = Parameter::text("ip", "where to push to; the caller's own address if absent");
pub(super) const PUSH_PORT: Parameter = Parameter::integer(
    "port",
    "UDP port to push to, for agents that listen; 0 subscribes to nothing",
)
.or("0");
pub(super) const APP: Parameter = Parameter::text("app", "name of the application, for listings");

pub(super) const BEAT: Parameter = Parameter::json("beat", "the instance; absent, ip and port name it");
pub(super) const BEAT_IP: Parameter = Parameter::text("ip", "address of the instance, where there is no beat");
pub(super) const BEAT_PORT: Parameter = Parameter::integer("port", "its port, where there is no beat").or("0");
pub(super) const HEART_BEAT: Parameter =
    Parameter::flag("heartBeat", "only refresh the instance; it must be registered").or("false");

pub(super) const WEIGHT_SENT: Parameter = Parameter::number("weight", "0 to 10000; absent leaves it");
pub(super) const ENABLED_SENT: Parameter =
    Parameter::flag("enabled", "whether clients may be given it; absent leaves it");
pub(super) const METADATA_SENT: Parameter = Parameter::json(
    "metadata",
    "replaces all of it: a JSON object of texts, or k1=v1,k2=v2; absent leaves it",
);
pub(super) const PATCH_CLUSTER: Parameter = Parameter::text("cluster", "cluster of the instance").or("DEFAULT");
pub(super) const BATCH_METADATA: Parameter = muster_wire::METADATA.required();
pub(super) const CONSISTENCY: Parameter =
    Parameter::text("consistencyType", "ephemeral or persist: instances of this kind alone");
pub(super) const INSTANCES: Parameter = Parameter::json("instances", "an array of {ip,port,ephemeral}; all if absent");
pub(super) const STATUS_KEY: Parameter =
    Parameter::text("key", "NAMESPACE##GROUP@@NAME, or GROUP@@NAME of namespace public")
        .required()
        .in_path();

pub(super) const THRESHOLD: Parameter = Parameter::number(
    "protectThreshold",
    "share of healthy instances at or below which all are listed",
)
.or("0");
pub(super) const SERVICE_METADATA: Parameter = Parameter::json("metadata", "a JSON object of texts, or k1=v1,k2=v2");
pub(super) const SELECTOR: Parameter = Parameter::json("selector", "{\"type\":\"none\"}; no other is built");
pub(super) const SERVICE_EPHEMERAL: Parameter = Parameter::flag(
    "ephemeral",
    "read and not heeded: a service takes instances of either kind",
)
.or("false");
pub(super) const CHECK_PORT: Parameter =
    Parameter::integer("checkPort", "probed where the instance's own port is not").required();
pub(super) const USE_INSTANCE_PORT: Parameter =
    Parameter::flag("useInstancePort4Check", "probe the instance's own port").required();
pub(super) const CHECKER: Parameter = Parameter::json(
    "healthChecker",
    "{\"type\":\"TCP\"}, HTTP with path, headers and expectedResponseCode, or NONE",
)
.required();
pub(super) const CLUSTER_REQUIRED: Parameter = muster_wire::CLUSTER.required();

pub(super) const NAME_FRAGMENT: Parameter = Parameter::text("serviceNameParam", "names that contain this");
pub(super) const GROUP_FRAGMENT: Parameter = Parameter::text("groupNameParam", "groups that contain this");
pub(super) const IGNORE_EMPTY: Parameter =
    Parameter::flag("ignoreEmptyService", "leave services without instances out").or("false");
pub(super) const WITH_INSTANCES: Parameter =
    Parameter::flag("withInstances", "services in detail, with their instances").or("false");
pub(super) const AGGREGATION: Parameter =
    Parameter::flag("aggregation", "ask all members, not this one alone").or("true");

pub(super) const CATALOG_SERVICE: Parameter = Parameter::text("serviceName", "NAME, or GROUP@@NAME").required();
pub(super) const CATALOG_PAGE: Parameter = PAGE.required();
pub(super) const CATALOG_PAGE_SIZE: Parameter = Parameter::integer("pageSize", "rows of a page").required();
pub(super) const HEALTHY_IS: Parameter =
    Parameter::flag("healthyOnly", "only healthy ones, or (false) only unhealthy ones");
pub(super) const ENABLED_IS: Parameter =
    Parameter::flag("enabledOnly", "only enabled ones, or (false) only disabled ones");

pub(super) const HEALTH: Parameter = Parameter::flag("healthy", "the health to set").required();

pub(super) const ENTRY: Parameter = Parameter::text("entry", "name of the switch").required();
pub(super) const VALUE: Parameter = Parameter::text("value", "what to set it to; null takes it back").required();
pub(super) const DEBUG: Parameter = Parameter::flag("debug", "true is refused: switches are the cluster's").or("false");
pub(super) const ONLY_STATUS: Parameter = Parameter::flag("onlyStatus", "leave the counters out").or("true");

pub(super) const CLIENT_ID: Parameter =
    Parameter::text("clientId", "IP:PORT#true, IP:PORT#false, or the name of a connection").required();
pub(super) const CLIENT_IP: Parameter = Parameter::text("ip", "only those of this address");
pub(super) const CLIENT_PORT: Parameter = Parameter::integer("port", "only those of this port");
pub(super) const PUBLISHER_EPHEMERAL: Parameter =
    Parameter::flag("ephemeral", "publishers of this kind of instance").or("true");

pub(super) const ADDRESS_START: Parameter = Parameter::text("address", "addresses that begin with this");
pub(super) const STATE: Parameter = Parameter::text("state", "STARTING, UP, SUSPICIOUS, DOWN or ISOLATION");
pub(super) const NAMESPACE_ASKED: Parameter = Parameter::text("namespaceId", "id of the namespace").required();

/// The service of a call, and its parts.
pub(super) const SERVICE_PARTS: &[Parameter] = &[SERVICE, GROUP, NAMESPACE];
/// An address in a service.
pub(super) const ADDRESS: &[Parameter] = &[SERVICE, IP, PORT, GROUP, NAMESPACE];
/// The service of the few calls that want its grouped name.
pub(super) const GROUPED: &[Parameter] = &[GROUPED_SERVICE, NAMESPACE];

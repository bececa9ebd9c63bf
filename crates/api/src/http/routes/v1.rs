//! v1.

use crate::http::endpoint::Answer::{Json, RestResult, Text};
use crate::http::endpoint::Endpoint;
use crate::http::route::Route;
use muster_wire::Parameter;

const SERVICE: &[Parameter] = &[
    Parameter::text("serviceName", "NAME, or GROUP@@NAME").required(),
    muster_wire::GROUP,
    muster_wire::NAMESPACE,
];
const ADDRESS: &[Parameter] = &[
    muster_wire::IP,
    muster_wire::PORT,
    Parameter::text("clusterName", "cluster of the instance, also as cluster").or("DEFAULT"),
];
const INSTANCE: &[Parameter] = &[
    muster_wire::WEIGHT,
    Parameter::flag("enabled", "whether clients may be given it, also as enable").or("true"),
    muster_wire::HEALTHY,
    muster_wire::EPHEMERAL,
    muster_wire::METADATA,
];
const LIST: &[Parameter] = &[
    Parameter::text("clusters", "clusters to list, parted by commas; all if absent"),
    Parameter::flag("healthyOnly", "leave unhealthy ones out").or("false"),
    Parameter::text("clientIP", "where to push to; the caller's own address if absent"),
    Parameter::integer(
        "udpPort",
        "UDP port to push to, for agents that listen; 0 subscribes to nothing",
    )
    .or("0"),
    Parameter::text("app", "name of the application, for listings"),
];
const BATCH: &[Parameter] = &[
    muster_wire::METADATA.required(),
    Parameter::text("consistencyType", "ephemeral or persist: all instances of this kind"),
    Parameter::json("instances", "an array of {ip,port,ephemeral}"),
];
const SETTINGS: &[Parameter] = &[
    Parameter::number(
        "protectThreshold",
        "share of healthy instances at or below which all are listed",
    )
    .or("0"),
    Parameter::json("metadata", "a JSON object of texts, or k1=v1,k2=v2"),
    Parameter::json("selector", "{\"type\":\"none\"}; no other is built"),
];
const CHANGED_SETTINGS: &[Parameter] = &[SETTINGS[0].required(), SETTINGS[1], SETTINGS[2]];
const PAGE: &[Parameter] = &[
    Parameter::integer("pageNo", "number of the page, from 1").required(),
    Parameter::integer("pageSize", "rows of a page").required(),
];
const PAGE_OR_FIRST: &[Parameter] = &[
    Parameter::integer("pageNo", "number of the page, from 1").or("1"),
    Parameter::integer("pageSize", "rows of a page").or("1000"),
];

pub(super) static NAMING: &[Endpoint] = &[
    Endpoint::put("/v1/ns/instance/beat", Route::Beat, Json, "Takes a beat, light or full").takes(&[
        SERVICE,
        &[
            Parameter::json("beat", "the instance; absent, ip and port name it"),
            Parameter::text("ip", "address of the instance, where there is no beat"),
            Parameter::integer("port", "its port, where there is no beat").or("0"),
        ],
    ]),
    Endpoint::get(
        "/v1/ns/instance/list",
        Route::InstanceList,
        Json,
        "Lists a service, and subscribes to it",
    )
    .takes(&[SERVICE, LIST]),
    Endpoint::post(
        "/v1/ns/instance",
        Route::InstanceRegister,
        Text,
        "Registers an instance",
    )
    .takes(&[SERVICE, ADDRESS, INSTANCE]),
    Endpoint::delete(
        "/v1/ns/instance",
        Route::InstanceDeregister,
        Text,
        "Deregisters an instance",
    )
    .takes(&[SERVICE, ADDRESS, INSTANCE]),
    Endpoint::put(
        "/v1/ns/instance",
        Route::InstanceUpdate,
        Text,
        "Replaces what an instance registered",
    )
    .takes(&[SERVICE, ADDRESS, INSTANCE]),
    Endpoint::patch(
        "/v1/ns/instance",
        Route::InstancePatch,
        Text,
        "Changes what is sent of an instance",
    )
    .takes(&[
        SERVICE,
        ADDRESS,
        &[
            Parameter::number("weight", "0 to 10000; absent leaves it"),
            Parameter::flag("enabled", "absent leaves it"),
            Parameter::flag("healthy", "absent leaves it"),
            Parameter::json("metadata", "replaces all of it; absent leaves it"),
        ],
    ]),
    Endpoint::get("/v1/ns/instance", Route::InstanceDetail, Json, "Shows an instance").takes(&[SERVICE, ADDRESS]),
    Endpoint::any(
        "/v1/ns/instance/statuses",
        Route::InstanceStatuses,
        Json,
        "Lists the health of a service's instances",
    )
    .takes(&[&[Parameter::text("key", "NAMESPACE##GROUP@@NAME, or GROUP@@NAME").required()]]),
    Endpoint::put(
        "/v1/ns/instance/metadata/batch",
        Route::MetadataUpdate,
        Json,
        "Adds metadata to instances",
    )
    .takes(&[SERVICE, BATCH]),
    Endpoint::delete(
        "/v1/ns/instance/metadata/batch",
        Route::MetadataDelete,
        Json,
        "Removes metadata of instances",
    )
    .takes(&[SERVICE, BATCH]),
    Endpoint::post("/v1/ns/service", Route::ServiceCreate, Text, "Creates a service").takes(&[SERVICE, SETTINGS]),
    Endpoint::put(
        "/v1/ns/service",
        Route::ServiceUpdate,
        Text,
        "Changes the settings of a service",
    )
    .takes(&[SERVICE, CHANGED_SETTINGS]),
    Endpoint::get("/v1/ns/service", Route::ServiceDetail, Json, "Shows a service").takes(&[SERVICE]),
    Endpoint::delete(
        "/v1/ns/service",
        Route::ServiceDelete,
        Text,
        "Deletes a service without instances",
    )
    .takes(&[SERVICE]),
    Endpoint::get(
        "/v1/ns/service/list",
        Route::ServiceList,
        Json,
        "Lists the services of a group",
    )
    .takes(&[PAGE, &[muster_wire::GROUP, muster_wire::NAMESPACE]]),
    Endpoint::any(
        "/v1/ns/service/names",
        Route::ServiceNames,
        Json,
        "Lists all names of services",
    )
    .takes(&[&[
        Parameter::text("namespaceId", "all if absent"),
        Parameter::text("expr", "names that contain this"),
    ]]),
    Endpoint::get(
        "/v1/ns/service/subscribers",
        Route::ServiceSubscribers,
        Json,
        "Lists who subscribes to a service",
    )
    .takes(&[
        SERVICE,
        PAGE_OR_FIRST,
        &[Parameter::flag("aggregation", "ask all members, not this one alone").or("true")],
    ]),
    Endpoint::get(
        "/v1/ns/service/selector/types",
        Route::SelectorTypes,
        RestResult,
        "Lists the selectors that are built",
    ),
    Endpoint::get(
        "/v1/ns/catalog/services",
        Route::CatalogServices,
        Json,
        "Lists services for a console",
    )
    .takes(&[&[
        muster_wire::NAMESPACE,
        Parameter::integer("pageNo", "number of the page, from 1").or("1"),
        Parameter::integer("pageSize", "rows of a page").or("20"),
        Parameter::text("serviceNameParam", "names that contain this"),
        Parameter::text("groupNameParam", "groups that contain this"),
        Parameter::text("instance", "services with an instance of this ip or ip:port"),
        Parameter::flag("hasIpCount", "leave services without instances out").or("false"),
        Parameter::flag("withInstances", "with their instances").or("false"),
    ]]),
    Endpoint::get(
        "/v1/ns/catalog/service",
        Route::CatalogService,
        Json,
        "Shows a service for a console",
    )
    .takes(&[SERVICE]),
    Endpoint::any(
        "/v1/ns/catalog/instances",
        Route::CatalogInstances,
        Json,
        "Lists the instances of a cluster",
    )
    .takes(&[
        SERVICE,
        &[Parameter::text("clusterName", "name of the cluster").required()],
        PAGE,
    ]),
    Endpoint::get(
        "/v1/ns/operator/metrics",
        Route::OperatorMetrics,
        Json,
        "Says how the node is",
    )
    .also_at(&["/v1/ns/ops/metrics"])
    .takes(&[&[Parameter::flag("onlyStatus", "leave the counters out").or("false")]]),
    Endpoint::get("/v1/ns/operator/switches", Route::Switches, Json, "Shows the switches")
        .also_at(&["/v1/ns/ops/switches"]),
    Endpoint::put(
        "/v1/ns/operator/switches",
        Route::SwitchUpdate,
        Text,
        "Sets a switch on every node",
    )
    .also_at(&["/v1/ns/ops/switches"])
    .takes(&[&[
        Parameter::text("entry", "name of the switch").required(),
        Parameter::text("value", "what to set it to; null takes it back").required(),
    ]]),
    Endpoint::get(
        "/v1/ns/operator/servers",
        Route::OperatorServers,
        Json,
        "Lists the members",
    )
    .also_at(&["/v1/ns/ops/servers"])
    .takes(&[&[Parameter::flag("healthy", "only those that live").or("false")]]),
    Endpoint::any("/v1/ns/operator/push/state", Route::PushState, Json, "Counts pushes")
        .also_at(&["/v1/ns/ops/push/state"]),
    Endpoint::any(
        "/v1/ns/health/server",
        Route::HealthServer,
        Json,
        "Says that the node is there",
    ),
    Endpoint::put(
        "/v1/ns/health",
        Route::HealthUpdate,
        Text,
        "Sets the health of a persistent instance that nobody probes",
    )
    .also_at(&["/v1/ns/health/instance"])
    .takes(&[
        SERVICE,
        ADDRESS,
        &[Parameter::flag("healthy", "the health to set, also as valid").required()],
    ]),
    Endpoint::get(
        "/v1/ns/health/checkers",
        Route::HealthCheckers,
        Json,
        "Lists the health checkers that run",
    ),
    Endpoint::put(
        "/v1/ns/cluster",
        Route::ClusterUpdate,
        Text,
        "Says how a cluster is probed",
    )
    .takes(&[
        SERVICE,
        &[
            Parameter::text("clusterName", "name of the cluster").required(),
            Parameter::integer("checkPort", "probed where the instance's own port is not").required(),
            Parameter::flag("useInstancePort4Check", "probe the instance's own port").required(),
            Parameter::json("healthChecker", "TCP, HTTP or NONE").required(),
            Parameter::json("metadata", "a JSON object of texts, or k1=v1,k2=v2"),
        ],
    ]),
];

pub(super) static OTHERS: &[Endpoint] = &[
    Endpoint::get(
        "/v1/core/cluster/self",
        Route::CoreSelf,
        RestResult,
        "Shows this member",
    ),
    Endpoint::get(
        "/v1/core/cluster/nodes",
        Route::CoreNodes,
        RestResult,
        "Lists the members",
    )
    .takes(&[&[Parameter::text("keyword", "addresses that begin with this")]]),
    Endpoint::get(
        "/v1/core/cluster/simple/nodes",
        Route::CoreSimpleNodes,
        RestResult,
        "Lists the members' addresses",
    ),
    Endpoint::get(
        "/v1/core/cluster/health",
        Route::CoreHealth,
        RestResult,
        "Says whether this node is up",
    ),
    Endpoint::get(
        "/v1/console/server/state",
        Route::ConsoleState,
        Json,
        "Says what this node is",
    ),
    Endpoint::get(
        "/v1/console/health/liveness",
        Route::ConsoleLiveness,
        Text,
        "Says that the node lives",
    ),
    Endpoint::get(
        "/v1/console/health/readiness",
        Route::ConsoleReadiness,
        Text,
        "Says whether the node is ready",
    ),
    Endpoint::get(
        "/v1/console/namespaces",
        Route::ConsoleNamespaces,
        RestResult,
        "Lists the namespaces that hold services",
    )
    .takes(&[&[
        Parameter::text("show", "all: the one of namespaceId alone"),
        Parameter::text("namespaceId", "with show=all"),
        Parameter::flag("checkNamespaceIdExist", "whether customNamespaceId holds services").or("false"),
        Parameter::text("customNamespaceId", "with checkNamespaceIdExist"),
    ]]),
    Endpoint::post(
        "/v1/auth/users/login",
        Route::Login,
        Json,
        "Hands out a token that nobody checks",
    )
    .also_at(&["/v1/auth/login"]),
];

//! v3: the calls of light clients, of operators, and of the core.

use crate::http::endpoint::Answer::{Disabled, Result};
use crate::http::endpoint::Endpoint;
use crate::http::parameters::*;
use crate::http::route::Route;
use muster_wire::{CLUSTER, INSTANCE, NAMESPACE, Parameter};

const SETTINGS: &[Parameter] = &[SERVICE_EPHEMERAL, THRESHOLD, SERVICE_METADATA, SELECTOR];
const BATCH: &[Parameter] = &[BATCH_METADATA, CONSISTENCY, INSTANCES];
const CLIENT_PARAMETERS: &[Parameter] = &[CLIENT_ID];
const FILTER: &[Parameter] = &[CLIENT_IP, CLIENT_PORT];

pub(super) static CLIENT: &[Endpoint] = &[
    Endpoint::post(
        "/v3/client/ns/instance",
        Route::V3LightRegister,
        Result,
        "Registers an instance, or takes its beat",
    )
    .takes(&[INSTANCE, &[HEART_BEAT]]),
    Endpoint::delete(
        "/v3/client/ns/instance",
        Route::V3LightDeregister,
        Result,
        "Deregisters an instance",
    )
    .takes(&[INSTANCE]),
    Endpoint::get(
        "/v3/client/ns/instance/list",
        Route::V3LightList,
        Result,
        "Lists the enabled instances of a cluster",
    )
    .takes(&[SERVICE_PARTS, &[CLUSTER, HEALTHY_ONLY]]),
];

pub(super) static NAMING: &[Endpoint] = &[
    Endpoint::post(
        "/v3/admin/ns/instance",
        Route::V3InstanceRegister,
        Result,
        "Registers an instance",
    )
    .takes(&[INSTANCE]),
    Endpoint::delete(
        "/v3/admin/ns/instance",
        Route::V3InstanceDeregister,
        Result,
        "Deregisters an instance",
    )
    .takes(&[INSTANCE]),
    Endpoint::put(
        "/v3/admin/ns/instance",
        Route::V3InstanceUpdate,
        Result,
        "Replaces what an instance registered",
    )
    .takes(&[INSTANCE]),
    Endpoint::get(
        "/v3/admin/ns/instance",
        Route::V3InstanceDetail,
        Result,
        "Shows an instance",
    )
    .takes(&[ADDRESS, &[CLUSTER]]),
    Endpoint::put(
        "/v3/admin/ns/instance/partial",
        Route::V3InstancePartial,
        Result,
        "Changes what is sent of an instance",
    )
    .takes(&[ADDRESS, &[CLUSTER, WEIGHT_SENT, ENABLED_SENT, METADATA_SENT]]),
    Endpoint::get(
        "/v3/admin/ns/instance/list",
        Route::V3InstanceList,
        Result,
        "Lists the instances of a cluster",
    )
    .takes(&[SERVICE_PARTS, &[CLUSTER, HEALTHY_ONLY]]),
    Endpoint::put(
        "/v3/admin/ns/instance/metadata/batch",
        Route::V3MetadataUpdate,
        Result,
        "Adds metadata to instances",
    )
    .takes(&[SERVICE_PARTS, BATCH]),
    Endpoint::delete(
        "/v3/admin/ns/instance/metadata/batch",
        Route::V3MetadataDelete,
        Result,
        "Removes metadata of instances",
    )
    .takes(&[SERVICE_PARTS, BATCH]),
    Endpoint::post(
        "/v3/admin/ns/service",
        Route::V3ServiceCreate,
        Result,
        "Creates a service",
    )
    .takes(&[SERVICE_PARTS, SETTINGS]),
    Endpoint::put(
        "/v3/admin/ns/service",
        Route::V3ServiceUpdate,
        Result,
        "Changes the settings of a service",
    )
    .takes(&[SERVICE_PARTS, SETTINGS]),
    Endpoint::get(
        "/v3/admin/ns/service",
        Route::V3ServiceDetail,
        Result,
        "Shows a service",
    )
    .takes(&[SERVICE_PARTS]),
    Endpoint::delete(
        "/v3/admin/ns/service",
        Route::V3ServiceDelete,
        Result,
        "Deletes a service without instances",
    )
    .takes(&[SERVICE_PARTS]),
    Endpoint::get(
        "/v3/admin/ns/service/list",
        Route::V3ServiceList,
        Result,
        "Lists services",
    )
    .takes(&[&[
        NAMESPACE,
        NAME_FRAGMENT,
        GROUP_FRAGMENT,
        IGNORE_EMPTY,
        WITH_INSTANCES,
        PAGE,
        PAGE_SIZE_100,
    ]]),
    Endpoint::get(
        "/v3/admin/ns/service/subscribers",
        Route::V3Subscribers,
        Result,
        "Lists who subscribes to a service",
    )
    .takes(&[SERVICE_PARTS, &[PAGE, PAGE_SIZE_100, AGGREGATION]]),
    Endpoint::get(
        "/v3/admin/ns/service/selector/types",
        Route::V3SelectorTypes,
        Result,
        "Lists the selectors that are built",
    ),
    Endpoint::put(
        "/v3/admin/ns/cluster",
        Route::V3ClusterUpdate,
        Result,
        "Says how a cluster is probed",
    )
    .takes(&[
        SERVICE_PARTS,
        &[
            CLUSTER_REQUIRED,
            CHECK_PORT,
            USE_INSTANCE_PORT,
            CHECKER,
            SERVICE_METADATA,
        ],
    ]),
    Endpoint::put(
        "/v3/admin/ns/health/instance",
        Route::V3HealthUpdate,
        Result,
        "Sets the health of an instance that nobody probes",
    )
    .takes(&[ADDRESS, &[CLUSTER, HEALTH]]),
    Endpoint::get(
        "/v3/admin/ns/health/checkers",
        Route::V3HealthCheckers,
        Result,
        "Lists the health checkers that run",
    ),
    Endpoint::get(
        "/v3/admin/ns/ops/switches",
        Route::V3Switches,
        Result,
        "Shows the switches",
    ),
    Endpoint::put(
        "/v3/admin/ns/ops/switches",
        Route::V3SwitchUpdate,
        Result,
        "Sets a switch on every node",
    )
    .takes(&[&[ENTRY, VALUE, DEBUG]]),
    Endpoint::get(
        "/v3/admin/ns/ops/metrics",
        Route::V3OperatorMetrics,
        Result,
        "Says how the node is",
    )
    .takes(&[&[ONLY_STATUS]]),
    Endpoint::put(
        "/v3/admin/ns/ops/log",
        Route::V3Disabled,
        Disabled(super::LOG_LEVEL),
        "Sets a log level",
    ),
    Endpoint::get(
        "/v3/admin/ns/client/list",
        Route::V3ClientList,
        Result,
        "Lists the clients that this node knows of",
    ),
    Endpoint::get("/v3/admin/ns/client", Route::V3ClientDetail, Result, "Shows a client").takes(&[CLIENT_PARAMETERS]),
    Endpoint::get(
        "/v3/admin/ns/client/publish/list",
        Route::V3ClientPublished,
        Result,
        "Lists what a client publishes",
    )
    .takes(&[CLIENT_PARAMETERS]),
    Endpoint::get(
        "/v3/admin/ns/client/subscribe/list",
        Route::V3ClientSubscribed,
        Result,
        "Lists what a client subscribes to",
    )
    .takes(&[CLIENT_PARAMETERS]),
    Endpoint::get(
        "/v3/admin/ns/client/service/publisher/list",
        Route::V3ServicePublishers,
        Result,
        "Lists the clients that publish a service",
    )
    .takes(&[SERVICE_PARTS, &[PUBLISHER_EPHEMERAL], FILTER]),
    Endpoint::get(
        "/v3/admin/ns/client/service/subscriber/list",
        Route::V3ServiceSubscribers,
        Result,
        "Lists the clients that subscribe to a service",
    )
    .takes(&[SERVICE_PARTS, FILTER]),
    Endpoint::get(
        "/v3/admin/ns/client/distro",
        Route::V3Disabled,
        Disabled(super::RESPONSIBLE),
        "Names the node that answers for an address",
    ),
];

pub(super) static CORE: &[Endpoint] = &[
    Endpoint::get("/v3/admin/core/state", Route::V3State, Result, "Says what this node is"),
    Endpoint::get(
        "/v3/admin/core/state/liveness",
        Route::StateLiveness,
        Result,
        "Says that the node lives",
    ),
    Endpoint::get(
        "/v3/admin/core/state/readiness",
        Route::StateReadiness,
        Result,
        "Says whether the node is ready",
    ),
    Endpoint::get(
        "/v3/admin/core/cluster/node/self",
        Route::V3CoreSelf,
        Result,
        "Shows this member",
    ),
    Endpoint::get(
        "/v3/admin/core/cluster/node/self/health",
        Route::V3CoreHealth,
        Result,
        "Says whether this node is up",
    ),
    Endpoint::get(
        "/v3/admin/core/cluster/node/list",
        Route::V3CoreNodes,
        Result,
        "Lists the members",
    )
    .takes(&[&[ADDRESS_START, STATE]]),
    Endpoint::put(
        "/v3/admin/core/cluster/node/list",
        Route::V3Disabled,
        Disabled(super::MEMBERS),
        "Reports members",
    ),
    Endpoint::put(
        "/v3/admin/core/cluster/lookup",
        Route::V3Disabled,
        Disabled(super::LOOKUP),
        "Changes the member lookup",
    ),
    Endpoint::get(
        "/v3/admin/core/namespace/list",
        Route::V3Namespaces,
        Result,
        "Lists the namespaces that hold services",
    ),
    Endpoint::get(
        "/v3/admin/core/namespace",
        Route::V3Namespace,
        Result,
        "Shows a namespace",
    )
    .takes(&[&[NAMESPACE_ASKED]]),
    Endpoint::get(
        "/v3/admin/core/namespace/check",
        Route::V3NamespaceCheck,
        Result,
        "Counts the namespaces of an id: 0 or 1",
    )
    .takes(&[&[NAMESPACE_ASKED]]),
    Endpoint::post(
        "/v3/admin/core/namespace",
        Route::V3Disabled,
        Disabled(super::NAMESPACES),
        "Creates a namespace",
    ),
    Endpoint::put(
        "/v3/admin/core/namespace",
        Route::V3Disabled,
        Disabled(super::NAMESPACES),
        "Renames a namespace",
    ),
    Endpoint::delete(
        "/v3/admin/core/namespace",
        Route::V3Disabled,
        Disabled(super::NAMESPACES),
        "Deletes a namespace",
    ),
    Endpoint::get(
        "/v3/admin/core/loader/current",
        Route::V3Disabled,
        Disabled(super::LOADER),
        "Lists connections",
    ),
    Endpoint::get(
        "/v3/admin/core/loader/cluster",
        Route::V3Disabled,
        Disabled(super::LOADER),
        "Counts connections",
    ),
    Endpoint::post(
        "/v3/admin/core/loader/reloadCurrent",
        Route::V3Disabled,
        Disabled(super::LOADER),
        "Moves connections",
    ),
    Endpoint::post(
        "/v3/admin/core/loader/smartReloadCluster",
        Route::V3Disabled,
        Disabled(super::LOADER),
        "Balances connections",
    ),
    Endpoint::post(
        "/v3/admin/core/loader/reloadClient",
        Route::V3Disabled,
        Disabled(super::LOADER),
        "Moves a connection",
    ),
    Endpoint::post(
        "/v3/admin/core/ops/raft",
        Route::V3Disabled,
        Disabled(super::RAFT),
        "Commands Nacos's Raft",
    ),
    Endpoint::get(
        "/v3/admin/core/ops/ids",
        Route::V3Disabled,
        Disabled(super::IDS),
        "Shows the id generators",
    ),
    Endpoint::put(
        "/v3/admin/core/ops/log",
        Route::V3Disabled,
        Disabled(super::LOG_LEVEL),
        "Sets a log level",
    ),
    Endpoint::get(
        "/v3/console/health/liveness",
        Route::V3Liveness,
        Result,
        "Says that the node lives",
    ),
    Endpoint::get(
        "/v3/console/health/readiness",
        Route::V3Readiness,
        Result,
        "Says whether the node is ready",
    ),
];

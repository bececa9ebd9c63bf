//! v2.

use crate::http::endpoint::Answer::{Disabled, Json, Result, Text};
use crate::http::endpoint::Endpoint;
use crate::http::parameters::*;
use crate::http::route::Route;
use muster_wire::{CLUSTER, CLUSTERS, GROUP, INSTANCE, NAMESPACE, Parameter};

const SETTINGS: &[Parameter] = &[SERVICE_EPHEMERAL, THRESHOLD, SERVICE_METADATA, SELECTOR];
const BATCH: &[Parameter] = &[BATCH_METADATA, CONSISTENCY, INSTANCES];
const CLIENT: &[Parameter] = &[CLIENT_ID];
const FILTER: &[Parameter] = &[CLIENT_IP, CLIENT_PORT];

pub(super) static NAMING: &[Endpoint] = &[
    Endpoint::post(
        "/v2/ns/instance",
        Route::V2InstanceRegister,
        Result,
        "Registers an instance",
    )
    .takes(&[INSTANCE]),
    Endpoint::delete(
        "/v2/ns/instance",
        Route::V2InstanceDeregister,
        Result,
        "Deregisters an instance",
    )
    .takes(&[INSTANCE]),
    Endpoint::put(
        "/v2/ns/instance",
        Route::V2InstanceUpdate,
        Result,
        "Replaces what an instance registered",
    )
    .takes(&[INSTANCE]),
    Endpoint::patch(
        "/v2/ns/instance",
        Route::V2InstancePatch,
        Text,
        "Sets weight, enabled and metadata of an instance",
    )
    .takes(&[
        GROUPED,
        &[
            muster_wire::IP,
            muster_wire::PORT,
            PATCH_CLUSTER,
            WEIGHT_SENT.required(),
            ENABLED_SENT.required(),
            METADATA_SENT.required(),
        ],
    ]),
    Endpoint::get("/v2/ns/instance", Route::V2InstanceDetail, Result, "Shows an instance")
        .takes(&[ADDRESS, &[CLUSTER]]),
    Endpoint::get(
        "/v2/ns/instance/list",
        Route::V2InstanceList,
        Result,
        "Lists a service, and subscribes to it",
    )
    .takes(&[SERVICE_PARTS, &[CLUSTERS, PUSH_IP, PUSH_PORT, HEALTHY_ONLY, APP]]),
    Endpoint::put(
        "/v2/ns/instance/beat",
        Route::V2Beat,
        Json,
        "Takes a beat, light or full",
    )
    .takes(&[GROUPED, &[BEAT, BEAT_IP, BEAT_PORT, CLUSTER]]),
    Endpoint::put(
        "/v2/ns/instance/metadata/batch",
        Route::V2MetadataUpdate,
        Result,
        "Adds metadata to instances",
    )
    .takes(&[SERVICE_PARTS, BATCH]),
    Endpoint::delete(
        "/v2/ns/instance/metadata/batch",
        Route::V2MetadataDelete,
        Result,
        "Removes metadata of instances",
    )
    .takes(&[SERVICE_PARTS, BATCH]),
    Endpoint::any(
        "/v2/ns/instance/statuses/{key}",
        Route::V2InstanceStatuses,
        Json,
        "Lists the health of instances",
    )
    .takes(&[&[STATUS_KEY]]),
    Endpoint::post("/v2/ns/service", Route::V2ServiceCreate, Result, "Creates a service")
        .takes(&[SERVICE_PARTS, SETTINGS]),
    Endpoint::put(
        "/v2/ns/service",
        Route::V2ServiceUpdate,
        Result,
        "Changes the settings of a service",
    )
    .takes(&[SERVICE_PARTS, SETTINGS]),
    Endpoint::get("/v2/ns/service", Route::V2ServiceDetail, Result, "Shows a service").takes(&[SERVICE_PARTS]),
    Endpoint::delete(
        "/v2/ns/service",
        Route::V2ServiceDelete,
        Result,
        "Deletes a service without instances",
    )
    .takes(&[SERVICE_PARTS]),
    Endpoint::get(
        "/v2/ns/service/list",
        Route::V2ServiceList,
        Result,
        "Lists the services of a group",
    )
    .takes(&[&[GROUP, NAMESPACE, PAGE, PAGE_SIZE_20]]),
    Endpoint::any(
        "/v2/ns/catalog/instances",
        Route::V2CatalogInstances,
        Result,
        "Lists the instances of a service",
    )
    .takes(&[&[
        CATALOG_SERVICE,
        CATALOG_PAGE,
        CATALOG_PAGE_SIZE,
        NAMESPACE,
        HEALTHY_IS,
        ENABLED_IS,
    ]]),
    Endpoint::put(
        "/v2/ns/health",
        Route::V2HealthUpdate,
        Result,
        "Sets the health of an instance that nobody probes",
    )
    .also_at(&["/v2/ns/health/instance"])
    .takes(&[ADDRESS, &[CLUSTER, HEALTH]]),
    Endpoint::get(
        "/v2/ns/operator/switches",
        Route::V2Switches,
        Result,
        "Shows the switches",
    )
    .also_at(&["/v2/ns/ops/switches"]),
    Endpoint::put(
        "/v2/ns/operator/switches",
        Route::V2SwitchUpdate,
        Result,
        "Sets a switch on every node",
    )
    .also_at(&["/v2/ns/ops/switches"])
    .takes(&[&[ENTRY, VALUE, DEBUG]]),
    Endpoint::get(
        "/v2/ns/operator/metrics",
        Route::V2OperatorMetrics,
        Result,
        "Says how the node is",
    )
    .also_at(&["/v2/ns/ops/metrics"])
    .takes(&[&[ONLY_STATUS]]),
    Endpoint::put(
        "/v2/ns/operator/log",
        Route::V2Disabled,
        Disabled(super::LOG_LEVEL),
        "Sets a log level",
    )
    .also_at(&["/v2/ns/ops/log"]),
    Endpoint::get(
        "/v2/ns/client/list",
        Route::V2ClientList,
        Result,
        "Lists the clients that this node knows of",
    ),
    Endpoint::get("/v2/ns/client", Route::V2ClientDetail, Result, "Shows a client").takes(&[CLIENT]),
    Endpoint::get(
        "/v2/ns/client/publish/list",
        Route::V2ClientPublished,
        Result,
        "Lists what a client publishes",
    )
    .takes(&[CLIENT]),
    Endpoint::get(
        "/v2/ns/client/subscribe/list",
        Route::V2ClientSubscribed,
        Result,
        "Lists what a client subscribes to",
    )
    .takes(&[CLIENT]),
    Endpoint::get(
        "/v2/ns/client/service/publisher/list",
        Route::V2ServicePublishers,
        Result,
        "Lists the clients that publish a service",
    )
    .takes(&[SERVICE_PARTS, &[PUBLISHER_EPHEMERAL], FILTER]),
    Endpoint::get(
        "/v2/ns/client/service/subscriber/list",
        Route::V2ServiceSubscribers,
        Result,
        "Lists the clients that subscribe to a service",
    )
    .takes(&[SERVICE_PARTS, FILTER]),
];

pub(super) static OTHERS: &[Endpoint] = &[
    Endpoint::get(
        "/v2/core/cluster/node/self",
        Route::V2CoreSelf,
        Result,
        "Shows this member",
    ),
    Endpoint::get(
        "/v2/core/cluster/node/self/health",
        Route::V2CoreHealth,
        Result,
        "Says whether this node is up",
    ),
    Endpoint::get(
        "/v2/core/cluster/node/list",
        Route::V2CoreNodes,
        Result,
        "Lists the members",
    )
    .takes(&[&[ADDRESS_START, STATE]]),
    Endpoint::put(
        "/v2/core/cluster/node/list",
        Route::V2Disabled,
        Disabled(super::MEMBERS),
        "Reports members",
    ),
    Endpoint::put(
        "/v2/core/cluster/lookup",
        Route::V2Disabled,
        Disabled(super::LOOKUP),
        "Changes the member lookup",
    ),
    Endpoint::delete(
        "/v2/core/cluster/nodes",
        Route::V2Disabled,
        Disabled(super::MEMBERS),
        "Removes members",
    ),
    Endpoint::post(
        "/v2/core/ops/raft",
        Route::V2Disabled,
        Disabled(super::RAFT),
        "Commands Nacos's Raft",
    ),
    Endpoint::get(
        "/v2/core/ops/ids",
        Route::V2Disabled,
        Disabled(super::IDS),
        "Shows the id generators",
    ),
    Endpoint::put(
        "/v2/core/ops/log",
        Route::V2Disabled,
        Disabled(super::LOG_LEVEL),
        "Sets a log level",
    ),
    Endpoint::get(
        "/v2/console/health/liveness",
        Route::V2Liveness,
        Result,
        "Says that the node lives",
    ),
    Endpoint::get(
        "/v2/console/health/readiness",
        Route::V2Readiness,
        Result,
        "Says whether the node is ready",
    ),
    Endpoint::get(
        "/v2/console/namespace/list",
        Route::V2Namespaces,
        Result,
        "Lists the namespaces that hold services",
    ),
    Endpoint::get("/v2/console/namespace", Route::V2Namespace, Result, "Shows a namespace")
        .takes(&[&[NAMESPACE_ASKED]]),
    Endpoint::post(
        "/v2/console/namespace",
        Route::V2Disabled,
        Disabled(super::NAMESPACES),
        "Creates a namespace",
    ),
    Endpoint::put(
        "/v2/console/namespace",
        Route::V2Disabled,
        Disabled(super::NAMESPACES),
        "Renames a namespace",
    ),
    Endpoint::delete(
        "/v2/console/namespace",
        Route::V2Disabled,
        Disabled(super::NAMESPACES),
        "Deletes a namespace",
    ),
];

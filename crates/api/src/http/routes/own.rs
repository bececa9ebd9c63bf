//! Our own calls, each with who answers it: the routers are built from these tables.

use crate::http::endpoint::Answer::{Json, Text};
use crate::http::endpoint::Endpoint;
use crate::http::route::Route;
use crate::http::site::Site;
use crate::http::{admin, openapi, own};
use axum::routing::{MethodRouter, delete, get, post};
use muster_wire::{GROUP, NAMESPACE, Parameter};
use std::sync::Arc;

/// A call of ours. Its verb is that of its methods.
pub(in crate::http) struct OwnCall {
    pub(in crate::http) endpoint: Endpoint,
    pub(in crate::http) methods: fn() -> MethodRouter<Arc<Site>>,
}

const MEMBER_ID: Parameter = Parameter::integer("id", "number of the member").required();
const CLIENT_ADDRESS: Parameter = Parameter::text("client_address", "host:port where clients are answered").required();
const PEER_ADDRESS: Parameter = Parameter::text("peer_address", "host:port where members are answered").required();
const TO: Parameter = Parameter::integer(
    "to",
    "id of the member to lead; the most up-to-date other voter if absent",
);

const SERVICE: Parameter = Parameter::text("serviceName", "NAME, or GROUP@@NAME").required();
const GROUP_ASKED: Parameter = Parameter::text("groupName", "group of the services; all if absent");
const PAGE: Parameter = Parameter::integer("pageNo", "number of the page, from 1").or("1");
const PAGE_SIZE: Parameter = Parameter::integer("pageSize", "rows of a page, 1000 at most").or("100");
const CONSISTENCY: Parameter = Parameter::text(
    "consistency",
    "strong: catch up first with every acknowledged persistent write; local: answer from memory",
)
.or("local");

/// Below the prefix.
pub(in crate::http) static ADMIN: &[OwnCall] = &[
    OwnCall {
        endpoint: Endpoint::get(
            "/v3/admin/muster/cluster",
            Route::AdminCluster,
            Json,
            "Says what this node knows of the cluster",
        ),
        methods: || get(admin::cluster),
    },
    OwnCall {
        endpoint: Endpoint::post(
            "/v3/admin/muster/cluster/members",
            Route::AdminMemberAdd,
            Json,
            "Adds a voter to the cluster",
        )
        .takes(&[&[MEMBER_ID, CLIENT_ADDRESS, PEER_ADDRESS]]),
        methods: || post(admin::add_member),
    },
    OwnCall {
        endpoint: Endpoint::delete(
            "/v3/admin/muster/cluster/members",
            Route::AdminMemberRemove,
            Json,
            "Removes a member of the cluster",
        )
        .takes(&[&[MEMBER_ID]]),
        methods: || delete(admin::remove_member),
    },
    OwnCall {
        endpoint: Endpoint::post(
            "/v3/admin/muster/cluster/transfer-leader",
            Route::AdminTransferLeader,
            Json,
            "Has another member lead",
        )
        .takes(&[&[TO]]),
        methods: || post(admin::transfer_leader),
    },
    OwnCall {
        endpoint: Endpoint::get(
            "/v3/admin/muster/services",
            Route::AdminServices,
            Json,
            "Lists services with counts",
        )
        .takes(&[&[NAMESPACE, GROUP_ASKED, PAGE, PAGE_SIZE, CONSISTENCY]]),
        methods: || get(admin::services),
    },
    OwnCall {
        endpoint: Endpoint::get(
            "/v3/admin/muster/service",
            Route::AdminService,
            Json,
            "Shows a service with its clusters and instances",
        )
        .takes(&[&[SERVICE, GROUP, NAMESPACE, CONSISTENCY]]),
        methods: || get(admin::service),
    },
    OwnCall {
        endpoint: Endpoint::get(
            "/v3/admin/muster/instances",
            Route::AdminInstances,
            Json,
            "Lists all instances of a service",
        )
        .takes(&[&[SERVICE, GROUP, NAMESPACE, CONSISTENCY]]),
        methods: || get(admin::instances),
    },
    OwnCall {
        endpoint: Endpoint::get(
            "/openapi.json",
            Route::OpenApi,
            Json,
            "Describes all calls: this document",
        ),
        methods: || get(openapi::document),
    },
];

/// At the root.
pub(in crate::http) static PROBES: &[OwnCall] = &[
    OwnCall {
        endpoint: Endpoint::get("/health/live", Route::HealthLive, Json, "Says that the process serves"),
        methods: || get(own::live),
    },
    OwnCall {
        endpoint: Endpoint::get(
            "/health/ready",
            Route::HealthReady,
            Json,
            "Says whether the node is ready",
        ),
        methods: || get(own::ready),
    },
    OwnCall {
        endpoint: Endpoint::get(
            "/metrics",
            Route::Metrics,
            Text,
            "Shows the metrics, in Prometheus's text form",
        ),
        methods: || get(own::metrics),
    },
];

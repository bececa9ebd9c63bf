//! What each call answers when all is well.

use super::schema::{count, just, list, map, null, number, object, or_null, said, see, text, truth};
use super::shapes::{page, v1_catalog, v1_namespaces};
use crate::http::endpoint::{Answer, Endpoint};
use crate::http::route::Route;
use serde_json::{Value, json};

/// Content type and schema of success; none for what is never answered.
pub(super) fn success(endpoint: &Endpoint) -> Option<(&'static str, Value)> {
    let data = data(endpoint.route)?;
    Some(match endpoint.answer {
        Answer::Text => ("text/plain", data),
        Answer::Json => ("application/json", data),
        // One call answers bare or wrapped, by what it is asked.
        Answer::RestResult if endpoint.route == Route::ConsoleNamespaces => {
            ("application/json", v1_namespaces(rest_result(data)))
        }
        Answer::RestResult => ("application/json", rest_result(data)),
        Answer::Result => ("application/json", result(data)),
        Answer::Disabled(_) => return None,
    })
}

fn rest_result(data: Value) -> Value {
    object([
        ("code", json!({ "type": "integer", "const": 200 })),
        ("message", null()),
        ("data", data),
    ])
}

/// `code` is 0 but where a refusal comes in a 200.
fn result(data: Value) -> Value {
    object([("code", count()), ("message", text()), ("data", data)])
}

/// What stands inside the wrapper, if there is one.
fn data(route: Route) -> Option<Value> {
    Some(match route {
        Route::Unknown | Route::V2Disabled | Route::V3Disabled => return None,
        Route::InstanceRegister
        | Route::InstanceDeregister
        | Route::InstanceUpdate
        | Route::InstancePatch
        | Route::ServiceCreate
        | Route::ServiceUpdate
        | Route::ServiceDelete
        | Route::SwitchUpdate
        | Route::HealthUpdate
        | Route::ClusterUpdate
        | Route::V2InstanceRegister
        | Route::V2InstanceDeregister
        | Route::V2InstanceUpdate
        | Route::V2InstancePatch
        | Route::V2ServiceCreate
        | Route::V2ServiceUpdate
        | Route::V2ServiceDelete
        | Route::V2HealthUpdate
        | Route::V2SwitchUpdate
        | Route::V2Liveness
        | Route::V3LightDeregister
        | Route::V3InstanceRegister
        | Route::V3InstanceDeregister
        | Route::V3InstanceUpdate
        | Route::V3InstancePartial
        | Route::V3ServiceCreate
        | Route::V3ServiceUpdate
        | Route::V3ServiceDelete
        | Route::V3ClusterUpdate
        | Route::V3HealthUpdate
        | Route::V3SwitchUpdate
        | Route::V3Liveness
        | Route::V3Readiness
        | Route::StateLiveness => just("ok"),
        Route::V3LightRegister => said(
            or_null(just("ok")),
            "null with code 21003: nobody knows the instance, register it again",
        ),
        Route::StateReadiness | Route::V2Readiness => said(text(), "with code 30000: why the node is not ready"),
        Route::ConsoleLiveness | Route::ConsoleReadiness => just("OK"),
        Route::Beat | Route::V2Beat => see("BeatAnswer"),
        Route::InstanceList | Route::V2InstanceList => see("ServiceList"),
        Route::V3LightList | Route::V3InstanceList => list(see("Host")),
        Route::InstanceDetail => see("V1Instance"),
        Route::V2InstanceDetail => see("V2Instance"),
        Route::V3InstanceDetail => see("Host"),
        Route::InstanceStatuses | Route::V2InstanceStatuses => see("States"),
        Route::MetadataUpdate
        | Route::MetadataDelete
        | Route::V2MetadataUpdate
        | Route::V2MetadataDelete
        | Route::V3MetadataUpdate
        | Route::V3MetadataDelete => see("Updated"),
        Route::ServiceDetail => see("V1Service"),
        Route::V2ServiceDetail => see("V2Service"),
        Route::V3ServiceDetail => see("V3Service"),
        Route::ServiceList => object([("count", count()), ("doms", list(text()))]),
        Route::V2ServiceList => object([("count", count()), ("services", list(text()))]),
        Route::V3ServiceList => page(super::schema::any_of([see("ServiceRow"), see("V3Service")])),
        Route::ServiceNames => {
            let by_namespace = || said(map(list(text())), "by namespace");
            object([
                ("services", by_namespace()),
                ("META-INF/services", by_namespace()),
                ("count", count()),
            ])
        }
        Route::ServiceSubscribers => object([("count", count()), ("subscribers", list(see("V1Subscriber")))]),
        Route::V3Subscribers => page(see("V3ServiceSubscriber")),
        Route::SelectorTypes | Route::V3SelectorTypes => list(just("none")),
        Route::CatalogServices => v1_catalog(),
        Route::CatalogService => see("V1CatalogService"),
        Route::CatalogInstances => object([("list", list(see("V1CatalogHost"))), ("count", count())]),
        Route::V2CatalogInstances => object([("instances?", list(see("Host"))), ("count", count())]),
        Route::OperatorMetrics => see("V1Metrics"),
        Route::V2OperatorMetrics | Route::V3OperatorMetrics => see("Metrics"),
        Route::Switches | Route::V2Switches => see("Switches"),
        Route::V3Switches => said(
            see("Switches"),
            "The versions that are pushed to are named pushVersionOf… here.",
        ),
        Route::OperatorServers => object([("servers", list(see("Member")))]),
        Route::PushState => object([
            ("succeed", count()),
            ("total", count()),
            ("ratio", number()),
            ("reset", truth()),
        ]),
        Route::HealthServer => object([("msg", text())]),
        Route::HealthCheckers | Route::V3HealthCheckers => see("Checkers"),
        Route::CoreSelf | Route::V2CoreSelf | Route::V3CoreSelf => {
            said(or_null(see("Member")), "null until the group has taken this node in")
        }
        Route::CoreNodes | Route::V2CoreNodes | Route::V3CoreNodes => list(see("Member")),
        Route::CoreSimpleNodes => list(text()),
        Route::CoreHealth | Route::V2CoreHealth | Route::V3CoreHealth => super::schema::one_of(&["UP", "STARTING"]),
        Route::ConsoleState | Route::V3State => see("State"),
        Route::ConsoleNamespaces | Route::V2Namespaces | Route::V3Namespaces => list(see("Namespace")),
        Route::V2Namespace | Route::V3Namespace => see("Namespace"),
        Route::V3NamespaceCheck => json!({ "type": "integer", "enum": [0, 1] }),
        Route::Login => see("Token"),
        Route::V2ClientList | Route::V3ClientList => list(text()),
        Route::V2ClientDetail => see("V2Client"),
        Route::V3ClientDetail => see("V3Client"),
        Route::V2ClientPublished => list(see("V2Published")),
        Route::V2ClientSubscribed => list(see("V2Subscribed")),
        Route::V3ClientPublished | Route::V3ClientSubscribed => list(see("V3ClientService")),
        Route::V2ServicePublishers | Route::V2ServiceSubscribers => list(see("V2ClientAt")),
        Route::V3ServicePublishers => list(see("V3Publisher")),
        Route::V3ServiceSubscribers => list(see("V3Subscriber")),
        Route::AdminCluster => see("Cluster"),
        Route::AdminMemberAdd | Route::AdminMemberRemove => object([("ok", json!({ "const": true }))]),
        Route::AdminTransferLeader => object([("leader", count())]),
        Route::AdminServices => see("OperatorServices"),
        Route::AdminService => see("OperatorService"),
        Route::AdminInstances => object([("instances", list(see("OperatorInstance")))]),
        Route::OpenApi => json!({ "type": "object", "required": ["openapi", "info", "paths"] }),
        Route::HealthLive => object([("status", just("UP"))]),
        Route::HealthReady => see("Readiness"),
        Route::Metrics => text(),
    })
}

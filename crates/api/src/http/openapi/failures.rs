//! How each call refuses and fails.

use super::schema::see;
use crate::http::endpoint::{Answer, Endpoint, Verb};
use crate::http::route::Route;
use serde_json::{Value, json};

/// Whose manners a refusal follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Manner {
    /// A text.
    Text,
    /// Nacos's `Result`.
    Result,
    /// `{"error":…,"message":…}`.
    Operator,
    /// What comes before a call is reached.
    Framework,
}

/// Every answer but success: the status, and a response among the components.
pub(super) fn of(endpoint: &Endpoint) -> Vec<(u16, Value)> {
    if let Answer::Disabled(why) = endpoint.answer {
        let mut refused = response(501, Manner::Result);
        refused["description"] = json!(format!("Not offered: {why}."));
        return vec![(501, refused), (413, see_response(413, Manner::Framework))];
    }
    let manner = manner(endpoint);
    let mut found: Vec<(u16, Value)> = statuses(endpoint)
        .into_iter()
        .map(|status| (status, see_response(status, manner_at(endpoint, status, manner))))
        .collect();
    match endpoint.route {
        Route::HealthReady => found.push((503, with_body("The node is not ready: why.", "Readiness"))),
        Route::OpenApi => found.push((304, json!({ "description": "It is the one of `If-None-Match`." }))),
        _ => {}
    }
    found
}

fn with_body(description: &str, schema: &str) -> Value {
    json!({
        "description": description,
        "content": { "application/json": { "schema": see(schema) } },
    })
}

fn manner(endpoint: &Endpoint) -> Manner {
    match endpoint.path {
        path if path.starts_with("/v1/") => Manner::Text,
        path if path.starts_with("/v3/admin/muster/") || endpoint.route == Route::OpenApi => Manner::Operator,
        path if path.starts_with("/v2/") || path.starts_with("/v3/") => Manner::Result,
        _ => Manner::Text,
    }
}

fn manner_at(endpoint: &Endpoint, status: u16, manner: Manner) -> Manner {
    match (endpoint.route, status) {
        // v2's catalog refuses as v1 does.
        (Route::V2CatalogInstances, 400 | 404) => Manner::Text,
        (_, 408 | 413) if manner != Manner::Operator => Manner::Framework,
        _ => manner,
    }
}

fn statuses(endpoint: &Endpoint) -> Vec<u16> {
    let mut statuses = vec![413, 500];
    if endpoint.parameters().next().is_some() || endpoint.route == Route::PushState {
        statuses.push(400);
    }
    if may_be_missing(endpoint.route) {
        statuses.push(404);
    }
    if endpoint.verb != Verb::Get {
        statuses.push(408);
    }
    if !always_answers(endpoint.route) {
        statuses.push(503);
    }
    match endpoint.route {
        Route::AdminMemberAdd | Route::AdminMemberRemove | Route::AdminTransferLeader => statuses.extend([409, 504]),
        Route::AdminServices | Route::AdminService | Route::AdminInstances => statuses.push(504),
        _ => {}
    }
    statuses
}

/// Asks for one thing, which may not be there.
fn may_be_missing(route: Route) -> bool {
    matches!(
        route,
        Route::InstanceDetail
            | Route::InstanceStatuses
            | Route::ServiceDetail
            | Route::CatalogService
            | Route::CatalogInstances
            | Route::V2InstancePatch
            | Route::V2InstanceDetail
            | Route::V2CatalogInstances
            | Route::V2HealthUpdate
            | Route::V2ClientDetail
            | Route::V2ClientPublished
            | Route::V2ClientSubscribed
            | Route::V2Namespace
            | Route::V3InstanceDetail
            | Route::V3InstancePartial
            | Route::V3InstanceList
            | Route::V3HealthUpdate
            | Route::V3ClientDetail
            | Route::V3ClientPublished
            | Route::V3ClientSubscribed
            | Route::V3Namespace
            | Route::AdminService
    )
}

/// Whether or not the node serves.
fn always_answers(route: Route) -> bool {
    matches!(
        route,
        Route::Login
            | Route::ConsoleState
            | Route::ConsoleLiveness
            | Route::ConsoleReadiness
            | Route::StateLiveness
            | Route::StateReadiness
            | Route::V2Liveness
            | Route::V2Readiness
            | Route::V3Liveness
            | Route::V3Readiness
            | Route::V3State
            | Route::OpenApi
            | Route::HealthLive
            | Route::HealthReady
            | Route::Metrics
    )
}

const ALL: [(u16, Manner); 18] = [
    (400, Manner::Text),
    (400, Manner::Result),
    (400, Manner::Operator),
    (404, Manner::Text),
    (404, Manner::Result),
    (404, Manner::Operator),
    (408, Manner::Framework),
    (408, Manner::Operator),
    (409, Manner::Operator),
    (413, Manner::Framework),
    (413, Manner::Operator),
    (500, Manner::Text),
    (500, Manner::Result),
    (500, Manner::Operator),
    (503, Manner::Text),
    (503, Manner::Result),
    (503, Manner::Operator),
    (504, Manner::Operator),
];

/// The responses among the components.
pub(super) fn all() -> Vec<(String, Value)> {
    ALL.iter()
        .map(|(status, manner)| (name(*status, *manner), response(*status, *manner)))
        .collect()
}

fn name(status: u16, manner: Manner) -> String {
    format!("{manner:?}{status}")
}

fn see_response(status: u16, manner: Manner) -> Value {
    json!({ "$ref": format!("#/components/responses/{}", name(status, manner)) })
}

fn response(status: u16, manner: Manner) -> Value {
    let description = match status {
        400 => "A parameter is missing or wrong, or what is asked cannot be as things are.",
        404 => "There is none.",
        408 => "The body took too long to arrive.",
        409 => "The change of members cannot be made as things are.",
        413 => "The body is longer than the configured limit.",
        501 => "Not offered.",
        503 if manner == Manner::Operator => "Not ready, no leader, or overloaded: nothing was done.",
        503 => "The node does not serve now, or is overloaded: ask another.",
        504 => "The outcome is unknown; asking again is harmless.",
        _ if manner == Manner::Operator => "A fault of the node; its log has more.",
        _ => "No leader, an unknown outcome, or a fault of the node.",
    };
    let (kind, schema) = match manner {
        Manner::Text => ("text/plain", json!({ "type": "string" })),
        Manner::Result => ("application/json", see("Refusal")),
        Manner::Operator => ("application/json", see("OperatorError")),
        Manner::Framework => ("application/json", see("FrameworkError")),
    };
    json!({ "description": description, "content": { kind: { "schema": schema } } })
}

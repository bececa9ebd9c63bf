//! One request from its head to its answer.

use super::endpoint::Answer;
use super::failure::Failure;
use super::own::Own;
use super::reply::{CONTENT_SECURITY, Reply, outcome_of};
use super::result::{self, Code};
use super::route::{Family, Route, Target};
use super::site::Site;
use super::{
    Config, admin, beat, catalog, console, core_cluster, health, instance, list, metadata_batch, operator, probe,
    service, spring, v2, v3,
};
use crate::contained::{Panicked, contained};
use crate::metrics::HTTP_PANICS;
use crate::readiness::Believed;
use crate::within::within;
use axum::body::Body as AxumBody;
use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use muster_model::Principal;
use muster_naming::{Context, Naming};
use muster_runtime::Clock;
use muster_wire::{Agent, Form, InstanceForm, Refusal, bound_instance};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a body may take to arrive.
const BODY_WAIT: Duration = Duration::from_secs(30);

/// Added to a write's own deadline before the door gives up on it.
const WRITE_GRACE: Duration = Duration::from_secs(1);

/// Lets requests in and has them answered.
pub(super) struct Door {
    pub(super) site: Arc<Site>,
    own: Own,
    prefix: String,
    ready: Believed,
}

/// A request, as handlers see it.
pub(super) struct Call<'a> {
    pub(super) site: &'a Arc<Site>,
    pub(super) naming: &'a Naming,
    pub(super) form: Form<'a>,
    pub(super) headers: &'a HeaderMap,
    pub(super) peer: SocketAddr,
    pub(super) context: Context,
}

impl Call<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Reads a form in which whoever names no kind means the switch's.
    pub(super) fn bound_instance(&self) -> Result<InstanceForm, Refusal> {
        bound_instance(&self.form, self.naming.switches().default_ephemeral)
    }

    pub(super) fn agent(&self) -> Agent {
        Agent::parse(self.header("user-agent"), self.header("client-version"))
    }

    pub(super) fn agent_text(&self) -> &str {
        Agent::text(self.header("user-agent"), self.header("client-version"))
    }
}

/// Why a body was not read.
enum BodyError {
    TooLarge,
    TooSlow,
    Broken,
}

impl Door {
    pub(super) fn new(config: Config, clock: Clock) -> Self {
        let ready = Believed::new(&clock);
        let prefix = config.prefix.trim_end_matches('/').to_owned();
        let site = Arc::new(Site::new(config, clock));
        Self {
            prefix,
            own: Own::new(&site),
            site,
            ready,
        }
    }

    pub(super) async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<AnswerBody> {
        let received = self.clock().now();
        let (head, body) = request.into_parts();
        let target = Route::find(&self.prefix, &head.method, head.uri.path());
        let handling = pin!(async {
            let body = match self.body(&head.method, &head.headers, body).await {
                Ok(body) => body,
                Err(error) => return ours(target.route, self.bad_body(target, &error, head.uri.path())),
            };
            if is_preflight(&head) {
                return ours(target.route, Reply::text(StatusCode::OK, ""));
            }
            if matches!(target.family, Family::Admin | Family::Probe) {
                // A router is much to carry for those who do not ask it.
                let (route, response) = Box::pin(self.own.answer(target.family, &self.prefix, &head, body)).await;
                return (route, response.map(Either::Right));
            }
            ours(target.route, self.reply(target, &head, &body, peer, received).await)
        });
        let (route, mut response) = contained(handling).await.unwrap_or_else(|Panicked| {
            HTTP_PANICS.inc();
            tracing::error!(path = head.uri.path(), "a handler panicked");
            ours(target.route, fault(target))
        });
        let seconds = self.clock().now().saturating_duration_since(received).as_secs_f64();
        route.metrics().record(outcome_of(response.status()), seconds);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY);
        if !matches!(target.family, Family::Admin | Family::Probe) {
            allow_origin(&head.headers, headers);
        }
        response
    }

    async fn reply(
        &self,
        target: Target<'_>,
        head: &hyper::http::request::Parts,
        body: &[u8],
        peer: SocketAddr,
        received: Instant,
    ) -> Reply {
        let path = head.uri.path();
        if target.route == Route::Unknown {
            return self.unknown(target, &head.method, path);
        }
        if let Some(reply) = probe::answer(&self.site, target.route) {
            return reply;
        }
        if let Some(Answer::Disabled(why)) = target.endpoint.map(|endpoint| endpoint.answer) {
            return result::refused(StatusCode::NOT_IMPLEMENTED, Code::Disabled, why);
        }
        let Some(naming) = self.site.naming() else {
            return unavailable(target.family, "STARTING", None);
        };
        if target.gated
            && let Some(reply) = self.not_serving(naming, target)
        {
            return reply;
        }
        let mut form = Form::parse(head.uri.query().unwrap_or("").as_bytes(), body);
        if let Some((name, value)) = target.path_value {
            form = form.with_path(name, value);
        }
        let call = Call {
            site: &self.site,
            naming,
            form,
            headers: &head.headers,
            peer,
            context: Context {
                principal: Principal::Anonymous,
                received,
                deadline: received + self.site.config.write_timeout,
            },
        };
        let answered = async {
            match target.family {
                Family::V2 => v2::answer(target.route, &call).await,
                Family::V3 => v3::answer(target.route, &call).await,
                _ => dispatch(target.route, &call).await,
            }
        };
        let write_timeout = self.site.config.write_timeout;
        match within(write_timeout + WRITE_GRACE, pin!(answered)).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(failure)) if target.in_results() => failure.into_result(),
            Ok(Err(failure)) => failure.into_reply(),
            Err(_) => server_error(target, &format!("outcome unknown: no answer within {write_timeout:?}")),
        }
    }

    fn clock(&self) -> &Clock {
        &self.site.clock
    }

    /// The body, if the request may have one that is a form; other kinds are left unread, as Nacos ignores them.
    async fn body(&self, method: &Method, headers: &HeaderMap, body: Incoming) -> Result<Bytes, BodyError> {
        let is_form = headers.get(header::CONTENT_TYPE).is_none_or(|kind| {
            let form = b"application/x-www-form-urlencoded";
            kind.as_bytes()
                .get(..form.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(form))
        });
        let too_large = body.size_hint().lower() > self.site.config.body_bytes_max as u64;
        if too_large {
            return Err(BodyError::TooLarge);
        }
        if body.is_end_stream() || matches!(*method, Method::GET | Method::HEAD) || !is_form {
            return Ok(Bytes::new());
        }
        let collected = Limited::new(body, self.site.config.body_bytes_max).collect();
        match tokio::time::timeout(BODY_WAIT, collected).await {
            Err(_) => Err(BodyError::TooSlow),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
            Ok(Err(_)) => Err(BodyError::Broken),
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
        }
    }

    fn bad_body(&self, target: Target<'_>, error: &BodyError, path: &str) -> Reply {
        let (status, message) = match error {
            BodyError::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body is longer than {} bytes", self.site.config.body_bytes_max),
            ),
            BodyError::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                format!("the body took longer than {BODY_WAIT:?}"),
            ),
            BodyError::Broken => (StatusCode::BAD_REQUEST, "the body is broken off".to_owned()),
        };
        match target.family {
            Family::Admin if status == StatusCode::PAYLOAD_TOO_LARGE => admin::error(status, "too_large", &message),
            Family::Admin => admin::error(status, "bad_request", &message),
            _ => spring::error(status, &message, path, self.clock().wall_ms()),
        }
    }

    fn unknown(&self, target: Target<'_>, method: &Method, path: &str) -> Reply {
        let now = self.clock().wall_ms();
        match (target.family, target.path_exists) {
            // Also for a wrong method on a path that exists (T-32).
            (Family::Naming, _) => spring::error(
                StatusCode::NOT_IMPLEMENTED,
                &format!("no such api:{method}:{path}"),
                path,
                now,
            ),
            (_, exists) => spring::no_call(method, path, exists, now),
        }
    }

    /// The refusal of a node that does not serve naming calls now.
    fn not_serving(&self, naming: &Naming, target: Target<'_>) -> Option<Reply> {
        // Else nobody could ever take `overriddenServerStatus` back.
        if matches!(
            target.route,
            Route::Switches
                | Route::SwitchUpdate
                | Route::V2Switches
                | Route::V2SwitchUpdate
                | Route::V3Switches
                | Route::V3SwitchUpdate
        ) {
            return None;
        }
        let switches = naming.switches();
        if let Some(status) = switches.server_status.as_deref().filter(|status| *status != "UP") {
            return Some(unavailable(target.family, status, None));
        }
        let unready = self.ready.check(self.clock(), naming).err()?;
        Some(unavailable(target.family, "DOWN", Some(&unready.reasons)))
    }
}

/// Nacos's dialect answers from one buffer; our own calls as axum does.
type AnswerBody = Either<Full<Bytes>, AxumBody>;

fn ours(route: Route, reply: Reply) -> (Route, Response<AnswerBody>) {
    (route, reply.into_http().map(Either::Left))
}

/// A browser that asks whether it may ask.
fn is_preflight(head: &hyper::http::request::Parts) -> bool {
    head.method == Method::OPTIONS && head.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn fault(target: Target<'_>) -> Reply {
    let text = "the handling of this request failed";
    match target.family {
        Family::Admin => admin::error(StatusCode::INTERNAL_SERVER_ERROR, "internal", text),
        _ => server_error(target, text),
    }
}

fn server_error(target: Target<'_>, text: &str) -> Reply {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    if target.in_results() {
        result::refused(status, Code::Server, text)
    } else {
        Reply::text(status, format!("caused: {text};"))
    }
}

/// 503, at which every client takes its next server.
fn unavailable(family: Family, status: &str, reasons: Option<&[String]>) -> Reply {
    let text = match reasons {
        Some(reasons) if !reasons.is_empty() => format!(
            "server is {status}now, detailed error message: Optional[{}]",
            reasons.join("; ")
        ),
        // No space before `now`: so it is in Nacos.
        _ => format!("server is {status}now, please try again later!"),
    };
    match family {
        Family::V2 | Family::V3 => result::refused(StatusCode::SERVICE_UNAVAILABLE, Code::Server, &text),
        _ => Reply::text(StatusCode::SERVICE_UNAVAILABLE, text),
    }
}

/// Nacos lets any web page ask.
fn allow_origin(asked: &HeaderMap, answer: &mut HeaderMap) {
    let Some(origin) = asked.get(header::ORIGIN) else {
        return;
    };
    answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    answer.insert(
        header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
        HeaderValue::from_static("true"),
    );
    answer.append(header::VARY, HeaderValue::from_static("Origin"));
    if asked.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        answer.insert(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET,HEAD,POST,PUT,PATCH,DELETE"),
        );
        if let Some(wanted) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("18000"));
    }
}

async fn dispatch(route: Route, call: &Call<'_>) -> Result<Reply, Failure> {
    match route {
        Route::Beat => beat::beat(call),
        Route::InstanceList => list::list(call),
        Route::InstanceRegister => instance::register(call).await,
        Route::InstanceDeregister => instance::deregister(call).await,
        Route::InstanceUpdate => instance::update(call).await,
        Route::InstancePatch => instance::patch(call).await,
        Route::InstanceDetail => instance::detail(call),
        Route::InstanceStatuses => instance::statuses(call),
        Route::MetadataUpdate => metadata_batch::update(call).await,
        Route::MetadataDelete => metadata_batch::delete(call).await,
        Route::ServiceCreate => service::create(call).await,
        Route::ServiceUpdate => service::update(call).await,
        Route::ServiceDetail => service::detail(call),
        Route::ServiceDelete => service::delete(call).await,
        Route::ServiceList => service::list(call),
        Route::ServiceNames => service::names(call),
        Route::ServiceSubscribers => service::subscribers(call).await,
        Route::SelectorTypes => Ok(service::selector_types()),
        Route::CatalogServices => catalog::services(call),
        Route::CatalogService => catalog::service(call),
        Route::CatalogInstances => catalog::instances(call),
        Route::OperatorMetrics => operator::metrics(call),
        Route::Switches => Ok(operator::switches(call)),
        Route::SwitchUpdate => operator::update_switch(call).await,
        Route::OperatorServers => operator::servers(call),
        Route::PushState => operator::push_state(call),
        Route::HealthServer => Ok(health::server(call)),
        Route::HealthUpdate => health::update(call).await,
        Route::HealthCheckers => Ok(health::checkers()),
        Route::ClusterUpdate => health::update_cluster(call).await,
        Route::CoreSelf => core_cluster::local(call),
        Route::CoreNodes => core_cluster::nodes(call),
        Route::CoreSimpleNodes => core_cluster::simple_nodes(call),
        Route::CoreHealth => core_cluster::health(call),
        Route::ConsoleNamespaces => console::namespaces(call),
        // Answered by `probe` and `own`.
        _ => Err(Failure::text(StatusCode::NOT_FOUND, "no such call")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_does_not_serve_says_so_in_nacoss_words() {
        let text = |reply: Reply| String::from_utf8(reply.body.to_vec()).unwrap();
        let reply = unavailable(Family::Naming, "STARTING", None);
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(text(reply), "server is STARTINGnow, please try again later!");
        assert_eq!(
            text(unavailable(Family::Naming, "DOWN", Some(&["loading".to_owned()]))),
            "server is DOWNnow, detailed error message: Optional[loading]"
        );
    }
}

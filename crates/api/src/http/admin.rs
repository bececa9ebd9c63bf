#![doc = include_str!("../../../../docs/admin-api.md")]

use super::reply::Reply;
use super::site::Site;
use axum::Json;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::StatusCode;
use muster_consensus::{MemberChangeError, ProposeError, RaftMember, Role, Status};
use muster_membership::View;
use muster_model::{Instance, Kind, Member, MemberId, Principal, ServiceSnapshot};
use muster_naming::{Context, Error, Naming, ServiceFilter};
use muster_wire::{Form, Protection, Refusal, ServiceParam, answers, group_of, namespace_of, service_of};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A learner may have the whole state to fetch before it votes.
const MEMBER_CHANGE_WAIT: Duration = Duration::from_secs(60);
const PAGE_SIZE_DEFAULT: i32 = 100;
const PAGE_SIZE_MAX: i32 = 1_000;

/// `{"error":kind,"message":…}`.
pub(super) fn error(status: StatusCode, kind: &str, message: &str) -> Reply {
    Reply::json_with(status, &json!({ "error": kind, "message": message }))
}

/// What ends an admin call early.
#[derive(Debug)]
pub(super) struct Refused(pub(super) StatusCode, pub(super) &'static str, pub(super) String);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Refused(StatusCode::BAD_REQUEST, "bad_request", refusal.to_string())
    }
}

impl From<ProposeError> for Refused {
    fn from(error: ProposeError) -> Self {
        let (status, kind) = match error {
            ProposeError::NoLeader { .. } => (StatusCode::SERVICE_UNAVAILABLE, "no_leader"),
            ProposeError::OutcomeUnknown { .. } => (StatusCode::GATEWAY_TIMEOUT, "outcome_unknown"),
            ProposeError::Overloaded { .. } => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            ProposeError::Stopped(_) => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
        };
        Refused(status, kind, error.to_string())
    }
}

impl From<MemberChangeError> for Refused {
    fn from(error: MemberChangeError) -> Self {
        match error {
            MemberChangeError::Propose(error) => error.into(),
            MemberChangeError::Refused(text) => Refused(StatusCode::CONFLICT, "refused", text),
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        match error {
            Error::Consensus(error) => error.into(),
            other => Refused(StatusCode::INTERNAL_SERVER_ERROR, "internal", other.to_string()),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Refused(status, kind, message) = self;
        error(status, kind, &message).into_response()
    }
}

type Answer = Result<Json<Value>, Refused>;

/// A call, once the node has opened.
pub(super) struct Call {
    site: Arc<Site>,
    naming: Naming,
    context: Context,
    query: String,
    body: Bytes,
}

impl FromRequest<Arc<Site>> for Call {
    type Rejection = Refused;

    async fn from_request(request: Request, site: &Arc<Site>) -> Result<Self, Refused> {
        let Some(naming) = site.naming().cloned() else {
            let message = "this node is starting".to_owned();
            return Err(Refused(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message));
        };
        let received = site.clock.now();
        let query = request.uri().query().unwrap_or("").to_owned();
        // In memory, and as long as the door allows.
        let body = axum::body::to_bytes(request.into_body(), site.config.body_bytes_max).await;
        Ok(Self {
            site: site.clone(),
            naming,
            context: Context {
                principal: Principal::Anonymous,
                received,
                deadline: received + site.config.write_timeout,
            },
            query,
            body: body.map_err(|error| Refused(StatusCode::BAD_REQUEST, "bad_request", error.to_string()))?,
        })
    }
}

impl Call {
    fn form(&self) -> Form<'_> {
        Form::parse(self.query.as_bytes(), &self.body)
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Learner => "learner",
        Role::Stopped => "stopped",
    }
}

/// What is known of a member's role from here.
fn role_of(id: MemberId, local: MemberId, status: &Status, raft: Option<&RaftMember>) -> &'static str {
    if id == local {
        return role_name(status.role);
    }
    match raft {
        None => "unknown",
        Some(_) if status.leader == Some(id) => "leader",
        Some(member) if member.voter => "follower",
        Some(_) => "learner",
    }
}

pub(super) async fn cluster(call: Call) -> Answer {
    let naming = &call.naming;
    let mut answer = node(
        &naming.raft_status(),
        &naming.membership().view(),
        call.site.clock.now(),
    );
    let (readiness, counts, config) = (call.site.readiness(), naming.counts(), &call.site.config);
    let own = json!({
        "version": config.version,
        "standalone": config.standalone,
        "ready": readiness.ready,
        "reasons": readiness.reasons,
        "digest": format!("{:016x}", naming.ephemeral().digest()),
        "services": counts.services,
        "ephemeral_instances": counts.ephemeral_instances,
        "persistent_instances": counts.persistent_instances,
        "responsible_instances": counts.responsible_instances,
        "subscriptions": counts.subscriptions,
    });
    if let (Value::Object(answer), Value::Object(own)) = (&mut answer, own) {
        answer.extend(own);
    }
    Ok(Json(answer))
}

/// The cluster as Raft and membership see it from here.
fn node(status: &Status, view: &View, now: Instant) -> Value {
    let mut members: Vec<Value> = view
        .members
        .iter()
        .map(|seen| {
            let id = seen.member.id;
            let raft = status.members.iter().find(|member| member.member.id == id);
            json!({
                "id": id.0,
                "client_address": seen.member.client_address,
                "peer_address": seen.member.peer_address,
                "role": role_of(id, view.local, status, raft),
                "voter": raft.is_some_and(|member| member.voter),
                "alive": seen.alive,
                "ready": seen.ready,
                "last_seen_ms": seen.last_seen.map(|at| now.saturating_duration_since(at).as_millis() as u64),
                "skew_ms": seen.skew_ms,
                "matched_index": raft.and_then(|member| member.matched_index),
            })
        })
        .collect();
    // Members that Raft knows of and liveness does not yet.
    for raft in &status.members {
        if view.members.iter().all(|seen| seen.member.id != raft.member.id) {
            members.push(json!({
                "id": raft.member.id.0,
                "client_address": raft.member.client_address,
                "peer_address": raft.member.peer_address,
                "role": role_of(raft.member.id, view.local, status, Some(raft)),
                "voter": raft.voter,
                "alive": false,
                "ready": false,
                "last_seen_ms": null,
                "skew_ms": 0,
                "matched_index": raft.matched_index,
            }));
        }
    }
    json!({
        "local": view.local.0,
        "role": role_name(status.role),
        "term": status.term,
        "leader": status.leader.map(|id| id.0),
        "initialized": status.initialized,
        "last_log_index": status.last_log_index,
        "committed_index": status.committed_index,
        "applied_index": status.applied_index,
        "snapshot_index": status.snapshot_index,
        "quorum_silent_ms": status.quorum_silent.map(|silent| silent.as_millis() as u64),
        "fatal": status.fatal,
        "quorum": view.quorum,
        "epoch": view.epoch,
        "members": members,
    })
}

fn number(text: &str) -> Result<MemberId, Refusal> {
    text.parse()
        .map(MemberId)
        .map_err(|_| Refusal::NotANumber(text.to_owned()))
}

fn address(form: &Form<'_>, name: &'static str) -> Result<String, Refusal> {
    let text = form.required(name)?;
    let well_formed = text.rsplit_once(':').is_some_and(|(host, port)| {
        muster_model::Host::parse(host).is_ok() && port.parse::<u16>().is_ok_and(|p| p > 0)
    });
    if well_formed {
        Ok(text.to_owned())
    } else {
        Err(Refusal::Text(format!("{name} is not of the form host:port: {text}")))
    }
}

fn member_deadline(call: &Call) -> Instant {
    call.context.received + MEMBER_CHANGE_WAIT
}

pub(super) async fn add_member(call: Call) -> Answer {
    let form = call.form();
    let member = Member {
        id: number(form.required("id")?)?,
        client_address: address(&form, "client_address")?,
        peer_address: address(&form, "peer_address")?,
    };
    call.naming
        .consensus()
        .add_member(member, member_deadline(&call))
        .await?;
    Ok(Json(json!({ "ok": true })))
}

pub(super) async fn remove_member(call: Call) -> Answer {
    let form = call.form();
    let id = number(form.required("id")?)?;
    call.naming
        .consensus()
        .remove_member(id, member_deadline(&call))
        .await?;
    Ok(Json(json!({ "ok": true })))
}

pub(super) async fn transfer_leader(call: Call) -> Answer {
    let form = call.form();
    let to = form.optional("to").map(number).transpose()?;
    let leader = call
        .naming
        .consensus()
        .transfer_leader(to, call.context.deadline)
        .await?;
    Ok(Json(json!({ "leader": leader.0 })))
}

/// Waits for what `consistency` asks for.
async fn consistent(call: &Call, form: &Form<'_>) -> Result<(), Refused> {
    match form.optional("consistency") {
        None | Some("local") => Ok(()),
        Some("strong") => Ok(call.naming.read_barrier(&call.context).await?),
        Some(other) => Err(Refusal::Text(format!("consistency is local or strong, not {other}")).into()),
    }
}

pub(super) async fn services(call: Call) -> Answer {
    let form = call.form();
    let group = form.optional("groupName").map(|_| group_of(&form)).transpose()?;
    let filter = ServiceFilter {
        namespace: namespace_of(&form)?,
        group,
    };
    let page = form.int("pageNo")?.unwrap_or(1).max(1);
    let size = form
        .int("pageSize")?
        .unwrap_or(PAGE_SIZE_DEFAULT)
        .clamp(1, PAGE_SIZE_MAX);
    consistent(&call, &form).await?;
    let offset = (page as usize - 1).saturating_mul(size as usize);
    let found = call.naming.services(&filter, offset, size as usize);
    let rows: Vec<Value> = found
        .services
        .iter()
        .map(|key| service_row(&call.naming.snapshot(key)))
        .collect();
    Ok(Json(json!({
        "namespace": filter.namespace.as_str(),
        "total": found.total,
        "page": page,
        "page_size": size,
        "services": rows,
    })))
}

fn service_row(snapshot: &ServiceSnapshot) -> Value {
    let count = |is: fn(&Instance) -> bool| snapshot.instances.iter().filter(|instance| is(instance)).count();
    json!({
        "namespace": snapshot.key.namespace().as_str(),
        "group": snapshot.key.group().as_str(),
        "name": snapshot.key.name().as_str(),
        "instances": snapshot.instances.len(),
        "healthy": count(|instance| instance.healthy),
        "enabled": count(|instance| instance.enabled),
        "ephemeral": count(|instance| instance.kind == Kind::Ephemeral),
        "persistent": count(|instance| instance.kind == Kind::Persistent),
        "protected": protection(snapshot)["http"],
    })
}

/// Who is shown all instances as healthy, and why.
fn protection(snapshot: &ServiceSnapshot) -> Value {
    let Protection { http, grpc } = Protection::of(snapshot);
    let healthy = snapshot.instances.iter().filter(|instance| instance.healthy).count();
    let reason = (http || grpc).then(|| {
        format!(
            "{healthy} of {} instances are healthy, which is not above the threshold {}",
            snapshot.instances.len(),
            snapshot.settings.protect_threshold
        )
    });
    json!({ "http": http, "grpc": grpc, "reason": reason })
}

/// 0.3 as 0.3: the shortest text of the 32-bit number, not its exact value (T-46).
fn widened(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| f64::from(value))
}

pub(super) async fn service(call: Call) -> Answer {
    let form = call.form();
    let key = service_of(&form, ServiceParam::Required)?;
    consistent(&call, &form).await?;
    let snapshot = call.naming.snapshot(&key);
    if !snapshot.exists {
        return Err(Refused(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("service {key} not found"),
        ));
    }
    let clusters: Vec<Value> = answers::clusters_of(&snapshot)
        .into_iter()
        .map(|(name, settings)| {
            json!({
                "name": name,
                "checker": answers::Checker(settings.checker),
                "check_port": settings.check_port,
                "use_instance_port": settings.use_instance_port,
                "metadata": answers::Pairs(settings.metadata),
            })
        })
        .collect();
    Ok(Json(json!({
        "namespace": key.namespace().as_str(),
        "group": key.group().as_str(),
        "name": key.name().as_str(),
        "revision": snapshot.revision,
        "stamp_ms": snapshot.stamp_ms,
        "protect_threshold": widened(snapshot.settings.protect_threshold),
        "protection": protection(&snapshot),
        "metadata": answers::Pairs(snapshot.settings.metadata.clone()),
        "clusters": clusters,
        "instances": instance_rows(&snapshot),
        "subscribers": call.naming.push().subscriptions(&|of| *of == key).len(),
    })))
}

pub(super) async fn instances(call: Call) -> Answer {
    let form = call.form();
    let key = service_of(&form, ServiceParam::Required)?;
    consistent(&call, &form).await?;
    Ok(Json(json!({ "instances": instance_rows(&call.naming.snapshot(&key)) })))
}

fn instance_rows(snapshot: &ServiceSnapshot) -> Vec<Value> {
    snapshot
        .instances
        .iter()
        .map(|instance| {
            json!({
                "ip": instance.key.host.as_str(),
                "port": instance.key.port,
                "cluster": instance.cluster.as_str(),
                "kind": instance.kind.to_string(),
                "weight": instance.weight.get(),
                "enabled": instance.enabled,
                "healthy": instance.healthy,
                "metadata": answers::Pairs(instance.metadata.clone()),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_membership::MemberView;

    fn member(id: u64) -> Member {
        Member {
            id: MemberId(id),
            client_address: format!("10.0.0.{id}:8848"),
            peer_address: format!("10.0.0.{id}:9849"),
        }
    }

    fn raft(id: u64, voter: bool) -> RaftMember {
        RaftMember {
            member: member(id),
            voter,
            matched_index: None,
        }
    }

    fn follower_of_2() -> Status {
        Status {
            role: Role::Follower,
            term: 3,
            leader: Some(MemberId(2)),
            last_log_index: 9,
            committed_index: 8,
            applied_index: 7,
            snapshot_index: 6,
            purged_index: 0,
            quorum_silent: None,
            members: vec![raft(1, true), raft(2, true), raft(3, false)],
            initialized: true,
            fatal: None,
        }
    }

    #[test]
    fn a_node_tells_what_raft_and_membership_see_of_each_member() {
        let now = muster_runtime::Clock::system().now();
        let seen = |id, alive, last_seen| MemberView {
            member: member(id),
            alive,
            ready: alive,
            last_seen,
            skew_ms: 0,
        };
        let view = View {
            local: MemberId(1),
            members: vec![seen(1, true, None), seen(2, true, Some(now)), seen(4, false, None)],
            belongs: true,
            quorum: true,
            epoch: 4,
            since: now,
        };
        let shown = node(&follower_of_2(), &view, now + Duration::from_millis(12));
        assert_eq!((&shown["leader"], &shown["applied_index"]), (&json!(2), &json!(7)));
        let of = |field: &str| -> Vec<Value> {
            let members = shown["members"].as_array().unwrap();
            members.iter().map(|member| member[field].clone()).collect()
        };
        assert_eq!(of("id"), [1, 2, 4, 3]);
        assert_eq!(of("role"), ["follower", "leader", "unknown", "learner"]);
        assert_eq!(of("alive"), [true, true, false, false]);
        assert_eq!(of("last_seen_ms"), [json!(null), json!(12), json!(null), json!(null)]);
    }

    #[test]
    fn only_an_unknown_outcome_is_504() {
        let waited = Duration::from_secs(1);
        let status = |error: ProposeError| Refused::from(error).0.as_u16();
        assert_eq!(status(ProposeError::OutcomeUnknown { waited }), 504);
        assert_eq!(status(ProposeError::NoLeader { waited }), 503);
        assert_eq!(status(ProposeError::Stopped("x".to_owned())), 503);
        assert_eq!(
            Refused::from(MemberChangeError::Refused("x".to_owned())).0.as_u16(),
            409
        );
    }
}

//! Queries and form bodies.

use crate::input::split;
use muster_model::{Instance, Kind, ServiceKey};
use muster_wire::{
    CLUSTER, CLUSTERS, ENABLED, EPHEMERAL, Form, GROUP, GROUPED_SERVICE, HEALTHY, IP, METADATA, NAMESPACE, PORT,
    Parameter, SERVICE, ServiceParam, WEIGHT, bound_cluster, bound_grouped_service, bound_instance, bound_key,
    bound_metadata, bound_weight, check_cluster_filter, cluster_of, group_of, grouped_name, namespace_of,
    parse_batch_targets, parse_beat, parse_checker, parse_grouped, parse_instance, parse_metadata, port_of, service_of,
    weight_of,
};
use std::collections::BTreeMap;

const PARAMETERS: [Parameter; 13] = [
    NAMESPACE,
    GROUP,
    SERVICE,
    GROUPED_SERVICE,
    IP,
    PORT,
    CLUSTER,
    CLUSTERS,
    WEIGHT,
    HEALTHY,
    ENABLED,
    EPHEMERAL,
    METADATA,
];

/// A query, a line's end, a body.
pub(crate) fn form(input: &[u8]) {
    let (query, body) = split(input, b'\n');
    let form = Form::parse(query, body);
    instances(&form);
    beats(&form);
    names(&form);
    parameters(&form);
    if let Ok(text) = std::str::from_utf8(body) {
        texts(text);
        let with_path = Form::parse(query, b"").with_path("key", text);
        assert!(with_path.verbatim("key").is_some(), "what stands in the path is there");
    }
}

/// What was read, written as a client of v1 writes it.
fn written(service: &ServiceKey, instance: &Instance) -> String {
    let metadata: BTreeMap<_, _> = instance.metadata.iter().collect();
    let mut query = form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("namespaceId", service.namespace().as_str())
        .append_pair("groupName", service.group().as_str())
        .append_pair("serviceName", service.name().as_str())
        .append_pair("ip", instance.key.host.as_str())
        .append_pair("port", &instance.key.port.to_string())
        .append_pair("clusterName", instance.cluster.as_str())
        .append_pair("weight", &instance.weight.get().to_string())
        .append_pair("enabled", &instance.enabled.to_string())
        .append_pair("healthy", &instance.healthy.to_string())
        .append_pair("ephemeral", &(instance.kind == Kind::Ephemeral).to_string())
        .append_pair("metadata", &serde_json::to_string(&metadata).expect("texts are JSON"));
    query.finish()
}

fn instances(form: &Form<'_>) {
    for ephemeral in [true, false] {
        for read in [parse_instance(form, ephemeral), bound_instance(form, ephemeral)] {
            let Ok(read) = read else { continue };
            let query = written(&read.service, &read.instance);
            let again = Form::parse(query.as_bytes(), b"");
            assert_eq!(parse_instance(&again, !ephemeral).as_ref(), Ok(&read), "by v1: {query}");
            assert_eq!(bound_instance(&again, !ephemeral).as_ref(), Ok(&read), "by v3: {query}");
        }
    }
}

fn beats(form: &Form<'_>) {
    let Ok(read) = parse_beat(form) else { return };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("namespaceId", read.service.namespace().as_str())
        .append_pair("serviceName", &grouped_name(&read.service).to_string())
        .append_pair("ip", read.key.host.as_str())
        .append_pair("port", &read.key.port.to_string());
    if let Some(instance) = &read.instance {
        let beat = serde_json::json!({
            "ip": instance.key.host.as_str(),
            "port": instance.key.port,
            "cluster": instance.cluster.as_str(),
            "weight": instance.weight.get(),
            "ephemeral": instance.kind == Kind::Ephemeral,
            "metadata": instance.metadata.iter().collect::<BTreeMap<_, _>>(),
        });
        query.append_pair("beat", &beat.to_string());
    }
    let query = query.finish();
    assert_eq!(parse_beat(&Form::parse(query.as_bytes(), b"")), Ok(read), "{query}");
}

fn names(form: &Form<'_>) {
    for wording in [ServiceParam::Required, ServiceParam::Declared] {
        if let Ok(service) = service_of(form, wording) {
            let grouped = grouped_name(&service).to_string();
            let again = parse_grouped(service.namespace().clone(), &grouped);
            assert_eq!(again.as_ref(), Ok(&service), "{grouped}");
        }
    }
    let _ = (
        namespace_of(form),
        group_of(form),
        cluster_of(form),
        port_of(form),
        weight_of(form),
    );
    let _ = (bound_grouped_service(form), bound_key(form), bound_cluster(form));
    let _ = (bound_weight(&WEIGHT, form), bound_metadata(&METADATA, form));
}

fn parameters(form: &Form<'_>) {
    for parameter in PARAMETERS {
        let read = parameter.read(form);
        assert!(
            !matches!(read, Ok(None)) || (!parameter.required && parameter.default.is_none()),
            "{} is there, has a default or is refused",
            parameter.name
        );
        let _ = (parameter.int(form), parameter.truth(form));
        let (name, _) = (parameter.name, form.flag(parameter.name));
        let _ = (
            form.int(name),
            form.int_or_zero(name),
            form.strict_flag(name),
            form.is_true(name),
        );
        assert_eq!(form.optional(name).is_some(), form.required(name).is_ok());
    }
}

fn texts(text: &str) {
    if let Ok(metadata) = parse_metadata(text) {
        let pairs: BTreeMap<_, _> = metadata.iter().collect();
        let json = serde_json::to_string(&pairs).expect("texts are JSON");
        assert_eq!(parse_metadata(&json), Ok(metadata), "{json}");
    }
    let _ = (
        parse_batch_targets(text),
        parse_checker(text),
        check_cluster_filter(text),
    );
}

//! The common parameters of an instance (reference: v1 instance).

use crate::{Form, Refusal, ServiceParam, parse_metadata, service_of};
use muster_model::{ClusterName, Host, Instance, InstanceKey, Kind, ServiceKey, Weight};

/// An instance and the service it serves, as a form names them.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceForm {
    pub service: ServiceKey,
    pub instance: Instance,
}

/// A host, refused in Nacos's words.
///
/// # Errors
/// [`Refusal`] where the text breaks a rule of hosts.
pub fn host_of(text: &str) -> Result<Host, Refusal> {
    if text.contains('\u{fffd}') {
        return Err(Refusal::IllegalCharacters("ip"));
    }
    Ok(Host::parse(text)?)
}

/// A required port.
///
/// # Errors
/// [`Refusal`]: absent, not a number, or not a port.
pub fn port_of(form: &Form<'_>) -> Result<u16, Refusal> {
    form.required("port")?;
    let port = form.int("port")?.ok_or(Refusal::Required("port"))?;
    u16::try_from(port).map_err(|_| Refusal::Port)
}

/// The cluster of an instance: `clusterName`, else `cluster`, else `DEFAULT`.
///
/// # Errors
/// [`Refusal`] where the name breaks a rule. `_` alone has a text of its own (T-49).
pub fn cluster_of(form: &Form<'_>) -> Result<ClusterName, Refusal> {
    match form.optional("clusterName").or_else(|| form.optional("cluster")) {
        None => Ok(ClusterName::default_cluster()),
        Some(text) => parse_cluster(text),
    }
}

pub(crate) fn parse_cluster(text: &str) -> Result<ClusterName, Refusal> {
    ClusterName::parse(text).map_err(|error| {
        if text.contains('_') && ClusterName::parse(&text.replace('_', "-")).is_ok() {
            Refusal::ClusterUnderscore(text.to_owned())
        } else {
            error.into()
        }
    })
}

/// A weight, if there is one.
///
/// # Errors
/// [`Refusal`]: not a number, or outside 0 to 10000; `NaN` too, which Nacos lets slip through.
pub fn weight_of(form: &Form<'_>) -> Result<Option<Weight>, Refusal> {
    let Some(text) = form.optional("weight") else {
        return Ok(None);
    };
    let value: f64 = text.parse().map_err(|_| Refusal::NotANumber(text.to_owned()))?;
    Ok(Some(Weight::new(value).map_err(|_| Refusal::Weight)?))
}

/// Reads the common parameters of an instance. `ephemeral` is the kind of whoever does not say.
///
/// # Errors
/// [`Refusal`] at the first parameter that is absent or wrong.
pub fn parse_instance(form: &Form<'_>, ephemeral: bool) -> Result<InstanceForm, Refusal> {
    let service = service_of(form, ServiceParam::Required)?;
    let host = host_of(form.required("ip")?)?;
    let port = port_of(form)?;
    let kind = if form.flag("ephemeral").unwrap_or(ephemeral) {
        Kind::Ephemeral
    } else {
        Kind::Persistent
    };
    let mut instance = Instance::new(InstanceKey::new(host, port), kind);
    instance.cluster = cluster_of(form)?;
    if let Some(weight) = weight_of(form)? {
        instance.weight = weight;
    }
    // Java and Go register with `enable` and update with `enabled` (T-2).
    instance.enabled = form.flag("enabled").or_else(|| form.flag("enable")).unwrap_or(true);
    instance.healthy = form.flag("healthy").unwrap_or(true);
    if let Some(text) = form.optional("metadata") {
        instance.metadata = parse_metadata(text)?;
    }
    Ok(InstanceForm { service, instance })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<InstanceForm, String> {
        parse_instance(&Form::parse(query.as_bytes(), b""), true).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn defaults_are_those_of_nacos() {
        let read = read("serviceName=svc&ip=10.0.0.1&port=80").unwrap();
        assert_eq!(read.service.to_string(), "public/DEFAULT_GROUP/svc");
        let expected = Instance::new(InstanceKey::new(Host::parse("10.0.0.1").unwrap(), 80), Kind::Ephemeral);
        assert_eq!(read.instance, expected);
    }

    #[test]
    fn t2_enabled_wins_over_enable() {
        let base = "serviceName=svc&ip=10.0.0.1&port=80";
        for (more, enabled) in [
            ("", true),
            ("&enable=false", false),
            ("&enabled=true&enable=false", true),
            ("&enabled=&enable=false", false),
            ("&enabled=1", false),
        ] {
            assert_eq!(
                read(&format!("{base}{more}")).unwrap().instance.enabled,
                enabled,
                "{more}"
            );
        }
    }

    #[test]
    fn hosts_may_be_names_and_ipv6() {
        for ip in ["db.internal", "::1", "%5B::1%5D"] {
            assert!(read(&format!("serviceName=svc&ip={ip}&port=0")).is_ok(), "{ip}");
        }
    }

    #[test]
    fn wrong_values_are_refused_in_nacoss_words() {
        let weight = "instance format invalid: The weights range from 0.0 to 10000.0";
        let port = "Param 'port' is illegal, the value should be between 0 and 65535.";
        let ip = "Param 'ip' is illegal, illegal characters should not appear in the param.";
        for (query, text) in [
            ("serviceName=s&port=80", "Param 'ip' is required."),
            ("serviceName=s&ip=1.1.1.1", "Param 'port' is required."),
            ("serviceName=s&ip=1.1.1.1&port=x", "For input string: \"x\""),
            ("serviceName=s&ip=1.1.1.1&port=80.0", "For input string: \"80.0\""),
            ("serviceName=s&ip=1.1.1.1&port=65536", port),
            ("serviceName=s&ip=1.1.1.1&port=-1", port),
            ("serviceName=s&ip=a%20b&port=80", ip),
            ("serviceName=s&ip=%ff&port=80", ip),
            ("serviceName=s&ip=1.1.1.1&port=80&weight=x", "For input string: \"x\""),
            ("serviceName=s&ip=1.1.1.1&port=80&weight=NaN", weight),
            ("serviceName=s&ip=1.1.1.1&port=80&weight=-1", weight),
            ("serviceName=s&ip=1.1.1.1&port=80&weight=1e5", weight),
            (
                "serviceName=s&ip=1.1.1.1&port=80&metadata=abc",
                "metadata format incorrect:abc",
            ),
            (
                "serviceName=s&ip=1.1.1.1&port=80&clusterName=a_b",
                "Instance 'clusterName' should be characters with only 0-9a-zA-Z-. (current: a_b)",
            ),
            (
                "serviceName=s&ip=1.1.1.1&port=80&cluster=a%20b",
                "Param 'cluster' is illegal, illegal characters should not appear in the param.",
            ),
        ] {
            assert_eq!(read(query).unwrap_err(), text, "{query}");
        }
    }
}

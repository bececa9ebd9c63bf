//! The forms of v2 and v3 (reference nacos-http 1.3 and 2): bare service names with the group beside them, but for the few
//! calls of v2 that want the grouped name.

use crate::instance_form::parse_cluster;
use crate::{Form, InstanceForm, Parameter, Refusal, host_of, parse_grouped, parse_metadata, service_of_parts};
use muster_model::{ClusterName, GroupName, Instance, InstanceKey, Kind, Metadata, NamespaceId, ServiceKey, Weight};

pub const NAMESPACE: Parameter = Parameter::text("namespaceId", "namespace of the service").or("public");
pub const GROUP: Parameter = Parameter::text("groupName", "group of the service").or("DEFAULT_GROUP");
pub const SERVICE: Parameter = Parameter::text("serviceName", "bare name of the service").required();
pub const GROUPED_SERVICE: Parameter = Parameter::text("serviceName", "name of the service as GROUP@@NAME").required();
pub const IP: Parameter = Parameter::text("ip", "address or host name of the instance").required();
pub const PORT: Parameter = Parameter::integer("port", "port of the instance, 0 to 65535").required();
pub const CLUSTER: Parameter = Parameter::text("clusterName", "cluster of the instance").or("DEFAULT");
pub const CLUSTERS: Parameter = Parameter::text("clusterName", "clusters to list, parted by commas; all if absent");
pub const WEIGHT: Parameter = Parameter::number("weight", "0 to 10000").or("1");
pub const HEALTHY: Parameter = Parameter::flag("healthy", "health to begin with").or("true");
pub const ENABLED: Parameter = Parameter::flag("enabled", "whether clients may be given it").or("true");
pub const EPHEMERAL: Parameter = Parameter::flag(
    "ephemeral",
    "lives by beats; the switch defaultInstanceEphemeral if absent",
);
pub const METADATA: Parameter = Parameter::json("metadata", "a JSON object of texts, or k1=v1,k2=v2");

/// The parameters of [`bound_instance`].
pub const INSTANCE: &[Parameter] = &[
    SERVICE, IP, PORT, GROUP, NAMESPACE, CLUSTER, WEIGHT, ENABLED, HEALTHY, EPHEMERAL, METADATA,
];

/// # Errors
/// [`Refusal`] where the id breaks a rule of names.
pub fn bound_namespace(form: &Form<'_>) -> Result<NamespaceId, Refusal> {
    Ok(NamespaceId::parse(NAMESPACE.value(form)?)?)
}

/// The service of `serviceName`, a bare name, and `groupName`. A grouped name is refused: Nacos's own generations read it
/// in three ways.
///
/// # Errors
/// [`Refusal`]: absent, or breaking a rule of names.
pub fn bound_service(form: &Form<'_>) -> Result<ServiceKey, Refusal> {
    let name = SERVICE.value(form)?;
    if name.contains("@@") {
        return Err(Refusal::IllegalCharacters("serviceName"));
    }
    let group = GroupName::parse(GROUP.value(form)?)?;
    service_of_parts(bound_namespace(form)?, group, name)
}

/// The service of a `serviceName` that holds its group.
///
/// # Errors
/// [`Refusal`]: absent, bare, or breaking a rule of names.
pub fn bound_grouped_service(form: &Form<'_>) -> Result<ServiceKey, Refusal> {
    parse_grouped(bound_namespace(form)?, GROUPED_SERVICE.value(form)?)
}

/// # Errors
/// [`Refusal`]: absent, or not an address.
pub fn bound_key(form: &Form<'_>) -> Result<InstanceKey, Refusal> {
    let host = host_of(IP.value(form)?)?;
    let port = PORT.int(form)?.unwrap_or(0);
    Ok(InstanceKey::new(host, u16::try_from(port).map_err(|_| Refusal::Port)?))
}

/// # Errors
/// [`Refusal`] where the name breaks a rule.
pub fn bound_cluster(form: &Form<'_>) -> Result<ClusterName, Refusal> {
    parse_cluster(CLUSTER.value(form)?)
}

/// A weight, by `parameter`'s default if it has one.
///
/// # Errors
/// [`Refusal`]: absent where it is required, not a number, or outside 0 to 10000.
pub fn bound_weight(parameter: &Parameter, form: &Form<'_>) -> Result<Option<Weight>, Refusal> {
    let Some(text) = parameter.read(form)? else {
        return Ok(None);
    };
    let value: f64 = text.trim().parse().map_err(|_| Refusal::NotANumber(text.to_owned()))?;
    Ok(Some(Weight::new(value).map_err(|_| Refusal::Weight)?))
}

/// # Errors
/// [`Refusal`]: absent where it is required, or neither of the two forms.
pub fn bound_metadata(parameter: &Parameter, form: &Form<'_>) -> Result<Option<Metadata>, Refusal> {
    parameter.read(form)?.map(parse_metadata).transpose()
}

/// The form of an instance. `ephemeral` is the kind of whoever does not say.
///
/// # Errors
/// [`Refusal`] at the first parameter that is absent or wrong.
pub fn bound_instance(form: &Form<'_>, ephemeral: bool) -> Result<InstanceForm, Refusal> {
    let service = bound_service(form)?;
    let kind = match EPHEMERAL.truth(form)?.unwrap_or(ephemeral) {
        true => Kind::Ephemeral,
        false => Kind::Persistent,
    };
    let mut instance = Instance::new(bound_key(form)?, kind);
    instance.weight = bound_weight(&WEIGHT, form)?.unwrap_or_default();
    instance.enabled = ENABLED.truth(form)?.unwrap_or(true);
    instance.healthy = HEALTHY.truth(form)?.unwrap_or(true);
    instance.cluster = bound_cluster(form)?;
    instance.metadata = bound_metadata(&METADATA, form)?.unwrap_or_default();
    Ok(InstanceForm { service, instance })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<InstanceForm, String> {
        bound_instance(&Form::parse(query.as_bytes(), b""), true).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn defaults_are_those_of_nacos() {
        let read = read("serviceName=svc&ip=10.0.0.1&port=80").unwrap();
        assert_eq!(read.service.to_string(), "public/DEFAULT_GROUP/svc");
        let key = InstanceKey::new(host_of("10.0.0.1").unwrap(), 80);
        assert_eq!(read.instance, Instance::new(key, Kind::Ephemeral));
    }

    #[test]
    fn a_grouped_name_is_refused_and_the_group_counts() {
        assert_eq!(
            read("serviceName=G%40%40svc&ip=h&port=1").unwrap_err(),
            "Param 'serviceName' is illegal, illegal characters should not appear in the param."
        );
        let read = read("serviceName=svc&groupName=G&namespaceId=dev&ip=h&port=1").unwrap();
        assert_eq!(read.service.to_string(), "dev/G/svc");
    }

    #[test]
    fn flags_are_strict_and_the_alias_of_v1_is_not_read() {
        assert!(read("serviceName=svc&ip=h&port=1&enabled=y").is_err());
        let read = read("serviceName=svc&ip=h&port=1&enable=false&ephemeral=0").unwrap();
        assert!(read.instance.enabled);
        assert_eq!(read.instance.kind, Kind::Persistent);
    }

    #[test]
    fn the_grouped_form_is_wanted_where_it_is() {
        let of = |query: &str| bound_grouped_service(&Form::parse(query.as_bytes(), b""));
        assert_eq!(
            of("serviceName=G%40%40svc&namespaceId=dev").unwrap().to_string(),
            "dev/G/svc"
        );
        assert_eq!(of("serviceName=svc").unwrap_err(), Refusal::GroupedName);
    }
}

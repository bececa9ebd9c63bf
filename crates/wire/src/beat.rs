//! A beat: what `PUT /instance/beat` brings.

use crate::instance_form::parse_cluster;
use crate::loose::{LoosePairs, LooseText};
use crate::{Form, Refusal, ServiceParam, cluster_of, host_of, service_of};
use muster_model::{Instance, InstanceKey, Kind, ServiceKey, Weight};
use serde::Deserialize;

/// A beat, and the service it is for: the one the request names, never the one inside the beat (T-22).
#[derive(Clone, Debug, PartialEq)]
pub struct BeatForm {
    pub service: ServiceKey,
    pub key: InstanceKey,
    /// None for a light beat.
    pub instance: Option<Box<Instance>>,
}

#[derive(Deserialize, Default)]
struct BeatJson {
    #[serde(default)]
    ip: LooseText,
    #[serde(default)]
    port: LooseText,
    #[serde(default)]
    cluster: LooseText,
    #[serde(default)]
    weight: LooseText,
    #[serde(default)]
    metadata: LoosePairs,
    #[serde(default)]
    ephemeral: LooseText,
}

fn port(text: &str) -> Result<u16, Refusal> {
    let number: i32 = text.parse().map_err(|_| Refusal::NotANumber(text.to_owned()))?;
    u16::try_from(number).map_err(|_| Refusal::Port)
}

fn full(form: &Form<'_>, text: &str) -> Result<Instance, Refusal> {
    let beat: BeatJson = serde_json::from_str(text).map_err(|error| Refusal::Beat(error.to_string()))?;
    let host = host_of(beat.ip.nonblank().ok_or(Refusal::Required("ip"))?)?;
    let port = port(beat.port.nonblank().unwrap_or("0"))?;
    let ephemeral = beat
        .ephemeral
        .nonblank()
        .is_none_or(|text| text.eq_ignore_ascii_case("true"));
    let kind = if ephemeral { Kind::Ephemeral } else { Kind::Persistent };
    let mut instance = Instance::new(InstanceKey::new(host, port), kind);
    instance.cluster = match beat.cluster.nonblank() {
        Some(text) => parse_cluster(text)?,
        None => cluster_of(form)?,
    };
    // An absent weight is 0, as in Nacos (T-43): listed, never chosen.
    let weight = beat.weight.nonblank().unwrap_or("0");
    let weight: f64 = weight.parse().map_err(|_| Refusal::NotANumber(weight.to_owned()))?;
    instance.weight = Weight::new(weight).map_err(|_| Refusal::Weight)?;
    instance.metadata = beat.metadata.0.into_iter().collect();
    Ok(instance)
}

/// Reads a beat. A non-blank `beat` is a full one, whose address counts; else `ip` and `port` name the instance.
///
/// # Errors
/// [`Refusal`]; of status 500 for a `beat` that is not JSON.
pub fn parse_beat(form: &Form<'_>) -> Result<BeatForm, Refusal> {
    parse_beat_for(service_of(form, ServiceParam::Required)?, form)
}

/// As [`parse_beat`], for a service that was read already.
///
/// # Errors
/// As [`parse_beat`].
pub fn parse_beat_for(service: ServiceKey, form: &Form<'_>) -> Result<BeatForm, Refusal> {
    if let Some(text) = form.optional("beat") {
        let instance = full(form, text)?;
        return Ok(BeatForm {
            service,
            key: instance.key.clone(),
            instance: Some(Box::new(instance)),
        });
    }
    let host = host_of(form.required("ip")?)?;
    let port = port(form.optional("port").unwrap_or("0"))?;
    Ok(BeatForm {
        service,
        key: InstanceKey::new(host, port),
        instance: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str, body: &str) -> Result<BeatForm, Refusal> {
        parse_beat(&Form::parse(query.as_bytes(), body.as_bytes()))
    }

    #[test]
    fn a_light_beat_names_its_instance_by_address() {
        let beat = read("serviceName=G%40%40svc&clusterName=c&ip=10.0.0.1&port=80", "").unwrap();
        assert_eq!(beat.key.to_string(), "10.0.0.1:80");
        assert_eq!(beat.instance, None);
    }

    #[test]
    fn t13_a_full_beat_may_come_in_the_query_or_in_the_body() {
        let json = r#"{"ip":"10.0.0.1","port":80,"weight":2.0,"cluster":"c1","metadata":{"a":"b","n":1},"scheduled":false,"period":5000,"stopped":false}"#;
        for beat in [
            read(&format!("serviceName=svc&beat={json}"), "").unwrap(),
            read("serviceName=svc&ip=9.9.9.9&port=1", &format!("beat={json}")).unwrap(),
        ] {
            let instance = beat.instance.unwrap();
            assert_eq!(instance.key.to_string(), "10.0.0.1:80");
            assert_eq!(instance.weight.get(), 2.0);
            assert_eq!(instance.cluster.as_str(), "c1");
            assert_eq!(instance.metadata.get("n"), Some("1"));
            assert_eq!(instance.kind, Kind::Ephemeral);
        }
    }

    #[test]
    fn t22_the_service_of_the_request_counts_and_not_the_one_in_the_beat() {
        let beat = read(
            r#"serviceName=G1%40%40svc&beat={"ip":"h","port":1,"serviceName":"other"}"#,
            "",
        )
        .unwrap();
        assert_eq!(beat.service.to_string(), "public/G1/svc");
    }

    #[test]
    fn t43_a_full_beat_without_weight_has_weight_zero() {
        let beat = read(r#"serviceName=svc&beat={"ip":"h","port":1}"#, "").unwrap();
        assert_eq!(beat.instance.unwrap().weight.get(), 0.0);
    }

    #[test]
    fn malformed_beats_are_refused() {
        let broken = read("serviceName=svc&beat={", "").unwrap_err();
        assert_eq!(broken.status(), 500);
        assert!(broken.to_string().starts_with("caused: "), "{broken}");
        for (query, text) in [
            ("serviceName=svc", "Param 'ip' is required."),
            ("serviceName=svc&beat={}", "Param 'ip' is required."),
            ("serviceName=svc&ip=h&port=x", "For input string: \"x\""),
            (
                r#"serviceName=svc&beat={"ip":"h","port":70000}"#,
                "Param 'port' is illegal, the value should be between 0 and 65535.",
            ),
        ] {
            let refusal = read(query, "").unwrap_err();
            assert_eq!((refusal.status(), refusal.to_string().as_str()), (400, text), "{query}");
        }
    }
}

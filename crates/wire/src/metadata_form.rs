//! Metadata as clients write it, and the targets of a batch edit of it.

use crate::loose::{LoosePairs, LooseText};
use crate::{Refusal, host_of};
use muster_model::{InstanceKey, Kind, Metadata};
use serde::Deserialize;

/// Reads a JSON object of scalars, or `k1=v1,k2=v2`. Blank and `null` are empty (Go's nil map).
///
/// # Errors
/// [`Refusal::Metadata`]: neither of the two. Nacos 2.4 answers 500 to that; we answer 400 as 1.4 does (T-23).
pub fn parse_metadata(text: &str) -> Result<Metadata, Refusal> {
    if text.trim().is_empty() {
        return Ok(Metadata::default());
    }
    if let Ok(pairs) = serde_json::from_str::<LoosePairs>(text) {
        return Ok(pairs.0.into_iter().collect());
    }
    let pair = |item: &str| match item.trim_end_matches('=').split_once('=') {
        Some((key, value)) if !value.contains('=') => Some((key.to_owned(), value.to_owned())),
        _ => None,
    };
    text.trim_end_matches(',')
        .split(',')
        .map(pair)
        .collect::<Option<Metadata>>()
        .ok_or_else(|| Refusal::Metadata(text.to_owned()))
}

/// One instance of `instances` in a batch edit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchTarget {
    pub key: InstanceKey,
    pub kind: Kind,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TargetJson {
    #[serde(default)]
    ip: LooseText,
    #[serde(default)]
    port: LooseText,
    #[serde(default)]
    ephemeral: LooseText,
}

/// Reads `instances`: a JSON array of `{ip,port,ephemeral}`, all of which may be strings (T-25). `None` for what is not
/// such an array; that changes nothing, as in 1.4.
pub fn parse_batch_targets(text: &str) -> Option<Vec<BatchTarget>> {
    let targets: Vec<TargetJson> = serde_json::from_str(text).ok()?;
    targets
        .into_iter()
        .map(|target| {
            let host = host_of(target.ip.nonblank()?).ok()?;
            let port = target.port.nonblank()?.parse().ok()?;
            // Absent reads as true: Nacos's default kind.
            let persistent = target
                .ephemeral
                .nonblank()
                .is_some_and(|text| !text.eq_ignore_ascii_case("true"));
            Some(BatchTarget {
                key: InstanceKey::new(host, port),
                kind: if persistent { Kind::Persistent } else { Kind::Ephemeral },
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        parse_metadata(text)
            .map(|metadata| metadata.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
            .map_err(|refusal| refusal.to_string())
    }

    fn pairs(of: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
        Ok(of.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn t24_null_numbers_and_booleans_are_legal_and_nested_objects_are_not() {
        assert_eq!(read("null"), pairs(&[]));
        assert_eq!(
            read(r#"{"a":1,"b":true,"c":"x","d":null,"e":1.0}"#),
            pairs(&[("a", "1"), ("b", "true"), ("c", "x"), ("e", "1.0")])
        );
        assert_eq!(
            read(r#"{"a":{"b":"c"}}"#).unwrap_err(),
            r#"metadata format incorrect:{"a":{"b":"c"}}"#
        );
    }

    #[test]
    fn pairs_of_key_and_value_are_the_other_form() {
        assert_eq!(read("k1=v1,k2=v2"), pairs(&[("k1", "v1"), ("k2", "v2")]));
        assert_eq!(read("k1=v1,"), pairs(&[("k1", "v1")]));
        assert_eq!(read(" "), pairs(&[]));
    }

    #[test]
    fn t23_what_is_neither_is_refused_with_its_text() {
        for text in ["abc", "{\"a\":", "[1]", "\"text\"", "k=", "a=b=c", "="] {
            assert_eq!(read(text).unwrap_err(), format!("metadata format incorrect:{text}"));
        }
    }

    #[test]
    fn t25_ports_and_kinds_of_batch_targets_may_be_strings() {
        let targets = parse_batch_targets(
            r#"[{"ip":"10.0.0.1","port":"80","ephemeral":"false","clusterName":"c"},{"ip":"h","port":81}]"#,
        )
        .unwrap();
        assert_eq!(targets[0].key.to_string(), "10.0.0.1:80");
        assert_eq!(targets[0].kind, Kind::Persistent);
        assert_eq!(targets[1].kind, Kind::Ephemeral);
        assert_eq!(parse_batch_targets("x"), None);
        assert_eq!(parse_batch_targets(r#"[{"ip":"h","port":"x"}]"#), None);
    }
}

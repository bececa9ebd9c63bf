//! Names of services as Nacos writes them: `GROUP@@name`, or a bare name with the group beside it.

use crate::{Form, Refusal};
use muster_model::{GroupName, NamespaceId, ServiceKey, ServiceName};

const SPLITTER: &[u8] = b"@@";
/// Stands where bytes were not UTF-8; in no name.
const REPLACEMENT: char = '\u{fffd}';

/// Where a name is split. Names are short: the standard library's search takes longer to begin than this to end.
fn splitter(text: &str) -> Option<usize> {
    text.as_bytes()
        .windows(SPLITTER.len())
        .position(|pair| pair == SPLITTER)
}

/// How a handler words the absence of `serviceName`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServiceParam {
    /// `Param 'serviceName' is required.`
    Required,
    /// `Parameter 'serviceName' is missing`
    Declared,
}

/// The namespace of a request; `public` if it names none.
///
/// # Errors
/// [`Refusal`] where the id breaks a rule of names.
pub fn namespace_of(form: &Form<'_>) -> Result<NamespaceId, Refusal> {
    match form.optional("namespaceId") {
        None => Ok(NamespaceId::public()),
        Some(text) => Ok(NamespaceId::parse(text)?),
    }
}

/// The group of a request; `DEFAULT_GROUP` if it names none.
///
/// # Errors
/// [`Refusal`] where the name breaks a rule of names.
pub fn group_of(form: &Form<'_>) -> Result<GroupName, Refusal> {
    match form.optional("groupName") {
        None => Ok(GroupName::default_group()),
        Some(text) => Ok(GroupName::parse(text)?),
    }
}

/// The service a request names. A grouped `serviceName` stands alone; the `groupName` beside it is not looked at (T-1).
///
/// # Errors
/// [`Refusal`]: absent, of the wrong form, or breaking a rule of names.
pub fn service_of(form: &Form<'_>, wording: ServiceParam) -> Result<ServiceKey, Refusal> {
    let name = match wording {
        ServiceParam::Required => form.required("serviceName")?,
        ServiceParam::Declared => form.declared("serviceName")?,
    };
    let namespace = namespace_of(form)?;
    match splitter(name) {
        Some(at) => grouped(namespace, name, at),
        None => service_of_parts(namespace, group_of(form)?, name),
    }
}

/// A service from its parts.
///
/// # Errors
/// [`Refusal`] where the bare name breaks a rule of names.
pub fn service_of_parts(namespace: NamespaceId, group: GroupName, name: &str) -> Result<ServiceKey, Refusal> {
    if !name.is_ascii() && name.contains(REPLACEMENT) {
        return Err(Refusal::IllegalCharacters("serviceName"));
    }
    Ok(ServiceKey::new(namespace, group, ServiceName::parse(name)?))
}

/// A service from `GROUP@@name`. Three parts and more are refused: 1.4 and 2.4 disagree on what they mean.
///
/// # Errors
/// [`Refusal`]: not two parts, an empty group, or breaking a rule of names.
pub fn parse_grouped(namespace: NamespaceId, text: &str) -> Result<ServiceKey, Refusal> {
    grouped(namespace, text, splitter(text).ok_or(Refusal::GroupedName)?)
}

/// A service from `GROUP@@name`, which is split `at`.
fn grouped(namespace: NamespaceId, text: &str, at: usize) -> Result<ServiceKey, Refusal> {
    let (group, name) = (&text[..at], &text[at + SPLITTER.len()..]);
    if name.is_empty() {
        return Err(Refusal::GroupedName);
    }
    if group.trim().is_empty() {
        return Err(Refusal::EmptyGroup);
    }
    service_of_parts(namespace, GroupName::parse(group)?, name)
}

/// The `clusters` of a query, checked name by name and kept verbatim: it is the client's cache key (T-7). `_` passes here,
/// as it does in Nacos, and finds nothing.
///
/// # Errors
/// [`Refusal`] at the first name that breaks a rule.
pub fn check_cluster_filter(clusters: &str) -> Result<(), Refusal> {
    for name in clusters.split(',') {
        if name.len() > 64 {
            return Err(Refusal::TooLong {
                name: "cluster",
                chars_max: 64,
            });
        }
        if !name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        {
            return Err(Refusal::IllegalCharacters("cluster"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<String, String> {
        service_of(&Form::parse(query.as_bytes(), b""), ServiceParam::Required)
            .map(|key| key.to_string())
            .map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn t1_a_grouped_name_wins_over_the_group_beside_it() {
        assert_eq!(read("serviceName=G1%40%40svc&groupName=G2").unwrap(), "public/G1/svc");
        assert_eq!(read("serviceName=svc&groupName=G2").unwrap(), "public/G2/svc");
        assert_eq!(read("serviceName=svc&groupName=").unwrap(), "public/DEFAULT_GROUP/svc");
    }

    #[test]
    fn malformed_names_are_refused_in_nacoss_words() {
        let form = "Param 'serviceName' is illegal, it should be format as 'groupName@@serviceName'";
        let illegal = "Param 'serviceName' is illegal, illegal characters should not appear in the param.";
        for (query, text) in [
            ("", "Param 'serviceName' is required."),
            ("serviceName=", "Param 'serviceName' is required."),
            ("serviceName=svc@@", form),
            ("serviceName=@@", form),
            (
                "serviceName=@@svc",
                "Param 'serviceName' is illegal, groupName can't be empty",
            ),
            ("serviceName=a@@b@@c", illegal),
            ("serviceName=a%20b", illegal),
            ("serviceName=%ff", illegal),
            ("serviceName=%E4%B8%AD", illegal),
            ("serviceName=a%00b", illegal),
            (
                "serviceName=svc&groupName=a/b",
                "Param 'group' is illegal, illegal characters should not appear in the param.",
            ),
            (
                "serviceName=svc&namespaceId=a.b",
                "Param 'namespaceId/tenant' is illegal, illegal characters should not appear in the param.",
            ),
        ] {
            assert_eq!(read(query).unwrap_err(), text, "{query}");
        }
        assert_eq!(
            read(&format!("serviceName={}", "a".repeat(513))).unwrap_err(),
            "Param 'serviceName' is illegal, the param length should not exceed 512."
        );
    }

    #[test]
    fn t29_dubbo_names_with_colons_are_names() {
        assert_eq!(
            read("serviceName=providers:a.B:1.0:").unwrap(),
            "public/DEFAULT_GROUP/providers:a.B:1.0:"
        );
    }

    #[test]
    fn cluster_filters_are_checked_name_by_name() {
        assert!(check_cluster_filter("").is_ok());
        assert!(check_cluster_filter("b,a,a,c_d").is_ok());
        assert!(check_cluster_filter("a, b").is_err());
        assert!(check_cluster_filter(&"a".repeat(65)).is_err());
    }
}

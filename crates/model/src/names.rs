//! Names as the outside may write them, checked once when parsed.
//!
//! Lengths and characters follow Nacos 2.4's parameter check (`ParamCheckRule`), which is looser than 1.4's for service
//! names; the cluster rule is the stricter one of the instance check, without `_`.

use std::fmt;
use std::sync::Arc;

/// Which name was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NameField {
    Namespace,
    Group,
    Service,
    Cluster,
    Host,
}

/// What was wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameProblem {
    Empty,
    TooLong { chars_max: usize },
    IllegalCharacter,
}

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field:?} name is not usable: {problem:?}")]
pub struct NameError {
    pub field: NameField,
    pub problem: NameProblem,
}

fn checked(
    text: &str,
    field: NameField,
    chars_max: usize,
    legal: impl Fn(char) -> bool,
) -> Result<Arc<str>, NameError> {
    let problem = if text.is_empty() {
        NameProblem::Empty
    } else if text.len() > chars_max && text.chars().count() > chars_max {
        NameProblem::TooLong { chars_max }
    } else if !text.chars().all(legal) {
        NameProblem::IllegalCharacter
    } else {
        return Ok(Arc::from(text));
    };
    Err(NameError { field, problem })
}

/// True for what no name may hold: white space, control characters and the CJK block `4E00–9FA5` that Nacos refuses.
pub(crate) fn is_never_in_a_name(c: char) -> bool {
    // Nearly all are graphic, which is quicker found than the tables of white space.
    !c.is_ascii_graphic() && (c.is_whitespace() || c.is_control() || ('\u{4e00}'..='\u{9fa5}').contains(&c))
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $field:expr, $max:expr, $legal:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses a name.
            ///
            /// # Errors
            /// [`NameError`] says which rule the text breaks.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                checked(text, $field, $max, $legal).map(Self)
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

name!(
    /// The tenant-like space a service lives in; at most 64 of `[0-9A-Za-z_-]`. Unknown ones need no creating.
    NamespaceId, NameField::Namespace, 64, |c| c.is_ascii_alphanumeric() || c == '-' || c == '_'
);
name!(
    /// The group of a service; at most 128 of `[0-9A-Za-z_:.-]`.
    GroupName, NameField::Group, 128, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':' | '.')
);
name!(
    /// The named part of a service that instances belong to; at most 64 of `[0-9A-Za-z-]`.
    ClusterName, NameField::Cluster, 64, |c| c.is_ascii_alphanumeric() || c == '-'
);

/// The bare name of a service, without its group; at most 512 characters, no white space, no CJK, no `@@`, no `@` first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(Arc<str>);

impl ServiceName {
    /// Parses a bare service name.
    ///
    /// # Errors
    /// [`NameError`] says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.starts_with('@') || text.as_bytes().windows(2).any(|pair| pair == b"@@") {
            return Err(NameError {
                field: NameField::Service,
                problem: NameProblem::IllegalCharacter,
            });
        }
        checked(text, NameField::Service, 512, |c| !is_never_in_a_name(c)).map(Self)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl NamespaceId {
    /// The namespace of whoever names none: `public`.
    pub fn public() -> Self {
        Self(Arc::from("public"))
    }
}

impl GroupName {
    /// The group of whoever names none: `DEFAULT_GROUP`.
    pub fn default_group() -> Self {
        Self(Arc::from("DEFAULT_GROUP"))
    }
}

impl ClusterName {
    /// The cluster of whoever names none: `DEFAULT`.
    pub fn default_cluster() -> Self {
        Self(Arc::from("DEFAULT"))
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct KeyParts {
    namespace: NamespaceId,
    group: GroupName,
    name: ServiceName,
}

/// The identity of a service: namespace, group and name together. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey(Arc<KeyParts>);

impl ServiceKey {
    pub fn new(namespace: NamespaceId, group: GroupName, name: ServiceName) -> Self {
        Self(Arc::new(KeyParts { namespace, group, name }))
    }

    pub fn namespace(&self) -> &NamespaceId {
        &self.0.namespace
    }

    pub fn group(&self) -> &GroupName {
        &self.0.group
    }

    pub fn name(&self) -> &ServiceName {
        &self.0.name
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.0.namespace, self.0.group, self.0.name)
    }
}

impl fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_names_may_hold_colons_but_not_the_group_separator() {
        assert!(ServiceName::parse("providers:a.B:1.0:").is_ok());
        assert!(ServiceName::parse("a@@b").is_err());
        assert!(ServiceName::parse("@a").is_err());
        assert!(ServiceName::parse("a b").is_err());
        assert!(ServiceName::parse("").is_err());
    }

    #[test]
    fn lengths_count_characters_not_bytes() {
        assert!(ServiceName::parse(&"é".repeat(512)).is_ok());
        assert_eq!(
            ServiceName::parse(&"é".repeat(513)).unwrap_err().problem,
            NameProblem::TooLong { chars_max: 512 }
        );
    }

    #[test]
    fn clusters_refuse_the_underscore() {
        assert!(ClusterName::parse("a-b").is_ok());
        assert!(ClusterName::parse("a_b").is_err());
    }
}

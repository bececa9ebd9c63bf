//! Why a request is refused before anything was asked of the domain, in Nacos's words.

use muster_model::{NameError, NameField, NameProblem};

/// A refusal at the door. `Display` is the text a v1 client gets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A parameter that the handler asks for by itself.
    #[error("Param '{0}' is required.")]
    Required(&'static str),
    /// A parameter that the framework declares as required.
    #[error("Parameter '{0}' is missing")]
    Missing(&'static str),
    /// A parameter of a v2 or v3 form.
    #[error("Required parameter '{name}' type {java} is not present")]
    Absent { name: &'static str, java: &'static str },
    #[error("Param '{name}' is illegal, the param length should not exceed {chars_max}.")]
    TooLong { name: &'static str, chars_max: usize },
    #[error("Param '{0}' is illegal, illegal characters should not appear in the param.")]
    IllegalCharacters(&'static str),
    #[error("Param 'port' is illegal, the value should be between 0 and 65535.")]
    Port,
    #[error("For input string: \"{0}\"")]
    NotANumber(String),
    #[error("instance format invalid: The weights range from 0.0 to 10000.0")]
    Weight,
    #[error("Instance 'clusterName' should be characters with only 0-9a-zA-Z-. (current: {0})")]
    ClusterUnderscore(String),
    #[error("Param 'serviceName' is illegal, it should be format as 'groupName@@serviceName'")]
    GroupedName,
    #[error("Param 'serviceName' is illegal, groupName can't be empty")]
    EmptyGroup,
    #[error("metadata format incorrect:{0}")]
    Metadata(String),
    /// The `beat` parameter is not the JSON of a beat. Nacos answers 500 to this one.
    #[error("caused: beat is not readable: {0};")]
    Beat(String),
    #[error("{0}")]
    Text(String),
}

impl Refusal {
    /// The HTTP status that goes with the text.
    pub fn status(&self) -> u16 {
        match self {
            Refusal::Beat(_) => 500,
            _ => 400,
        }
    }

    /// Refused by what is Nacos's parameter filter since 2.4, which ends its line and forbids caching.
    pub fn is_param_check(&self) -> bool {
        matches!(
            self,
            Refusal::TooLong { .. } | Refusal::IllegalCharacters(_) | Refusal::Port
        )
    }
}

/// The parameter's name in the filter's texts.
fn label(field: NameField) -> &'static str {
    match field {
        NameField::Namespace => "namespaceId/tenant",
        NameField::Group => "group",
        NameField::Service => "serviceName",
        NameField::Cluster => "cluster",
        NameField::Host => "ip",
    }
}

impl From<NameError> for Refusal {
    fn from(error: NameError) -> Self {
        let name = label(error.field);
        match error.problem {
            NameProblem::TooLong { chars_max } => Refusal::TooLong { name, chars_max },
            NameProblem::IllegalCharacter => Refusal::IllegalCharacters(name),
            NameProblem::Empty => Refusal::Required(match error.field {
                NameField::Namespace => "namespaceId",
                NameField::Group => "groupName",
                NameField::Service => "serviceName",
                NameField::Cluster => "clusterName",
                NameField::Host => "ip",
            }),
        }
    }
}

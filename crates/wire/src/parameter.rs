//! Parameters as v2 and v3 declare them: one constant each, by which a request is read and the interface is described.

use crate::{Form, Refusal};

/// What a parameter's text is read as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParameterKind {
    Text,
    Integer,
    Number,
    /// `true`, `on`, `yes`, `1` or `false`, `off`, `no`, `0` in any case; anything else is refused.
    Flag,
    /// JSON inside a text.
    Json,
}

impl ParameterKind {
    /// The type that Nacos names when the parameter is absent.
    fn java(self) -> &'static str {
        match self {
            ParameterKind::Text | ParameterKind::Json => "String",
            ParameterKind::Integer => "Integer",
            ParameterKind::Number => "Double",
            ParameterKind::Flag => "Boolean",
        }
    }
}

/// Where a parameter travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParameterPlace {
    /// In the query or in a form body; the query wins.
    Form,
    /// In the path, where its template says `{name}`.
    Path,
}

/// One parameter of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub kind: ParameterKind,
    pub place: ParameterPlace,
    pub required: bool,
    /// Taken where it is absent or blank.
    pub default: Option<&'static str>,
    pub summary: &'static str,
}

impl Parameter {
    const fn new(kind: ParameterKind, name: &'static str, summary: &'static str) -> Self {
        Self {
            name,
            kind,
            place: ParameterPlace::Form,
            required: false,
            default: None,
            summary,
        }
    }

    pub const fn text(name: &'static str, summary: &'static str) -> Self {
        Self::new(ParameterKind::Text, name, summary)
    }

    pub const fn integer(name: &'static str, summary: &'static str) -> Self {
        Self::new(ParameterKind::Integer, name, summary)
    }

    pub const fn number(name: &'static str, summary: &'static str) -> Self {
        Self::new(ParameterKind::Number, name, summary)
    }

    pub const fn flag(name: &'static str, summary: &'static str) -> Self {
        Self::new(ParameterKind::Flag, name, summary)
    }

    pub const fn json(name: &'static str, summary: &'static str) -> Self {
        Self::new(ParameterKind::Json, name, summary)
    }

    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self.default = None;
        self
    }

    #[must_use]
    pub const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    #[must_use]
    pub const fn in_path(mut self) -> Self {
        self.place = ParameterPlace::Path;
        self
    }

    /// Its text as sent, never trimmed; else its default. Blank is absent.
    ///
    /// # Errors
    /// [`Refusal::Absent`] for a required one.
    pub fn read<'f>(&self, form: &'f Form<'_>) -> Result<Option<&'f str>, Refusal> {
        let sent = form.verbatim(self.name).filter(|text| !text.trim().is_empty());
        match sent.or(self.default) {
            None if self.required => Err(self.absent()),
            value => Ok(value),
        }
    }

    /// As [`Parameter::read`] of one that is required or has a default.
    ///
    /// # Errors
    /// [`Refusal::Absent`].
    pub fn value<'f>(&self, form: &'f Form<'_>) -> Result<&'f str, Refusal> {
        self.read(form)?.ok_or_else(|| self.absent())
    }

    /// A whole number.
    ///
    /// # Errors
    /// [`Refusal::Absent`]; [`Refusal::NotANumber`], also for what does not fit 32 bits.
    pub fn int(&self, form: &Form<'_>) -> Result<Option<i32>, Refusal> {
        self.read(form)?
            .map(|text| text.trim().parse().map_err(|_| Refusal::NotANumber(text.to_owned())))
            .transpose()
    }

    /// A yes or no.
    ///
    /// # Errors
    /// [`Refusal::Absent`]; [`Refusal::Text`] for what is neither.
    pub fn truth(&self, form: &Form<'_>) -> Result<Option<bool>, Refusal> {
        let Some(text) = self.read(form)? else {
            return Ok(None);
        };
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "on" | "yes" | "1" => Ok(Some(true)),
            "false" | "off" | "no" | "0" => Ok(Some(false)),
            _ => Err(Refusal::Text(format!("Invalid boolean value [{text}]"))),
        }
    }

    fn absent(&self) -> Refusal {
        Refusal::Absent {
            name: self.name,
            java: self.kind.java(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Parameter = Parameter::integer("pageNo", "").or("1");
    const NAME: Parameter = Parameter::text("serviceName", "").required();
    const EPHEMERAL: Parameter = Parameter::flag("ephemeral", "");

    fn form(query: &str) -> Form<'_> {
        Form::parse(query.as_bytes(), b"")
    }

    #[test]
    fn blank_takes_the_default_and_a_required_one_is_refused_by_name_and_type() {
        assert_eq!(PAGE.int(&form("")), Ok(Some(1)));
        assert_eq!(PAGE.int(&form("pageNo=%20")), Ok(Some(1)));
        assert_eq!(PAGE.int(&form("pageNo=+7")), Ok(Some(7)));
        assert_eq!(
            NAME.value(&form("serviceName=%20")).unwrap_err().to_string(),
            "Required parameter 'serviceName' type String is not present"
        );
        let port = Parameter::integer("port", "").required();
        assert_eq!(
            port.int(&form("")).unwrap_err().to_string(),
            "Required parameter 'port' type Integer is not present"
        );
    }

    #[test]
    fn values_are_not_trimmed_and_garbage_is_refused() {
        assert_eq!(NAME.value(&form("serviceName=%20a")), Ok(" a"));
        assert!(PAGE.int(&form("pageNo=x")).is_err());
        assert!(PAGE.int(&form("pageNo=99999999999")).is_err());
        assert_eq!(EPHEMERAL.truth(&form("")), Ok(None));
        assert_eq!(EPHEMERAL.truth(&form("ephemeral=Off")), Ok(Some(false)));
        assert!(EPHEMERAL.truth(&form("ephemeral=maybe")).is_err());
    }
}

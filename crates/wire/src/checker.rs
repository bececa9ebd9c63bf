//! Health checkers as Nacos writes them.

use crate::Refusal;
use crate::loose::LooseText;
use muster_model::HealthChecker;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CheckerJson {
    #[serde(rename = "type", default)]
    kind: LooseText,
    #[serde(default)]
    path: LooseText,
    #[serde(default)]
    headers: LooseText,
    #[serde(default)]
    expected_response_code: LooseText,
}

/// Reads a `healthChecker`: a JSON object with a `type`.
///
/// # Errors
/// [`Refusal::Text`] for what is not one, and for a type that we do not run (`MYSQL`).
pub fn parse_checker(text: &str) -> Result<HealthChecker, Refusal> {
    let wrong = |why: String| Refusal::Text(format!("Param 'healthChecker' is illegal, {why}"));
    let json: CheckerJson = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    match json.kind.nonblank() {
        Some("TCP") => Ok(HealthChecker::Tcp),
        Some("NONE") => Ok(HealthChecker::None),
        Some("HTTP") => {
            let code = json.expected_response_code.nonblank().unwrap_or("200");
            Ok(HealthChecker::Http {
                path: json.path.0.unwrap_or_default(),
                headers: json.headers.0.unwrap_or_default(),
                expected_code: code.parse().map_err(|_| Refusal::NotANumber(code.to_owned()))?,
            })
        }
        other => Err(wrong(format!(
            "type {} is not supported: TCP, HTTP or NONE",
            other.unwrap_or("(none)")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_types_we_run_are_read_and_others_refused_by_name() {
        assert_eq!(parse_checker(r#"{"type":"TCP"}"#), Ok(HealthChecker::Tcp));
        assert_eq!(parse_checker(r#"{"type":"NONE"}"#), Ok(HealthChecker::None));
        assert_eq!(
            parse_checker(r#"{"type":"HTTP","path":"/up","expectedResponseCode":"204"}"#),
            Ok(HealthChecker::Http {
                path: "/up".to_owned(),
                headers: String::new(),
                expected_code: 204
            })
        );
        let refusal = parse_checker(r#"{"type":"MYSQL"}"#).unwrap_err().to_string();
        assert!(refusal.contains("MYSQL"), "{refusal}");
        assert!(parse_checker("tcp").is_err());
    }
}

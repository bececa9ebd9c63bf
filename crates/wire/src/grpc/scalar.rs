//! JSON scalars as Jackson makes numbers and flags of them.

use crate::Refusal;
use crate::loose::LooseText;

/// A 32-bit number, from a number or text; a fraction is cut off. None if absent or blank.
pub(super) fn int(text: &LooseText) -> Result<Option<i32>, Refusal> {
    let Some(text) = text.nonblank() else { return Ok(None) };
    let wrong = || Refusal::NotANumber(text.to_owned());
    if let Ok(whole) = text.parse::<i32>() {
        return Ok(Some(whole));
    }
    let value: f64 = text.parse().map_err(|_| wrong())?;
    // Also refuses what is no number.
    let fits = value.abs() <= f64::from(i32::MAX);
    fits.then_some(Some(value as i32)).ok_or_else(wrong)
}

/// A number. None if absent or blank.
pub(super) fn number(text: &LooseText) -> Result<Option<f64>, Refusal> {
    let parse = |text: &str| text.parse().map_err(|_| Refusal::NotANumber(text.to_owned()));
    text.nonblank().map(parse).transpose()
}

/// A flag: `true` in any case, or a number other than 0. None if absent or blank.
pub(super) fn flag(text: &LooseText) -> Result<Option<bool>, Refusal> {
    let Some(text) = text.nonblank() else { return Ok(None) };
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        other => match other.parse::<i64>() {
            Ok(number) => Ok(Some(number != 0)),
            Err(_) => Err(Refusal::Text(format!("Invalid boolean value [{text}]"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> LooseText {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn numbers_may_be_text_and_fractions_are_cut_off() {
        for (text, value) in [
            ("80", Some(80)),
            ("\"80\"", Some(80)),
            ("80.9", Some(80)),
            ("\" 80 \"", Some(80)),
            ("\"\"", None),
            ("null", None),
            ("-1", Some(-1)),
        ] {
            assert_eq!(int(&of(text)), Ok(value), "{text}");
        }
        for text in ["\"x\"", "99999999999", "1e300", "\"NaN\"", "true"] {
            assert!(int(&of(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn flags_may_be_text_and_numbers() {
        for (text, value) in [
            ("true", Some(true)),
            ("\"True\"", Some(true)),
            ("\"FALSE\"", Some(false)),
            ("1", Some(true)),
            ("0", Some(false)),
            ("null", None),
        ] {
            assert_eq!(flag(&of(text)), Ok(value), "{text}");
        }
        assert!(flag(&of("\"yes\"")).is_err());
    }
}

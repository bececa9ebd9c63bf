//! JSON scalars as Jackson makes texts, numbers and flags of them.

use crate::Refusal;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A JSON string, number or boolean; `null` is as if it were absent. Arrays and objects are refused.
///
/// Borrowed from the message where it stands there as it is, and a number stays one: a registration has some twenty of
/// these, of which a text each would cost more than all the rest of its reading.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) enum Scalar<'a> {
    #[default]
    Absent,
    Text(Cow<'a, str>),
    Flag(bool),
    Whole(i64),
    Fraction(f64),
}

impl Scalar<'_> {
    /// As text, verbatim.
    pub(super) fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Scalar::Absent => None,
            Scalar::Text(text) => Some(Cow::Borrowed(text)),
            Scalar::Flag(true) => Some(Cow::Borrowed("true")),
            Scalar::Flag(false) => Some(Cow::Borrowed("false")),
            Scalar::Whole(number) => Some(Cow::Owned(number.to_string())),
            // `{:?}` keeps the `.0` of a whole number, as Java does.
            Scalar::Fraction(number) => Some(Cow::Owned(format!("{number:?}"))),
        }
    }

    /// As text without white space around it; none if nothing else is there.
    pub(super) fn nonblank(&self) -> Option<Cow<'_, str>> {
        let text = match self.text()? {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            // Of a number, which has no white space.
            owned @ Cow::Owned(_) => owned,
        };
        (!text.is_empty()).then_some(text)
    }

    /// A 32-bit number, from a number or text; a fraction is cut off. None if absent or blank.
    pub(super) fn int(&self) -> Result<Option<i32>, Refusal> {
        if let Scalar::Whole(whole) = self
            && let Ok(whole) = i32::try_from(*whole)
        {
            return Ok(Some(whole));
        }
        let Some(text) = self.nonblank() else { return Ok(None) };
        let wrong = || Refusal::NotANumber(text.clone().into_owned());
        if let Ok(whole) = text.parse::<i32>() {
            return Ok(Some(whole));
        }
        let value: f64 = text.parse().map_err(|_| wrong())?;
        // Also refuses what is no number.
        let fits = value.abs() <= f64::from(i32::MAX);
        fits.then_some(Some(value as i32)).ok_or_else(wrong)
    }

    /// A number. None if absent or blank.
    pub(super) fn number(&self) -> Result<Option<f64>, Refusal> {
        if let Scalar::Fraction(number) = self {
            return Ok(Some(*number));
        }
        let parse = |text: Cow<'_, str>| text.parse().map_err(|_| Refusal::NotANumber(text.into_owned()));
        self.nonblank().map(parse).transpose()
    }

    /// A flag: `true` in any case, or a number other than 0. None if absent or blank.
    pub(super) fn flag(&self) -> Result<Option<bool>, Refusal> {
        if let Scalar::Flag(flag) = self {
            return Ok(Some(*flag));
        }
        let Some(text) = self.nonblank() else { return Ok(None) };
        match text.to_ascii_lowercase().as_str() {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            other => match other.parse::<i64>() {
                Ok(number) => Ok(Some(number != 0)),
                Err(_) => Err(Refusal::Text(format!("Invalid boolean value [{text}]"))),
            },
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;
        impl<'de> Visitor<'de> for One {
            type Value = Scalar<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a number or a boolean")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Flag(value))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Whole(value))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar<'de>, E> {
                Ok(match i64::try_from(value) {
                    Ok(value) => Scalar::Whole(value),
                    Err(_) => Scalar::Text(Cow::Owned(value.to_string())),
                })
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Fraction(value))
            }

            fn visit_unit<E: Error>(self) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Absent)
            }
        }
        deserializer.deserialize_any(One)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loose::LooseText;
    use proptest::prelude::*;

    fn of(text: &str) -> Scalar<'_> {
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
            assert_eq!(of(text).int(), Ok(value), "{text}");
        }
        for text in [
            "\"x\"",
            "99999999999",
            "18446744073709551615",
            "1e300",
            "\"NaN\"",
            "true",
        ] {
            assert!(of(text).int().is_err(), "{text}");
        }
        for (text, value) in [
            ("1", Some(1.0)),
            ("0.5", Some(0.5)),
            ("\" 2.5\"", Some(2.5)),
            ("null", None),
        ] {
            assert_eq!(of(text).number(), Ok(value), "{text}");
        }
        assert!(of("true").number().is_err());
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
            assert_eq!(of(text).flag(), Ok(value), "{text}");
        }
        assert!(of("\"yes\"").flag().is_err());
    }

    #[test]
    fn only_what_stands_in_the_message_as_it_is_is_borrowed() {
        assert!(matches!(of(r#""plain""#), Scalar::Text(Cow::Borrowed("plain"))));
        assert!(matches!(of(r#""a\tb""#), Scalar::Text(Cow::Owned(text)) if text == "a\tb"));
    }

    proptest! {
        /// Two readers of the same dialect: a client that changes from HTTP to gRPC writes the same JSON.
        #[test]
        fn every_scalar_has_the_text_that_http_s_reader_makes_of_it(text in r#"null|true|false|-?[1-9][0-9]{0,18}|-?[0-9]\.[0-9]{1,12}|"[ -!#-\[\]-~]{0,20}""#) {
            let loose: LooseText = serde_json::from_str(&text).unwrap();
            let scalar = of(&text);
            let (verbatim, trimmed) = (scalar.text(), scalar.nonblank());
            prop_assert_eq!(verbatim.as_deref(), loose.0.as_deref());
            prop_assert_eq!(trimmed.as_deref(), loose.nonblank());
        }
    }
}

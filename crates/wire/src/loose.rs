//! JSON scalars read as text, whatever their type: clients write ports and flags as strings and metadata as numbers.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// A JSON string, number or boolean as text; `None` for `null`. Arrays and objects are refused.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct LooseText(pub(crate) Option<String>);

impl LooseText {
    pub(crate) fn nonblank(&self) -> Option<&str> {
        self.0.as_deref().map(str::trim).filter(|text| !text.is_empty())
    }
}

impl<'de> Deserialize<'de> for LooseText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl Visitor<'_> for Scalar {
            type Value = LooseText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a number or a boolean")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<LooseText, E> {
                Ok(LooseText(Some(text.to_owned())))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<LooseText, E> {
                Ok(LooseText(Some(text)))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<LooseText, E> {
                Ok(LooseText(Some(value.to_string())))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<LooseText, E> {
                Ok(LooseText(Some(value.to_string())))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<LooseText, E> {
                Ok(LooseText(Some(value.to_string())))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<LooseText, E> {
                // `{:?}` keeps the `.0` of a whole number, as Java does.
                Ok(LooseText(Some(format!("{value:?}"))))
            }

            fn visit_unit<E: Error>(self) -> Result<LooseText, E> {
                Ok(LooseText(None))
            }
        }
        deserializer.deserialize_any(Scalar)
    }
}

/// Takes the members of a JSON object as they are read, so that what is not kept is never held.
pub(crate) trait Gather: Default {
    /// `value` is `None` for `null`.
    fn gather(&mut self, key: String, value: Option<String>);
}

/// Reads a JSON object of scalars; `null` is the empty one.
///
/// # Errors
/// Anything else.
pub(crate) fn gathered<'de, G: Gather, D: Deserializer<'de>>(deserializer: D) -> Result<G, D::Error> {
    struct Members<G>(PhantomData<G>);
    impl<'de, G: Gather> Visitor<'de> for Members<G> {
        type Value = G;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of strings")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<G, A::Error> {
            let mut gathered = G::default();
            while let Some((key, value)) = map.next_entry::<String, LooseText>()? {
                gathered.gather(key, value.0);
            }
            Ok(gathered)
        }

        fn visit_unit<E: Error>(self) -> Result<G, E> {
            Ok(G::default())
        }
    }
    deserializer.deserialize_any(Members(PhantomData))
}

/// A JSON object of scalars; pairs with a `null` value are left out.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct LoosePairs(pub(crate) Vec<(String, String)>);

impl Gather for LoosePairs {
    fn gather(&mut self, key: String, value: Option<String>) {
        self.0.extend(value.map(|value| (key, value)));
    }
}

impl<'de> Deserialize<'de> for LoosePairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        gathered(deserializer)
    }
}

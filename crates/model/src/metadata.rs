//! Key-value pairs that travel with an instance, a cluster or a service.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Sorted text pairs, shared and immutable; the empty one allocates nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata(Option<Arc<BTreeMap<String, String>>>);

impl Metadata {
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.as_ref()?.get(key).map(String::as_str)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .flat_map(|pairs| pairs.iter())
            .map(|(k, v)| (k.as_str(), v.as_str()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The pairs of `self` with those of `other` laid over them.
    pub fn merged(&self, other: &Metadata) -> Metadata {
        self.iter()
            .chain(other.iter())
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    /// The pairs of `self` but for the keys that `other` has.
    pub fn without_keys_of(&self, other: &Metadata) -> Metadata {
        self.iter()
            .filter(|(k, _)| other.get(k).is_none())
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }
}

impl FromIterator<(String, String)> for Metadata {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        let pairs: BTreeMap<_, _> = pairs.into_iter().collect();
        Self((!pairs.is_empty()).then(|| Arc::new(pairs)))
    }
}

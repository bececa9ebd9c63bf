//! Key-value pairs that travel with an instance, a cluster or a service.

use std::fmt;
use std::sync::Arc;

/// Sorted text pairs, shared and immutable; the empty one allocates nothing.
///
/// A node holds up to a million of these, so the pairs of one lie in one text, each as
/// `length of key, length of value, key, value`. Two pairs take some sixty bytes that way; a map of them takes seven hundred.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Metadata(Option<Arc<str>>);

impl Metadata {
    pub fn get(&self, key: &str) -> Option<&str> {
        // A service allows 1,024 characters, so there are few to pass over.
        self.iter().find(|(k, _)| *k == key).map(|(_, v)| v)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        Pairs(self.0.as_deref().unwrap_or_default())
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

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Of two values for one key the later counts.
impl FromIterator<(String, String)> for Metadata {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        // Stable, so that the last of equal keys is the last one given.
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        let bytes = pairs.iter().map(|(k, v)| k.len() + v.len() + 4).sum();
        let mut text = String::with_capacity(bytes);
        for (at, (key, value)) in pairs.iter().enumerate() {
            if pairs.get(at + 1).is_some_and(|(next, _)| next == key) {
                continue;
            }
            push_length(&mut text, key.len());
            push_length(&mut text, value.len());
            text.push_str(key);
            text.push_str(value);
        }
        Self((!text.is_empty()).then(|| Arc::from(text)))
    }
}

/// Six bits to a byte, the lowest first, with 64 where more follow: what a text may begin with, whatever the length.
fn push_length(text: &mut String, mut length: usize) {
    while length > 0x3f {
        text.push(char::from((length & 0x3f) as u8 | 0x40));
        length >>= 6;
    }
    text.push(char::from(length as u8));
}

/// What is left of the pairs.
struct Pairs<'a>(&'a str);

impl Pairs<'_> {
    fn take_length(&mut self) -> usize {
        let (mut length, mut taken) = (0, 0);
        for byte in self.0.bytes() {
            length |= usize::from(byte & 0x3f) << (6 * taken);
            taken += 1;
            if byte & 0x40 == 0 {
                break;
            }
        }
        self.0 = &self.0[taken..];
        length
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let (key, value) = (self.take_length(), self.take_length());
        let (pair, rest) = self.0.split_at(key + value);
        self.0 = rest;
        Some(pair.split_at(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn of(pairs: &[(&str, &str)]) -> Metadata {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn pairs_are_what_a_sorted_map_of_them_is() {
        let long = "ä".repeat(70_000);
        for pairs in [
            &[][..],
            &[("zone", "a")],
            &[("b", ""), ("", "a"), ("a", "@\u{0}\u{7f}")],
            &[
                ("k", &long),
                (&long, "v"),
                ("a", "first"),
                ("k", "last"),
                ("a", "second"),
            ],
        ] {
            let map: BTreeMap<&str, &str> = pairs.iter().copied().collect();
            let packed = of(pairs);
            assert!(packed.iter().eq(map.iter().map(|(k, v)| (*k, *v))), "{pairs:?}");
            assert!(map.iter().all(|(k, v)| packed.get(k) == Some(v)));
            assert_eq!((packed.get("absent"), packed.is_empty()), (None, map.is_empty()));
        }
    }

    #[test]
    fn the_order_in_which_pairs_came_makes_no_difference() {
        assert_eq!(of(&[("a", "1"), ("b", "2")]), of(&[("b", "2"), ("a", "1")]));
        assert_ne!(of(&[("a", "1")]), of(&[("a", "2")]));
        assert_ne!(of(&[("ab", "c")]), of(&[("a", "bc")]));
    }

    #[test]
    fn what_is_laid_over_wins_and_what_is_taken_away_is_gone() {
        let base = of(&[("a", "1"), ("b", "2")]);
        assert_eq!(
            base.merged(&of(&[("b", "3"), ("c", "4")])),
            of(&[("a", "1"), ("b", "3"), ("c", "4")])
        );
        assert_eq!(base.without_keys_of(&of(&[("a", ""), ("x", "")])), of(&[("b", "2")]));
    }
}

//! What is checked of an instance or of metadata before it is taken.

use crate::Error;
use muster_model::{BeatTimings, Instance, Metadata};

/// Nacos's `nacos.naming.service.metadata.length`.
pub(crate) const METADATA_CHARS_MAX: usize = 1_024;

/// Holds an instance against the rules that need no other instance.
pub(crate) fn check_instance(instance: &Instance) -> Result<(), Error> {
    check_metadata(&instance.metadata)?;
    BeatTimings::from_metadata(&instance.metadata)?;
    Ok(())
}

/// Keys and values together hold at most 1024 characters; blank ones do not count (Nacos 2.4 `ParamCheck`).
pub(crate) fn check_metadata(metadata: &Metadata) -> Result<(), Error> {
    let chars: usize = metadata
        .iter()
        .flat_map(|(key, value)| [key, value])
        .filter(|text| !text.trim().is_empty())
        .map(|text| text.chars().count())
        .sum();
    if chars > METADATA_CHARS_MAX {
        return Err(Error::MetadataTooLong {
            chars,
            chars_max: METADATA_CHARS_MAX,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::instance;
    use muster_model::Kind;

    fn metadata(pairs: &[(&str, &str)]) -> Metadata {
        pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    #[test]
    fn metadata_of_1024_characters_is_taken_and_of_1025_is_not() {
        let just = metadata(&[("k", &"é".repeat(1_023)), ("blank", "")]);
        assert_eq!(
            check_metadata(&metadata(&[("k", &"é".repeat(1_023))])),
            Ok(()),
            "characters count, not bytes"
        );
        assert_eq!(
            check_metadata(&just),
            Err(Error::MetadataTooLong {
                chars: 1_029,
                chars_max: 1_024
            })
        );
    }

    #[test]
    fn blank_keys_and_values_are_not_counted() {
        assert_eq!(
            check_metadata(&metadata(&[(&" ".repeat(2_000), &"\t".repeat(2_000))])),
            Ok(())
        );
    }

    #[test]
    fn an_interval_above_its_timeouts_is_refused() {
        let mut asks = instance("10.0.0.1:80", Kind::Ephemeral);
        asks.metadata = metadata(&[("preserved.heart.beat.interval", "20000")]);
        assert_eq!(check_instance(&asks), Err(Error::Timings));
        asks.metadata = metadata(&[("preserved.heart.beat.interval", "20000x")]);
        assert_eq!(
            check_instance(&asks),
            Ok(()),
            "a value that is no number counts as absent"
        );
    }
}

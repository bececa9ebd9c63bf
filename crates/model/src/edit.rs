//! Partial changes of an instance.

use crate::{Instance, Metadata, Weight};

/// What to change of an instance that exists; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InstanceEdit {
    pub weight: Option<Weight>,
    pub enabled: Option<bool>,
    pub healthy: Option<bool>,
    pub metadata: Option<MetadataEdit>,
}

/// What to do with the metadata that is there.
#[derive(Clone, Debug, PartialEq)]
pub enum MetadataEdit {
    Replace(Metadata),
    /// Lays the pairs over those that are there.
    Merge(Metadata),
    RemoveKeys(Metadata),
}

impl InstanceEdit {
    /// The instance with this edit applied.
    pub fn apply(&self, instance: &Instance) -> Instance {
        let mut edited = instance.clone();
        if let Some(weight) = self.weight {
            edited.weight = weight;
        }
        if let Some(enabled) = self.enabled {
            edited.enabled = enabled;
        }
        if let Some(healthy) = self.healthy {
            edited.healthy = healthy;
        }
        match &self.metadata {
            Some(MetadataEdit::Replace(metadata)) => edited.metadata = metadata.clone(),
            Some(MetadataEdit::Merge(metadata)) => edited.metadata = edited.metadata.merged(metadata),
            Some(MetadataEdit::RemoveKeys(metadata)) => edited.metadata = edited.metadata.without_keys_of(metadata),
            None => {}
        }
        edited
    }
}

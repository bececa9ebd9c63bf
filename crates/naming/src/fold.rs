//! From what two stores hold of a service to its list. Pure.

use muster_model::{Instance, Kind, ServiceSettings, ServiceSnapshot, Stamp};
use muster_persistent::PersistentService;
use std::sync::{Arc, LazyLock};

static NO_SETTINGS: LazyLock<Arc<ServiceSettings>> = LazyLock::new(Arc::default);

/// The settings of a service nobody has said anything of; shared.
pub(crate) fn no_settings() -> Arc<ServiceSettings> {
    NO_SETTINGS.clone()
}

/// What readers can tell apart of a service.
pub(crate) struct Content {
    pub(crate) exists: bool,
    /// Raft holds a record of it, be it empty.
    pub(crate) recorded: bool,
    pub(crate) settings: Arc<ServiceSettings>,
    pub(crate) instances: Box<[Arc<Instance>]>,
}

impl Content {
    /// Joins both stores. `ephemeral` may come in any order.
    pub(crate) fn join(ephemeral: Vec<Arc<Instance>>, record: Option<&PersistentService>) -> Self {
        let mut instances = ephemeral;
        if let Some(record) = record {
            instances.extend(record.instances.values().cloned());
        }
        // A merge of two sorted runs, which this sort finds by itself.
        instances.sort_by(|a, b| (&a.key, a.kind).cmp(&(&b.key, b.kind)));
        Self {
            exists: !instances.is_empty() || record.is_some_and(|record| record.created),
            recorded: record.is_some(),
            settings: record.map_or_else(no_settings, |record| record.settings.clone()),
            instances: instances.into_boxed_slice(),
        }
    }

    /// Whether `snapshot` shows just this. Every field of an instance counts: all of them are rendered somewhere.
    pub(crate) fn is_shown_by(&self, snapshot: &ServiceSnapshot) -> bool {
        let equal = |(a, b): (&Arc<Instance>, &Arc<Instance>)| Arc::ptr_eq(a, b) || a == b;
        self.exists == snapshot.exists
            && self.instances.len() == snapshot.instances.len()
            && (Arc::ptr_eq(&self.settings, &snapshot.settings) || self.settings == snapshot.settings)
            && self.instances.iter().zip(&snapshot.instances).all(equal)
    }
}

/// The stamp of the next snapshot: follows hybrid time, is above the last one and not below any change it holds.
pub(crate) fn next_stamp_ms(now_ms: u64, last_ms: u64, change: Stamp) -> u64 {
    now_ms.max(last_ms + 1).max(change.millis())
}

/// Instances of each kind: ephemeral, persistent.
pub(crate) fn kinds(instances: &[Arc<Instance>]) -> (usize, usize) {
    let ephemeral = instances.iter().filter(|i| i.kind == Kind::Ephemeral).count();
    (ephemeral, instances.len() - ephemeral)
}

/// Whether clients are shown somebody as healthy who is not. 1.4's rule; 2.x's leaves out services that nobody has said
/// anything of, and disabled instances.
pub(crate) fn masks(instances: &[Arc<Instance>], settings: &ServiceSettings) -> bool {
    let healthy = instances.iter().filter(|instance| instance.healthy).count();
    healthy < instances.len() && settings.protects(healthy, instances.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{instance, service};
    use muster_model::{Metadata, Renders, Weight};
    use proptest::prelude::*;

    fn record(created: bool, instances: &[Instance]) -> PersistentService {
        PersistentService {
            created,
            settings: no_settings(),
            instances: instances.iter().map(|i| (i.key.clone(), Arc::new(i.clone()))).collect(),
        }
    }

    fn shown(content: Content) -> ServiceSnapshot {
        ServiceSnapshot {
            key: service("s"),
            revision: 1,
            stamp_ms: 1,
            exists: content.exists,
            instances: content.instances,
            settings: content.settings,
            trace: None,
            renders: Renders::default(),
        }
    }

    #[test]
    fn a_created_service_exists_empty_and_a_record_alone_does_not_make_one() {
        assert!(Content::join(vec![], Some(&record(true, &[]))).exists);
        assert!(!Content::join(vec![], Some(&record(false, &[]))).exists);
        assert!(!Content::join(vec![], None).exists);
        assert!(Content::join(vec![Arc::new(instance("a:1", Kind::Ephemeral))], None).exists);
    }

    #[test]
    fn every_field_of_an_instance_makes_a_difference() {
        let base = instance("10.0.0.1:80", Kind::Ephemeral);
        let snapshot = shown(Content::join(vec![Arc::new(base.clone())], None));
        let same = |i: Instance| Content::join(vec![Arc::new(i)], None).is_shown_by(&snapshot);
        assert!(same(base.clone()));
        let changes: [fn(&mut Instance); 6] = [
            |i| i.weight = Weight::new(2.0).unwrap(),
            |i| i.enabled = false,
            |i| i.healthy = false,
            |i| i.metadata = [("a".to_owned(), "b".to_owned())].into_iter().collect::<Metadata>(),
            |i| i.cluster = muster_model::ClusterName::parse("other").unwrap(),
            |i| i.kind = Kind::Persistent,
        ];
        for (nth, change) in changes.iter().enumerate() {
            let mut other = base.clone();
            change(&mut other);
            assert!(!same(other), "change {nth} was not seen");
        }
    }

    #[test]
    fn settings_make_a_difference() {
        let snapshot = shown(Content::join(vec![], Some(&record(true, &[]))));
        let mut other = record(true, &[]);
        other.settings = Arc::new(ServiceSettings {
            protect_threshold: 0.5,
            ..ServiceSettings::default()
        });
        assert!(!Content::join(vec![], Some(&other)).is_shown_by(&snapshot));
    }

    proptest! {
        #[test]
        fn the_list_is_the_sorted_union_whatever_the_order(
            ephemeral in proptest::collection::btree_set(0u16..40, 0..20),
            persistent in proptest::collection::btree_set(0u16..40, 0..20),
            turn in 0usize..20,
        ) {
            let make = |port: u16, kind| instance(&format!("10.0.0.{}:{port}", port % 3), kind);
            let mut listed: Vec<_> = ephemeral.iter().map(|&p| Arc::new(make(p, Kind::Ephemeral))).collect();
            let turn = turn.min(listed.len());
            listed.rotate_left(turn);
            let record = record(false, &persistent.iter().map(|&p| make(p, Kind::Persistent)).collect::<Vec<_>>());
            let content = Content::join(listed, Some(&record));
            prop_assert_eq!(content.instances.len(), ephemeral.len() + persistent.len());
            prop_assert!(content.instances.windows(2).all(|w| (&w[0].key, w[0].kind) < (&w[1].key, w[1].kind)));
            prop_assert_eq!(kinds(&content.instances), (ephemeral.len(), persistent.len()));
        }

        #[test]
        fn stamps_are_above_the_last_and_not_below_the_change(now in 0u64..1 << 40, last in 0u64..1 << 40, change in 0u64..1 << 40) {
            let next = next_stamp_ms(now, last, Stamp::from_millis(change));
            prop_assert!(next > last && next >= now && next >= change);
        }
    }
}

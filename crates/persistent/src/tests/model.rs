//! The state machine beside a model that is plain enough to be believed.

use super::fixture::{apply_commands, at, command, frozen, instance, key, open, service, store};
use crate::command::{Action, Command};
use crate::store::Store;
use muster_consensus::StateMachine;
use muster_model::{ClusterName, ClusterSettings, Instance, InstanceEdit, InstanceKey, Metadata, MetadataEdit};
use muster_model::{ServiceKey, ServiceSettings, Weight};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashSet};

#[derive(Clone, Debug)]
enum Step {
    /// Commands as one batch.
    Batch(Vec<Command>),
    Checkpoint,
    /// Drops everything that is not checkpointed and replays the log behind it.
    Reopen,
    /// Takes the state over from a snapshot of itself.
    Restore,
}

#[derive(Default, Clone, Debug, PartialEq)]
struct ModelService {
    created: bool,
    settings: ServiceSettings,
    instances: BTreeMap<InstanceKey, Instance>,
}

#[derive(Default)]
struct Model {
    services: BTreeMap<ServiceKey, ModelService>,
    switches: BTreeMap<String, String>,
    seen: HashSet<u64>,
}

impl Model {
    fn apply(&mut self, command: &Command) {
        if !self.seen.insert(command.id.sequence) {
            return;
        }
        let exists = command
            .action
            .service()
            .is_some_and(|it| self.services.contains_key(it));
        match command.action.clone() {
            Action::Register(name, instance) => {
                let service = self.services.entry(name).or_default();
                service.instances.insert(instance.key.clone(), instance);
            }
            Action::Deregister(name, key) => {
                self.services
                    .entry(name)
                    .and_modify(|it| drop(it.instances.remove(&key)));
            }
            Action::Edit(name, key, edit) => {
                let held = self.services.get_mut(&name).and_then(|it| it.instances.get_mut(&key));
                if let Some(held) = held {
                    *held = edit.apply(held);
                }
            }
            Action::CreateService(name, settings) => {
                let service = self.services.entry(name).or_default();
                if !service.created {
                    let clusters = service
                        .settings
                        .clusters
                        .clone()
                        .into_iter()
                        .chain(settings.clusters)
                        .collect();
                    service.settings = ServiceSettings { clusters, ..settings };
                    service.created = true;
                }
            }
            Action::UpdateService {
                service: name,
                protect_threshold,
                metadata,
                or_create,
            } => {
                if exists || or_create {
                    let service = self.services.entry(name).or_default();
                    service.settings.protect_threshold = protect_threshold;
                    service.settings.metadata = metadata;
                }
            }
            Action::DeleteService(name) => {
                if self.services.get(&name).is_some_and(|it| it.instances.is_empty()) {
                    self.services.remove(&name);
                }
            }
            Action::SetCluster(name, cluster, settings) => {
                self.services
                    .entry(name)
                    .or_default()
                    .settings
                    .clusters
                    .insert(cluster, settings);
            }
            Action::SetSwitch(entry, Some(value)) => drop(self.switches.insert(entry, value)),
            Action::SetSwitch(entry, None) => drop(self.switches.remove(&entry)),
        }
        self.services
            .retain(|_, it| it.created || !it.instances.is_empty() || it.settings != ServiceSettings::default());
    }
}

fn seen_by_readers(store: &Store) -> BTreeMap<ServiceKey, ModelService> {
    let services = store.services().into_iter().map(|(key, service)| {
        let instances = service
            .instances
            .iter()
            .map(|(key, it)| (key.clone(), (**it).clone()))
            .collect();
        let service = ModelService {
            created: service.created,
            settings: (*service.settings).clone(),
            instances,
        };
        (key, service)
    });
    services.collect()
}

fn services() -> impl Strategy<Value = ServiceKey> {
    (0..5_u8).prop_map(|n| service(&format!("s{n}")))
}

fn metadata() -> impl Strategy<Value = Metadata> {
    proptest::collection::btree_map("[ab]", "[xy]", 0..3).prop_map(|pairs| pairs.into_iter().collect())
}

fn weight() -> impl Strategy<Value = Weight> {
    (0..3_u8).prop_map(|n| Weight::new(n.into()).unwrap())
}

fn instances() -> impl Strategy<Value = Instance> {
    (0..4_u16, weight(), metadata()).prop_map(|(port, weight, metadata)| Instance {
        weight,
        metadata,
        ..instance(port)
    })
}

fn edits() -> impl Strategy<Value = InstanceEdit> {
    let of_metadata = (0..4_u8, metadata()).prop_map(|(kind, metadata)| match kind {
        0 => None,
        1 => Some(MetadataEdit::Replace(metadata)),
        2 => Some(MetadataEdit::Merge(metadata)),
        _ => Some(MetadataEdit::RemoveKeys(metadata)),
    });
    let flag = || proptest::option::of(any::<bool>());
    (proptest::option::of(weight()), flag(), flag(), of_metadata).prop_map(|(weight, enabled, healthy, metadata)| {
        InstanceEdit {
            weight,
            enabled,
            healthy,
            metadata,
        }
    })
}

fn threshold() -> impl Strategy<Value = f32> {
    (0..3_u8).prop_map(|n| f32::from(n) / 2.0)
}

fn clusters() -> impl Strategy<Value = (ClusterName, ClusterSettings)> {
    ("[cd]", 1..3_u16).prop_map(|(name, check_port)| {
        let settings = ClusterSettings {
            check_port,
            ..ClusterSettings::default()
        };
        (ClusterName::parse(&name).unwrap(), settings)
    })
}

fn actions() -> impl Strategy<Value = Action> {
    let settings = (threshold(), metadata(), proptest::collection::vec(clusters(), 0..2)).prop_map(
        |(protect_threshold, metadata, clusters)| ServiceSettings {
            protect_threshold,
            metadata,
            clusters: clusters.into_iter().collect(),
        },
    );
    let update = (services(), threshold(), metadata(), any::<bool>()).prop_map(
        |(service, protect_threshold, metadata, or_create)| Action::UpdateService {
            service,
            protect_threshold,
            metadata,
            or_create,
        },
    );
    prop_oneof![
        4 => (services(), instances()).prop_map(|(service, it)| Action::Register(service, it)),
        4 => (services(), 0..4_u16).prop_map(|(service, port)| Action::Deregister(service, key(port))),
        2 => (services(), 0..4_u16, edits()).prop_map(|(service, port, edit)| Action::Edit(service, key(port), edit)),
        1 => (services(), settings).prop_map(|(service, settings)| Action::CreateService(service, settings)),
        1 => update,
        1 => services().prop_map(Action::DeleteService),
        1 => (services(), clusters()).prop_map(|(service, (name, it))| Action::SetCluster(service, name, it)),
        1 => ("[pq]", proptest::option::of("[01]")).prop_map(|(entry, value)| Action::SetSwitch(entry, value)),
    ]
}

/// Commands of which some are retries of an earlier one.
fn commands() -> impl Strategy<Value = Vec<Command>> {
    proptest::collection::vec((actions(), 0..60_u64), 1..8).prop_map(|all| {
        all.into_iter()
            .map(|(action, sequence)| command(sequence, action))
            .collect()
    })
}

fn steps(disk: bool) -> impl Strategy<Value = Vec<Step>> {
    let rare = u32::from(disk);
    let step = prop_oneof![
        6 => commands().prop_map(Step::Batch),
        2 * rare + 1 => Just(if disk { Step::Checkpoint } else { Step::Restore }),
        rare + 1 => Just(if disk { Step::Reopen } else { Step::Restore }),
        1 => Just(Step::Restore),
    ];
    proptest::collection::vec(step, 1..if disk { 14 } else { 30 })
}

fn restore(store: &Store) {
    if let Some(applied) = store.applied() {
        store.restore(&mut frozen(store).as_slice(), applied).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_state_machine_does_what_the_model_does(steps in steps(false)) {
        let (store, _) = store();
        let mut model = Model::default();
        let mut next = 1;
        for step in steps {
            match step {
                Step::Batch(commands) => {
                    commands.iter().for_each(|command| model.apply(command));
                    apply_commands(&store, next, commands.iter().map(Command::encode).collect());
                    next += commands.len() as u64;
                }
                _ => restore(&store),
            }
            prop_assert_eq!(&seen_by_readers(&store), &model.services);
            prop_assert_eq!(&store.switches(), &model.switches);
        }
    }

    #[test]
    fn two_members_hold_the_same_bytes_however_the_log_was_cut_into_batches(
        batches in proptest::collection::vec(commands(), 1..20)
    ) {
        let (one, _) = store();
        let (other, _) = store();
        let mut next = 1;
        for commands in &batches {
            let encoded: Vec<_> = commands.iter().map(Command::encode).collect();
            let together = apply_commands(&one, next, encoded.clone());
            let mut singly = Vec::new();
            for (index, command) in (next..).zip(encoded) {
                singly.extend(apply_commands(&other, index, vec![command]));
            }
            prop_assert_eq!(together, singly);
            next += commands.len() as u64;
        }
        prop_assert_eq!(frozen(&one), frozen(&other));
        prop_assert_eq!(one.applied(), other.applied());
    }
}

proptest! {
    // each opens sled a few times, so there are few
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn checkpoints_and_reopenings_lose_nothing_that_the_log_does_not_hold(steps in steps(true)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (never_closed, _) = store();
        let (mut persistent, mut disk) = open(dir.path());
        let mut log = Vec::new();
        for step in steps {
            match step {
                Step::Batch(commands) => {
                    let encoded: Vec<_> = commands.iter().map(Command::encode).collect();
                    let next = log.len() as u64 + 1;
                    apply_commands(&never_closed, next, encoded.clone());
                    apply_commands(&disk, next, encoded.clone());
                    log.extend(encoded);
                }
                Step::Checkpoint => runtime.block_on(persistent.checkpoint()).unwrap(),
                Step::Restore => restore(&disk),
                Step::Reopen => {
                    drop((persistent, disk));
                    (persistent, disk) = open(dir.path());
                    let from = disk.applied().map_or(0, |applied| applied.position.index as usize);
                    if from < log.len() {
                        apply_commands(&disk, from as u64 + 1, log[from..].to_vec());
                    }
                }
            }
            prop_assert_eq!(frozen(&disk), frozen(&never_closed));
            prop_assert_eq!(seen_by_readers(&disk), seen_by_readers(&never_closed));
        }
        prop_assert!(log.is_empty() || disk.applied() == Some(at(log.len() as u64)));
    }
}

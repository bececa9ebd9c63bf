//! What each command does to the state: pure, and the same on every member.

use crate::command::{Action, Command};
use crate::outcome::Outcome;
use crate::state::State;
use crate::window::Remembered;
use muster_model::{ClusterName, ClusterSettings, Instance, InstanceEdit, InstanceKey, Kind, Metadata};
use muster_model::{ServiceKey, ServiceSettings, Stamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a batch of commands has changed.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    /// Each service with the last command that changed it.
    pub(crate) services: BTreeMap<ServiceKey, Touch>,
    /// Services of which more than instances changed, those made and gone among them.
    pub(crate) heads: Vec<ServiceKey>,
    pub(crate) instances: Vec<(ServiceKey, InstanceKey)>,
    pub(crate) switches: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Touch {
    pub(crate) index: u64,
    pub(crate) stamp: Stamp,
}

impl Touched {
    fn instance(&mut self, service: &ServiceKey, key: &InstanceKey) {
        self.instances.push((service.clone(), key.clone()));
    }

    fn head(&mut self, service: &ServiceKey) {
        self.heads.push(service.clone());
    }
}

impl Action {
    /// The service it is about; a switch is about none.
    pub(crate) fn service(&self) -> Option<&ServiceKey> {
        match self {
            Action::Register(service, _)
            | Action::Deregister(service, _)
            | Action::Edit(service, _, _)
            | Action::CreateService(service, _)
            | Action::UpdateService { service, .. }
            | Action::DeleteService(service)
            | Action::SetCluster(service, _, _) => Some(service),
            Action::SetSwitch(..) => None,
        }
    }
}

impl State {
    /// Carries a command out, or answers it as its first copy was answered.
    pub(crate) fn apply(&mut self, index: u64, command: Command, touched: &mut Touched) -> (u64, Outcome) {
        if let Some(earlier) = self.window.find(command.id) {
            return earlier;
        }
        let service = command.action.service().cloned();
        let outcome = self.carry_out(command.action, touched);
        self.stamp = self.stamp.max(command.stamp);
        Arc::make_mut(&mut self.window).remember(Remembered {
            id: command.id,
            index,
            outcome,
        });
        if let (Outcome::Changed, Some(service)) = (outcome, service) {
            let stamp = touched
                .services
                .get(&service)
                .map_or(command.stamp, |earlier| earlier.stamp);
            let stamp = stamp.max(command.stamp);
            touched.services.insert(service, Touch { index, stamp });
        }
        (index, outcome)
    }

    fn carry_out(&mut self, action: Action, touched: &mut Touched) -> Outcome {
        match action {
            Action::Register(service, instance) => self.register(&service, instance, touched),
            Action::Deregister(service, key) => self.deregister(&service, &key, touched),
            Action::Edit(service, key, edit) => self.edit(&service, &key, &edit, touched),
            Action::CreateService(service, settings) => self.create_service(&service, settings, touched),
            Action::UpdateService {
                service,
                protect_threshold,
                metadata,
                or_create,
            } => self.update_service(&service, protect_threshold, metadata, or_create, touched),
            Action::DeleteService(service) => self.delete_service(&service, touched),
            Action::SetCluster(service, cluster, settings) => self.set_cluster(&service, cluster, settings, touched),
            Action::SetSwitch(entry, value) => self.set_switch(entry, value, touched),
        }
    }

    fn register(&mut self, service: &ServiceKey, mut instance: Instance, touched: &mut Touched) -> Outcome {
        instance.kind = Kind::Persistent;
        match self.service(service) {
            None => touched.head(service),
            Some(there)
                if there
                    .instances
                    .get(&instance.key)
                    .is_some_and(|held| **held == instance) =>
            {
                return Outcome::Unchanged;
            }
            Some(_) => {}
        }
        touched.instance(service, &instance.key);
        self.change(service, |it| {
            it.instances.insert(instance.key.clone(), Arc::new(instance))
        });
        Outcome::Changed
    }

    fn deregister(&mut self, service: &ServiceKey, key: &InstanceKey, touched: &mut Touched) -> Outcome {
        if self.service(service).is_none_or(|it| !it.instances.contains_key(key)) {
            return Outcome::Unchanged;
        }
        self.change(service, |it| it.instances.remove(key));
        touched.instance(service, key);
        if self.service(service).is_none() {
            touched.head(service);
        }
        Outcome::Changed
    }

    fn edit(&mut self, service: &ServiceKey, key: &InstanceKey, edit: &InstanceEdit, touched: &mut Touched) -> Outcome {
        let Some(held) = self.service(service).and_then(|it| it.instances.get(key)) else {
            return Outcome::InstanceNotFound;
        };
        let edited = edit.apply(held);
        if **held == edited {
            return Outcome::Unchanged;
        }
        touched.instance(service, key);
        self.change(service, |it| it.instances.insert(key.clone(), Arc::new(edited)));
        Outcome::Changed
    }

    fn create_service(&mut self, service: &ServiceKey, settings: ServiceSettings, touched: &mut Touched) -> Outcome {
        if self.service(service).is_some_and(|it| it.created) {
            return Outcome::ServiceExists;
        }
        touched.head(service);
        self.change(service, |it| {
            it.created = true;
            let mut clusters = it.settings.clusters.clone();
            clusters.extend(settings.clusters);
            it.settings = Arc::new(ServiceSettings { clusters, ..settings });
        });
        Outcome::Changed
    }

    fn update_service(
        &mut self,
        service: &ServiceKey,
        protect_threshold: f32,
        metadata: Metadata,
        or_create: bool,
        touched: &mut Touched,
    ) -> Outcome {
        let held = self.service(service).map(|it| &*it.settings);
        if held.is_none() && !or_create {
            return Outcome::ServiceNotFound;
        }
        let settings = ServiceSettings {
            protect_threshold,
            metadata,
            clusters: held.map(|it| it.clusters.clone()).unwrap_or_default(),
        };
        // for a service without a record, settings equal to the defaults are nothing to remember
        if *held.unwrap_or(&ServiceSettings::default()) == settings {
            return Outcome::Unchanged;
        }
        touched.head(service);
        self.change(service, |it| it.settings = Arc::new(settings));
        Outcome::Changed
    }

    fn delete_service(&mut self, service: &ServiceKey, touched: &mut Touched) -> Outcome {
        match self.service(service) {
            None => Outcome::ServiceNotFound,
            Some(it) if !it.instances.is_empty() => Outcome::ServiceNotEmpty,
            Some(_) => {
                touched.head(service);
                self.remove(service);
                Outcome::Changed
            }
        }
    }

    fn set_cluster(
        &mut self,
        service: &ServiceKey,
        cluster: ClusterName,
        settings: ClusterSettings,
        touched: &mut Touched,
    ) -> Outcome {
        let held = self.service(service).and_then(|it| it.settings.clusters.get(&cluster));
        if held == Some(&settings) {
            return Outcome::Unchanged;
        }
        touched.head(service);
        self.change(service, |it| {
            Arc::make_mut(&mut it.settings).clusters.insert(cluster, settings);
        });
        Outcome::Changed
    }

    fn set_switch(&mut self, entry: String, value: Option<String>, touched: &mut Touched) -> Outcome {
        if self.switches.get(&entry) == value.as_ref() {
            return Outcome::Unchanged;
        }
        touched.switches = true;
        let switches = Arc::make_mut(&mut self.switches);
        match value {
            Some(value) => switches.insert(entry, value),
            None => switches.remove(&entry),
        };
        Outcome::Changed
    }
}

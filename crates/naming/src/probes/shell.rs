//! The task that probes.

use super::check::{HttpProbe, Probe};
use super::pace::{Found, Limits};
use super::schedule::{Schedule, Verdict};
use crate::changes::ReadModel;
use crate::instances::checker_of;
use crate::metrics;
use crate::probes::schedule::TargetId;
use crate::stores::{PersistentStore, Responsible};
use crate::switches::Board;
use muster_model::{ClientId, HealthChecker, Instance, InstanceEdit, InstanceKey, Kind, ServiceKey, ServiceSettings};
use muster_runtime::{TaskKind, Tasks};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Probes the persistent instances that this node is responsible for.
pub(crate) struct Prober {
    pub(crate) model: Arc<ReadModel>,
    pub(crate) persistent: Arc<dyn PersistentStore>,
    pub(crate) responsible: Arc<dyn Responsible>,
    pub(crate) switches: Arc<Board>,
    pub(crate) limits: Limits,
}

/// What comes back from the tasks that the prober has sent out.
enum Done {
    Probed(TargetId, Found),
    Flipped(TargetId),
}

/// The prober at work; one task owns it.
struct Round {
    prober: Prober,
    tasks: Tasks,
    schedule: Schedule,
    probing: usize,
    flipping: usize,
    done: mpsc::Sender<Done>,
}

impl Prober {
    pub(crate) fn start(self, tasks: &Tasks) {
        let probes_max = self.model.config().probes_max.max(1);
        // Room for all that can be under way, so that no probe waits to report.
        let (done, mut reports) = mpsc::channel(probes_max + self.limits.flips_max);
        let mut round = Round {
            schedule: Schedule::new(self.limits),
            prober: self,
            tasks: tasks.clone(),
            probing: 0,
            flipping: 0,
            done,
        };
        let shutdown = tasks.shutdown().clone();
        tasks.spawn("naming-prober", TaskKind::Critical, async move {
            loop {
                let room = round.probing < probes_max;
                let due = round.schedule.next_due().filter(|_| room);
                tokio::select! {
                    () = shutdown.begun() => return,
                    () = round.prober.model.probed_changed.notified() => round.take_changes(),
                    Some(report) = reports.recv() => round.take(report),
                    () = sleep_until(due), if due.is_some() => round.send_out(probes_max),
                }
            }
        });
    }
}

async fn sleep_until(due: Option<std::time::Instant>) {
    if let Some(due) = due {
        tokio::time::sleep_until(due.into()).await;
    }
}

impl Round {
    fn take_changes(&mut self) {
        let now = self.prober.model.hybrid.clock().now();
        let mut chance = |most: Duration| most.mul_f64(rand::random::<f64>());
        for service in self.prober.model.take_probed() {
            let snapshot = self.prober.model.snapshot(&service);
            let wanted = snapshot
                .instances
                .iter()
                .filter(|instance| instance.kind == Kind::Persistent)
                .filter_map(|instance| Some((instance.key.clone(), probe_for(&snapshot.settings, instance)?)))
                .collect();
            self.schedule.set_service(&service, wanted, now, &mut chance);
        }
        metrics::PROBE_TARGETS.set(self.schedule.len() as i64);
    }

    /// Probes what is due and is ours, as far as there is room.
    fn send_out(&mut self, probes_max: usize) {
        let clock = self.prober.model.hybrid.clock().clone();
        let now = clock.now();
        let on = self.prober.switches.current().health_check;
        while self.probing < probes_max {
            let Some((id, target)) = self.schedule.pop_due(now) else {
                return;
            };
            if !on || !self.prober.responsible.is_here(&ClientId::of_address(&target.instance)) {
                self.schedule.skipped(id, now);
                continue;
            }
            let (probe, deadline) = (target.probe.clone(), self.prober.limits.deadline);
            let (clock, done) = (clock.clone(), self.done.clone());
            self.probing += 1;
            self.tasks.spawn("naming-probe", TaskKind::Contained, async move {
                let found = probe.run(&clock, deadline).await;
                let _ = done.send(Done::Probed(id, found)).await;
            });
        }
    }

    fn take(&mut self, report: Done) {
        match report {
            Done::Probed(id, found) => {
                self.probing -= 1;
                metrics::PROBES.with_label_values(&[label(found)]).inc();
                let times = self.prober.switches.current().check_times;
                let now = self.prober.model.hybrid.clock().now();
                if let Some(verdict) = self.schedule.found(id, found, times, now) {
                    self.flip(verdict);
                }
            }
            Done::Flipped(id) => {
                self.flipping -= 1;
                self.schedule.set_flipping(id, false);
            }
        }
    }

    /// Writes a verdict to Raft, if it is news. Without room or without a leader, the next probe comes to it again.
    fn flip(&mut self, verdict: Verdict) {
        let Verdict {
            target,
            service,
            instance,
            healthy,
        } = verdict;
        let listed = self.prober.persistent.service(&service);
        let differs = listed
            .and_then(|record| Some(record.instances.get(&instance)?.healthy != healthy))
            .unwrap_or(false);
        if !differs || self.flipping >= self.prober.limits.flips_max {
            return;
        }
        self.flipping += 1;
        self.schedule.set_flipping(target, true);
        let deadline = self.prober.model.hybrid.clock().now() + self.prober.limits.flip_deadline;
        let (persistent, done) = (self.prober.persistent.clone(), self.done.clone());
        self.tasks.spawn("naming-flip", TaskKind::Contained, async move {
            let edit = InstanceEdit {
                healthy: Some(healthy),
                ..InstanceEdit::default()
            };
            let written = persistent.edit(&service, &instance, edit, deadline).await;
            note(&service, &instance, healthy, &written);
            let _ = done.send(Done::Flipped(target)).await;
        });
    }
}

fn note<T, E: std::fmt::Display>(service: &ServiceKey, instance: &InstanceKey, healthy: bool, written: &Result<T, E>) {
    match written {
        Ok(_) => {
            metrics::FLIPS.with_label_values(&["ok"]).inc();
            tracing::info!(%service, %instance, healthy, "probes changed the health of an instance");
        }
        Err(error) => {
            metrics::FLIPS.with_label_values(&["failed"]).inc();
            tracing::debug!(%service, %instance, healthy, %error, "health not written; the next probe tries again");
        }
    }
}

/// How an instance is probed; none if its cluster's checker is `None`.
fn probe_for(settings: &ServiceSettings, instance: &Instance) -> Option<Probe> {
    let cluster = settings.clusters.get(&instance.cluster);
    let port = cluster
        .filter(|cluster| !cluster.use_instance_port)
        .map_or(instance.key.port, |cluster| cluster.check_port);
    let http = match checker_of(settings, instance) {
        HealthChecker::None => return None,
        HealthChecker::Tcp => None,
        HealthChecker::Http {
            path,
            headers,
            expected_code,
        } => Some(HttpProbe {
            path: path.clone(),
            headers: headers.clone(),
            expected_code: *expected_code,
        }),
    };
    let host = instance.key.host.as_str();
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    Some(Probe {
        host: bare.unwrap_or(host).to_owned(),
        port,
        http,
    })
}

fn label(found: Found) -> &'static str {
    match found {
        Found::Passed { .. } => "passed",
        Found::Slow => "slow",
        Found::Broken => "error",
        Found::Refused => "refused",
    }
}

//! The task that probes.

use super::check::{HttpProbe, Probe};
use super::pace::{Found, Limits};
use super::report::Report;
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
            let clock = clock.clone();
            let report = Report::new(self.done.clone(), Done::Probed(id, Found::Broken));
            self.probing += 1;
            self.tasks.spawn("naming-probe", TaskKind::Contained, async move {
                let found = probe.run(&clock, deadline).await;
                report.tell(Done::Probed(id, found));
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
        let persistent = self.prober.persistent.clone();
        let report = Report::new(self.done.clone(), Done::Flipped(target));
        self.tasks.spawn("naming-flip", TaskKind::Contained, async move {
            let edit = InstanceEdit {
                healthy: Some(healthy),
                ..InstanceEdit::default()
            };
            let written = persistent.edit(&service, &instance, edit, deadline).await;
            note(&service, &instance, healthy, &written);
            drop(report);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::Pace;
    use crate::testing::{Parts, Testbed, instance, service};
    use muster_consensus::ProposeError;
    use muster_model::{ClusterName, ClusterSettings};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn quick() -> Limits {
        let pace = Pace {
            min: Duration::from_millis(2),
            max: Duration::from_millis(10),
            factor: 0.5,
        };
        Limits {
            first_wait: Duration::ZERO,
            tcp: pace,
            http: pace,
            ..Limits::default()
        }
    }

    fn bed() -> Testbed {
        Testbed::start_probing(Parts::default(), quick())
    }

    /// Waits until the only instance of `service` is or is not healthy; a task of its own keeps it folded.
    async fn until_healthy(bed: &Testbed, service: &ServiceKey, healthy: bool) {
        let seen = async {
            while bed.naming.snapshot(service).instances[0].healthy != healthy {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(15), seen)
            .await
            .expect("the health changes in the end");
    }

    #[tokio::test]
    async fn a_port_that_closes_is_unhealthy_and_well_again_when_it_opens() {
        let bed = bed();
        let s = service("s");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut one = instance(&address.to_string(), Kind::Persistent);
        one.healthy = false;
        bed.naming.register(&bed.context(), &s, one).await.unwrap();
        until_healthy(&bed, &s, true).await;
        drop(listener);
        until_healthy(&bed, &s, false).await;
        let _listener = TcpListener::bind(address).await.unwrap();
        until_healthy(&bed, &s, true).await;
    }

    #[tokio::test]
    async fn an_http_checker_asks_the_port_of_the_cluster() {
        let bed = bed();
        let s = service("s");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let check_port = listener.local_addr().unwrap().port();
        bed.tasks.spawn("http-stand-in", TaskKind::Contained, async move {
            let mut asked = [0; 1_024];
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
        });
        let mut one = instance("127.0.0.1:1", Kind::Persistent);
        one.healthy = false;
        bed.naming.register(&bed.context(), &s, one).await.unwrap();
        let settings = ClusterSettings {
            checker: HealthChecker::Http {
                path: "/up".to_owned(),
                headers: String::new(),
                expected_code: 200,
            },
            check_port,
            use_instance_port: false,
            ..ClusterSettings::default()
        };
        let cluster = ClusterName::default_cluster();
        bed.naming
            .set_cluster(&bed.context(), &s, &cluster, settings)
            .await
            .unwrap();
        until_healthy(&bed, &s, true).await;
    }

    #[tokio::test]
    async fn a_flip_that_raft_refused_is_tried_again() {
        let bed = bed();
        let s = service("s");
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap().port()
        };
        let one = instance(&format!("127.0.0.1:{port}"), Kind::Persistent);
        bed.naming.register(&bed.context(), &s, one).await.unwrap();
        bed.persistent
            .set_failure(Some(ProposeError::Overloaded { waiting: 1 }));
        let refused = metrics::FLIPS.with_label_values(&["failed"]).get();
        // The snapshot must be looked at for the prober to learn of the service before the next tick.
        assert!(bed.naming.snapshot(&s).instances[0].healthy);
        let tried = async {
            while metrics::FLIPS.with_label_values(&["failed"]).get() < refused + 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(15), tried)
            .await
            .expect("it is tried");
        assert!(bed.naming.snapshot(&s).instances[0].healthy);
        bed.persistent.set_failure(None);
        until_healthy(&bed, &s, false).await;
        assert_eq!(bed.naming.snapshot(&s).instances.len(), 1, "it is never removed");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_probed_while_the_check_switch_is_off_or_without_a_checker() {
        let bed = Testbed::start();
        let (off, none) = (service("off"), service("none"));
        let context = bed.context();
        let settings = ClusterSettings {
            checker: HealthChecker::None,
            ..ClusterSettings::default()
        };
        // Nobody listens on port 1 of loopback; one probe would mark them at once.
        bed.naming
            .register(&context, &none, instance("127.0.0.1:1", Kind::Persistent))
            .await
            .unwrap();
        let cluster = ClusterName::default_cluster();
        bed.naming
            .set_cluster(&context, &none, &cluster, settings)
            .await
            .unwrap();
        bed.naming.set_switch(&context, "check", "false").await.unwrap();
        bed.naming
            .register(&context, &off, instance("127.0.0.1:1", Kind::Persistent))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        for service in [&off, &none] {
            assert!(bed.naming.snapshot(service).instances[0].healthy, "{service}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_responsible_member_probes() {
        let bed = Testbed::start();
        let s = service("s");
        bed.set_responsible(false);
        bed.naming
            .register(&bed.context(), &s, instance("127.0.0.1:1", Kind::Persistent))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(bed.naming.snapshot(&s).instances[0].healthy);
        bed.set_responsible(true);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!bed.naming.snapshot(&s).instances[0].healthy);
    }

    #[test]
    fn brackets_of_ipv6_are_taken_off() {
        let probe = probe_for(&ServiceSettings::default(), &instance("[::1]:80", Kind::Persistent)).unwrap();
        assert_eq!((probe.host.as_str(), probe.port, probe.http), ("::1", 80, None));
    }
}

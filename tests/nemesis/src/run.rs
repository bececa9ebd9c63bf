//! One run: a cluster, clients, faults, the end, the verdict.

use crate::client::{Client, Places};
use crate::dice::Dice;
use crate::disk::{Disks, mounts_missing};
use crate::judge::{self, judge};
use crate::nemesis::{Nemesis, Storm, places_of};
use crate::recorder::Recorder;
use crate::workload::{Phase, Stage, Workload};
use anyhow::Context;
use muster_history::{Event, History, Report, Verdict};
use muster_testkit::{Cluster, Hosts, cluster, cluster_at, namespaces_missing};
use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// After the storm all agree within this time; the promise is ten seconds, the rest is for a debug build on a busy machine.
const AGREE_WITHIN: Duration = Duration::from_secs(45);
/// A write that is under way when the storm ends has 7 s at its client.
const CALLS_END_AFTER: Duration = Duration::from_secs(8);
/// A push by UDP is tried again after 1, 3 and 10 s.
const PUSHES_END_AFTER: Duration = Duration::from_secs(15);

/// What is to be run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) workload: Workload,
    pub(crate) nemeses: Vec<Nemesis>,
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
}

impl Plan {
    pub(crate) fn name(&self) -> String {
        format!(
            "{}-{}-{}",
            self.workload.name(),
            self.nemesis_names().join("+"),
            self.seed
        )
    }

    pub(crate) fn nemesis_names(&self) -> Vec<String> {
        if self.nemeses.is_empty() {
            return vec!["nothing".to_owned()];
        }
        self.nemeses.iter().map(|nemesis| nemesis.name().to_owned()).collect()
    }

    /// Why it cannot be run here; `None` if it can.
    pub(crate) fn impossible(&self, folder: &Path) -> Option<String> {
        let has = |nemesis| self.nemeses.contains(&nemesis);
        if has(Nemesis::Cut) && has(Nemesis::Membership) {
            return Some("new members have no host of their own to be cut off at".to_owned());
        }
        if has(Nemesis::Membership) && has(Nemesis::Disk) {
            return Some("new members have no disk of their own to be filled".to_owned());
        }
        if has(Nemesis::Cut)
            && let Some(why) = namespaces_missing()
        {
            return Some(format!("there are no network namespaces here: {why}"));
        }
        if has(Nemesis::Disk)
            && let Some(why) = mounts_missing(&folder.join("probe"))
        {
            return Some(format!("nothing can be mounted here: {why}"));
        }
        None
    }
}

/// How a run ended.
pub(crate) struct Ended {
    pub(crate) report: Report,
    pub(crate) strikes: usize,
    pub(crate) calls: usize,
    pub(crate) folder: PathBuf,
}

/// Runs it and leaves history, verdict and, unless all is well, the nodes' logs under `folder`.
///
/// # Errors
/// No cluster can be had, or the disk's. A cluster that does not get well is in the verdict.
pub(crate) async fn run(plan: &Plan, folder: &Path) -> anyhow::Result<Ended> {
    let folder = folder.join(plan.name());
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let hosts = if plan.nemeses.contains(&Nemesis::Cut) {
        Some(Hosts::new(3)?)
    } else {
        None
    };
    let (mut cluster, here) = match &hosts {
        Some(hosts) => (
            cluster_at(hosts.places(), &[]).await?,
            IpAddr::from(hosts.test_address()),
        ),
        None => (cluster(3).await?, Ipv4Addr::LOCALHOST.into()),
    };
    let disks = if plan.nemeses.contains(&Nemesis::Disk) {
        Disks::mount(&mut cluster).await?
    } else {
        Disks::default()
    };
    let recorder = Recorder::new();
    let places = Places::default();
    places.set(places_of(&cluster));
    recorder.add(Event::Run {
        workload: plan.workload.name().to_owned(),
        nemeses: plan.nemesis_names(),
        seed: plan.seed,
        seconds: plan.seconds,
    });
    let (phases, phase) = watch::channel(Phase::Storm);
    let stage = Stage::new(&recorder, &places, phase, plan.seed, here);
    let mut clients = stage.start(plan.workload);
    clients.spawn(watch_the_machine(stage.clone()));
    let mut storm = Storm {
        cluster: &mut cluster,
        hosts: hosts.as_ref(),
        disks: &disks,
        recorder: recorder.clone(),
        places: places.clone(),
        nemeses: plan.nemeses.clone(),
        dice: Dice::new(plan.seed, 0),
        operator: Client::new(0, &recorder),
        joined: BTreeSet::new(),
        gone: Vec::new(),
    };
    let until = Instant::now() + Duration::from_secs(plan.seconds);
    let raged = storm.rage(until).await;
    tokio::time::sleep_until(until).await;
    let gone = std::mem::take(&mut storm.gone);
    phases.send_replace(Phase::Calm);
    let settled = match &raged {
        Ok(_) => settle(&cluster, &stage, plan.workload).await,
        Err(error) => Err(anyhow::anyhow!("{error:#}")),
    };
    phases.send_replace(Phase::Over);
    while clients.join_next().await.is_some() {}

    let history = recorder.take();
    history.write(&folder.join("history.jsonl"))?;
    let mut report = judge_apart(&history).await?;
    if let Err(error) = settled {
        report.add("the cluster gets well", 1, Verdict::Broken(vec![format!("{error:#}")]));
    }
    fs::write(folder.join("verdict.txt"), report.to_string())?;
    if !report.holds() {
        for (id, log) in &gone {
            fs::write(folder.join(format!("node-{id}.log")), log)?;
        }
        for id in cluster.ids() {
            fs::write(folder.join(format!("node-{id}.log")), cluster.node(id).log())?;
        }
    }
    // the nodes before what they stand on
    drop(cluster);
    drop(disks);
    Ok(Ended {
        report,
        strikes: raged.unwrap_or(0),
        calls: history.calls().count(),
        folder,
    })
}

/// A search may take long; nothing else waits for it.
async fn judge_apart(history: &History) -> anyhow::Result<Report> {
    let history = history.clone();
    #[allow(clippy::disallowed_methods, reason = "not the product")]
    let judged = tokio::task::spawn_blocking(move || judge(&history)).await?;
    Ok(judged)
}

/// Waits until what died is gone and all agree, and reads everything at every node.
async fn settle(cluster: &Cluster, stage: &Stage, workload: Workload) -> anyhow::Result<()> {
    let has = |one| workload == one || workload == Workload::Mixed;
    let wait = match (has(Workload::Ephemeral), has(Workload::Watch)) {
        (true, _) => Duration::from_secs(judge::DEAD_AFTER_SECONDS + 2),
        (false, true) => PUSHES_END_AFTER,
        (false, false) => CALLS_END_AFTER,
    };
    tokio::time::sleep(wait).await;
    cluster.converged(AGREE_WITHIN).await?;
    let (recorder, reader) = (&stage.recorder, Client::new(0, &stage.recorder));
    recorder.add(Event::Settled { at_us: recorder.now() });
    for place in stage.places.all() {
        for service in stage.services() {
            reader
                .local_read(&place, &service)
                .await
                .with_context(|| format!("node {} does not list {service} though all is well", place.id))?;
            reader
                .strong_read(&place, &service)
                .await
                .with_context(|| format!("node {} does not read {service} strongly though all is well", place.id))?;
        }
    }
    finals(cluster, stage).await
}

/// Notes what the nodes say of themselves at one moment. Probes of health write on, so that a few moments are tried.
async fn finals(cluster: &Cluster, stage: &Stage) -> anyhow::Result<()> {
    let recorder = &stage.recorder;
    let end = Instant::now() + AGREE_WITHIN;
    loop {
        let mut said = Vec::new();
        for place in stage.places.all() {
            let status = cluster.status(place.id).await?;
            let digest = status["digest"].as_str().unwrap_or_default().to_owned();
            said.push((place.id, digest, status["applied_index"].as_u64().unwrap_or(0)));
        }
        let agree = said
            .iter()
            .all(|(_, digest, index)| (digest, index) == (&said[0].1, &said[0].2));
        if !agree && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        }
        for (node, digest, applied_index) in said {
            recorder.add(Event::Final {
                node,
                at_us: recorder.now(),
                digest,
                applied_index,
            });
        }
        return Ok(());
    }
}

/// Notes when this process itself did not get to run: then the nodes, on the same machine, did not either, and give every lease
/// a full period again.
async fn watch_the_machine(stage: Stage) {
    const TICK: Duration = Duration::from_millis(100);
    const LATE: Duration = Duration::from_millis(500);
    while *stage.phase.borrow() != Phase::Over {
        let begun = Instant::now();
        tokio::time::sleep(TICK).await;
        let late = begun.elapsed().saturating_sub(TICK);
        if late > LATE {
            let for_us = late.as_micros() as u64;
            let at_us = stage.recorder.now();
            stage.recorder.add(Event::Stalled { at_us, for_us });
        }
    }
}

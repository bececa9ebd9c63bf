//! What must hold after a round.

use crate::clients::{self, Book, Known, Version};
use crate::rig::Rig;
use crate::tally::Tally;
use anyhow::{Context, bail, ensure};
use muster_testkit::eventually;
use std::collections::BTreeMap;
use std::time::Duration;

/// After all are ready.
const SOON: Duration = Duration::from_secs(60);

/// What each node lists: by client and instance.
type Lists = Vec<Vec<Version>>;

/// What nodes have said of their votes in this life.
#[derive(Default)]
pub(crate) struct Votes {
    /// The highest term that a node has named.
    terms: BTreeMap<u64, u64>,
    /// Who led in a term.
    leaders: BTreeMap<u64, u64>,
}

impl Votes {
    /// Asks a node, if it answers.
    pub(crate) async fn look(&mut self, rig: &Rig, id: u64) -> anyhow::Result<()> {
        let Ok(status) = rig.status(id).await else {
            return Ok(());
        };
        let term = status["term"].as_u64().context("a status has a term")?;
        let highest = self.terms.entry(id).or_insert(term);
        ensure!(
            term >= *highest,
            "node {id} was in term {highest} and is in term {term}"
        );
        *highest = term;
        if let Some(leader) = status["leader"].as_u64() {
            let other = *self.leaders.entry(term).or_insert(leader);
            ensure!(
                other == leader,
                "term {term} is led by {other} and, as node {id} says, by {leader}"
            );
        }
        Ok(())
    }
}

/// All nodes are ready and no client is at work: they agree, and hold what was acknowledged. `settled`: whatever was under way has
/// come to its end, because every process has ended since; then what is found is what counts from now on.
pub(crate) async fn all_is_there(rig: &Rig, book: &Book, settled: bool, tally: &mut Tally) -> anyhow::Result<()> {
    let leader = rig.cluster.leader(SOON).await?;
    tally.snapshot(rig.status(leader).await?["snapshot_index"].as_u64().unwrap_or(0));
    let lists = agreed(rig, book).await?;
    for client in book.clients() {
        let mut page = book.page(client);
        for (instance, known) in page.iter_mut().enumerate() {
            let found = lists[client][instance];
            if !known.possible.contains(&found) {
                let (ip, port) = clients::address(client, instance);
                bail!("{}: {ip}:{port} is {}", verdict(known, found), said(found));
            }
            tally.checked(known.unsettled);
            if settled {
                *known = Known {
                    possible: [found].into(),
                    unsettled: false,
                };
            }
        }
    }
    Ok(())
}

/// What all nodes list, once it is the same everywhere.
async fn agreed(rig: &Rig, book: &Book) -> anyhow::Result<Lists> {
    eventually(SOON, "all nodes list the same and have applied the same", || async {
        let mut first: Option<(u64, Lists)> = None;
        for id in rig.founders() {
            let applied = rig.status(id).await?["applied_index"]
                .as_u64()
                .context("applied_index")?;
            let mut lists = Lists::new();
            for client in book.clients() {
                let instances = book.page(client).len();
                lists.push(listed(rig, id, client, instances).await?);
            }
            match &first {
                None => first = Some((applied, lists)),
                Some((other_applied, other)) => {
                    ensure!(*other == lists, "node {id} lists {lists:?}, another {other:?}");
                    ensure!(
                        *other_applied == applied,
                        "node {id} has applied {applied}, another {other_applied}"
                    );
                }
            }
        }
        Ok(first.context("nobody was asked")?.1)
    })
    .await
}

async fn listed(rig: &Rig, id: u64, client: usize, instances: usize) -> anyhow::Result<Vec<Version>> {
    let service = clients::service(client);
    let answer = rig
        .cluster
        .http()
        .get(
            &rig.cluster.address(id),
            "/nacos/v1/ns/instance/list",
            &[("serviceName", &service)],
        )
        .await?;
    let answer = answer.ok()?.json()?;
    let mut found = vec![None; instances];
    for host in answer["hosts"].as_array().context("a list has hosts")? {
        let port = host["port"].as_u64().context("a host has a port")?;
        let place = found
            .get_mut(port as usize - 1)
            .with_context(|| format!("nobody registered {host}"))?;
        let version = host["metadata"]["v"].as_str().and_then(|text| text.parse().ok());
        *place = Some(version.with_context(|| format!("nobody wrote {host}"))?);
    }
    Ok(found)
}

fn verdict(known: &Known, found: Version) -> String {
    let what = match found {
        None => "LOST",
        Some(_) if known.possible.iter().all(Option::is_none) => "BACK",
        Some(_) => "WRONG",
    };
    format!("{what}, expected {known}")
}

fn said(found: Version) -> String {
    found.map_or("not there".to_owned(), |version| format!("version {version}"))
}

/// Reads what the nodes have logged since the last time: nothing may have panicked; what they had to mend is counted.
pub(crate) fn logs(rig: &mut Rig, tally: &mut Tally) -> anyhow::Result<()> {
    for id in rig.cluster.ids() {
        for line in rig.new_log(id)?.lines() {
            ensure!(!line.contains("panicked"), "node {id}: {line}");
            ensure!(!line.contains("muster-power-shim:"), "node {id}: {line}");
            ensure!(!line.contains("as if it had lost a disk"), "node {id}: {line}");
            tally.logged(line);
        }
    }
    Ok(())
}

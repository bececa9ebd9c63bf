//! One round from end to end.

use crate::check::{self, Votes};
use crate::clients::{Book, Clients};
use crate::plan::{Kind, Plan};
use crate::rig::{FOURTH, Rig};
use crate::tally::Tally;
use anyhow::{Context, ensure};
use muster_power::Random;
use muster_testkit::eventually;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const SOON: Duration = Duration::from_secs(60);
/// How long the clients may take for the writes that were planned.
const WRITING_MAX: Duration = Duration::from_secs(3);
/// Once a node is gone its clients go on for a moment, to see that the others serve, or that the last one refuses.
const AFTER: Duration = Duration::from_millis(150);

/// Rounds on the same folders.
pub(crate) struct Life {
    book: Book,
    votes: Votes,
}

impl Life {
    /// `anew`: with empty disks, on which a power loss may fall before the group is founded.
    pub(crate) async fn begin(
        rig: &mut Rig,
        random: &mut Random,
        tally: &mut Tally,
        book: &Book,
        anew: bool,
    ) -> anyhow::Result<Self> {
        let founders = rig.founders();
        if anew {
            rig.begin_anew().await?;
            if random.coin() {
                sleep(Duration::from_micros(random.below(700_000))).await;
                let loss = rig.lose_power(&founders, random).await?;
                tally.lost(3, loss);
                rig.start(&founders)?;
            }
        }
        rig.ready(&founders).await?;
        rig.cluster.voters(SOON).await?;
        check::logs(rig, tally)?;
        book.begin_anew();
        let life = Self {
            book: book.clone(),
            votes: Votes::default(),
        };
        no_probes(rig).await?;
        tally.life();
        Ok(life)
    }

    pub(crate) async fn round(
        &mut self,
        rig: &mut Rig,
        plan: &Plan,
        random: &mut Random,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        let founders = rig.founders();
        for (id, faults) in plan.order.iter().zip(&plan.faults) {
            // Faults that are not to end the node come while it works, not at once.
            if plan.kind == Kind::Slow {
                rig.tell(*id, faults)?;
            }
        }
        let clients = Clients::start(rig.cluster.http(), &rig.cluster.addresses()[..3], &self.book, random);
        let acknowledged = self.book.counts.acknowledged() + plan.acknowledged_before;
        while self.book.counts.acknowledged() < acknowledged && begun.elapsed() < WRITING_MAX {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(plan.before).await;
        for id in founders {
            self.votes.look(rig, id).await?;
        }
        let (first, rest) = (&plan.order[..1], &plan.order[1..]);
        let everyone = match plan.kind {
            Kind::All | Kind::Slow => {
                self.lose(rig, &founders, random, tally).await?;
                true
            }
            Kind::One => {
                self.lose(rig, first, random, tally).await?;
                sleep(AFTER).await;
                false
            }
            Kind::Two => {
                self.lose(rig, rest, random, tally).await?;
                sleep(AFTER).await;
                false
            }
            Kind::InTurn => {
                for (id, pause) in plan.order.iter().zip(plan.pauses) {
                    self.lose(rig, &[*id], random, tally).await?;
                    sleep(pause).await;
                }
                true
            }
            Kind::AtStart => {
                self.lose(rig, &founders, random, tally).await?;
                for pause in &plan.pauses[..1 + random.below(2) as usize] {
                    rig.start(&founders)?;
                    sleep(*pause).await;
                    self.lose(rig, &founders, random, tally).await?;
                }
                true
            }
            Kind::AfterCrash => {
                rig.kill(&founders).await?;
                rig.start(&founders)?;
                sleep(plan.pauses[0]).await;
                self.lose(rig, &founders, random, tally).await?;
                true
            }
            Kind::FailedSync | Kind::Full => {
                rig.tell(plan.order[0], &plan.faults[0])?;
                sleep(plan.pauses[0]).await;
                self.lose(rig, &founders, random, tally).await?;
                true
            }
            Kind::Membership => {
                self.change_members(rig, plan, random, tally).await?;
                true
            }
        };
        clients.stop().await;
        let stopped: Vec<_> = founders
            .into_iter()
            .filter(|id| !rig.cluster.node(*id).is_running())
            .collect();
        tally.took("writing and losing", begun.elapsed());
        let begun = Instant::now();
        rig.start(&stopped)?;
        rig.ready(&founders).await?;
        tally.took("starting", begun.elapsed());
        let begun = Instant::now();
        if plan.kind == Kind::Membership {
            check::logs(rig, tally)?;
            self.end_change(rig).await?;
        }
        for id in founders {
            self.votes.look(rig, id).await?;
        }
        check::all_is_there(rig, &self.book, everyone, tally).await?;
        for id in founders {
            self.votes.look(rig, id).await?;
        }
        check::logs(rig, tally)?;
        tally.took("checking", begun.elapsed());
        rig.is_watched()
    }

    async fn lose(&self, rig: &mut Rig, ids: &[u64], random: &mut Random, tally: &mut Tally) -> anyhow::Result<()> {
        let loss = rig.lose_power(ids, random).await?;
        tally.lost(ids.len(), loss);
        Ok(())
    }

    /// All lose power while the fourth member is added, or removed after it was.
    async fn change_members(
        &self,
        rig: &mut Rig,
        plan: &Plan,
        random: &mut Random,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        rig.start_fourth()?;
        let mut change = JoinSet::new();
        let removes = random.coin();
        if removes {
            added(rig).await?;
        } else {
            // It needs a moment before it can answer the leader.
            sleep(plan.pauses[1]).await;
        }
        change.spawn(rig.change_members(plan.order[0], !removes));
        // Taking out is quicker than taking in.
        sleep(if removes { plan.pauses[0] / 4 } else { plan.pauses[0] }).await;
        self.lose(rig, &[1, 2, 3, FOURTH], random, tally).await?;
        change.shutdown().await;
        rig.cluster.start_joining(FOURTH)
    }

    /// Takes the fourth member out, however far it has come.
    async fn end_change(&self, rig: &mut Rig) -> anyhow::Result<()> {
        eventually(SOON, "the fourth member is removed", || async {
            let status = rig.status(1).await?;
            let members = status["members"].as_array().context("members")?;
            if members
                .iter()
                .any(|member| member["id"] == FOURTH && member["role"] != "unknown")
            {
                let leader = status["leader"].as_u64().context("no leader")?;
                let at = if leader == FOURTH { 1 } else { leader };
                let answered = rig.change_members(at, false).await?;
                ensure!(answered == 200, "removing is answered with {answered}");
            }
            let voters: Vec<_> = members
                .iter()
                .filter(|it| it["voter"] == true)
                .map(|it| it["id"].as_u64())
                .collect();
            ensure!(voters == [Some(1), Some(2), Some(3)], "the voters are {voters:?}");
            Ok(())
        })
        .await?;
        rig.forget_fourth().await
    }
}

/// Has the fourth member added for good.
async fn added(rig: &Rig) -> anyhow::Result<()> {
    eventually(SOON, "the fourth member is added", || async {
        let leader = rig.status(1).await?["leader"].as_u64().context("no leader")?;
        let answered = rig.change_members(leader, true).await?;
        ensure!(answered == 200, "adding is answered with {answered}");
        Ok(())
    })
    .await
}

/// The instances are nowhere: probes would only write that they are ill.
async fn no_probes(rig: &Rig) -> anyhow::Result<()> {
    let path = "/nacos/v1/ns/operator/switches";
    eventually(SOON, "health checks are switched off", || async {
        let (http, address) = (rig.cluster.http(), rig.cluster.address(1));
        let answer = http.call(
            hyper::Method::PUT,
            &address,
            path,
            &[("entry", "check"), ("value", "false")],
        );
        answer.await?.ok().map(drop)
    })
    .await
}

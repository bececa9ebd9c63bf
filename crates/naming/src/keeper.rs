//! What is done every now and then, whether anybody asks or not.

use crate::changes::ReadModel;
use crate::metrics;
use crate::switches::Board;
use muster_runtime::{TaskKind, Tasks};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How late a switch, a gauge or the prober may learn of a change.
const TICK: Duration = Duration::from_millis(500);
/// How long changes gather before they are folded for those who watch the names.
const NEWS_GATHERED: Duration = Duration::from_millis(5);
/// Ticks between looks for slots that nobody needs: 10 s.
const TICKS_PER_SWEEP: u64 = 20;
/// Slots folded before other tasks get their turn.
const BATCH: usize = 256;

pub(crate) fn start(model: Arc<ReadModel>, switches: Arc<Board>, tasks: &Tasks) {
    let shutdown = tasks.shutdown().clone();
    tasks.spawn("naming-keeper", TaskKind::Critical, async move {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut count = 0u64;
        loop {
            let ticked = tokio::select! {
                () = shutdown.begun() => return,
                _ = ticks.tick() => true,
                () = async {
                    model.news.wanted().await;
                    tokio::time::sleep(NEWS_GATHERED).await;
                } => false,
            };
            while model.fold_some(BATCH) {
                tokio::task::yield_now().await;
            }
            if !ticked {
                continue;
            }
            switches.refresh();
            if count % TICKS_PER_SWEEP == TICKS_PER_SWEEP - 1 {
                model.drop_vacant();
            }
            show(&model);
            count += 1;
        }
    });
}

fn show(model: &ReadModel) {
    let (ephemeral, persistent) = model.instances();
    metrics::SERVICES.set(model.listing.len() as i64);
    metrics::MASKED_SERVICES.set(model.masked_services());
    metrics::SLOTS.set(model.slots_kept() as i64);
    metrics::INSTANCES
        .with_label_values(&["ephemeral"])
        .set(ephemeral as i64);
    metrics::INSTANCES
        .with_label_values(&["persistent"])
        .set(persistent as i64);
}

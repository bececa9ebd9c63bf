//! Instances that live by beats: some for ever, others come, change and go; names that are used once.

use super::book::{Book, Desk, Phase};
use crate::http::Spec;
use anyhow::{Result, ensure};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Instances that never leave, of one service.
const STAYING: usize = 60;
/// As clients beat.
const BEAT_EVERY: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_secs(5);
const STAYING_SERVICE: &str = "staying";

/// Workers, of whom each has its own instances.
const WORKERS: usize = 6;
const INSTANCES_EACH: usize = 40;
const SERVICES: usize = 20;
/// Of each worker: 6 × 8 = 48 changes a second.
const CHANGE_EVERY: Duration = Duration::from_millis(125);

/// A name that is used once and left.
const NAME_EVERY: Duration = Duration::from_millis(500);

pub(super) fn start(book: &Book, workers: &mut JoinSet<Result<()>>) {
    for node in 0..book.nodes.len() {
        workers.spawn(stay(Desk::new(book, node), node, book.nodes.len()));
        workers.spawn(look(Desk::new(book, node)));
    }
    for worker in 0..WORKERS {
        workers.spawn(change(Desk::new(book, worker), worker));
    }
    workers.spawn(use_names_once(Desk::new(book, 1)));
}

async fn stay(mut desk: Desk, node: usize, nodes: usize) -> Result<()> {
    let numbers = (0..STAYING).filter(|number| number % nodes == node);
    let specs: Vec<_> = numbers
        .map(|number| Spec::ephemeral(STAYING_SERVICE, &format!("10.1.0.{number}"), 80))
        .collect();
    for spec in &specs {
        desk.register("registrations", spec).await;
    }
    while desk.book.phase() != Phase::Over {
        let next = Instant::now() + BEAT_EVERY;
        for spec in &specs {
            desk.ask("beats", &spec.beat()).await;
        }
        tokio::time::sleep_until(next).await;
    }
    Ok(())
}

/// Whoever stays is listed, healthy, at every node, all the time.
async fn look(mut desk: Desk) -> Result<()> {
    // Until all are registered and known everywhere.
    tokio::time::sleep(LOOK_EVERY).await;
    while desk.book.phase() == Phase::Churn {
        desk.book.count("looks at who stays");
        let seen = desk.list(STAYING_SERVICE).await.and_then(|listed| {
            let (all, healthy) = (listed.all.len(), listed.healthy.len());
            ensure!(
                all == STAYING && healthy == STAYING,
                "{all} listed, {healthy} healthy, of {STAYING}"
            );
            Ok(())
        });
        if let Err(error) = seen {
            desk.book.error("who stays", &error);
        }
        desk.book.rest(LOOK_EVERY).await;
    }
    Ok(())
}

struct Own {
    spec: Spec,
    is_there: bool,
    beaten: Instant,
}

async fn change(mut desk: Desk, worker: usize) -> Result<()> {
    let mut all: Vec<Own> = (0..INSTANCES_EACH)
        .map(|number| Own {
            spec: Spec::ephemeral(
                &format!("churned-{}", (worker * INSTANCES_EACH + number) % SERVICES),
                &format!("10.2.{worker}.{number}"),
                80,
            ),
            is_there: false,
            beaten: Instant::now(),
        })
        .collect();
    while desk.book.phase() != Phase::Over {
        let next = Instant::now() + CHANGE_EVERY;
        if desk.book.phase() == Phase::Churn {
            let chosen = desk.dice.throw(all.len());
            turn(&mut desk, &mut all[chosen]).await;
        }
        let due = all
            .iter_mut()
            .filter(|own| own.is_there && own.beaten.elapsed() >= BEAT_EVERY);
        for own in due {
            desk.ask("beats", &own.spec.beat()).await;
            own.beaten = Instant::now();
        }
        tokio::time::sleep_until(next).await;
    }
    Ok(())
}

/// One instance comes, changes or goes.
async fn turn(desk: &mut Desk, own: &mut Own) {
    if own.is_there && desk.dice.percent(40) {
        own.is_there = !desk.deregister("deregistrations", &own.spec).await;
        return;
    }
    own.spec.metadata = format!(r#"{{"n":"{}"}}"#, desk.dice.throw(1_000_000));
    own.is_there |= desk.register("registrations", &own.spec).await;
    own.beaten = Instant::now();
}

/// Names that were never heard of, and one in four of them registered and left again.
async fn use_names_once(mut desk: Desk) -> Result<()> {
    while desk.book.phase() == Phase::Churn {
        let name = format!("once-{:016x}", desk.dice.next());
        if desk.dice.percent(25) {
            let spec = Spec::ephemeral(&name, "10.3.0.1", 80);
            if desk.register("registrations", &spec).await && desk.deregister("deregistrations", &spec).await {
                desk.book.forget(&name);
            }
        } else {
            desk.ask("lists of unknown names", &crate::http::list(&name)).await;
        }
        desk.book.rest(NAME_EVERY).await;
    }
    Ok(())
}

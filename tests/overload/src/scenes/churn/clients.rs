//! Connections that come and go: by HTTP for one list, by gRPC with what real clients do on them, killed at the end.

use super::book::{Book, Desk, Phase};
use anyhow::{Context, Result, ensure};
use muster_testkit::GrpcClient;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

const HTTP_WORKERS: usize = 3;
/// Of each: 12 connections a second in all.
const HTTP_EVERY: Duration = Duration::from_millis(250);

/// gRPC clients at the same time.
const GRPC_WORKERS: usize = 8;
/// So that about two come and go in a second.
const STAYS_S: (usize, usize) = (1, 7);
const SERVICES: usize = 20;
/// Clients say something every five seconds.
const SPEAK_EVERY: Duration = Duration::from_secs(1);

pub(super) fn start(book: &Book, workers: &mut JoinSet<Result<()>>) {
    for worker in 0..HTTP_WORKERS {
        workers.spawn(ask_and_go(Desk::new(book, worker)));
    }
    for worker in 0..GRPC_WORKERS {
        workers.spawn(live_and_die(Desk::new(book, worker), worker));
    }
}

async fn ask_and_go(mut desk: Desk) -> Result<()> {
    while desk.book.phase() == Phase::Churn {
        let service = format!("churned-{}", desk.dice.throw(SERVICES));
        desk.ask("HTTP connections", &crate::http::list(&service)).await;
        desk.hang_up();
        desk.book.rest(HTTP_EVERY).await;
    }
    Ok(())
}

async fn live_and_die(mut desk: Desk, worker: usize) -> Result<()> {
    while desk.book.phase() == Phase::Churn {
        desk.book.count("gRPC connections");
        let stays = STAYS_S.0 + desk.dice.throw(STAYS_S.1 - STAYS_S.0);
        let until = Instant::now() + Duration::from_secs(stays as u64);
        if let Err(error) = live(&mut desk, worker, until).await {
            desk.book.error("a gRPC client", &error);
        }
    }
    Ok(())
}

/// Publishes into a service of its own kind, subscribes to some, hears pushes, changes its mind, and is killed.
async fn live(desk: &mut Desk, worker: usize, until: Instant) -> Result<()> {
    let nodes = desk.book.grpc.clone();
    let node = nodes[desk.dice.throw(nodes.len())];
    let mut client = GrpcClient::connect(&node.to_string()).await.context("connect")?;
    let (own, port) = (format!("connected-{}", worker % 4), 1 + desk.dice.throw(60_000) as u16);
    client.register(&own, &format!("10.5.0.{worker}"), port).await?;
    let listed = client.subscribe(&own).await?;
    ensure!(
        listed.all.contains(&format!("10.5.0.{worker}:{port}")),
        "its own instance is not in {own}"
    );
    while desk.book.phase() == Phase::Churn && Instant::now() < until {
        let service = format!("churned-{}", desk.dice.throw(SERVICES));
        match desk.dice.throw(4) {
            0 => drop(client.subscribe(&service).await?),
            1 => unsubscribe(&client, &service).await?,
            2 => drop(client.query(&service).await?),
            _ => client.register(&own, &format!("10.5.0.{worker}"), port).await?,
        }
        desk.book.count("gRPC calls");
        let speak = (Instant::now() + SPEAK_EVERY).min(until);
        while let Ok(heard) = client.next(speak.saturating_duration_since(Instant::now())).await {
            if heard.kind == "NotifySubscriberRequest" {
                desk.book.count("pushes by gRPC");
            }
        }
    }
    Ok(())
}

async fn unsubscribe(client: &GrpcClient, service: &str) -> Result<()> {
    let request = serde_json::json!({
        "headers": {}, "namespace": "public", "serviceName": service, "groupName": "DEFAULT_GROUP",
        "subscribe": false, "clusters": "", "module": "naming",
    });
    client.ok("SubscribeServiceRequest", &request).await.map(drop)
}

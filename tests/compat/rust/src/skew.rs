//! Nodes whose clocks stand apart: the second of the three is 5 s ahead, the third 5 s behind. No update may be lost, also by who
//! moves from the one to the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nacos_sdk::api::naming::NamingService;
use tokio::time::sleep;

use crate::client::{
    GROUP, connect_to, connections, grpc_port, instance, nodes, port, register, service, spread, weighing,
};
use crate::report::{Done, ask, eventually, run, since, times, took, well};
use crate::watch::Watch;

pub async fn play() -> Result<(), String> {
    let nodes = nodes();
    let (ahead, behind) = (nodes[1].clone(), nodes[2].clone());
    let service = service("skew");
    let publishers = [
        connect_to(&nodes[0]).await?,
        connect_to(&ahead).await?,
        connect_to(&behind).await?,
    ];
    for (at, publisher) in publishers.iter().enumerate() {
        register(publisher, &service, instance(80 + at as i32)).await?;
    }
    let both = [ahead.clone(), behind.clone()];
    let mut movers = spread(&both, std::slice::from_ref(&ahead), 3).await?;
    let (mover, _) = movers.remove(0);
    let (moving_publisher, _) = movers.remove(0);
    register(&moving_publisher, &service, instance(83)).await?;
    let seen = Watch::start(&mover, &service, GROUP).await?;
    let pinned = connect_to(&behind).await?;
    let behind_seen = Watch::start(&pinned, &service, GROUP).await?;
    let all: Vec<_> = (80..84).map(port).collect();
    seen.lists("all four", 10, &all).await?;
    behind_seen.lists("all four", 10, &all).await?;

    run("skew_ahead", changes(&publishers, &service, &seen, 2)).await;
    run("skew_behind", changes(&publishers, &service, &behind_seen, 3)).await;
    // What a node says when it is asked is dated by its own clock, which the other nodes may not have heard of since.
    sleep(Duration::from_secs(6)).await;
    let (asking, _) = movers.remove(0);
    let quiet = Watch::start(&asking, &service, GROUP).await?;
    quiet.lists("all four", 10, &all).await?;
    let dead = ask("stop").await;
    let start = Instant::now();
    run("skew_moves", async {
        eventually("connections to the node behind", 25, || async {
            let open = connections();
            let there = open.values().filter(|port| **port == grpc_port(&behind)).count();
            // The three that moved, the pinned subscriber and its publisher.
            (there >= 5).then_some(())
        })
        .await?;
        register(&publishers[0], &service, weighing(80, 40.0)).await?;
        eventually("a change after the move", 15, || async {
            seen.hosts().iter().any(|host| host.weight == 40.0).then_some(())
        })
        .await?;
        took(
            since(start),
            "from 5 s ahead to 5 s behind, until the first change is heard of there",
        )
    })
    .await;
    run("skew_moved_at_once", async {
        eventually("the change", 3, || async {
            quiet.hosts().iter().any(|host| host.weight == 40.0).then_some(())
        })
        .await?;
        well("the same, by one that had asked the node ahead just before")
    })
    .await;
    run("skew_moved", changes(&publishers[..1], &service, &seen, 50)).await;
    run("skew_moved_publisher", async {
        let change = register(&moving_publisher, &service, weighing(83, 60.0));
        let ms = behind_seen
            .change("its update", 10, change, |hosts| {
                hosts.iter().any(|host| host.weight == 60.0)
            })
            .await?;
        took(ms, "an instance first published 5 s ahead is updated 5 s behind")
    })
    .await;
    ask("start").await;
    run("skew_returned", async {
        let client = connect_to(&dead).await?;
        let back = Watch::start(&client, &service, GROUP).await?;
        back.lists("those that live", 10, &[port(80), port(82), port(83)])
            .await?;
        changes(&publishers[..1], &service, &back, 70).await
    })
    .await;
    Ok(())
}

/// Two changes on each publisher's node in turn, each to be heard of by `seen`.
async fn changes(publishers: &[NamingService], service: &str, seen: &Arc<Watch>, first: i32) -> Done {
    let mut taken = Vec::new();
    for round in 0..2 {
        for (at, publisher) in publishers.iter().enumerate() {
            let weight = f64::from(first * 10 + round * 3) + at as f64 + 0.5;
            let change = register(publisher, service, weighing(80 + at as i32, weight));
            let wanted =
                move |hosts: &[nacos_sdk::api::naming::ServiceInstance]| hosts.iter().any(|host| host.weight == weight);
            taken.push(seen.change("a change", 5, change, wanted).await?);
            sleep(Duration::from_millis(100)).await;
        }
    }
    times(taken)
}

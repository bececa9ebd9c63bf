//! A node ends under its clients, killed or told to stop: they go on by themselves, and nothing they hold leaves the others' lists.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nacos_sdk::api::naming::NamingService;
use tokio::time::sleep;

use crate::client::{
    GROUP, connect, connect_to, connections, grpc_port, instance, list, nodes, port, register, service,
};
use crate::client::{spread, weighing};
use crate::report::{ask, check, eventually, run, since, took, well};
use crate::watch::{Watch, has};

/// A stopping node lets go of its clients 4 s later; the client looks after its connection every 5 s, waits 2 s and a part of one
/// before it takes another node, and twice that when it took one in vain.
const MOVED_WITHIN_S: u64 = 25;

/// Of each node's two clients the first stays idle, the second calls.
struct Movers {
    clients: Vec<(NamingService, String)>,
}

impl Movers {
    fn on(&self, node: &str) -> Vec<(usize, &NamingService)> {
        let clients = self.clients.iter().enumerate();
        clients
            .filter(|(_, (_, its))| its == node)
            .map(|(at, (client, _))| (at, client))
            .collect()
    }
}

fn offset(at: usize) -> i32 {
    50 + i32::try_from(at).expect("six clients")
}

pub async fn play(name: &str, end: &str, begin: &str) -> Result<(), String> {
    let nodes = nodes();
    let service = service(name);
    let movers = Movers {
        clients: spread(&nodes, &nodes, 2).await?,
    };
    let ports: Vec<_> = (0..movers.clients.len()).map(|at| port(offset(at))).collect();
    for (at, (client, _)) in movers.clients.iter().enumerate() {
        register(client, &service, instance(offset(at))).await?;
    }
    let mut moved = Vec::new();
    for (client, _) in &movers.clients {
        moved.push(Watch::start(client, &service, GROUP).await?);
    }
    let mut pinned = Vec::new();
    for node in &nodes {
        let client = connect_to(node).await?;
        let seen = Watch::start(&client, &service, GROUP).await?;
        pinned.push((node.clone(), client, seen));
    }
    for seen in pinned.iter().map(|(_, _, seen)| seen).chain(&moved) {
        seen.lists("all, everywhere", 10, &ports).await?;
    }
    sleep(Duration::from_secs(1)).await;

    let dead = ask(end).await;
    let start = Instant::now();
    let [(idle, _), (_, calling)] = movers.on(&dead)[..] else {
        return Err(format!("no two clients are on {dead}"));
    };
    let survivors: Vec<_> = pinned
        .iter()
        .filter(|(node, ..)| *node != dead)
        .map(|(.., seen)| seen.clone())
        .collect();
    let stays = tokio::spawn(stays(format!("{name}_stays_listed"), survivors, ports.clone(), start));
    let names = ["moves", "register", "event"].map(|step| format!("{name}_{step}"));
    tokio::join!(
        run(&names[0], async {
            // All but the one that knows the dead node alone.
            let wanted = movers.clients.len() + pinned.len() - 1;
            eventually(
                "a connection to another node for each client",
                MOVED_WITHIN_S,
                || async {
                    let open = connections();
                    (open.values().filter(|port| **port != grpc_port(&dead)).count() >= wanted).then_some(())
                },
            )
            .await?;
            took(since(start), "until all clients are on the other nodes")
        }),
        run(&names[1], async {
            eventually("a registration", MOVED_WITHIN_S, || async {
                register(calling, &service, weighing(offset(movers.on(&dead)[1].0), 2.0))
                    .await
                    .ok()
            })
            .await?;
            took(since(start), "until a client of the ended node registers again")
        }),
        run(&names[2], async {
            let other = pinned
                .iter()
                .find(|(node, ..)| *node != dead)
                .map(|(_, client, _)| client);
            register(other.ok_or("nobody is left")?, &service, instance(60)).await?;
            moved[idle]
                .lists("a change made after the end", MOVED_WITHIN_S + 5, &[port(60)])
                .await?;
            took(
                since(start),
                "until an idle client of the ended node hears of a change made since",
            )
        }),
    );
    run(&format!("{name}_list"), async {
        // A client that begins draws one of the three at random; it gives up after 4.5 s if that is the dead one, and so may
        // the next ones.
        eventually("all of them", 40, || async {
            let client = connect(&nodes).await.ok()?;
            let hosts = list(&client, &service).await.ok()?;
            ports
                .iter()
                .chain(&[port(60)])
                .all(|&port| has(&hosts, port))
                .then_some(())
        })
        .await?;
        well("by a client that starts now and knows all three nodes")
    })
    .await;
    stays.await.map_err(crate::report::text)?;
    run(&format!("{name}_settled"), async {
        let other = pinned
            .iter()
            .find(|(node, ..)| *node != dead)
            .map(|(_, client, _)| client);
        let change = register(other.ok_or("nobody is left")?, &service, instance(62));
        let ms = moved[idle]
            .change("a change", 5, change, |hosts| has(hosts, port(62)))
            .await?;
        took(ms, "a change, heard of by an idle client that has moved")
    })
    .await;
    ask(begin).await;
    run(&format!("{name}_restarted_node"), async {
        let client = connect_to(&dead).await?;
        eventually("all on the node that is back", 10, || async {
            let hosts = list(&client, &service).await.ok()?;
            ports.iter().all(|&port| has(&hosts, port)).then_some(())
        })
        .await?;
        let alone = pinned.iter().find(|(node, ..)| *node == dead).map(|(.., seen)| seen);
        let change = register(&client, &service, instance(61));
        let ms = alone
            .ok_or("nobody was there")?
            .change("a change", 75, change, |hosts| has(hosts, port(61)))
            .await?;
        took(ms, "until a client that knows that node alone hears of a change there")
    })
    .await;
    Ok(())
}

async fn stays(step: String, survivors: Vec<Arc<Watch>>, ports: Vec<i32>, start: Instant) {
    run(&step, async {
        while since(start) < 45_000.0 {
            sleep(Duration::from_millis(500)).await;
        }
        let absence = survivors.iter().map(|seen| seen.absence(&ports)).fold(0.0, f64::max);
        check(absence == 0.0, || {
            format!("a callback on a survivor left one out for {absence:.0} ms")
        })?;
        let all = survivors
            .iter()
            .all(|seen| ports.iter().all(|&port| has(&seen.hosts(), port)));
        check(all, || "one is no longer listed".to_owned())?;
        well("no callback on the two survivors left one out, for 45 s")
    })
    .await;
}

//! Everything the client can do: publisher, subscriber and a third client on three nodes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nacos_sdk::api::naming::{NamingService, ServiceInstance};
use serde_json::json;
use tokio::time::sleep;

use crate::client::{GROUP, batch, connect_to, deregister, instance, list, nodes, port, register, service, weighing};
use crate::report::{Done, ask, check, eventually, run, say, setting, since, text, times, took, well};
use crate::watch::{Watch, has};

/// 0 is the publisher's, 1 the subscriber's, 2 the third client's, each on the node of that number.
struct Stage {
    publisher: NamingService,
    /// A connection publishes one instance, or one batch, under a service; a second instance takes a second connection.
    second: NamingService,
    subscriber: NamingService,
    third: NamingService,
    service: String,
}

pub async fn play() -> Result<(), String> {
    let nodes = nodes();
    let stage = Stage {
        publisher: connect_to(&nodes[0]).await?,
        second: connect_to(&nodes[0]).await?,
        subscriber: connect_to(&nodes[1]).await?,
        third: connect_to(&nodes[2]).await?,
        service: service("steps"),
    };
    let idle = tokio::spawn(stays_alive());
    stage.register_and_list().await;
    let Some(seen) = stage.subscribe().await else {
        return Ok(());
    };
    let killed = tokio::spawn(killed(seen.clone(), stage.service.clone()));
    ask("turn").await;
    run("push_times", stage.push_times(&seen)).await;
    run("large_list", large_list()).await;
    say(&json!({ "ask": "turn_over" }));
    run("update_seen", stage.update_seen(&seen)).await;
    run("service_list", stage.service_list()).await;
    stage.batches().await;
    stage.persistent().await;
    run("unsubscribe", stage.unsubscribe(&seen)).await;
    run("deregister", stage.deregistered(&seen)).await;
    killed.await.map_err(text)?;
    idle.await.map_err(text)
}

impl Stage {
    async fn register_and_list(&self) {
        run("register", async {
            let metadata = [("zone", "a"), ("text", "ä b&c=d")];
            let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            register(
                &self.publisher,
                &self.service,
                ServiceInstance {
                    metadata,
                    ..instance(1)
                },
            )
            .await?;
            well("")
        })
        .await;
        run("list", async {
            let hosts = eventually("the instance on another node", 5, || async {
                list(&self.third, &self.service)
                    .await
                    .ok()
                    .filter(|hosts| !hosts.is_empty())
            })
            .await?;
            let found = &hosts[0];
            let text = found.metadata.get("text").map(String::as_str);
            let well_listed = hosts.len() == 1 && text == Some("ä b&c=d") && found.healthy && found.ephemeral;
            check(well_listed && found.weight == 1.0, || format!("listed as {hosts:?}"))?;
            check(found.cluster_name.as_deref() == Some("DEFAULT"), || {
                format!("listed as {hosts:?}")
            })?;
            well("")
        })
        .await;
        run("select_instances", async {
            let (name, group) = (self.service.clone(), Some(GROUP.to_owned()));
            let select = self
                .third
                .select_instances(name.clone(), group.clone(), Vec::new(), false, true);
            check(select.await.map_err(text)?.len() == 1, || {
                "selects another number of healthy ones".to_owned()
            })?;
            let select = self
                .third
                .select_instances(name.clone(), group.clone(), Vec::new(), false, false);
            check(select.await.map_err(text)?.is_empty(), || {
                "selects unhealthy ones".to_owned()
            })?;
            let one = self
                .third
                .select_one_healthy_instance(name.clone(), group.clone(), Vec::new(), false);
            check(one.await.map_err(text)?.port == port(1), || {
                "selects another one".to_owned()
            })?;
            well("")
        })
        .await;
        run("select_clusters", async {
            let select = |cluster: &str| {
                let (name, group) = (self.service.clone(), Some(GROUP.to_owned()));
                self.third
                    .get_all_instances(name, group, vec![cluster.to_owned()], false)
            };
            check(select("DEFAULT").await.map_err(text)?.len() == 1, || {
                "nothing in DEFAULT".to_owned()
            })?;
            check(select("other").await.map_err(text)?.is_empty(), || {
                "something in another cluster".to_owned()
            })?;
            well("")
        })
        .await;
    }

    async fn subscribe(&self) -> Option<Arc<Watch>> {
        let seen = Watch::start(&self.subscriber, &self.service, GROUP).await;
        run("subscribe_event", async {
            let seen = seen.as_ref().map_err(Clone::clone)?;
            seen.lists("the first callback", 5, &[port(1)]).await?;
            let change = register(&self.second, &self.service, instance(2));
            let ms = seen
                .change("the second instance", 5, change, |hosts| has(hosts, port(2)))
                .await?;
            took(ms, "second instance, registered on another node")
        })
        .await;
        run("subscribe_before_service", async {
            let early = service("early");
            let seen = Watch::start(&self.subscriber, &early, GROUP).await?;
            sleep(Duration::from_secs(1)).await;
            let change = register(&self.publisher, &early, instance(3));
            let ms = seen
                .change("the first instance", 5, change, |hosts| has(hosts, port(3)))
                .await?;
            took(ms, "subscribed 1 s before the service was there")
        })
        .await;
        seen.ok()
    }

    async fn push_times(&self, seen: &Arc<Watch>) -> Done {
        let mut taken = Vec::new();
        let publisher = connect_to(&nodes()[0]).await?;
        for round in 0..10 {
            sleep(Duration::from_millis(700)).await;
            let of = port(10 + round / 2);
            let its = instance(10 + round / 2);
            let ms = if round % 2 == 0 {
                let change = register(&publisher, &self.service, its);
                seen.change("a new instance", 5, change, move |hosts| has(hosts, of))
                    .await?
            } else {
                let change = deregister(&publisher, &self.service, its);
                seen.change("a gone instance", 5, change, move |hosts| !has(hosts, of))
                    .await?
            };
            taken.push(ms);
        }
        times(taken)
    }

    async fn update_seen(&self, seen: &Arc<Watch>) -> Done {
        let changed = |hosts: &[ServiceInstance]| {
            let zone = |host: &ServiceInstance| host.metadata.get("zone").map(String::as_str) == Some("b");
            hosts
                .iter()
                .any(|host| host.port == port(2) && host.weight == 3.5 && zone(host))
        };
        let metadata = [("zone".to_owned(), "b".to_owned())].into();
        let change = register(
            &self.second,
            &self.service,
            ServiceInstance {
                metadata,
                ..weighing(2, 3.5)
            },
        );
        let ms = seen.change("weight and metadata", 5, change, changed).await?;
        sleep(Duration::from_secs(2)).await;
        check(changed(&seen.hosts()), || "something undid it".to_owned())?;
        took(ms, "weight and metadata, by registering again")
    }

    async fn service_list(&self) -> Done {
        let (names, count) = self
            .third
            .get_service_list(1, 1000, Some(GROUP.to_owned()))
            .await
            .map_err(text)?;
        let known = names.contains(&self.service) && usize::try_from(count) == Ok(names.len());
        check(known, || format!("lists {count}: {names:?}"))?;
        well(format!("{count} names"))
    }

    async fn batches(&self) {
        let service = service("batch");
        let (publisher, seen) = (&self.publisher, Watch::start(&self.subscriber, &service, GROUP).await);
        run("batch_register", async {
            let seen = seen.as_ref().map_err(Clone::clone)?;
            let change = batch(publisher, &service, vec![instance(20), instance(21), instance(22)]);
            let ms = seen.change("all three", 5, change, |hosts| hosts.len() == 3).await?;
            took(ms, "three instances on one connection")
        })
        .await;
        run("batch_deregister", async {
            let seen = seen.as_ref().map_err(Clone::clone)?;
            let change = batch(publisher, &service, vec![instance(20), instance(22)]);
            let fewer = |hosts: &[ServiceInstance]| hosts.len() == 2 && !has(hosts, port(21));
            let ms = seen.change("two of three", 5, change, fewer).await?;
            took(ms, "a shorter batch: this client has no other call for it")
        })
        .await;
    }

    async fn persistent(&self) {
        let service = service("persistent");
        let its = ServiceInstance {
            ephemeral: false,
            ..instance(30)
        };
        // The server may probe a persistent instance by TCP, so something must listen there.
        let _listening = tokio::net::TcpListener::bind((setting("COMPAT_IP"), port(30).unsigned_abs() as u16)).await;
        run("persistent_register", async {
            register(&self.publisher, &service, its.clone()).await?;
            let hosts = eventually("the persistent instance on another node", 5, || async {
                list(&self.third, &service)
                    .await
                    .ok()
                    .filter(|hosts| has(hosts, port(30)))
            })
            .await?;
            check(!hosts[0].ephemeral, || format!("listed as {hosts:?}"))?;
            well("over gRPC")
        })
        .await;
        run("persistent_deregister", async {
            deregister(&self.publisher, &service, its.clone()).await?;
            eventually("gone on another node", 5, || async {
                list(&self.third, &service).await.ok().filter(Vec::is_empty)
            })
            .await?;
            well("over gRPC")
        })
        .await;
    }

    /// On a service of its own: this client ends the connection's subscription with that of any one listener.
    async fn unsubscribe(&self, seen: &Arc<Watch>) -> Done {
        let leaver = connect_to(&nodes()[1]).await?;
        let left = Watch::start(&leaver, &self.service, GROUP).await?;
        left.lists("the first callback", 5, &[port(2)]).await?;
        let group = Some(GROUP.to_owned());
        leaver
            .unsubscribe(self.service.clone(), group, Vec::new(), left.clone())
            .await
            .map_err(text)?;
        let known = left.calls();
        let change = register(&self.second, &self.service, weighing(2, 7.0));
        let heavier = |hosts: &[ServiceInstance]| hosts.iter().any(|host| host.weight == 7.0);
        seen.change("a change, to who stayed subscribed", 5, change, heavier)
            .await?;
        sleep(Duration::from_secs(1)).await;
        check(left.calls() == known, || "called after it had left".to_owned())?;
        well("the other subscriber hears of the next change, this one does not")
    }

    async fn deregistered(&self, seen: &Arc<Watch>) -> Done {
        let change = deregister(&self.second, &self.service, weighing(2, 7.0));
        let ms = seen
            .change("the deregistered instance", 5, change, |hosts| !has(hosts, port(2)))
            .await?;
        let start = Instant::now();
        while since(start) < 3000.0 {
            for client in [&self.publisher, &self.subscriber, &self.third] {
                let hosts = list(client, &self.service).await?;
                check(!has(&hosts, port(2)), || {
                    format!("back {:.0} ms after it left", since(start))
                })?;
            }
            sleep(Duration::from_millis(200)).await;
        }
        took(ms, "gone at once, and stays gone on all nodes")
    }
}

/// A thousand instances in one batch, seen on another node.
async fn large_list() -> Done {
    let service = service("large");
    let (publisher, subscriber) = (connect_to(&nodes()[0]).await?, connect_to(&nodes()[1]).await?);
    let seen = Watch::start(&subscriber, &service, GROUP).await?;
    let many = (0..1000).map(|number| {
        let metadata = [("noise".to_owned(), format!("{:x<100}", number))].into();
        ServiceInstance {
            ip: format!("10.98.{}.{}", number / 250, number % 250 + 1),
            metadata,
            ..instance(100)
        }
    });
    let change = batch(&publisher, &service, many.collect());
    let ms = seen
        .change("all thousand", 10, change, |hosts| hosts.len() == 1000)
        .await?;
    took(ms, "1,000 instances in one batch")
}

/// A client that does nothing but exist.
async fn stays_alive() {
    run("stays_alive", async {
        let nodes = nodes();
        let service = service("idle");
        let (idle, subscriber) = (connect_to(&nodes[0]).await?, connect_to(&nodes[1]).await?);
        register(&idle, &service, instance(6)).await?;
        let seen = Watch::start(&subscriber, &service, GROUP).await?;
        seen.lists("the idle instance", 5, &[port(6)]).await?;
        sleep(Duration::from_secs(42)).await;
        let hosts = list(&subscriber, &service).await?;
        check(has(&hosts, port(6)) && seen.absence(&[port(6)]) == 0.0, || {
            format!("it left: {hosts:?}")
        })?;
        well("idle for 42 s, listed all the time")
    })
    .await;
}

async fn killed(seen: Arc<Watch>, service: String) {
    run("killed_client_removed", async {
        let program = std::env::current_exe().map_err(text)?;
        let mut child = tokio::process::Command::new(program)
            .arg("hold")
            .env("HOLD_SERVICE", service)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(text)?;
        seen.lists("the held instance", 20, &[port(5)]).await?;
        sleep(Duration::from_secs(1)).await;
        let gone = |hosts: &[ServiceInstance]| !has(hosts, port(5));
        let kill = async { child.kill().await.map_err(text) };
        let ms = seen.change("removed", 10, kill, gone).await?;
        took(ms, "kill -9 of the client, to the callback on another node")
    })
    .await;
}

/// Holds one instance until it is killed.
pub async fn hold() -> Result<(), String> {
    let client = connect_to(&nodes()[0]).await?;
    register(&client, &setting("HOLD_SERVICE"), instance(5)).await?;
    sleep(Duration::from_secs(120)).await;
    Ok(())
}

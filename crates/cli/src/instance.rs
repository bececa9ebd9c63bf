//! `muster instance`.

use crate::command::{Connection, InstanceCommand, metadata};
use crate::output::{Output, Table, pairs, yes_or_no};
use crate::{Format, clock_face::time_of_day};
use muster_model::{Instance, Kind, ServiceKey};
use muster_runtime::Clock;
use muster_sdk::answers::InstanceDetail;
use muster_sdk::{BeatEvent, Client, Listed};
use serde_json::json;
use std::collections::BTreeMap;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) async fn run(
    command: InstanceCommand,
    connection: &Connection,
    client: &Client,
    output: &mut Output,
) -> anyhow::Result<()> {
    match command {
        InstanceCommand::Register {
            service,
            address,
            persistent,
            weight,
            cluster,
            metadata: given,
            disabled,
            ..
        } => {
            let service = connection.service(&service)?;
            let kind = if persistent { Kind::Persistent } else { Kind::Ephemeral };
            let mut instance = Instance::new(address, kind);
            instance.weight = weight;
            instance.cluster = cluster;
            instance.metadata = metadata(given);
            instance.enabled = !disabled;
            register(&service, &instance, client, output).await
        }
        InstanceCommand::Deregister {
            service,
            address,
            persistent,
        } => {
            let service = connection.service(&service)?;
            let kind = if persistent { Kind::Persistent } else { Kind::Ephemeral };
            client.deregister(&service, &address, kind).await?;
            output.done(&format!("{address} is no {kind} instance of {service} any more"))
        }
        InstanceCommand::List { service, healthy_only } => {
            let service = connection.service(&service)?;
            let mut instances = client.instances(&service).await?;
            instances.retain(|instance| instance.healthy || !healthy_only);
            match output.format {
                Format::Json => output.json(&instances),
                Format::Table => output.table(&table_of(instances.iter())),
            }
        }
        InstanceCommand::Watch { service, clusters } => {
            let watch = client.watch(connection.service(&service)?, &clusters);
            tokio::select! {
                ended = watch_for_ever(watch, output) => ended,
                () = told_to_stop() => Ok(()),
            }
        }
    }
}

async fn register(
    service: &ServiceKey,
    instance: &Instance,
    client: &Client,
    output: &mut Output,
) -> anyhow::Result<()> {
    let address = &instance.key;
    if instance.kind == Kind::Persistent {
        client.register(service, instance).await?;
        return output.done(&format!("registered {address} in {service}, persistent"));
    }
    let say = |event: BeatEvent| match event {
        BeatEvent::Registered => {
            let said = output.done(&format!(
                "registered {address} in {service}; beats until Ctrl-C, then deregisters"
            ));
            if let Err(error) = said {
                eprintln!("muster: {error:#}");
            }
        }
        BeatEvent::RegisteredAgain => eprintln!("muster: the server did not know {address} any more, registered again"),
        BeatEvent::Failed(error) => eprintln!("muster: beat failed: {error}"),
        BeatEvent::Recovered => eprintln!("muster: beats are answered again"),
    };
    client.keep_registered(service, instance, say, told_to_stop()).await?;
    output.done(&format!("deregistered {address} from {service}"))
}

async fn told_to_stop() {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => {
                signals.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}

async fn watch_for_ever(mut watch: muster_sdk::Watch, output: &mut Output) -> anyhow::Result<()> {
    let clock = Clock::system();
    let mut before: BTreeMap<String, Instance> = BTreeMap::new();
    let mut first = true;
    loop {
        let listed = match watch.next().await {
            Ok(listed) => listed,
            // A server that refuses refuses again; one that is away comes back.
            Err(error @ muster_sdk::Error::Refused { status: 400..=499, .. }) => return Err(error.into()),
            Err(error) => {
                eprintln!("muster: {error}; trying again");
                continue;
            }
        };
        let time = time_of_day(clock.wall_ms());
        let now = by_address(&listed);
        let lines = match output.format {
            Format::Table => changes(&before, &now),
            Format::Json => Vec::new(),
        };
        match output.format {
            Format::Json => output.json_line(&as_json(&time, &listed))?,
            Format::Table if first => output.line(&format!("{time}  {} instances", now.len()))?,
            Format::Table => {}
        }
        for line in lines {
            output.line(&format!("{time}  {line}"))?;
        }
        before = now;
        first = false;
    }
}

fn by_address(listed: &Listed) -> BTreeMap<String, Instance> {
    let instances = listed.instances.iter();
    instances
        .map(|instance| (instance.key.to_string(), instance.clone()))
        .collect()
}

/// A line per instance that came, changed or went.
fn changes(before: &BTreeMap<String, Instance>, now: &BTreeMap<String, Instance>) -> Vec<String> {
    let gone = before.keys().filter(|address| !now.contains_key(*address));
    let mut lines: Vec<_> = gone.map(|address| format!("- {address}")).collect();
    for (address, instance) in now {
        match before.get(address) {
            None => lines.push(format!("+ {address}  {}", describe(instance))),
            Some(old) if old != instance => lines.push(format!("~ {address}  {}", describe(instance))),
            Some(_) => {}
        }
    }
    lines
}

fn describe(instance: &Instance) -> String {
    format!(
        "{} {} weight {} cluster {} metadata {}",
        instance.kind,
        if instance.healthy { "healthy" } else { "unhealthy" },
        instance.weight.get(),
        instance.cluster,
        pairs(instance.metadata.iter()),
    )
}

fn as_json(time: &str, listed: &Listed) -> serde_json::Value {
    let instances: Vec<_> = listed.instances.iter().map(detail_of).collect();
    json!({ "time": time, "stamp_ms": listed.stamp_ms, "instances": instances })
}

fn detail_of(instance: &Instance) -> InstanceDetail {
    InstanceDetail {
        ip: instance.key.host.to_string(),
        port: instance.key.port,
        cluster: instance.cluster.to_string(),
        kind: instance.kind.to_string(),
        weight: instance.weight.get(),
        enabled: instance.enabled,
        healthy: instance.healthy,
        metadata: instance
            .metadata
            .iter()
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect(),
    }
}

pub(crate) fn table_of<'a>(instances: impl Iterator<Item = &'a InstanceDetail>) -> Table {
    let mut table = Table::new(&["ADDRESS", "CLUSTER", "KIND", "HEALTHY", "ENABLED", "WEIGHT", "METADATA"]);
    for instance in instances {
        table.row(vec![
            format!("{}:{}", instance.ip, instance.port),
            instance.cluster.clone(),
            instance.kind.clone(),
            yes_or_no(instance.healthy),
            yes_or_no(instance.enabled),
            instance.weight.to_string(),
            pairs(instance.metadata.iter().map(|(k, v)| (k.as_str(), v.as_str()))),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::{Host, InstanceKey};

    fn instances(hosts: &[(&str, bool)]) -> BTreeMap<String, Instance> {
        let of = |(host, healthy): &(&str, bool)| {
            let mut instance = Instance::new(InstanceKey::new(Host::parse(host).unwrap(), 80), Kind::Ephemeral);
            instance.healthy = *healthy;
            (instance.key.to_string(), instance)
        };
        hosts.iter().map(of).collect()
    }

    #[test]
    fn a_watch_prints_what_came_changed_and_went() {
        let lines = changes(
            &instances(&[("a", true), ("b", true), ("c", true)]),
            &instances(&[("a", true), ("b", false), ("d", true)]),
        );
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[0], "- c:80");
        assert!(lines[1].starts_with("~ b:80  ephemeral unhealthy"), "{lines:?}");
        assert!(lines[2].starts_with("+ d:80"), "{lines:?}");
    }
}

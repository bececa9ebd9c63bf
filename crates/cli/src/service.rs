//! `muster service`.

use crate::command::{Connection, ServiceCommand};
use crate::instance::table_of;
use crate::output::{Output, Table, pairs};
use crate::{Format, output};
use anyhow::bail;
use muster_sdk::Client;
use muster_sdk::answers::{ServiceDetail, ServicePage};

pub(crate) async fn run(
    command: ServiceCommand,
    connection: &Connection,
    client: &Client,
    output: &mut Output,
) -> anyhow::Result<()> {
    match command {
        ServiceCommand::List { page, page_size } => {
            let group = connection.group.as_ref();
            let listed = client.services(&connection.namespace, group, page, page_size).await?;
            match output.format {
                Format::Json => output.json(&listed),
                Format::Table => list(&listed, output),
            }
        }
        ServiceCommand::Show { service } => {
            let key = connection.service(&service)?;
            let detail = match client.service(&key).await {
                Err(error) if error.is_not_found() => bail!("no service {key}"),
                answer => answer?,
            };
            match output.format {
                Format::Json => output.json(&detail),
                Format::Table => show(&detail, output),
            }
        }
    }
}

fn list(page: &ServicePage, output: &mut Output) -> anyhow::Result<()> {
    let mut table = Table::new(&[
        "GROUP",
        "SERVICE",
        "INSTANCES",
        "HEALTHY",
        "ENABLED",
        "EPHEMERAL",
        "PERSISTENT",
    ]);
    for service in &page.services {
        table.row(vec![
            service.group.clone(),
            service.name.clone(),
            service.instances.to_string(),
            service.healthy.to_string(),
            service.enabled.to_string(),
            service.ephemeral.to_string(),
            service.persistent.to_string(),
        ]);
    }
    output.table(&table)?;
    let shown = page.services.len() as u64;
    if shown < page.total {
        output.line(&format!(
            "{shown} of {}; --page and --page-size show others",
            page.total
        ))?;
    }
    Ok(())
}

fn show(service: &ServiceDetail, output: &mut Output) -> anyhow::Result<()> {
    let metadata = service.metadata.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    output.line(&format!("service            {}@@{}", service.group, service.name))?;
    output.line(&format!("namespace          {}", service.namespace))?;
    output.line(&format!("protect threshold  {}", service.protect_threshold))?;
    output.line(&format!("metadata           {}", pairs(metadata)))?;
    output.line(&format!("subscribers here   {}", service.subscribers))?;
    output.line("")?;
    let mut clusters = Table::new(&["CLUSTER", "HEALTH CHECK", "PORT CHECKED", "METADATA"]);
    for cluster in &service.clusters {
        clusters.row(vec![
            cluster.name.clone(),
            output::or_dash(cluster.checker["type"].as_str()),
            if cluster.use_instance_port {
                "the instance's".to_owned()
            } else {
                cluster.check_port.to_string()
            },
            pairs(cluster.metadata.iter().map(|(k, v)| (k.as_str(), v.as_str()))),
        ]);
    }
    output.table(&clusters)?;
    output.line("")?;
    output.table(&table_of(service.instances.iter()))
}

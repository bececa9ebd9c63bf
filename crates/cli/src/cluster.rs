//! `muster cluster`.

use crate::Format;
use crate::command::ClusterCommand;
use crate::output::{Output, Table, or_dash, yes_or_no};
use anyhow::Context;
use muster_model::{Member, MemberId};
use muster_sdk::answers::ClusterStatus;
use muster_sdk::{Client, MemberChange};

/// Members answer each other at the main port + 1001.
const PEER_PORT_OFFSET: u16 = 1001;

pub(crate) async fn run(command: ClusterCommand, client: &Client, output: &mut Output) -> anyhow::Result<()> {
    match command {
        ClusterCommand::Status => {
            let status = client.cluster_status().await?;
            match output.format {
                Format::Json => output.json(&status),
                Format::Table => show(&status, output),
            }
        }
        ClusterCommand::Add { member } => {
            let member = parse_member(&member)?;
            let said = format!("member {} at {} is a voter", member.id, member.client_address);
            client.change_members(&MemberChange::Add(member)).await?;
            output.done(&said)
        }
        ClusterCommand::Remove { id } => {
            client.change_members(&MemberChange::Remove(MemberId(id))).await?;
            output.done(&format!("member {id} is no member any more"))
        }
        ClusterCommand::TransferLeader { to } => {
            let leader = client.transfer_leader(to.map(MemberId)).await?;
            match output.format {
                Format::Json => output.json(&serde_json::json!({ "leader": leader.0 })),
                Format::Table => Ok(output.line(&format!("member {leader} leads"))?),
            }
        }
    }
}

fn parse_member(text: &str) -> anyhow::Result<Member> {
    let form = || format!("member {text:?} is not id@host:port, such as 4@10.0.0.4:8848");
    let (id, address) = text.split_once('@').with_context(form)?;
    let (address, peer_port) = match address.split_once('/') {
        Some((address, port)) => (address, Some(port.parse::<u16>().ok().with_context(form)?)),
        None => (address, None),
    };
    let (host, port) = address.rsplit_once(':').with_context(form)?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0).with_context(form)?;
    let peer_port = peer_port.or(port.checked_add(PEER_PORT_OFFSET)).with_context(form)?;
    let id = id
        .parse()
        .ok()
        .filter(|id| *id > 0 && !host.is_empty())
        .with_context(form)?;
    Ok(Member {
        id: MemberId(id),
        client_address: address.to_owned(),
        peer_address: format!("{host}:{peer_port}"),
    })
}

fn show(status: &ClusterStatus, output: &mut Output) -> anyhow::Result<()> {
    let ready = if status.ready {
        "ready".to_owned()
    } else {
        format!("not ready: {}", status.reasons.join("; "))
    };
    output.line(&format!(
        "asked node {} ({}, version {}), {ready}",
        status.local, status.role, status.version
    ))?;
    output.line(&match status.leader {
        Some(leader) => format!(
            "leader {leader}, term {}, committed {}",
            status.term, status.committed_index
        ),
        None => format!("no leader, term {}: persistent writes are refused", status.term),
    })?;
    if !status.quorum {
        output.line("this node sees no majority: it serves what it has, marks nothing, removes nothing")?;
    }
    if let Some(fatal) = &status.fatal {
        output.line(&format!("this node takes no part in consensus: {fatal}"))?;
    }
    output.line(&format!(
        "services {}, ephemeral instances {} ({} beat here), persistent instances {}, subscriptions here {}, digest {}",
        status.services,
        status.ephemeral_instances,
        status.responsible_instances,
        status.persistent_instances,
        status.subscriptions,
        status.digest,
    ))?;
    output.line("")?;
    let mut table = Table::new(&[
        "ID",
        "ADDRESS",
        "PEER ADDRESS",
        "ROLE",
        "VOTER",
        "ALIVE",
        "READY",
        "INDEX",
        "SEEN MS",
        "SKEW MS",
    ]);
    for member in &status.members {
        table.row(vec![
            member.id.to_string(),
            member.client_address.clone(),
            member.peer_address.clone(),
            member.role.clone(),
            yes_or_no(member.voter),
            yes_or_no(member.alive),
            yes_or_no(member.ready),
            or_dash(member.matched_index),
            or_dash(member.last_seen_ms),
            or_dash(member.skew_ms),
        ]);
    }
    output.table(&table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_to_add_has_its_peer_port_1001_above() {
        let member = parse_member("4@10.0.0.4:8848").unwrap();
        assert_eq!(
            (member.id, member.peer_address.as_str()),
            (MemberId(4), "10.0.0.4:9849")
        );
        assert_eq!(parse_member("4@h:1/7").unwrap().peer_address, "h:7");
        for wrong in ["h:1", "x@h:1", "0@h:1", "4@h", "4@:1", "4@h:0", "4@h:65000"] {
            assert!(parse_member(wrong).is_err(), "{wrong}");
        }
    }
}

//! Connecting, and the calls that every scenario makes.

use std::collections::{HashMap, HashSet};
use std::fs;

use nacos_sdk::api::naming::{NamingService, NamingServiceBuilder, ServiceInstance};
use nacos_sdk::api::props::ClientProps;

use crate::report::{check, eventually, setting, text};

/// A group of its own, so that grouped names are exercised.
pub const GROUP: &str = "compat-rust";

pub fn nodes() -> Vec<String> {
    setting("COMPAT_NODES").split(',').map(str::to_owned).collect()
}

pub fn service(word: &str) -> String {
    format!("compat-rust-{word}-{}", setting("COMPAT_RUN"))
}

pub fn port(offset: i32) -> i32 {
    setting("COMPAT_PORT").parse::<i32>().expect("COMPAT_PORT is a number") + offset
}

pub async fn connect(to: &[String]) -> Result<NamingService, String> {
    let settings = ClientProps::new()
        .server_addr(to.join(","))
        .namespace("")
        .app_name("compat");
    NamingServiceBuilder::new(settings).build().await.map_err(text)
}

pub async fn connect_to(node: &str) -> Result<NamingService, String> {
    connect(&[node.to_owned()]).await
}

pub fn instance(offset: i32) -> ServiceInstance {
    ServiceInstance {
        ip: setting("COMPAT_IP"),
        port: port(offset),
        ..ServiceInstance::default()
    }
}

pub fn weighing(offset: i32, weight: f64) -> ServiceInstance {
    ServiceInstance {
        weight,
        ..instance(offset)
    }
}

pub async fn register(client: &NamingService, service: &str, instance: ServiceInstance) -> Result<(), String> {
    let group = Some(GROUP.to_owned());
    client
        .register_instance(service.to_owned(), group, instance)
        .await
        .map_err(text)
}

pub async fn deregister(client: &NamingService, service: &str, instance: ServiceInstance) -> Result<(), String> {
    let group = Some(GROUP.to_owned());
    client
        .deregister_instance(service.to_owned(), group, instance)
        .await
        .map_err(text)
}

pub async fn batch(client: &NamingService, service: &str, instances: Vec<ServiceInstance>) -> Result<(), String> {
    let group = Some(GROUP.to_owned());
    client
        .batch_register_instance(service.to_owned(), group, instances)
        .await
        .map_err(text)
}

/// What the client's server lists: not from the client's cache.
pub async fn list(client: &NamingService, service: &str) -> Result<Vec<ServiceInstance>, String> {
    let group = Some(GROUP.to_owned());
    client
        .get_all_instances(service.to_owned(), group, Vec::new(), false)
        .await
        .map_err(text)
}

/// The node with whose gRPC port each connection of this process is, by the connection's own port.
pub fn connections() -> HashMap<u16, u16> {
    let mut own = HashSet::new();
    for entry in fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        if let Ok(target) = fs::read_link(entry.path())
            && let Some(inode) = target.to_str().and_then(|text| text.strip_prefix("socket:["))
        {
            own.insert(inode.trim_end_matches(']').to_owned());
        }
    }
    let table = fs::read_to_string("/proc/self/net/tcp").unwrap_or_default();
    let end =
        |address: &str| u16::from_str_radix(address.rsplit(':').next().unwrap_or_default(), 16).unwrap_or_default();
    let lines = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        // The fourth field is the state, 01 established; the tenth the socket's inode.
        .filter(|fields| fields.len() > 9 && fields[3] == "01" && own.contains(fields[9]))
        .map(|fields| (end(fields[1]), end(fields[2])))
        .collect()
}

pub fn grpc_port(node: &str) -> u16 {
    let port = node.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    port.expect("a node has a port") + 1000
}

/// A client that knows `nodes` and chose one of them, and which.
async fn chosen(nodes: &[String]) -> Result<(NamingService, String), String> {
    let before = connections();
    let client = connect(nodes).await?;
    let node = eventually("a connection", 5, || async {
        let now = connections();
        let fresh = now.iter().find(|(own, _)| !before.contains_key(own));
        fresh.and_then(|(_, port)| nodes.iter().find(|node| grpc_port(node) == *port).cloned())
    })
    .await?;
    Ok((client, node))
}

/// `each` clients that know all of `nodes` on every one of `wanted`: this client chooses at random, so some are made in vain.
pub async fn spread(nodes: &[String], wanted: &[String], each: usize) -> Result<Vec<(NamingService, String)>, String> {
    let mut spread: Vec<(NamingService, String)> = Vec::new();
    for _ in 0..60 {
        let on = |node: &String| spread.iter().filter(|(_, its)| its == node).count();
        if wanted.iter().all(|node| on(node) >= each) {
            return Ok(spread);
        }
        let (client, node) = chosen(nodes).await?;
        if wanted.contains(&node) && on(&node) < each {
            spread.push((client, node));
        }
    }
    check(false, || "sixty clients did not come to all nodes".to_owned())?;
    Ok(spread)
}

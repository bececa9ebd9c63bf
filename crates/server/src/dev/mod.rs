//! `muster dev`: three real processes on this machine.
//!
//! Starts three nodes of this same program, waits until all are ready, prints what to try, then prints members coming and
//! going until it is told to stop. It restarts nothing: a developer who kills a node wants to see what happens.

mod children;
mod news;

use crate::settings::{GRPC_PORT_OFFSET, MemberList};
use crate::signals::Stops;
use anyhow::{Context, bail, ensure};
use children::{Children, Plan};
use clap::Args;
use muster_cli::time_of_day;
use muster_runtime::Clock;
use muster_sdk::Client;
use news::{Process, Sight, news};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

const NODES: u64 = 3;
/// Between the main ports of two nodes, as people who run three Nacos on a machine lay them out.
const PORT_STEP: u16 = 10;
/// How often the nodes are asked how they are.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a node may take to say how it is.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the wait for readiness is explained.
const EXPLAIN_EVERY: Duration = Duration::from_secs(5);
/// Above the sum of a node's own deadlines for stopping.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, Args)]
pub struct DevFlags {
    /// Main port of the first node; the others are 10 and 20 above
    #[arg(long, default_value_t = 8848, value_parser = clap::value_parser!(u16).range(1..=64_000))]
    pub base_port: u16,
    /// Where the nodes keep their data; kept when they end
    #[arg(long, default_value = "data/dev", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Log levels of the nodes, as RUST_LOG writes them
    #[arg(long, default_value = "info,openraft=warn", value_name = "LEVELS")]
    pub log: String,
    /// Any setting of the nodes by its key; may be given again
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// Runs the three nodes until told to stop.
///
/// # Errors
/// A node ended before all were ready; all nodes are gone.
pub async fn run(flags: DevFlags) -> anyhow::Result<()> {
    let (stops, listening) = Stops::listen(false)?;
    let cluster = async {
        let mut children = start(&flags)?;
        let outcome = tokio::select! {
            outcome = watch(&flags, &mut children) => outcome,
            () = stops.told(1) => Ok(()),
        };
        say("stopping; once more to kill");
        tokio::select! {
            left = children.stop(STOP_TIMEOUT) => {
                if !left.is_empty() {
                    say(&format!("killed after {STOP_TIMEOUT:?}: nodes {left:?}"));
                }
            }
            () = stops.told(2) => children.kill().await,
        }
        say(&format!("ended; the data is kept under {}", flags.data_dir.display()));
        outcome
    };
    tokio::select! {
        outcome = cluster => outcome,
        () = listening => unreachable!("listening never ends"),
    }
}

fn start(flags: &DevFlags) -> anyhow::Result<Children> {
    let plans = plans(flags)?;
    say(&format!(
        "starting {NODES} nodes; data under {}, logs in {}",
        flags.data_dir.display(),
        flags.data_dir.join("node-*.log").display()
    ));
    let program = std::env::current_exe().context("finding this program")?;
    Children::start(&program, plans)
}

/// What each node is started with.
fn plans(flags: &DevFlags) -> anyhow::Result<Vec<Plan>> {
    let at = |id: u64, offset: u16| format!("127.0.0.1:{}", flags.base_port + PORT_STEP * (id as u16 - 1) + offset);
    let address = |id: u64| at(id, 0);
    let members: Vec<_> = (1..=NODES).map(|id| format!("{id}@{}", address(id))).collect();
    let members = members.join(",");
    members.parse::<MemberList>().context("--base-port")?;
    for pair in &flags.set {
        ensure!(pair.contains('='), "--set {pair:?} is not key=value");
    }
    let set = |pair: &str| flags.set.iter().any(|given| given == pair);
    ensure!(
        !flags.set.iter().any(|given| given.starts_with("tls.certificate="))
            || set("tls.http=off")
            || set("tls.http_plaintext_too=true"),
        "dev asks its nodes by plaintext: with TLS, --set tls.http=off or tls.http_plaintext_too=true as well"
    );
    let plan = |id: u64| {
        let mut arguments: Vec<String> = ["server", "--end-with-stdin", "--id"].map(str::to_owned).to_vec();
        arguments.push(id.to_string());
        arguments.extend([
            "--listen".to_owned(),
            address(id),
            "--members".to_owned(),
            members.clone(),
        ]);
        arguments.extend(["--log".to_owned(), flags.log.clone()]);
        for pair in &flags.set {
            arguments.extend(["--set".to_owned(), pair.clone()]);
        }
        Plan {
            id,
            address: address(id),
            grpc_address: at(id, GRPC_PORT_OFFSET),
            data_dir: flags.data_dir.join(format!("node-{id}")),
            log: flags.data_dir.join(format!("node-{id}.log")),
            arguments,
        }
    };
    Ok((1..=NODES).map(plan).collect())
}

async fn watch(flags: &DevFlags, children: &mut Children) -> anyhow::Result<()> {
    let clock = Clock::system();
    let begun = clock.now();
    let clients = children
        .plans()
        .map(|plan| {
            Client::new(&muster_sdk::Config {
                servers: vec![plan.address.clone()],
                timeout: LOOK_TIMEOUT,
                ..muster_sdk::Config::default()
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut before: Vec<Sight> = children.plans().map(|plan| Sight::starting(plan.id)).collect();
    let mut all_were_ready = false;
    let mut explained = begun;
    loop {
        let now = look(children, &clients).await;
        let time = time_of_day(clock.wall_ms());
        if all_were_ready {
            for line in news(&before, &now) {
                say(&format!("{time}  {line}"));
            }
        } else if let Some(dead) = now.iter().find(|sight| sight.process != Process::Running) {
            let log = children.last_log_lines(dead.id);
            bail!(
                "node {} ended before all were ready ({}); its last words:\n{log}",
                dead.id,
                dead.process
            );
        } else if now.iter().all(|sight| sight.ready) && now.iter().any(|sight| sight.leader.is_some()) {
            all_were_ready = true;
            let leader = now.iter().find_map(|sight| sight.leader);
            say(&format!(
                "all ready after {:.1} s, node {} leads\n",
                (clock.now() - begun).as_secs_f64(),
                leader.unwrap_or_default()
            ));
            introduce(flags, children);
        } else if clock.now() - explained >= EXPLAIN_EVERY {
            explained = clock.now();
            for sight in now.iter().filter(|sight| !sight.ready) {
                say(&format!("{time}  waiting for node {}: {}", sight.id, sight.why()));
            }
        }
        if now.iter().all(|sight| sight.process != Process::Running) && !now.iter().any(|sight| sight.ready) {
            bail!("all nodes are gone");
        }
        before = now;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn look(children: &mut Children, clients: &[Client]) -> Vec<Sight> {
    let processes = children.processes();
    let asked = clients.iter().map(Client::cluster_status);
    let statuses = join_all(asked).await;
    let sights = processes.into_iter().zip(statuses);
    sights
        .map(|((id, process), status)| Sight::of(id, process, status))
        .collect()
}

/// All answers, asked for at once, in order.
async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, slot) in waiting.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *slot = Some(value);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

fn introduce(flags: &DevFlags, children: &Children) {
    for plan in children.plans() {
        let pid = children.process_id(plan.id).unwrap_or_default();
        say(&format!(
            "  node {}  http://{}/nacos  gRPC {}  process {pid}",
            plan.id, plan.address, plan.grpc_address
        ));
    }
    let port = |node: u16| flags.base_port + PORT_STEP * (node - 1);
    let muster = shown(&std::env::current_exe().unwrap_or_else(|_| PathBuf::from("muster")));
    say("\ntry, each at another node:");
    say(&format!(
        "  {muster} instance watch hello --server 127.0.0.1:{}",
        port(3)
    ));
    say(&format!(
        "  curl -X POST 'http://127.0.0.1:{}/nacos/v1/ns/instance?serviceName=hello&ip=10.0.0.1&port=80&ephemeral=false'",
        port(1)
    ));
    say(&format!(
        "  curl 'http://127.0.0.1:{}/nacos/v1/ns/instance/list?serviceName=hello'\n",
        port(2)
    ));
}

/// A path as short as it can be typed here.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

fn say(line: &str) {
    // A terminal that is gone is no reason to leave the nodes behind.
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(base_port: u16) -> DevFlags {
        DevFlags {
            base_port,
            data_dir: PathBuf::from("d"),
            log: "info".to_owned(),
            set: vec!["raft.sync=never".to_owned()],
        }
    }

    #[test]
    fn the_three_nodes_know_each_other_and_keep_apart_what_is_theirs() {
        let plans = plans(&flags(8848)).unwrap();
        let addresses: Vec<_> = plans.iter().map(|plan| plan.address.as_str()).collect();
        assert_eq!(addresses, ["127.0.0.1:8848", "127.0.0.1:8858", "127.0.0.1:8868"]);
        let grpc: Vec<_> = plans.iter().map(|plan| plan.grpc_address.as_str()).collect();
        assert_eq!(grpc, ["127.0.0.1:9848", "127.0.0.1:9858", "127.0.0.1:9868"]);
        for plan in &plans {
            let members = "1@127.0.0.1:8848,2@127.0.0.1:8858,3@127.0.0.1:8868".to_owned();
            assert!(plan.arguments.contains(&members));
            assert!(
                plan.arguments
                    .ends_with(&["--set".to_owned(), "raft.sync=never".to_owned()])
            );
            assert!(plan.data_dir.ends_with(format!("node-{}", plan.id)));
        }
    }

    #[test]
    fn tls_is_refused_where_dev_itself_could_not_ask() {
        let with = |set: &[&str]| DevFlags {
            set: set.iter().map(|&pair| pair.to_owned()).collect(),
            ..flags(8848)
        };
        assert!(plans(&with(&["tls.certificate=c", "tls.key=k"])).is_err());
        assert!(plans(&with(&["tls.certificate=c", "tls.key=k", "tls.http=off"])).is_ok());
    }

    #[test]
    fn a_base_port_that_leaves_no_room_is_refused() {
        assert!(plans(&flags(64_515)).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn answers_come_in_the_order_of_the_questions() {
        let futures = [30u64, 10, 20].into_iter().map(|ms| async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            ms
        });
        assert_eq!(join_all(futures).await, [30, 10, 20]);
    }
}

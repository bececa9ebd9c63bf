//! All clients on one service: after every change each of them must come to list the same.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use super::program::{Said, first_port};
use super::report::{Report, Row};
use super::scene::{Cast, Scene};
use super::steps::Client;

/// Push brings a change at once and polling within 10 s, Nacos's `cacheMillis`; Python asks the server itself.
const AGREED_WITHIN: Duration = Duration::from_secs(20);

/// Each client on a node of its own choice; a change by one in turn, then the lists of all.
pub(super) fn play(scene: &Scene, clients: &[&'static Client], report: &mut Report) -> Result<()> {
    let clients: Vec<_> = clients.iter().copied().filter(|client| client.mixed).collect();
    let clients = clients.as_slice();
    let addresses = &scene.nodes.addresses;
    let mut cast = scene.cast(clients, "mixed", |index| {
        vec![addresses[index % addresses.len()].clone()]
    })?;
    // Started programs take seconds of their own, which are no part of what is measured.
    let mut starting = clients.len();
    while starting > 0 {
        let Some((_, said)) = cast.next() else { break };
        starting -=
            usize::from(matches!(said, Said::Gone) || matches!(&said, Said::Line(line) if line.get("ask").is_some()));
    }
    let mut expected: Vec<String> = Vec::new();
    let host = |index: usize, weight: usize| format!("{}/{weight}/true", first_port(index) + 70);

    for (index, client) in clients.iter().enumerate() {
        let step = format!("{}_registers", client.label());
        expected.push(host(index, index + 1));
        change(
            &mut cast,
            clients,
            report,
            &step,
            index,
            &format!("register 70 {}", index + 1),
            &expected,
        );
    }
    expected[0] = host(0, 9);
    change(
        &mut cast,
        clients,
        report,
        "weight_changes",
        0,
        "register 70 9",
        &expected,
    );
    for (index, client) in clients.iter().enumerate() {
        let step = format!("{}_leaves", client.label());
        expected.remove(0);
        change(&mut cast, clients, report, &step, index, "deregister 70", &expected);
    }
    for program in &mut cast.programs {
        program.answer("end");
    }
    Ok(())
}

/// Has one client make a change, then asks all for their lists until they agree with `expected`.
fn change(
    cast: &mut Cast,
    clients: &[&'static Client],
    report: &mut Report,
    step: &str,
    by: usize,
    command: &str,
    expected: &[String],
) {
    let mut sorted = expected.to_vec();
    sorted.sort();
    let start = Instant::now();
    let (mut result, mut detail) = ("ok", String::new());
    if let Err(error) = tell(cast, by, command) {
        (result, detail) = ("fail", error);
    }
    // An empty list leaves some clients' caches as they were: that is theirs to decide, and no server can change it.
    let mut open: Vec<usize> = (0..clients.len())
        .filter(|&index| clients[index].takes_empty || !sorted.is_empty())
        .collect();
    let mut lists = vec![String::new(); clients.len()];
    while result == "ok" && !open.is_empty() && start.elapsed() < AGREED_WITHIN {
        open.retain(|&index| {
            let listed = tell(cast, index, "list");
            let agrees = listed.as_ref() == Ok(&sorted);
            if agrees {
                detail.push_str(&format!(
                    "{} {:.0}, ",
                    clients[index].label(),
                    start.elapsed().as_secs_f64() * 1000.0
                ));
            }
            lists[index] = format!("{listed:?}");
            !agrees
        });
        std::thread::sleep(Duration::from_millis(20));
    }
    if result == "ok" && !open.is_empty() {
        let apart: Vec<_> = open
            .iter()
            .map(|&index| format!("{} lists {}", clients[index].label(), lists[index]))
            .collect();
        (result, detail) = ("fail", format!("expected {sorted:?}, but {}", apart.join("; ")));
    }
    report.push(Row {
        client: "mixed".to_owned(),
        version: String::new(),
        step: step.to_owned(),
        result: result.to_owned(),
        ms: Some(start.elapsed().as_secs_f64() * 1000.0),
        detail: detail.trim_end_matches(", ").to_owned(),
    });
}

/// One command to one client; what it lists afterwards, if it was asked for that.
fn tell(cast: &mut Cast, index: usize, command: &str) -> Result<Vec<String>, String> {
    cast.programs[index].answer(command);
    loop {
        match cast.next() {
            None => return Err("the scenario's time is over".to_owned()),
            Some((who, Said::Gone)) if who == index => return Err("its program ended".to_owned()),
            Some((who, Said::Line(line))) if who == index && line.get("done").is_some() => {
                if let Some(error) = line.get("error").and_then(Value::as_str) {
                    return Err(error.to_owned());
                }
                let hosts = line.get("hosts").and_then(Value::as_array).cloned().unwrap_or_default();
                let mut hosts: Vec<_> = hosts.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                hosts.sort();
                return Ok(hosts);
            }
            Some(_) => {}
        }
    }
}

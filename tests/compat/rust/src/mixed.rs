//! Does what the runner says, for the scenario in which all clients share one service.

use nacos_sdk::api::naming::NamingService;
use serde_json::json;

use crate::client::{connect, nodes, weighing};
use crate::report::{ask, say, setting, text};

pub async fn play() -> Result<(), String> {
    let client = connect(&nodes()).await?;
    let service = format!("compat-mixed-{}", setting("COMPAT_RUN"));
    loop {
        let line = ask("next").await;
        let words: Vec<_> = line.split_whitespace().collect();
        let verb = words.first().copied().unwrap_or("end");
        if verb == "end" {
            return Ok(());
        }
        match perform(&client, &service, &words).await {
            Ok(hosts) => say(&json!({ "done": verb, "hosts": hosts })),
            Err(error) => say(&json!({ "done": verb, "error": error })),
        }
    }
}

async fn perform(client: &NamingService, service: &str, words: &[&str]) -> Result<Vec<String>, String> {
    let service = service.to_owned();
    match words {
        ["register", offset, weight] => {
            let instance = weighing(offset.parse().map_err(text)?, weight.parse().map_err(text)?);
            client.register_instance(service, None, instance).await.map_err(text)?;
            Ok(Vec::new())
        }
        ["deregister", offset] => {
            let instance = weighing(offset.parse().map_err(text)?, 1.0);
            client
                .deregister_instance(service, None, instance)
                .await
                .map_err(text)?;
            Ok(Vec::new())
        }
        ["list"] => {
            // As an application reads it: from the cache that the pushes keep.
            let found = client
                .get_all_instances(service, None, Vec::new(), true)
                .await
                .map_err(text)?;
            let line = |port, weight, healthy| format!("{port}/{weight}/{healthy}");
            let mut hosts: Vec<_> = found
                .iter()
                .map(|host| line(host.port, host.weight, host.healthy))
                .collect();
            hosts.sort();
            Ok(hosts)
        }
        other => Err(format!("no such command: {other:?}")),
    }
}

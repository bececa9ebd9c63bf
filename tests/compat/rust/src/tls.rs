//! Everything once more, briefly, through TLS. This client takes TLS for all connections or for none, by a feature of its crate, so
//! another build of this program plays here; the authority comes from `NACOS_CLIENT_TLS_CA_CERT`, and there is no way to give it a
//! certificate of its own.

use std::os::unix::process::CommandExt;

use crate::client::{GROUP, connect, instance, list, register, service, weighing};
use crate::report::{Done, check, eventually, run, setting, text, took, well};
use crate::watch::{Watch, has};

pub async fn play() -> Result<(), String> {
    if cfg!(not(feature = "tls")) {
        let other = std::env::current_exe().map_err(text)?.with_file_name("rust-client-tls");
        let mut command = std::process::Command::new(other);
        command
            .arg("tls")
            .env("NACOS_CLIENT_TLS_CA_CERT", setting("COMPAT_TLS_CA"));
        // Only comes back when it could not be started.
        return Err(text(command.exec()));
    }
    let nodes: Vec<_> = setting("COMPAT_TLS").split(',').map(str::to_owned).collect();
    let service = service("tls");
    let (publisher, subscriber) = (connect(&nodes).await?, connect(&nodes).await?);
    let port = instance(1).port;
    run("tls_register", async {
        register(&publisher, &service, instance(1)).await?;
        well("")
    })
    .await;
    run("tls_list", async {
        eventually("the instance", 5, || async {
            list(&subscriber, &service).await.ok().filter(|hosts| has(hosts, port))
        })
        .await?;
        well("")
    })
    .await;
    run("tls_push", async {
        let seen = Watch::start(&subscriber, &service, GROUP).await?;
        seen.lists("the first callback", 5, &[port]).await?;
        let change = register(&publisher, &service, weighing(1, 2.0));
        let ms = seen
            .change("another weight", 5, change, |hosts| {
                hosts.iter().any(|host| host.weight == 2.0)
            })
            .await?;
        took(ms, "publisher's call to subscriber's callback")
    })
    .await;
    let foreign = refused(setting("COMPAT_TLS"), setting("COMPAT_TLS_OTHER_CA"));
    run("tls_refuses_unknown_ca", foreign).await;
    let nameless = refused(setting("COMPAT_TLS_MUTUAL"), setting("COMPAT_TLS_CA"));
    run("tls_mutual_refuses", nameless).await;
    Ok(())
}

/// The same program once more, which cannot connect to these nodes with what it is told.
async fn refused(nodes: String, authority: String) -> Done {
    let program = std::env::current_exe().map_err(text)?;
    let child = tokio::process::Command::new(program)
        .arg("hold")
        .env("COMPAT_NODES", nodes)
        .env("HOLD_SERVICE", "compat-rust-refused")
        .env("NACOS_CLIENT_TLS_CA_CERT", authority)
        .kill_on_drop(true)
        .status();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(10), child).await;
    // `hold` stays while it holds an instance, and ends at once when it cannot connect.
    let status = ended
        .map_err(|_| "it connects all the same".to_owned())?
        .map_err(text)?;
    check(!status.success(), || "it ended well".to_owned())?;
    well("")
}

//! `muster server`: its flags, and the run of one node.

use crate::settings::{Layers, Settings, print_effective};
use crate::signals::Stops;
use crate::{logging, node};
use clap::Args;
use std::path::PathBuf;

/// The exit code of a process that was told to stop twice: that of one ended by SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

/// Flags; each is laid over file and environment. `--set` reaches the settings that have no flag of their own.
#[derive(Clone, Debug, Default, Args)]
pub struct ServerFlags {
    /// A file of settings in TOML
    #[arg(long, env = "MUSTER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// This node's number in the cluster
    #[arg(long)]
    pub id: Option<String>,
    /// Where everything is kept
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Where clients are answered by HTTP
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Option<String>,
    /// Where the other members are answered [default: main port + 1001]
    #[arg(long, value_name = "IP:PORT")]
    pub peer_listen: Option<String>,
    /// Where gRPC clients are answered [default: main port + 1000]
    #[arg(long, value_name = "IP:PORT")]
    pub grpc_listen: Option<String>,
    /// The socket that pushes leave from [default: main port]
    #[arg(long, value_name = "IP:PORT")]
    pub udp_listen: Option<String>,
    /// A certificate in PEM: HTTP and gRPC speak TLS
    #[arg(long, value_name = "FILE")]
    pub tls_certificate: Option<String>,
    /// Its private key in PEM
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<String>,
    /// Clients must show a certificate that this one vouches for
    #[arg(long, value_name = "FILE")]
    pub tls_client_authority: Option<String>,
    /// The founding members, this one included: 1@host:port,2@host:port,3@host:port
    #[arg(long)]
    pub members: Option<String>,
    /// Members of clusters with different names refuse each other
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// What stands before every Nacos path
    #[arg(long)]
    pub prefix: Option<String>,
    /// Answer clients even though no peer's copy of the ephemeral instances could be loaded
    #[arg(long)]
    pub force_open: bool,
    /// Log levels, as RUST_LOG writes them
    #[arg(long, value_name = "LEVELS")]
    pub log: Option<String>,
    /// text or json
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Any setting by its key, such as raft.heartbeat_ms=200; may be given again
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub set: Vec<(String, String)>,
    /// Print the settings that the node would run with and where each comes from, and exit
    #[arg(long)]
    pub print_config: bool,
    /// Stop when standard input ends
    #[arg(long, hide = true)]
    pub end_with_stdin: bool,
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("not key=value")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

impl ServerFlags {
    fn layers(&self, environment: impl IntoIterator<Item = (String, String)>) -> anyhow::Result<Layers> {
        let mut layers = Layers::default();
        if let Some(path) = &self.config {
            layers = layers.file(path)?;
        }
        layers = layers.environment(environment);
        let named = [
            ("--id", "id", &self.id),
            ("--data-dir", "data_dir", &self.data_dir),
            ("--listen", "listen", &self.listen),
            ("--peer-listen", "peer_listen", &self.peer_listen),
            ("--grpc-listen", "grpc.listen", &self.grpc_listen),
            ("--udp-listen", "udp.listen", &self.udp_listen),
            ("--tls-certificate", "tls.certificate", &self.tls_certificate),
            ("--tls-key", "tls.key", &self.tls_key),
            (
                "--tls-client-authority",
                "tls.client_authority",
                &self.tls_client_authority,
            ),
            ("--members", "members", &self.members),
            ("--cluster-name", "cluster_name", &self.cluster_name),
            ("--prefix", "http.prefix", &self.prefix),
            ("--log", "log.filter", &self.log),
            ("--log-format", "log.format", &self.log_format),
        ];
        for (flag, key, value) in named {
            if let Some(value) = value {
                layers = layers.flag(flag, key, value);
            }
        }
        if self.force_open {
            layers = layers.flag("--force-open", "force_open", "true");
        }
        for (key, value) in &self.set {
            layers = layers.flag("--set", key, value);
        }
        Ok(layers)
    }
}

/// Runs a node until it is told to stop.
///
/// # Errors
/// Wrong settings, and what keeps a node from starting or going on.
pub async fn run(flags: ServerFlags) -> anyhow::Result<()> {
    let layers = flags.layers(std::env::vars())?;
    let settings = layers.load()?;
    if flags.print_config {
        use std::io::Write;
        std::io::stdout().write_all(print_effective(&settings, &layers).as_bytes())?;
        return Ok(());
    }
    logging::start(&settings.log)?;
    for warning in settings.warnings() {
        tracing::warn!("{warning}");
    }
    run_until_told(settings, flags.end_with_stdin).await
}

async fn run_until_told(settings: Settings, end_with_stdin: bool) -> anyhow::Result<()> {
    let (stops, listening) = Stops::listen(end_with_stdin)?;
    let (once, twice) = (stops.clone(), stops);
    tokio::select! {
        ended = node::run(settings, async move { once.told(1).await }) => ended,
        () = async move { twice.told(2).await } => {
            tracing::warn!("told to stop twice, ending at once");
            std::process::exit(EXIT_INTERRUPTED);
        }
        () = listening => unreachable!("listening never ends"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_reaches_its_setting() {
        let flags = ServerFlags {
            id: Some("2".into()),
            data_dir: Some("d".into()),
            listen: Some("127.0.0.1:1".into()),
            peer_listen: Some("127.0.0.1:2".into()),
            grpc_listen: Some("127.0.0.1:4".into()),
            udp_listen: Some("127.0.0.1:3".into()),
            tls_certificate: Some("c".into()),
            tls_key: Some("k".into()),
            tls_client_authority: Some("a".into()),
            members: Some("1@a:1,2@b:1".into()),
            cluster_name: Some("c".into()),
            prefix: Some("/p".into()),
            log: Some("debug".into()),
            log_format: Some("json".into()),
            force_open: true,
            set: vec![("raft.sync".into(), "never".into())],
            ..ServerFlags::default()
        };
        let settings = flags.layers([]).unwrap().load().unwrap();
        let defaults = Settings::default();
        assert_eq!(settings.id, 2);
        assert_ne!(settings.data_dir, defaults.data_dir);
        assert_eq!(settings.listen.port(), 1);
        assert_eq!(settings.peer_listen.map(|address| address.port()), Some(2));
        assert_eq!(settings.grpc_listen().port(), 4);
        let tls = settings.grpc_tls().unwrap();
        assert_eq!(
            [tls.certificate, tls.key, tls.client_authority.unwrap()],
            ["c", "k", "a"].map(PathBuf::from)
        );
        assert_eq!(settings.udp.listen.map(|address| address.port()), Some(3));
        assert_eq!(settings.members.members().len(), 2);
        assert_eq!(
            (settings.cluster_name.as_str(), settings.http.prefix.as_str()),
            ("c", "/p")
        );
        assert_ne!(settings.log, defaults.log);
        assert!(settings.force_open);
        assert_ne!(settings.raft.sync, defaults.raft.sync);
    }
}

//! What the command line reads.

use clap::{Args, Subcommand, ValueEnum};
use muster_model::{ClusterName, GroupName, Host, InstanceKey, Metadata, NamespaceId, ServiceKey, ServiceName, Weight};
use muster_sdk::Client;
use std::path::PathBuf;

/// How answers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Table,
    Json,
}

/// Whom to ask and in which names.
#[derive(Clone, Debug, Args)]
pub struct Connection {
    /// A server, host:port or https://host:port; several with commas, of which any may answer
    #[arg(
        long,
        env = "MUSTER_SERVER",
        default_value = "127.0.0.1:8848",
        value_delimiter = ',',
        global = true
    )]
    pub server: Vec<String>,
    /// Who vouches for servers named by https: certificates in PEM
    #[arg(long, env = "MUSTER_CA", value_name = "FILE", global = true)]
    pub ca: Option<PathBuf>,
    /// A certificate in PEM to show to servers that ask for one
    #[arg(
        long,
        env = "MUSTER_CLIENT_CERTIFICATE",
        value_name = "FILE",
        requires = "ca",
        requires = "client_key",
        global = true
    )]
    pub client_certificate: Option<PathBuf>,
    /// Its private key in PEM
    #[arg(
        long,
        env = "MUSTER_CLIENT_KEY",
        value_name = "FILE",
        requires = "client_certificate",
        global = true
    )]
    pub client_key: Option<PathBuf>,
    /// What stands before every path at the servers
    #[arg(long = "server-prefix", default_value = "/nacos", global = true)]
    pub prefix: String,
    #[arg(long, env = "MUSTER_NAMESPACE", default_value = "public", value_parser = namespace, global = true)]
    pub namespace: NamespaceId,
    /// The group of services that are named without one
    #[arg(long, env = "MUSTER_GROUP", value_parser = group, global = true)]
    pub group: Option<GroupName>,
    #[arg(long, env = "MUSTER_OUTPUT", value_enum, default_value_t, global = true)]
    pub output: Format,
}

impl Connection {
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::new(&muster_sdk::Config {
            servers: self.server.clone(),
            tls: self.ca.clone().map(|authority| muster_sdk::Tls {
                authority,
                identity: self.client_certificate.clone().zip(self.client_key.clone()),
            }),
            prefix: self.prefix.clone(),
            ..muster_sdk::Config::default()
        })?)
    }

    /// A service as the command line names it: `name`, or `group@@name`, which wins over `--group`.
    ///
    /// # Errors
    /// A name that is none.
    pub(crate) fn service(&self, text: &str) -> anyhow::Result<ServiceKey> {
        let (group, name) = match text.split_once("@@") {
            Some((group, name)) => (GroupName::parse(group)?, name),
            None => (self.group.clone().unwrap_or_else(GroupName::default_group), text),
        };
        Ok(ServiceKey::new(
            self.namespace.clone(),
            group,
            ServiceName::parse(name)?,
        ))
    }
}

/// The operator's commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Look at services
    Service {
        #[command(flatten)]
        connection: Connection,
        #[command(subcommand)]
        command: ServiceCommand,
    },
    /// Register, deregister and look at instances
    Instance {
        #[command(flatten)]
        connection: Connection,
        #[command(subcommand)]
        command: InstanceCommand,
    },
    /// Look at the cluster and change its members
    Cluster {
        #[command(flatten)]
        connection: Connection,
        #[command(subcommand)]
        command: ClusterCommand,
    },
}

impl Command {
    pub(crate) fn connection(&self) -> &Connection {
        match self {
            Command::Service { connection, .. }
            | Command::Instance { connection, .. }
            | Command::Cluster { connection, .. } => connection,
        }
    }
}

#[derive(Clone, Debug, Subcommand)]
pub enum ServiceCommand {
    /// The services of a namespace, of all groups unless --group is given
    List {
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
        page: u64,
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000))]
        page_size: u64,
    },
    /// One service with its settings and instances
    Show {
        /// name or group@@name
        service: String,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub enum InstanceCommand {
    /// Register an instance; an ephemeral one is kept alive until Ctrl-C, then deregistered
    Register {
        /// name or group@@name
        service: String,
        /// host:port
        #[arg(value_parser = address)]
        address: InstanceKey,
        /// Lives as long as this command runs (the default)
        #[arg(long, conflicts_with = "persistent")]
        ephemeral: bool,
        /// Lives until deregistered
        #[arg(long)]
        persistent: bool,
        #[arg(long, default_value = "1", value_parser = weight)]
        weight: Weight,
        /// The cluster of the service that the instance belongs to
        #[arg(long, default_value = "DEFAULT", value_parser = cluster)]
        cluster: ClusterName,
        /// key=value; may be given again
        #[arg(long = "metadata", value_parser = pair)]
        metadata: Vec<(String, String)>,
        /// Register it without letting callers choose it
        #[arg(long)]
        disabled: bool,
    },
    /// Deregister an instance
    Deregister {
        /// name or group@@name
        service: String,
        /// host:port
        #[arg(value_parser = address)]
        address: InstanceKey,
        /// The instance is a persistent one
        #[arg(long)]
        persistent: bool,
    },
    /// The instances of a service, disabled and unhealthy ones too
    List {
        /// name or group@@name
        service: String,
        #[arg(long)]
        healthy_only: bool,
    },
    /// Print each change of the instances that callers see, until Ctrl-C
    Watch {
        /// name or group@@name
        service: String,
        /// Only these clusters of the service, with commas
        #[arg(long, value_delimiter = ',', value_parser = cluster)]
        clusters: Vec<ClusterName>,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub enum ClusterCommand {
    /// Members, leader, and how far each has come
    Status,
    /// Add a member; start it first, with itself and this cluster in its --members
    Add {
        /// id@host:port, or id@host:port/peer-port
        member: String,
    },
    /// Remove a member
    Remove {
        /// its id
        id: u64,
    },
    /// Hand leadership over
    TransferLeader {
        /// id of the next leader; left out: the most up-to-date
        #[arg(long)]
        to: Option<u64>,
    },
}

fn namespace(text: &str) -> Result<NamespaceId, String> {
    NamespaceId::parse(text).map_err(|error| error.to_string())
}

fn group(text: &str) -> Result<GroupName, String> {
    GroupName::parse(text).map_err(|error| error.to_string())
}

fn cluster(text: &str) -> Result<ClusterName, String> {
    ClusterName::parse(text).map_err(|error| error.to_string())
}

fn weight(text: &str) -> Result<Weight, String> {
    let number = text.parse().map_err(|_| "not a number".to_owned())?;
    Weight::new(number).map_err(|error| error.to_string())
}

fn address(text: &str) -> Result<InstanceKey, String> {
    let (host, port) = text.rsplit_once(':').ok_or("not host:port")?;
    let port = port.parse().map_err(|_| "the port is not a number from 0 to 65535")?;
    let host = Host::parse(host).map_err(|error| error.to_string())?;
    Ok(InstanceKey::new(host, port))
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("not key=value")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Pairs of the command line; the last of a key wins.
pub(crate) fn metadata(pairs: Vec<(String, String)>) -> Metadata {
    pairs.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[derive(Parser)]
    #[command(name = "muster")]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }

    fn read(line: &str) -> Result<Command, String> {
        Line::try_parse_from(line.split(' '))
            .map(|line| line.command)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Line::command().debug_assert();
    }

    #[test]
    fn the_connection_may_stand_before_or_after_the_verb() {
        for line in [
            "muster instance --server a:1,b:2 --output json list svc",
            "muster instance list svc --server a:1,b:2 --output json",
        ] {
            let command = read(line).unwrap();
            assert_eq!(command.connection().server, ["a:1", "b:2"], "{line}");
            assert_eq!(command.connection().output, Format::Json);
        }
    }

    #[test]
    fn a_registration_reads_every_part_of_an_instance() {
        let command = read(
            "muster instance register svc [::1]:80 --persistent --weight 2.5 --cluster c --metadata a=b=c --metadata d=",
        );
        let Ok(Command::Instance {
            command:
                InstanceCommand::Register {
                    address,
                    persistent,
                    weight,
                    metadata,
                    ..
                },
            ..
        }) = command
        else {
            panic!("{command:?}");
        };
        assert_eq!(
            (address.to_string().as_str(), persistent, weight.get()),
            ("[::1]:80", true, 2.5)
        );
        assert_eq!(metadata, [("a".into(), "b=c".into()), ("d".into(), String::new())]);
    }

    #[test]
    fn wrong_values_are_refused_before_anything_is_asked() {
        for line in [
            "muster instance register svc 10.0.0.1",
            "muster instance register svc 10.0.0.1:99999",
            "muster instance register svc 10.0.0.1:80 --weight -1",
            "muster instance register svc 10.0.0.1:80 --ephemeral --persistent",
            "muster instance register svc 10.0.0.1:80 --metadata x",
            "muster service list --page 0",
            "muster service list --namespace a/b",
            "muster cluster remove two",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_grouped_name_wins_over_the_group_flag() {
        let command = read("muster service --group g show h@@s").unwrap();
        let connection = command.connection();
        assert_eq!(connection.service("h@@s").unwrap().to_string(), "public/h/s");
        assert_eq!(connection.service("s").unwrap().to_string(), "public/g/s");
        assert!(connection.service("a b").is_err());
    }
}

//! A gRPC server on loopback over stores in memory, with a real push behind it.

use super::client::{Client, Socket};
use crate::grpc::{Config, ConnectionInfo, Connections, GrpcServer};
use muster_model::{ConnectionId, Kind};
use muster_naming::testing::{Parts, Testbed, instance, service};
use muster_push::{Push, SubscriptionInfo, SubscriptionKey, Target};
use muster_runtime::{Clock, Shutdown, TaskKind, Tasks};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub(super) const MESSAGE_BYTES_MAX: usize = 300_000;
pub(super) const CONNECTIONS_MAX: usize = 40;

/// A served door. The stores live as long as this.
pub(super) struct Rig {
    pub(super) bed: Testbed,
    pub(super) connections: Connections,
    pub(super) address: SocketAddr,
    pub(super) shutdown: Shutdown,
    pub(super) tasks: Tasks,
}

impl Rig {
    pub(super) async fn open() -> Self {
        let rig = Self::closed().await;
        rig.begin();
        rig
    }

    /// Serving, but not yet opened.
    pub(super) async fn closed() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let clock = Clock::system();
        let mut config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            connections_max: CONNECTIONS_MAX,
            message_bytes_max: MESSAGE_BYTES_MAX,
            write_timeout: Duration::from_secs(3),
            tls: None,
        };
        change(&mut config);
        let server = GrpcServer::bind(config, clock.clone()).await.unwrap();
        let (address, connections) = (server.local_addr(), server.connections());
        let (sink, push_clock) = (Arc::new(connections.clone()), clock.clone());
        let bed = Testbed::start_with(Parts {
            clock,
            push: Some(Box::new(move |changes, tasks| {
                Push::start(
                    muster_push::Config::default(),
                    Arc::new(changes),
                    sink,
                    push_clock,
                    tasks,
                )
            })),
            ..Parts::default()
        });
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(Shutdown::new());
        let running = server.run(shutdown.clone(), Duration::from_secs(5), tasks.clone());
        tasks.spawn("grpc", TaskKind::Contained, running);
        Self {
            bed,
            connections,
            address,
            shutdown,
            tasks,
        }
    }

    pub(super) fn begin(&self) {
        let push = self.bed.naming.push().clone();
        self.connections.open(self.bed.naming.clone(), push.clone());
        push.open();
    }

    pub(super) async fn connect(&self) -> Client {
        Client::connect(self.address, Socket::Plain).await
    }

    /// A client that has done what Java's does.
    pub(super) async fn java(&self) -> (Client, super::client::Stream, ConnectionInfo) {
        let mut client = self.connect().await;
        let check = client
            .call("ServerCheckRequest", r#"{"headers":{},"module":"internal"}"#)
            .await;
        let name = check.text("connectionId");
        let mut stream = client.open().await.unwrap();
        stream.say("ConnectionSetupRequest", super::client::JAVA_SETUP).await;
        let (ack, _) = stream.next().await.unwrap();
        assert_eq!(ack, "SetupAckRequest");
        let info = self.connections.find(&name).unwrap();
        (client, stream, info)
    }

    /// What a registration on this connection does.
    pub(super) fn publish(&self, connection: ConnectionId, name: &str, addresses: &[&str]) {
        let instances = addresses
            .iter()
            .map(|address| instance(address, Kind::Ephemeral))
            .collect();
        self.bed
            .naming
            .publish(&self.bed.context(), connection, &service(name), instances)
            .unwrap();
    }

    pub(super) fn subscribe(&self, connection: &ConnectionInfo, name: &str) {
        let key = SubscriptionKey {
            service: service(name),
            clusters: "".into(),
            target: Target::Connection {
                id: connection.id,
                peer: connection.peer,
            },
        };
        let info = SubscriptionInfo {
            agent: "".into(),
            app: "".into(),
            datagram_bytes_max: usize::MAX,
        };
        self.bed.naming.subscribe(&self.bed.context(), key, info);
    }

    pub(super) fn listed(&self, name: &str) -> usize {
        self.bed.naming.snapshot(&service(name)).instances.len()
    }

    /// Waits for what the other side's doing brings about here.
    pub(super) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..100_000 {
            if holds(self) {
                return;
            }
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("never: {what}");
    }

    /// As [`Rig::until`], while time stands still.
    pub(super) async fn until_still(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..1_000_000 {
            if holds(self) {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("never: {what}");
    }

    /// A client of good faith is served as ever.
    pub(super) async fn serves(&self) {
        let (mut client, _stream, _) = self.java().await;
        let health = client.call("HealthCheckRequest", "{}").await;
        assert_eq!(health.name, "HealthCheckResponse");
    }
}

/// Time that stands still until it is moved. Paused time alone runs on whenever everybody waits, as if what is on its way
/// through the kernel would never come.
pub(super) struct StillTime {
    _blocks: std::sync::mpsc::Sender<()>,
}

impl StillTime {
    pub(super) fn begin() -> Self {
        tokio::time::pause();
        let (blocks, ended) = std::sync::mpsc::channel::<()>();
        // Time does not run on while such a task is under way.
        #[allow(clippy::disallowed_methods, reason = "never waited for")]
        drop(tokio::task::spawn_blocking(move || ended.recv()));
        Self { _blocks: blocks }
    }

    pub(super) async fn pass(&self, time: Duration) {
        tokio::time::advance(time).await;
    }
}

impl Drop for StillTime {
    fn drop(&mut self) {
        tokio::time::resume();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.shutdown.begin();
        self.tasks.shutdown().begin();
    }
}

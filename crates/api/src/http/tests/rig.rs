//! A server on loopback, and a client that sends exactly what it is told.

use crate::http::{Config, HttpServer, Opener};
use muster_membership::{MemberView, Membership, View};
use muster_model::{Kind, Member, MemberId};
use muster_naming::testing::{Parts, Testbed};
use muster_push::{Delivery, Handed, Push, Sink};
use muster_runtime::{Clock, Shutdown, Tasks};
use muster_transport::memory::Network;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(super) const JAVA: &str = "Nacos-Java-Client:v1.4.6";
pub(super) const BODY_BYTES_MAX: usize = 100_000;

/// An answer as it came.
#[derive(Debug, Clone)]
pub(in crate::http) struct Answer {
    pub(in crate::http) status: u16,
    pub(in crate::http) head: String,
    pub(in crate::http) body: String,
}

impl Answer {
    pub(in crate::http) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(in crate::http) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    #[track_caller]
    pub(in crate::http) fn is(&self, status: u16, body: &str) {
        assert_eq!((self.status, self.body.as_str()), (status, body));
    }
}

struct Nowhere;

impl Sink for Nowhere {
    fn deliver(&self, _delivery: &Delivery) -> Handed {
        Handed::Sent
    }
}

/// A served door. The stores live as long as this.
pub(in crate::http) struct Rig {
    pub(in crate::http) bed: Testbed,
    pub(in crate::http) address: SocketAddr,
    pub(in crate::http) shutdown: Shutdown,
    pub(in crate::http) opener: Opener,
    pub(in crate::http) tasks: Tasks,
}

fn member(id: u64, port: u16) -> Member {
    Member {
        id: MemberId(id),
        client_address: format!("127.0.0.1:{port}"),
        peer_address: format!("127.0.0.1:{}", port + 1_001),
    }
}

/// Two members, of which the second is dead.
fn membership(clock: &Clock) -> Membership {
    two_members(clock, 1, false)
}

fn two_members(clock: &Clock, local: u64, both_alive: bool) -> Membership {
    let seen = |member: Member, alive| MemberView {
        member,
        alive,
        ready: alive,
        last_seen: None,
        skew_ms: 0,
    };
    Membership::fixed(View {
        local: MemberId(local),
        members: vec![seen(member(1, 8848), true), seen(member(2, 8858), both_alive)],
        belongs: true,
        quorum: true,
        epoch: 1,
        since: clock.now(),
    })
}

impl Rig {
    pub(in crate::http) async fn open() -> Self {
        let rig = Self::closed().await;
        rig.opener.open(rig.bed.naming.clone());
        rig.bed.naming.push().open();
        rig
    }

    /// Serving, but not yet opened.
    pub(in crate::http) async fn closed() -> Self {
        Self::with(|_| {}).await
    }

    pub(in crate::http) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let clock = Clock::system();
        let membership = membership(&clock);
        Self::start(clock, membership, change).await
    }

    /// An opened member of two that live.
    pub(in crate::http) async fn member_of_two(local: u64, network: &Network) -> Self {
        let clock = Clock::system();
        let membership = two_members(&clock, local, true);
        let rig = Self::start(clock, membership, |_| {}).await;
        let id = MemberId(local);
        rig.bed.set_status(|status| status.members[0].member.id = id);
        rig.opener.join(network.join(id));
        rig.opener.open(rig.bed.naming.clone());
        rig
    }

    async fn start(clock: Clock, membership: Membership, change: impl FnOnce(&mut Config)) -> Self {
        let pushes = clock.clone();
        let bed = Testbed::start_with(Parts {
            clock: clock.clone(),
            push: Some(Box::new(move |changes, tasks| {
                Push::start(
                    muster_push::Config::default(),
                    Arc::new(changes),
                    Arc::new(Nowhere),
                    pushes,
                    tasks,
                )
            })),
            membership: Some(membership),
            ..Parts::default()
        });
        let mut config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            prefix: "/nacos".to_owned(),
            body_bytes_max: BODY_BYTES_MAX,
            connections_max: 100,
            write_timeout: Duration::from_secs(3),
            version: "0.1.0".to_owned(),
            standalone: false,
            tls: None,
        };
        change(&mut config);
        let server = HttpServer::bind(config, clock).await.unwrap();
        let (address, opener) = (server.local_addr(), server.opener());
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(shutdown.clone());
        let serving = server.run(shutdown.clone(), Duration::from_secs(2), tasks.clone());
        tasks.spawn("http", muster_runtime::TaskKind::Contained, serving);
        Self {
            bed,
            address,
            shutdown,
            opener,
            tasks,
        }
    }

    /// Sends bytes on a connection of their own and reads one answer.
    pub(in crate::http) async fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // What is refused early may be closed before all of it is written.
        let _ = stream.write_all(request).await;
        read_answer(&mut stream).await.expect("an answer")
    }

    async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        let request = format!(
            "{method} /nacos{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        self.raw(request.as_bytes()).await
    }

    pub(in crate::http) async fn call(&self, method: &str, path: &str) -> Answer {
        self.ask(method, path, "", "").await
    }

    pub(in crate::http) async fn call_as(&self, agent: &str, method: &str, path: &str) -> Answer {
        self.ask(method, path, &format!("User-Agent: {agent}\r\n"), "").await
    }

    pub(in crate::http) async fn form(&self, method: &str, path: &str, body: &str) -> Answer {
        let headers = "Content-Type: application/x-www-form-urlencoded;charset=UTF-8\r\n";
        self.ask(method, path, headers, body).await
    }

    /// A path at the root.
    pub(in crate::http) async fn get_root(&self, path: &str) -> Answer {
        self.raw(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
            .await
    }

    pub(in crate::http) async fn register(&self, service: &str, address: &str, kind: Kind) {
        let instance = muster_naming::testing::instance(address, kind);
        let service = muster_naming::testing::service(service);
        let context = self.bed.context();
        self.bed.naming.register(&context, &service, instance).await.unwrap();
    }

    /// The addresses listed for a service of the default group.
    pub(in crate::http) async fn listed(&self, service: &str) -> Vec<String> {
        let answer = self
            .call("GET", &format!("/v1/ns/instance/list?serviceName={service}"))
            .await;
        answer.json()["hosts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|host| format!("{}:{}", host["ip"].as_str().unwrap(), host["port"]))
            .collect()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

/// One answer, by its content length; none if the connection ends first.
pub(super) async fn read_answer(stream: &mut (impl AsyncRead + Unpin)) -> Option<Answer> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut answer = Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head,
        body: String::new(),
    };
    let length: usize = answer.header("content-length").map_or(0, |text| text.parse().unwrap());
    while bytes.len() < head_end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    answer.body = String::from_utf8(bytes[head_end..head_end + length].to_vec()).unwrap();
    Some(answer)
}

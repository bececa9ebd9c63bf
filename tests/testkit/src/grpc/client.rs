//! One client on one connection.

use super::frames::{Frames, encode};
use crate::v1::Listed;
use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::Request;
use serde_json::{Value, json};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// As SDKs wait for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Room for a list that a server sends at once.
const WINDOW_BYTES: u32 = 4 << 20;

/// What the server said on its own.
#[derive(Clone, Debug)]
pub struct Heard {
    pub kind: String,
    pub json: Value,
    pub received: Instant,
}

/// A client's connection. It answers detections and pushes by itself, unless it is told to be [mute](GrpcClient::set_mute).
/// Dropped, it is gone without a word, as a client that is killed.
pub struct GrpcClient {
    requests: SendRequest<Bytes>,
    authority: String,
    /// What the server check called this connection.
    pub name: String,
    heard: mpsc::UnboundedReceiver<Heard>,
    mute: Arc<AtomicBool>,
    frozen: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

/// The setup of a naming client, as Java 3.x sends it.
pub fn naming_setup() -> Value {
    json!({
        "headers": {},
        "clientVersion": "Nacos-Java-Client:v3.0.0",
        "labels": {"source": "sdk", "module": "naming", "AppName": "testkit"},
        "abilityTable": {"fuzzyWatch": true, "lock": true, "mcp": true},
        "module": "internal",
    })
}

/// The list in an answer or a push.
///
/// # Errors
/// There is none.
pub fn list_of(json: &Value) -> anyhow::Result<Listed> {
    Listed::parse(&json["serviceInfo"])
}

impl GrpcClient {
    /// Connects as Java does: server check, stream, setup, its acknowledgement.
    ///
    /// # Errors
    /// The server does not take it.
    pub async fn connect(address: &str) -> anyhow::Result<Self> {
        Self::connect_with(address, &naming_setup()).await
    }

    /// As [`GrpcClient::connect`], with another setup.
    ///
    /// # Errors
    /// The server does not take it.
    pub async fn connect_with(address: &str, setup: &Value) -> anyhow::Result<Self> {
        let mut client = Self::open(address).await?;
        let (kind, check) = client
            .call("ServerCheckRequest", &json!({"headers": {}, "module": "internal"}))
            .await?;
        ensure!(kind == "ServerCheckResponse", "{kind}: {check}");
        client.name = check["connectionId"].as_str().context("no connectionId")?.to_owned();
        client.set_up(setup).await?;
        if !setup["abilityTable"].is_null() {
            client
                .until(ANSWER_WITHIN, |heard| heard.kind == "SetupAckRequest")
                .await?;
        }
        Ok(client)
    }

    /// A transport and nothing on it.
    ///
    /// # Errors
    /// Nobody listens, or not HTTP/2.
    pub async fn open(address: &str) -> anyhow::Result<Self> {
        let tcp = TcpStream::connect(address)
            .await
            .with_context(|| format!("connect to {address}"))?;
        tcp.set_nodelay(true)?;
        // Dropped, it resets the connection: the kernel says no farewell for a killed process either.
        tcp.set_zero_linger()?;
        let (requests, connection) = h2::client::Builder::new()
            .initial_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .handshake(tcp)
            .await?;
        let (frozen, mut freezes) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connection = pin!(connection);
            tokio::select! {
                _ = connection.as_mut() => {}
                _ = freezes.changed() => {}
            }
            // Held and not polled: the transport stands, and nothing goes in or out.
            std::future::pending::<()>().await;
        });
        Ok(Self {
            requests,
            authority: address.to_owned(),
            name: String::new(),
            heard: mpsc::unbounded_channel().1,
            mute: Arc::default(),
            frozen,
            _tasks: tasks,
        })
    }

    fn request(&self, path: &str) -> anyhow::Result<Request<()>> {
        Ok(Request::post(format!("http://{}{path}", self.authority))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?)
    }

    /// Opens the stream and says who it is; waits for no acknowledgement.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn set_up(&mut self, setup: &Value) -> anyhow::Result<()> {
        let mut requests = self.requests.clone().ready().await?;
        let (response, mut stream) = requests.send_request(self.request("/BiRequestStream/requestBiStream")?, false)?;
        stream.send_data(encode("ConnectionSetupRequest", setup.to_string()), false)?;
        let response = tokio::time::timeout(ANSWER_WITHIN, response).await??;
        ensure!(response.status() == 200, "the stream: {}", response.status());
        let (sender, heard) = mpsc::unbounded_channel();
        let (answers, to_answer) = mpsc::unbounded_channel();
        self._tasks
            .spawn(listen(response.into_body(), sender, answers, self.mute.clone()));
        self.heard = heard;
        self._tasks.spawn(answer(stream, to_answer));
        Ok(())
    }

    /// A unary request: the type and the JSON of the answer.
    ///
    /// # Errors
    /// No answer, or one with another gRPC status than OK.
    pub async fn call(&self, kind: &str, json: &Value) -> anyhow::Result<(String, Value)> {
        self.call_raw(encode(kind, json.to_string())).await
    }

    /// As [`GrpcClient::call`], with whatever bytes.
    ///
    /// # Errors
    /// Those of [`GrpcClient::call`].
    pub async fn call_raw(&self, frame: Bytes) -> anyhow::Result<(String, Value)> {
        let mut requests = self.requests.clone().ready().await?;
        let (response, mut stream) = requests.send_request(self.request("/Request/request")?, false)?;
        stream.send_data(frame, true)?;
        let answer = async {
            let response = response.await?;
            if let Some(status) = response.headers().get("grpc-status") {
                bail!("grpc-status {status:?}: {:?}", response.headers().get("grpc-message"));
            }
            let mut body = response.into_body();
            let mut frames = Frames::default();
            while let Some(piece) = body.data().await {
                let piece = piece?;
                let _ = body.flow_control().release_capacity(piece.len());
                frames.push(&piece);
            }
            let trailers = body.trailers().await?.unwrap_or_default();
            let status = trailers.get("grpc-status").context("no grpc-status")?;
            ensure!(
                status == "0",
                "grpc-status {status:?}: {:?}",
                trailers.get("grpc-message")
            );
            let (kind, json) = frames.take()?.context("an answer without a payload")?;
            Ok((kind, serde_json::from_slice(&json)?))
        };
        tokio::time::timeout(ANSWER_WITHIN, answer)
            .await
            .with_context(|| format!("no answer within {ANSWER_WITHIN:?}"))?
    }

    /// As [`GrpcClient::call`]; a refusal is an error.
    ///
    /// # Errors
    /// Those of [`GrpcClient::call`], and an answer that says so.
    pub async fn ok(&self, kind: &str, json: &Value) -> anyhow::Result<Value> {
        let (answered, json) = self.call(kind, json).await?;
        ensure!(
            json["resultCode"] == 200 && json["success"] == true,
            "{kind}: {answered} {json}"
        );
        Ok(json)
    }

    /// Registers one ephemeral instance, the only one of this connection in the service.
    ///
    /// # Errors
    /// A refusal.
    pub async fn register(&self, service: &str, ip: &str, port: u16) -> anyhow::Result<()> {
        self.instance("InstanceRequest", "registerInstance", service, ip, port, true)
            .await
    }

    /// # Errors
    /// A refusal.
    pub async fn deregister(&self, service: &str, ip: &str, port: u16) -> anyhow::Result<()> {
        self.instance("InstanceRequest", "deregisterInstance", service, ip, port, true)
            .await
    }

    /// # Errors
    /// A refusal.
    pub async fn register_persistent(&self, service: &str, ip: &str, port: u16) -> anyhow::Result<()> {
        self.instance(
            "PersistentInstanceRequest",
            "registerInstance",
            service,
            ip,
            port,
            false,
        )
        .await
    }

    async fn instance(
        &self,
        kind: &str,
        what: &str,
        service: &str,
        ip: &str,
        port: u16,
        ephemeral: bool,
    ) -> anyhow::Result<()> {
        let request = json!({
            "headers": {}, "namespace": "public", "serviceName": service, "groupName": "DEFAULT_GROUP", "type": what,
            "instance": {
                "ip": ip, "port": port, "weight": 1.0, "healthy": true, "enabled": true, "ephemeral": ephemeral,
                "clusterName": "DEFAULT", "serviceName": format!("DEFAULT_GROUP@@{service}"), "metadata": {},
            },
            "module": "naming",
        });
        self.ok(kind, &request).await.map(drop)
    }

    /// Makes these all that the connection publishes under the service.
    ///
    /// # Errors
    /// A refusal.
    pub async fn publish_batch(&self, service: &str, instances: &[(String, u16)]) -> anyhow::Result<()> {
        let instances: Vec<_> = instances
            .iter()
            .map(|(ip, port)| json!({"ip": ip, "port": port, "weight": 1.0, "healthy": true, "enabled": true, "ephemeral": true, "clusterName": "DEFAULT", "metadata": {}}))
            .collect();
        let request = json!({
            "headers": {}, "namespace": "public", "serviceName": service, "groupName": "DEFAULT_GROUP",
            "type": "batchRegisterInstance", "instances": instances, "module": "naming",
        });
        self.ok("BatchInstanceRequest", &request).await.map(drop)
    }

    /// Subscribes; the list as it is now.
    ///
    /// # Errors
    /// A refusal.
    pub async fn subscribe(&self, service: &str) -> anyhow::Result<Listed> {
        let request = json!({
            "headers": {}, "namespace": "public", "serviceName": service, "groupName": "DEFAULT_GROUP",
            "subscribe": true, "clusters": "", "module": "naming",
        });
        list_of(&self.ok("SubscribeServiceRequest", &request).await?)
    }

    /// # Errors
    /// A refusal.
    pub async fn query(&self, service: &str) -> anyhow::Result<Listed> {
        let request = json!({
            "headers": {}, "namespace": "public", "serviceName": service, "groupName": "DEFAULT_GROUP",
            "cluster": "", "healthyOnly": false, "udpPort": 0, "module": "naming",
        });
        list_of(&self.ok("ServiceQueryRequest", &request).await?)
    }

    /// The next thing that the server says on its own.
    ///
    /// # Errors
    /// Nothing within `deadline`, or the stream has ended.
    pub async fn next(&mut self, deadline: Duration) -> anyhow::Result<Heard> {
        let heard = tokio::time::timeout(deadline, self.heard.recv()).await;
        heard
            .with_context(|| format!("nothing heard within {deadline:?}"))?
            .context("the stream has ended")
    }

    /// Listens until something is heard that is looked for.
    ///
    /// # Errors
    /// Not within `deadline`.
    pub async fn until(&mut self, deadline: Duration, wanted: impl Fn(&Heard) -> bool) -> anyhow::Result<Heard> {
        let end = Instant::now() + deadline;
        loop {
            let heard = self.next(end.saturating_duration_since(Instant::now())).await?;
            if wanted(&heard) {
                return Ok(heard);
            }
        }
    }

    /// Listens until a push lists exactly these addresses.
    ///
    /// # Errors
    /// None does within `deadline`; says what was listed last.
    pub async fn until_listed(
        &mut self,
        service: &str,
        addresses: &[&str],
        deadline: Duration,
    ) -> anyhow::Result<Heard> {
        let wanted: std::collections::BTreeSet<String> = addresses.iter().map(|&it| it.to_owned()).collect();
        let end = Instant::now() + deadline;
        let mut last = "nothing".to_owned();
        loop {
            let heard = self
                .next(end.saturating_duration_since(Instant::now()))
                .await
                .with_context(|| format!("{service}: wanted {wanted:?}, last heard {last}"))?;
            if heard.kind == "NotifySubscriberRequest" && heard.json["serviceInfo"]["name"] == service {
                let listed = list_of(&heard.json)?;
                if listed.all == wanted {
                    return Ok(heard);
                }
                last = format!("{:?}", listed.all);
            }
        }
    }

    /// Listens for as long as `span`, or until the stream has ended, and answers the first push; whatever else the server says
    /// is none.
    pub async fn pushed_within(&mut self, span: Duration) -> Option<Heard> {
        self.until(span, |heard| heard.kind == "NotifySubscriberRequest")
            .await
            .ok()
    }

    /// Mute, it answers nothing that the server asks, though its connection stands.
    pub fn set_mute(&self, mute: bool) {
        self.mute.store(mute, Ordering::Relaxed);
    }

    /// Stands still from now on: reads and writes nothing more, not even HTTP/2's own pings, and leaves the connection open.
    pub fn freeze(&self) {
        self.frozen.send_replace(true);
    }
}

async fn listen(
    mut body: RecvStream,
    heard: mpsc::UnboundedSender<Heard>,
    answers: mpsc::UnboundedSender<Bytes>,
    mute: Arc<AtomicBool>,
) {
    let mut frames = Frames::default();
    while let Some(Ok(piece)) = body.data().await {
        let _ = body.flow_control().release_capacity(piece.len());
        frames.push(&piece);
        while let Ok(Some((kind, json))) = frames.take() {
            let Ok(json) = serde_json::from_slice::<Value>(&json) else {
                return;
            };
            if !mute.load(Ordering::Relaxed)
                && kind != "SetupAckRequest"
                && let Some(answered) = kind.strip_suffix("Request")
            {
                let ack = json!({"resultCode": 200, "errorCode": 0, "success": true, "requestId": json["requestId"]});
                let _ = answers.send(encode(&format!("{answered}Response"), ack.to_string()));
            }
            let received = Instant::now();
            if heard.send(Heard { kind, json, received }).is_err() {
                return;
            }
        }
    }
}

async fn answer(mut stream: SendStream<Bytes>, mut answers: mpsc::UnboundedReceiver<Bytes>) {
    while let Some(frame) = answers.recv().await {
        if stream.send_data(frame, false).is_err() {
            return;
        }
    }
    // The listener has ended, the stream stays open: the connection's end is the client's to choose.
    std::future::pending::<()>().await;
}

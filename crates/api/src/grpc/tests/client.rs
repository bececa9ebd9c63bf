//! A client: tonic's channel over one socket that is never dialled again, so that a test knows which transport it speaks on.

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use muster_runtime::{TaskKind, Tasks};
use muster_wire::grpc::{Any, Metadata, Payload};
use serde_json::Value;
use socket2::SockRef;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

pub(super) const JAVA_SETUP: &str = r#"{"headers":{},"clientVersion":"Nacos-Java-Client:v2.4.3","labels":{"source":"sdk","module":"naming","AppName":"app"},"abilityTable":{},"module":"internal"}"#;

/// How the socket ends when its client goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Socket {
    Plain,
    /// By a reset, as the kernel of a killed process does.
    Reset,
}

#[derive(Clone)]
pub(super) struct Client {
    grpc: tonic::client::Grpc<Channel>,
    pub(super) local: SocketAddr,
}

/// An answer, or a message of a stream.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Said {
    pub(super) name: String,
    pub(super) json: Value,
}

impl Said {
    fn of(payload: Payload) -> Self {
        let body = payload.body.unwrap_or_default().value;
        Self {
            name: payload.metadata.unwrap_or_default().r#type,
            json: serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}: {body:?}")),
        }
    }

    pub(super) fn text(&self, member: &str) -> String {
        let found = self.json[member].as_str();
        found.unwrap_or_else(|| panic!("no {member} in {self:?}")).to_owned()
    }

    pub(super) fn codes(&self) -> (i64, i64) {
        let code = |member: &str| self.json[member].as_i64().unwrap();
        (code("resultCode"), code("errorCode"))
    }

    #[track_caller]
    pub(super) fn is_error(&self, result: i64, error: i64, message: &str) {
        assert_eq!(self.name, "ErrorResponse");
        assert_eq!(
            (self.codes(), self.text("message").as_str()),
            ((result, error), message)
        );
        assert_eq!(self.json["success"], false);
    }
}

pub(super) fn payload(name: &str, json: impl AsRef<[u8]>) -> Payload {
    Payload {
        metadata: Some(Metadata {
            r#type: name.to_owned(),
            client_ip: "10.0.0.5".to_owned(),
            ..Metadata::default()
        }),
        body: Some(Any {
            type_url: String::new(),
            value: Bytes::copy_from_slice(json.as_ref()),
        }),
    }
}

impl Client {
    pub(super) async fn connect(server: SocketAddr, socket: Socket) -> Self {
        let tcp = TcpStream::connect(server).await.unwrap();
        let local = tcp.local_addr().unwrap();
        if socket == Socket::Reset {
            SockRef::from(&tcp).set_linger(Some(Duration::ZERO)).unwrap();
        }
        let (only, dialled) = (Arc::new(parking_lot::Mutex::new(Some(tcp))), AtomicBool::new(false));
        let connector = tower::service_fn(move |_| {
            dialled.store(true, Ordering::Relaxed);
            let tcp = only.lock().take();
            async move {
                tcp.map(TokioIo::new)
                    .ok_or_else(|| std::io::Error::other("its only socket is gone"))
            }
        });
        // A stream that is not read keeps 64 KB, and leaves room for the answers of calls.
        let endpoint = Endpoint::from_static("http://localhost")
            .initial_stream_window_size(65_535)
            .initial_connection_window_size(1 << 20);
        let channel = endpoint.connect_with_connector(connector).await.unwrap();
        Self {
            grpc: tonic::client::Grpc::new(channel).max_decoding_message_size(usize::MAX),
            local,
        }
    }

    pub(super) async fn call(&mut self, name: &str, json: &str) -> Said {
        self.try_call(payload(name, json)).await.unwrap()
    }

    pub(super) async fn try_call(&mut self, payload: Payload) -> Result<Said, Status> {
        self.try_path("/Request/request", payload).await
    }

    pub(super) async fn try_path(&mut self, path: &'static str, payload: Payload) -> Result<Said, Status> {
        self.unread(path, payload).await.map(Said::of)
    }

    /// An answer that nobody looks into.
    pub(super) async fn unread(&mut self, path: &'static str, payload: Payload) -> Result<Payload, Status> {
        self.grpc
            .ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<Payload, Payload>::default();
        let path = PathAndQuery::from_static(path);
        let answer = self.grpc.unary(Request::new(payload), path, codec).await?;
        Ok(answer.into_inner())
    }

    /// Returns once the stream's headers are back: before anything was said on it.
    pub(super) async fn open(&mut self) -> Result<Stream, Status> {
        self.grpc
            .ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let (sender, receiver) = mpsc::channel(16);
        let codec = ProstCodec::<Payload, Payload>::default();
        let path = PathAndQuery::from_static("/BiRequestStream/requestBiStream");
        let outgoing = Request::new(ReceiverStream::new(receiver));
        let answer = self.grpc.streaming(outgoing, path, codec).await?;
        Ok(Stream {
            sender,
            incoming: answer.into_inner(),
        })
    }

    /// A stream whose first message is there when it is opened.
    pub(super) async fn open_with(&mut self, first: Payload) -> Stream {
        self.grpc.ready().await.unwrap();
        let (sender, receiver) = mpsc::channel(16);
        sender.send(first).await.unwrap();
        let codec = ProstCodec::<Payload, Payload>::default();
        let path = PathAndQuery::from_static("/BiRequestStream/requestBiStream");
        let outgoing = Request::new(ReceiverStream::new(receiver));
        let answer = self.grpc.streaming(outgoing, path, codec).await.unwrap();
        Stream {
            sender,
            incoming: answer.into_inner(),
        }
    }

    /// A stream that is set up as this.
    pub(super) async fn set_up(&mut self, json: &str) -> Stream {
        let stream = self.open().await.unwrap();
        stream.say("ConnectionSetupRequest", json).await;
        stream
    }
}

pub(super) struct Stream {
    pub(super) sender: mpsc::Sender<Payload>,
    pub(super) incoming: Streaming<Payload>,
}

impl Stream {
    pub(super) async fn say(&self, name: &str, json: &str) {
        self.sender.send(payload(name, json)).await.unwrap();
    }

    /// The next message, or the status that ends the stream; `None` after that of a good end.
    pub(super) async fn try_next(&mut self) -> Result<Option<Said>, Status> {
        Ok(self.incoming.message().await?.map(Said::of))
    }

    pub(super) async fn next(&mut self) -> Option<(String, Value)> {
        self.try_next().await.unwrap().map(|said| (said.name, said.json))
    }

    /// Answers a request of the server's as SDKs do.
    pub(super) async fn ack(&self, asked: &(String, Value)) {
        let id = asked.1["requestId"].as_str().unwrap();
        let name = asked.0.replace("Request", "Response");
        self.say(
            &name,
            &format!(r#"{{"resultCode":200,"errorCode":0,"requestId":"{id}"}}"#),
        )
        .await;
    }
}

/// An address that hands one client's bytes on to `server` in lumps, as a server reads them that is busy for so long.
pub(super) async fn late_by(server: SocketAddr, pause: Duration, tasks: &Tasks) -> SocketAddr {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let further = tasks.clone();
    tasks.spawn("late client", TaskKind::Contained, async move {
        let (mut from, mut to) = listener.accept().await.unwrap().0.into_split();
        let (mut back, mut on) = TcpStream::connect(server).await.unwrap().into_split();
        further.spawn("late answers", TaskKind::Contained, async move {
            let _ = tokio::io::copy(&mut back, &mut to).await;
        });
        let mut bytes = vec![0; 1 << 20];
        loop {
            from.readable().await.unwrap();
            tokio::time::sleep(pause).await;
            match from.read(&mut bytes).await {
                Ok(read) if read > 0 => on.write_all(&bytes[..read]).await.unwrap(),
                _ => return,
            }
        }
    });
    address
}

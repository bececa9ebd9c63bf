//! tonic with nothing behind it.

use anyhow::Result;
use bytes::Bytes;
use muster_wire::grpc::{Any, Metadata, Payload};
use std::convert::Infallible;
use std::future::{Future, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::codegen::http;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

/// Serves until the process is ended.
pub(super) async fn serve(listen: SocketAddr) -> Result<()> {
    tonic::transport::Server::builder()
        .tcp_nodelay(true)
        .add_service(Served(Unary))
        .add_service(Served(Stream))
        .serve(listen)
        .await?;
    Ok(())
}

fn constant(request: &Payload) -> Payload {
    let (kind, json): (_, &'static [u8]) = match request.metadata.as_ref().map(|metadata| metadata.r#type.as_str()) {
        Some("ServerCheckRequest") => (
            "ServerCheckResponse",
            br#"{"resultCode":200,"errorCode":0,"connectionId":"constant","supportAbilityNegotiation":true,"success":true}"#,
        ),
        _ => (
            "InstanceResponse",
            br#"{"resultCode":200,"errorCode":0,"type":"registerInstance","success":true}"#,
        ),
    };
    payload(kind, json)
}

fn payload(kind: &str, json: &'static [u8]) -> Payload {
    Payload {
        metadata: Some(Metadata {
            r#type: kind.to_owned(),
            ..Metadata::default()
        }),
        body: Some(Any {
            type_url: String::new(),
            value: Bytes::from_static(json),
        }),
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;
type Grpc = tonic::server::Grpc<ProstCodec<Payload, Payload>>;

/// One of the protocol's two services.
trait Call: Clone + Send + 'static {
    const SERVICE: &'static str;

    fn answer(self, grpc: Grpc, request: http::Request<Body>) -> impl Future<Output = http::Response<Body>> + Send;
}

/// A call as tonic's server takes it.
#[derive(Clone)]
struct Served<C>(C);

impl<C: Call> tonic::server::NamedService for Served<C> {
    const NAME: &'static str = C::SERVICE;
}

impl<C: Call> tower::Service<http::Request<Body>> for Served<C> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answer {
        let (call, grpc) = (self.0.clone(), Grpc::new(ProstCodec::default()));
        Box::pin(async move { Ok(call.answer(grpc, request).await) })
    }
}

#[derive(Clone)]
struct Unary;

impl Call for Unary {
    const SERVICE: &'static str = "Request";

    async fn answer(self, mut grpc: Grpc, request: http::Request<Body>) -> http::Response<Body> {
        grpc.unary(self, request).await
    }
}

impl tonic::server::UnaryService<Payload> for Unary {
    type Response = Payload;
    type Future = std::future::Ready<Result<Response<Payload>, Status>>;

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        ready(Ok(Response::new(constant(request.get_ref()))))
    }
}

#[derive(Clone)]
struct Stream;

impl Call for Stream {
    const SERVICE: &'static str = "BiRequestStream";

    async fn answer(self, mut grpc: Grpc, request: http::Request<Body>) -> http::Response<Body> {
        grpc.streaming(self, request).await
    }
}

impl tonic::server::StreamingService<Payload> for Stream {
    type Response = Payload;
    type ResponseStream = Pin<Box<dyn tonic::codegen::tokio_stream::Stream<Item = Result<Payload, Status>> + Send>>;
    type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Payload>>) -> Self::Future {
        let acknowledged = payload(
            "SetupAckRequest",
            br#"{"headers":{},"abilityTable":{},"module":"internal"}"#,
        );
        let stream = Held {
            acknowledged: Some(acknowledged),
            client: request.into_inner(),
        };
        ready(Ok(Response::new(Box::pin(stream))))
    }
}

/// The acknowledgement, then silence for as long as the client's half stands.
struct Held {
    acknowledged: Option<Payload>,
    client: Streaming<Payload>,
}

impl tonic::codegen::tokio_stream::Stream for Held {
    type Item = Result<Payload, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(acknowledged) = self.acknowledged.take() {
            return Poll::Ready(Some(Ok(acknowledged)));
        }
        loop {
            match Pin::new(&mut self.client).poll_next(context) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(_) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

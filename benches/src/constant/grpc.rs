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
        .add_service(Unary)
        .add_service(Stream)
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

#[derive(Clone)]
struct Unary;

impl tonic::server::NamedService for Unary {
    const NAME: &'static str = "Request";
}

impl tower::Service<http::Request<Body>> for Unary {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answer {
        struct Once;
        impl tonic::server::UnaryService<Payload> for Once {
            type Response = Payload;
            type Future = std::future::Ready<Result<Response<Payload>, Status>>;
            fn call(&mut self, request: Request<Payload>) -> Self::Future {
                ready(Ok(Response::new(constant(request.get_ref()))))
            }
        }
        Box::pin(async move {
            let codec = ProstCodec::<Payload, Payload>::default();
            Ok(tonic::server::Grpc::new(codec).unary(Once, request).await)
        })
    }
}

#[derive(Clone)]
struct Stream;

impl tonic::server::NamedService for Stream {
    const NAME: &'static str = "BiRequestStream";
}

impl tower::Service<http::Request<Body>> for Stream {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answer {
        struct Open;
        impl tonic::server::StreamingService<Payload> for Open {
            type Response = Payload;
            type ResponseStream =
                Pin<Box<dyn tonic::codegen::tokio_stream::Stream<Item = Result<Payload, Status>> + Send>>;
            type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;
            fn call(&mut self, request: Request<Streaming<Payload>>) -> Self::Future {
                let acknowledged = payload(
                    "SetupAckRequest",
                    br#"{"headers":{},"abilityTable":{},"module":"internal"}"#,
                );
                // The acknowledgement, then silence for as long as the client's half stands.
                let stream = Held {
                    acknowledged: Some(acknowledged),
                    client: request.into_inner(),
                };
                ready(Ok(Response::new(Box::pin(stream))))
            }
        }
        Box::pin(async move {
            let codec = ProstCodec::<Payload, Payload>::default();
            Ok(tonic::server::Grpc::new(codec).streaming(Open, request).await)
        })
    }
}

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

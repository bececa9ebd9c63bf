//! What goes back to a caller: one message, a refusal, or a stream.

use super::frame::{Code, Message, Status};
use super::stream::Outlet;
use hyper::body::{Body, Frame};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The body of an answer. Its headers go out at once; the status comes last.
pub(super) enum Reply {
    Unary(Option<Message>),
    Stream(Outlet),
    /// The status is out.
    Done,
}

impl Reply {
    pub(super) fn unary(message: Message) -> Response<Self> {
        respond(Reply::Unary(Some(message)))
    }

    pub(super) fn stream(outlet: Outlet) -> Response<Self> {
        respond(Reply::Stream(outlet))
    }

    /// A call that ends without a message.
    pub(super) fn refused(status: Status) -> Response<Self> {
        let mut response = respond(Reply::Done);
        put_status(response.headers_mut(), status);
        response
    }

    /// Not gRPC at all.
    pub(super) fn not_grpc() -> Response<Self> {
        let mut response = Response::new(Reply::Done);
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        response
    }
}

fn respond(reply: Reply) -> Response<Reply> {
    let mut response = Response::new(reply);
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

fn put_status(headers: &mut HeaderMap, status: Status) {
    headers.insert(GRPC_STATUS, HeaderValue::from(status.code as u16));
    if !status.message.is_empty() {
        headers.insert(GRPC_MESSAGE, HeaderValue::from_static(status.message));
    }
}

fn trailers(status: Status) -> Frame<Message> {
    const OK: HeaderValue = HeaderValue::from_static("0");
    let mut headers = HeaderMap::with_capacity(2);
    match status.code {
        Code::Ok => drop(headers.insert(GRPC_STATUS, OK)),
        _ => put_status(&mut headers, status),
    }
    Frame::trailers(headers)
}

impl Body for Reply {
    type Data = Message;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Message>, Infallible>>> {
        let status = match &mut *self {
            Reply::Done => return Poll::Ready(None),
            Reply::Unary(message) => match message.take() {
                Some(message) => return Poll::Ready(Some(Ok(Frame::data(message)))),
                None => Status::OK,
            },
            Reply::Stream(outlet) => match std::task::ready!(outlet.poll_next(context)) {
                Ok(message) => return Poll::Ready(Some(Ok(Frame::data(message)))),
                Err(status) => status,
            },
        };
        *self = Reply::Done;
        Poll::Ready(Some(Ok(trailers(status))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Reply::Done)
    }
}

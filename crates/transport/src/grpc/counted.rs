//! The body of a call, counted while it arrives.

use super::guests::Guest;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tonic::Status;

/// Ends with an error where a stranger says more than there is room for. Gives its room back when it is dropped, which is when
/// the message has been read.
pub(super) struct Counted {
    body: tonic::body::Body,
    guest: Arc<Guest>,
    taken: usize,
}

/// Of a request as it comes; one without a guest is not of this port.
pub(super) fn counted(request: http::Request<tonic::body::Body>) -> http::Request<tonic::body::Body> {
    let Some(guest) = request.extensions().get::<Arc<Guest>>().cloned() else {
        return request;
    };
    request.map(|body| tonic::body::Body::new(Counted { body, guest, taken: 0 }))
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            if !self.guest.take(data.len()) {
                let full = Status::resource_exhausted("too much is under way of callers that are not known yet");
                return Poll::Ready(Some(Err(full)));
            }
            self.taken += data.len();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.guest.give_back(self.taken);
    }
}

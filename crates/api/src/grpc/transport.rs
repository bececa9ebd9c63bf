//! One transport: HTTP/2 over an accepted socket, with all of its calls and streams in one task.
//!
//! One task holds the socket, the protocol's state, every call under way and both halves of every stream. So when it ends,
//! however it does, all of that is gone with it, and a busy client takes turns with others and not with its own calls.

use super::connection::Connection;
use super::frame::{Code, Status};
use super::hall::{Entered, Hall};
use super::life::EndReason;
use super::reply::Reply;
use super::{stream, unary};
use crate::tls;
use futures_util::future::{BoxFuture, Either};
use futures_util::stream::{FuturesUnordered, Stream};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use socket2::SockRef;
use std::convert::Infallible;
use std::future::{Future, Ready, poll_fn, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// Calls and streams of one transport at once; clients hold further ones back.
const CALLS_MAX: u32 = 100;

/// Bytes that a client may send before they are read: of a call, and of all calls. They are read at once, so this bounds
/// what lies here and not how fast it comes.
const CALL_WINDOW_BYTES: u32 = 64 * 1_024;
const TRANSPORT_WINDOW_BYTES: u32 = 256 * 1_024;

/// Bytes of a call's answer that are handed to the protocol before the client takes the first of them.
const SEND_BYTES_MAX: usize = 64 * 1_024;

/// HTTP headers of a call. Clients send some 300 bytes; what Nacos calls headers travels in the payload.
const HEADER_BYTES_MAX: u32 = 8 * 1_024;

/// A transport on which nothing came is asked for a sign of life, which must come: a half-open one is found within 23 s.
const PING_AFTER: Duration = Duration::from_secs(15);
const PING_WAIT: Duration = Duration::from_secs(8);

/// Rounds of reading calls and answering them before other transports get their turn; each is of as many calls as a
/// transport may have at once.
const ROUNDS_PER_TURN: usize = 8;

/// From the end of a transport's last call to its own: what was said last is on its way by then.
const IDLE_END: Duration = Duration::from_secs(1);

/// Serves one accepted socket until its end.
pub(super) async fn serve(hall: Arc<Hall>, socket: TcpStream, mut entered: Entered) {
    // Answers and pushes are one small write each; waiting to fill a packet would only add 40 ms.
    let _ = socket.set_nodelay(true);
    let connection = entered.connection.clone();
    // On the heap, as it is over soon and this future is kept for as long as the transport.
    let accepting = Box::pin(tls::accept(hall.config.tls.as_ref(), socket));
    let accepted = tokio::select! {
        accepted = accepting => accepted,
        _ = poll_fn(|context| connection.poll_exit(context)) => return,
    };
    let socket = match accepted {
        Ok(socket) => socket,
        Err(error) => {
            tracing::debug!(peer = %connection.peer, %error, "a connection was not taken");
            entered.reason = EndReason::Refused;
            return;
        }
    };
    let abort = Arc::new(AtomicBool::new(false));
    let socket = Socket {
        stream: socket,
        abort: abort.clone(),
    };
    let calls = Calls::default();
    let service = {
        let (hall, connection, calls) = (hall.clone(), connection.clone(), calls.clone());
        service_fn(move |request| route(&hall, &connection, &calls, request))
    };
    let protocol = http2::Builder::new(calls.clone())
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .max_concurrent_streams(CALLS_MAX)
        .initial_stream_window_size(CALL_WINDOW_BYTES)
        .initial_connection_window_size(TRANSPORT_WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_WAIT)
        .serve_connection(TokioIo::new(socket), service);
    // On the heap, once: as a part of this future it would be kept in every place that the future has been moved through.
    let protocol = Box::pin(protocol);

    if let Err(error) = run(protocol, &calls, &connection, &abort).await {
        tracing::debug!(connection = %connection.name, %error, "a transport ended early");
        if error.is_timeout() {
            entered.reason = EndReason::Silent;
        }
    }
    // A call that never began holds this list, which holds the call.
    calls.0.lock().clear();
}

/// Drives the protocol and its calls until both end, the transport breaks, or the time to end has run out.
async fn run<P: Protocol>(
    mut protocol: Pin<Box<P>>,
    calls: &Calls,
    connection: &Connection,
    abort: &AtomicBool,
) -> Result<(), hyper::Error> {
    let mut running = FuturesUnordered::new();
    let mut ending: Option<Ending> = None;
    poll_fn(|context| {
        match &mut ending {
            None => {
                if let Poll::Ready(exit) = connection.poll_exit(context) {
                    protocol.as_mut().begin_end();
                    ending = Some(Ending::new(exit.within));
                    context.waker().wake_by_ref();
                }
            }
            Some(ending) => {
                if let Poll::Ready(is_idle) = ending.poll(context, running.is_empty()) {
                    abort.store(!is_idle, Ordering::Relaxed);
                    return Poll::Ready(Ok(()));
                }
            }
        }
        for _ in 0..ROUNDS_PER_TURN {
            if let Poll::Ready(ended) = protocol.as_mut().poll(context) {
                return Poll::Ready(ended);
            }
            let begun = std::mem::take(&mut *calls.0.lock());
            let mut progressed = !begun.is_empty();
            running.extend(begun);
            while let Poll::Ready(Some(())) = Pin::new(&mut running).poll_next(context) {
                progressed = true;
            }
            if !progressed {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// The time that a transport has to end. One without calls has less: who never spoke, or does not hang up, holds no drain.
struct Ending {
    idle: Pin<Box<Sleep>>,
    at_last: Pin<Box<Sleep>>,
}

impl Ending {
    fn new(within: Duration) -> Self {
        Self {
            idle: Box::pin(sleep(within.min(IDLE_END))),
            at_last: Box::pin(sleep(within)),
        }
    }

    /// Says at the end whether it came because nothing was under way.
    fn poll(&mut self, context: &mut Context<'_>, is_idle: bool) -> Poll<bool> {
        let has_time = !self.idle.is_elapsed() && self.idle.as_mut().poll(context).is_pending();
        if is_idle && !has_time {
            return Poll::Ready(true);
        }
        self.at_last.as_mut().poll(context).map(|()| false)
    }
}

/// hyper's side of a transport, which has five type parameters and two verbs.
trait Protocol: Future<Output = Result<(), hyper::Error>> {
    /// Takes no further calls and ends with the last one.
    fn begin_end(self: Pin<&mut Self>);
}

impl<S> Protocol for http2::Connection<TokioIo<Socket>, S, Calls>
where
    S: hyper::service::HttpService<Incoming, ResBody = Reply>,
    Self: Future<Output = Result<(), hyper::Error>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    Calls: hyper::rt::bounds::Http2ServerConnExec<S::Future, Reply>,
{
    fn begin_end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Calls that have begun and are not yet run with the others of their transport.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<BoxFuture<'static, ()>>>>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Calls {
    fn execute(&self, call: F) {
        self.0.lock().push(Box::pin(call));
    }
}

/// An answer under way. A stream's is there at once; a call's is on the heap, as its place would else be kept for as long as
/// the stream lives that hyper keeps in the same kind of place.
type Answering =
    Either<Ready<Result<Response<Reply>, Infallible>>, BoxFuture<'static, Result<Response<Reply>, Infallible>>>;

fn route(hall: &Arc<Hall>, connection: &Arc<Connection>, calls: &Calls, request: Request<Incoming>) -> Answering {
    let at_once = |response| Either::Left(ready(Ok(response)));
    let is_grpc = request
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if !is_grpc || request.method() != Method::POST {
        return at_once(Reply::not_grpc());
    }
    match request.uri().path() {
        "/Request/request" => {
            let (hall, connection, body) = (hall.clone(), connection.clone(), request.into_body());
            Either::Right(Box::pin(
                async move { Ok(unary::answer(&hall, &connection, body).await) },
            ))
        }
        "/BiRequestStream/requestBiStream" => match stream::open(hall, connection, request.into_body()) {
            Ok((outlet, inlet)) => {
                hyper::rt::Executor::execute(calls, inlet.run());
                at_once(Reply::stream(outlet))
            }
            Err(status) => at_once(Reply::refused(status)),
        },
        _ => at_once(Reply::refused(Status::new(Code::Unimplemented, "no such method"))),
    }
}

/// The socket, which is closed hard when its client would not let it end.
struct Socket {
    stream: tls::Stream,
    abort: Arc<AtomicBool>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.abort.load(Ordering::Relaxed) {
            // Else the kernel keeps what a client does not read for a quarter of an hour.
            let _ = SockRef::from(tls::socket(&self.stream)).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

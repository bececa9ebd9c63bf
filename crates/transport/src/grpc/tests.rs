use super::*;
use crate::HandlerError;
use guests::STRANGERS_MAX;
use muster_runtime::Shutdown;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const WITHIN: Duration = Duration::from_secs(5);

struct Node {
    transport: Arc<GrpcTransport>,
    tasks: Tasks,
}

async fn node(id: u64, cluster: u64) -> Node {
    let transport = GrpcTransport::bind(MemberId(id), cluster, "127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let tasks = Tasks::new(Shutdown::new());
    transport.serve_until_shutdown(&tasks);
    transport.serve(Route::MembershipPing, echo(id));
    Node { transport, tasks }
}

/// Answers who was called, by whom, and what was said.
fn echo(id: u64) -> Arc<dyn Handler> {
    Arc::new(move |from: MemberId, body: Bytes| async move {
        Ok(Bytes::from(format!(
            "{id} heard {} from {from}",
            String::from_utf8_lossy(&body)
        )))
    })
}

impl Node {
    fn knows(&self, other: &Node) {
        self.transport
            .set_peers(vec![(other.transport.local, other.transport.local_addr.to_string())]);
    }

    async fn ping(&self, to: u64) -> Result<Bytes, Error> {
        self.transport
            .call(
                MemberId(to),
                Route::MembershipPing,
                Bytes::from_static(b"hello"),
                WITHIN,
            )
            .await
    }
}

#[tokio::test]
async fn a_call_reaches_the_handler_of_the_member_meant() {
    let (one, two) = (node(1, 7).await, node(2, 7).await);
    one.knows(&two);
    assert_eq!(one.ping(2).await.unwrap(), "2 heard hello from 1");
}

#[tokio::test]
async fn a_node_of_another_cluster_or_under_another_id_refuses() {
    let (one, two, stranger) = (node(1, 7).await, node(2, 7).await, node(2, 8).await);
    one.knows(&stranger);
    assert!(matches!(one.ping(2).await, Err(Error::WrongPeer(_))));
    one.transport
        .set_peers(vec![(MemberId(3), two.transport.local_addr.to_string())]);
    assert!(matches!(one.ping(3).await, Err(Error::WrongPeer(_))));
}

#[tokio::test]
async fn a_route_without_a_handler_is_not_ready() {
    let (one, two) = (node(1, 7).await, node(2, 7).await);
    one.knows(&two);
    let answer = one
        .transport
        .call(MemberId(2), Route::RaftVote, Bytes::new(), WITHIN)
        .await;
    assert_eq!(answer, Err(Error::NotReady(MemberId(2))));
}

#[tokio::test]
async fn a_closed_port_is_unreachable_and_proves_that_nothing_arrived() {
    let one = node(1, 7).await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    one.transport.set_peers(vec![(MemberId(2), free.to_string())]);
    let error = one.ping(2).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.is_not_delivered());
}

#[tokio::test]
async fn a_handler_that_does_not_answer_in_time_leaves_the_outcome_open() {
    let (one, two) = (node(1, 7).await, node(2, 7).await);
    one.knows(&two);
    two.transport.serve(
        Route::RaftForward,
        Arc::new(|_: MemberId, _: Bytes| async { std::future::pending::<Result<Bytes, HandlerError>>().await }),
    );
    let error = one
        .transport
        .call(MemberId(2), Route::RaftForward, Bytes::new(), Duration::from_millis(50))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NoAnswer { .. }) && !error.is_not_delivered());
}

#[tokio::test]
async fn a_peer_that_comes_back_at_another_address_is_reached_again() {
    let (one, two) = (node(1, 7).await, node(2, 7).await);
    one.knows(&two);
    one.ping(2).await.unwrap();
    two.tasks.shutdown().begin();
    assert!(two.tasks.ended_within(WITHIN).await);
    let back = node(2, 7).await;
    one.knows(&back);
    assert_eq!(one.ping(2).await.unwrap(), "2 heard hello from 1");
}

#[tokio::test]
async fn an_unknown_member_is_said_to_be_unknown() {
    assert_eq!(node(1, 7).await.ping(9).await, Err(Error::UnknownMember(MemberId(9))));
}

/// Connections to a node's port that say so much and no more.
async fn strangers(node: &Node, count: usize, words: &[u8]) -> Vec<TcpStream> {
    let mut strangers = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(node.transport.local_addr).await.unwrap();
        // One that was ended already takes no words.
        let _ = stream.write_all(words).await;
        strangers.push(stream);
    }
    strangers
}

/// Whether the node has closed a connection, or does within the time.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = async { while matches!(stream.read(&mut [0; 1_024]).await, Ok(1..)) {} };
    tokio::time::timeout(WITHIN, read).await.is_ok()
}

#[tokio::test]
async fn strangers_at_the_peer_port_are_bounded_and_keep_no_member_out() {
    let (one, two) = (node(1, 7).await, node(2, 7).await);
    two.knows(&one);
    two.ping(1).await.unwrap();
    for words in [&b""[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\n"] {
        let mut strangers = strangers(&one, 3 * STRANGERS_MAX, words).await;
        two.ping(1).await.expect("who is connected goes on");
        let three = node(3, 7).await;
        three.knows(&one);
        three.ping(1).await.expect("a member that comes finds a place");
        for stranger in &mut strangers[..2 * STRANGERS_MAX] {
            assert!(is_closed(stranger).await, "the oldest give way");
        }
    }
    two.ping(1).await.unwrap();
}

/// The first settings of a peer port, by number (RFC 9113, 6.5.2).
async fn settings(node: &Node) -> HashMap<u16, u32> {
    let mut stream = TcpStream::connect(node.transport.local_addr).await.unwrap();
    let empty_settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&empty_settings).await.unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 4, "a server begins with its settings");
    let mut settings = vec![0; usize::from(head[2])];
    stream.read_exact(&mut settings).await.unwrap();
    settings
        .chunks_exact(6)
        .map(|one| {
            let number = u16::from_be_bytes([one[0], one[1]]);
            (number, u32::from_be_bytes([one[2], one[3], one[4], one[5]]))
        })
        .collect()
}

/// Found by a flood of calls whose answers were not taken: 350,000 of them were 436 MiB.
#[tokio::test]
async fn calls_open_at_once_are_bounded_and_more_of_a_members_wait() {
    const CONCURRENT_STREAMS: u16 = 3;
    let (one, two) = (node(1, 7).await, node(2, 7).await);
    let bound = settings(&two).await[&CONCURRENT_STREAMS];
    assert_eq!(bound, CALLS_PER_CONNECTION_MAX);
    one.knows(&two);
    two.transport.serve(
        Route::MembershipPing,
        Arc::new(|_, body| async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(body)
        }),
    );
    let more = bound as usize * 5;
    let calls = futures_util::future::join_all((0..more).map(|_| one.ping(2))).await;
    assert!(calls.iter().all(Result::is_ok));
}

/// Else the connections of a node would be driven by whatever called first, and wait behind its clients.
#[tokio::test]
async fn connections_belong_to_the_runtime_that_the_port_was_bound_in_whoever_calls_first() {
    let threads = muster_runtime::Threads::start("peers", 1).unwrap();
    let apart = Tasks::new(Shutdown::new()).on(threads.runtime());
    let (one, two) = apart.within(async { (node(1, 7).await, node(2, 7).await) }).await;
    one.knows(&two);
    one.ping(2).await.unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    apart.spawn("caller", muster_runtime::TaskKind::Contained, async move {
        let _ = tell.send(one.ping(2).await);
    });
    // Nothing else of this test's own runtime goes on meanwhile.
    let answered = told.recv_timeout(WITHIN * 2).unwrap();
    assert_eq!(answered.unwrap(), "2 heard hello from 1");
}

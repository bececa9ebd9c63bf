//! Living targets beside ones that swallow connections, over real sockets. The rules alone are tried with twenty thousand
//! in `schedule`.

use super::Limits;
use crate::testing::{Parts, Testbed, instance, service};
use muster_model::Kind;
use muster_runtime::{Clock, TaskKind};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const TARGETS: u8 = 200;
/// Three in ten.
const BLACK_HOLES: u8 = 60;

/// At every loopback address.
fn any() -> SocketAddr {
    "0.0.0.0:0".parse().unwrap()
}

/// A port that takes no connection and refuses none: its queue of one is full, and nobody accepts.
async fn black_hole() -> (TcpListener, Vec<TcpStream>, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(any()).unwrap();
    let listener = socket.listen(1).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut held = Vec::new();
    let full = async {
        while let Ok(Ok(stream)) =
            tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(("127.0.0.1", port))).await
        {
            held.push(stream);
        }
    };
    tokio::time::timeout(Duration::from_secs(10), full)
        .await
        .expect("a queue of one is soon full");
    (listener, held, port)
}

/// Takes about fifteen seconds, the pace of Nacos's probes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_black_holes_every_living_target_is_checked_within_five_seconds() {
    let bed = Testbed::start_probing(Parts::default(), Limits::default());
    let (_swallows, _held, swallowing) = black_hole().await;
    let listener = TcpListener::bind(any()).await.unwrap();
    let living = listener.local_addr().unwrap().port();
    let checked: Arc<Mutex<HashMap<IpAddr, Vec<Instant>>>> = Arc::default();
    let (seen, clock) = (checked.clone(), Clock::system());
    bed.tasks.spawn("stand-in", TaskKind::Contained, async move {
        while let Ok((stream, _)) = listener.accept().await {
            let at = stream.local_addr().expect("an accepted stream has an address").ip();
            seen.lock().entry(at).or_default().push(clock.now());
        }
    });
    for n in 1..=TARGETS {
        let port = if n <= BLACK_HOLES { swallowing } else { living };
        let service = service(&format!("s{}", n % 10));
        let one = instance(&format!("127.0.3.{n}:{port}"), Kind::Persistent);
        bed.naming.register(&bed.context(), &service, one).await.unwrap();
    }
    let begun = bed.clock.now();
    tokio::time::sleep(Duration::from_secs(15)).await;
    let ended = bed.clock.now();
    let checked = checked.lock().clone();
    assert_eq!(checked.len(), usize::from(TARGETS - BLACK_HOLES));
    let mut longest = Duration::ZERO;
    for (at, times) in &checked {
        // The first comes after 2 to 7 s, as in Nacos, which the tick that finds the target may make one more.
        assert!(
            times[0] - begun < Duration::from_millis(8_500),
            "{at}: {:?}",
            times[0] - begun
        );
        for (one, next) in times.iter().zip(times.iter().skip(1).chain([&ended])) {
            longest = longest.max(*next - *one);
        }
    }
    eprintln!("the longest that a living target was left alone: {longest:?}");
    assert!(longest < Duration::from_secs(5), "{longest:?}");
}

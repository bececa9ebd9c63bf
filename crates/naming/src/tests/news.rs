//! Services come and go before those who watch their names.

use crate::testing::{Testbed, instance, key, service};
use crate::{Lagged, ServiceEvent, ServiceNews};
use muster_model::{ConnectionId, Kind, ServiceSettings};
use std::time::Duration;
use tokio::time::{Instant, timeout};

const ONE: ConnectionId = ConnectionId(1);

fn event(name: &str, exists: bool) -> Option<Result<ServiceEvent, Lagged>> {
    Some(Ok(ServiceEvent {
        service: service(name),
        exists,
    }))
}

/// Ends between two ticks of the keeper, so that what comes next at once came without one.
async fn silent(news: &mut ServiceNews) -> bool {
    timeout(Duration::from_millis(2_100), news.next()).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn the_first_instance_and_the_last_are_news_within_milliseconds_and_those_between_are_not() {
    let bed = Testbed::start();
    let (s, context) = (service("s"), bed.context());
    let mut news = bed.naming.watch_services();
    let publish = |addresses: &[&str]| {
        let list = addresses.iter().map(|address| instance(address, Kind::Ephemeral));
        bed.naming.publish(&context, ONE, &s, list.collect()).unwrap();
    };
    assert!(silent(&mut news).await);
    let began = Instant::now();
    publish(&["h:1"]);
    assert_eq!(news.next().await, event("s", true));
    assert!(began.elapsed() <= Duration::from_millis(10), "in paused time");
    publish(&["h:2", "h:3"]);
    assert!(silent(&mut news).await);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let began = Instant::now();
    bed.naming.connection_ended(ONE);
    assert_eq!(news.next().await, event("s", false));
    assert!(began.elapsed() <= Duration::from_millis(10), "in paused time");
}

#[tokio::test(start_paused = true)]
async fn news_count_as_the_listing_counts() {
    let bed = Testbed::start();
    let (s, context) = (service("s"), bed.context());
    let mut news = bed.naming.watch_services();
    let settings = ServiceSettings::default();
    bed.naming.create_service(&context, &s, settings).await.unwrap();
    assert_eq!(news.next().await, event("s", true));
    let persistent = instance("h:1", Kind::Persistent);
    bed.naming.register(&context, &s, persistent).await.unwrap();
    let left = bed.naming.deregister(&context, &s, &key("h:1"), Kind::Persistent).await;
    left.unwrap();
    assert!(silent(&mut news).await, "it was created and is listed while empty");
    bed.naming.delete_service(&context, &s).await.unwrap();
    assert_eq!(news.next().await, event("s", false));
    let _ = bed.naming.snapshot(&service("unheard"));
    assert!(silent(&mut news).await);
}

#[tokio::test(start_paused = true)]
async fn who_is_too_slow_is_told_so_and_goes_on() {
    let bed = Testbed::start();
    let context = bed.context();
    let mut news = bed.naming.watch_services();
    let list = || vec![instance("h:1", Kind::Ephemeral)];
    for nth in 0..5_000 {
        let s = service(&format!("s{nth}"));
        bed.naming.publish(&context, ONE, &s, list()).unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(news.next().await, Some(Err(Lagged)));
    assert!(matches!(news.next().await, Some(Ok(_))));
}

#[tokio::test(start_paused = true)]
async fn without_watchers_nothing_is_folded_before_its_time() {
    let bed = Testbed::start();
    let context = bed.context();
    // The keeper's first tick is at once.
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(bed.naming.watch_services());
    tokio::time::sleep(Duration::from_millis(20)).await;
    let list = vec![instance("h:1", Kind::Ephemeral)];
    bed.naming.publish(&context, ONE, &service("s"), list).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(bed.naming.model().listing.len(), 0);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(bed.naming.model().listing.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_news_end_with_the_node() {
    let bed = Testbed::start();
    let mut news = bed.naming.watch_services();
    bed.tasks.shutdown().begin();
    assert_eq!(news.next().await, None);
}

use super::*;
use muster_model::Kind;
use muster_naming::testing::{instance, service_in};
use serde_json::json;
use std::time::Duration;

const SYNC: &str = "NamingFuzzyWatchSyncRequest";
const CHANGE: &str = "NamingFuzzyWatchChangeNotifyRequest";

pub(super) fn watch(pattern: &str, received: &[&str], initializing: bool) -> String {
    json!({"headers":{},"namespace":"public","groupKeyPattern":pattern,"receivedGroupKeys":received,"watchType":"WATCH",
        "initializing":initializing,"module":"naming"})
    .to_string()
}

fn cancel(pattern: &str) -> String {
    json!({"groupKeyPattern":pattern,"watchType":"CANCEL_WATCH"}).to_string()
}

pub(super) async fn register(rig: &Rig, group: &str, name: &str) {
    let context = rig.bed.context();
    let one = instance("1.1.1.1:80", Kind::Ephemeral);
    let service = service_in("public", group, name);
    rig.bed.naming.register(&context, &service, one).await.unwrap();
}

/// What the client was asked next; a deadline, not a wait.
async fn next(asked: &mut Asked) -> (&'static str, Value) {
    let asked = tokio::time::timeout(Duration::from_secs(30), asked.recv()).await;
    let (name, members) = asked.expect("the client is told in time").expect("the client is told");
    (name, object(&members))
}

pub(super) async fn ok(rig: &Rig, one: &Arc<Connection>, body: &str) {
    let answer = rig.ask(one, "NamingFuzzyWatchRequest", body).await;
    assert_eq!(
        answer,
        (
            "NamingFuzzyWatchResponse",
            r#"{"resultCode":200,"errorCode":0,"success":true}"#.to_owned()
        )
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_is_told_what_is_there_that_this_was_all_and_then_what_changes() {
    let rig = Rig::start();
    let (one, mut asked) = rig.connect(1);
    register(&rig, "g", "a").await;
    register(&rig, "other", "b").await;
    ok(&rig, &one, &watch("public>>g>>*", &[], true)).await;
    let (name, first) = next(&mut asked).await;
    assert_eq!(name, SYNC);
    assert_eq!(
        first,
        json!({"syncType":"FUZZY_WATCH_INIT_NOTIFY","groupKeyPattern":"public>>g>>*",
            "contexts":[{"serviceKey":"public@@g@@a","changedType":"ADD_SERVICE"}],
            "totalBatch":1,"currentBatch":1,"module":"naming"})
    );
    let (name, finish) = next(&mut asked).await;
    assert_eq!(
        (name, &finish["syncType"], &finish["contexts"]),
        (SYNC, &json!("FINISH_FUZZY_WATCH_INIT_NOTIFY"), &json!([]))
    );
    register(&rig, "other", "c").await;
    register(&rig, "g", "d").await;
    let (name, change) = next(&mut asked).await;
    assert_eq!(name, CHANGE);
    assert_eq!(
        change,
        json!({"syncType":"FUZZY_WATCH_RESOURCE_CHANGED","serviceKey":"public@@g@@d","changedType":"ADD_SERVICE","module":"naming"})
    );
    let gone = service_in("public", "g", "a");
    rig.bed
        .ephemeral
        .expire(&gone, &muster_naming::testing::key("1.1.1.1:80"));
    let (name, change) = next(&mut asked).await;
    assert_eq!(
        (name, &change["serviceKey"], &change["changedType"]),
        (CHANGE, &json!("public@@g@@a"), &json!("DELETE_SERVICE"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_renewal_is_told_the_difference_and_a_cancelled_watch_nothing() {
    let rig = Rig::start();
    let (one, mut asked) = rig.connect(1);
    register(&rig, "g", "a").await;
    ok(&rig, &one, &watch("public>>g>>*", &["public@@g@@gone"], false)).await;
    let (_, diff) = next(&mut asked).await;
    assert_eq!(diff["syncType"], "FUZZY_WATCH_DIFF_SYNC_NOTIFY");
    assert_eq!(
        diff["contexts"],
        json!([{"serviceKey":"public@@g@@a","changedType":"ADD_SERVICE"},
            {"serviceKey":"public@@g@@gone","changedType":"DELETE_SERVICE"}])
    );
    ok(&rig, &one, &watch("public>>h>>*", &[], true)).await;
    assert_eq!(next(&mut asked).await.1["syncType"], "FINISH_FUZZY_WATCH_INIT_NOTIFY");
    ok(&rig, &one, &cancel("public>>g>>*")).await;
    ok(&rig, &one, &cancel("public>>nobody>>*")).await;
    register(&rig, "g", "b").await;
    register(&rig, "h", "c").await;
    assert_eq!(
        next(&mut asked).await.1["serviceKey"],
        "public@@h@@c",
        "of g nothing more is told"
    );
    assert_eq!(rig.watches.len(), 1);
    ok(&rig, &one, &cancel("public>>h>>*")).await;
    assert_eq!(rig.watches.len(), 0, "the last one ends the task");
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_with_its_connection() {
    let rig = Rig::start();
    let (one, mut asked) = rig.connect(1);
    ok(&rig, &one, &watch("public>>g>>*", &[], true)).await;
    next(&mut asked).await;
    rig.watches.ended(one.id);
    assert_eq!(rig.watches.len(), 0);
    drop(one);
    assert_eq!(asked.recv().await, None, "its task has let go of it");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_cannot_be_told_ends_its_task_and_may_begin_anew() {
    let rig = Rig::start();
    let (one, asked) = rig.connect(1);
    drop(asked);
    ok(&rig, &one, &watch("public>>g>>*", &[], true)).await;
    while Arc::weak_count(&one) > 0 {
        tokio::task::yield_now().await;
    }
    ok(&rig, &one, &watch("public>>h>>*", &[], true)).await;
    assert_eq!(rig.watches.len(), 1);
    assert_eq!(Arc::weak_count(&one), 1, "there is a task again");
}

#[tokio::test(start_paused = true)]
async fn a_twenty_first_pattern_is_refused_and_a_renewal_is_not() {
    let rig = Rig::start();
    let (one, _asked) = rig.connect(1);
    let pattern = |n: usize| watch(&format!("public>>g{n}>>*"), &[], false);
    for n in 0..20 {
        ok(&rig, &one, &pattern(n)).await;
    }
    let answer = rig
        .json(
            &one,
            "NamingFuzzyWatchRequest",
            "NamingFuzzyWatchResponse",
            &pattern(20),
        )
        .await;
    assert_eq!(
        (&answer["resultCode"], &answer["errorCode"], &answer["success"]),
        (&json!(500), &json!(50_310), &json!(false))
    );
    ok(&rig, &one, &pattern(0)).await;
    let (other, _asked) = rig.connect(2);
    ok(&rig, &other, &pattern(20)).await;
}

#[tokio::test(start_paused = true)]
async fn more_than_500_matches_are_said_to_be_too_many_and_the_first_are_told() {
    let rig = Rig::start();
    let (one, mut asked) = rig.connect(1);
    for n in 0..501 {
        register(&rig, "g", &format!("s{n:04}")).await;
    }
    let answer = rig
        .json(
            &one,
            "NamingFuzzyWatchRequest",
            "NamingFuzzyWatchResponse",
            &watch("public>>g>>*", &[], true),
        )
        .await;
    assert_eq!(
        (&answer["resultCode"], &answer["errorCode"]),
        (&json!(500), &json!(50_311))
    );
    for batch in 1..=50 {
        let (_, sync) = next(&mut asked).await;
        assert_eq!(
            (&sync["currentBatch"], &sync["totalBatch"]),
            (&json!(batch), &json!(50))
        );
    }
    assert_eq!(next(&mut asked).await.1["syncType"], "FINISH_FUZZY_WATCH_INIT_NOTIFY");
}

#[tokio::test]
async fn wrong_patterns_are_refused() {
    let rig = Rig::start();
    let (one, _asked) = rig.connect(1);
    let answer = rig
        .json(
            &one,
            "NamingFuzzyWatchRequest",
            "NamingFuzzyWatchResponse",
            &watch("public@@g@@s", &[], true),
        )
        .await;
    assert_eq!(
        (&answer["resultCode"], &answer["errorCode"]),
        (&json!(500), &json!(400))
    );
    assert_eq!(rig.watches.len(), 0);
}

//! Questions of the server's own and how they are answered.

use super::rig::{Rig, StillTime};
use crate::grpc::connection::AskError;
use bytes::Bytes;
use futures_util::future::join;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(3);
const MEMBERS: Bytes = Bytes::from_static(br#""syncType":"X""#);

#[tokio::test]
async fn an_answer_is_matched_by_its_request_id_alone() {
    let rig = Rig::open().await;
    let (_client, mut stream, info) = rig.java().await;
    let connection = rig.connections.0.get(info.id).unwrap();
    let both = join(
        connection.ask("FirstRequest", MEMBERS, WITHIN),
        connection.ask("SecondRequest", MEMBERS, WITHIN),
    );
    let answering = async {
        let first = stream.next().await.unwrap();
        let second = stream.next().await.unwrap();
        assert_eq!((first.0.as_str(), second.0.as_str()), ("FirstRequest", "SecondRequest"));
        assert_eq!(first.1["headers"], serde_json::json!({}));
        assert_eq!(first.1["syncType"], "X");
        let id = |asked: &serde_json::Value| asked["requestId"].as_str().unwrap().to_owned();
        // In another order, of another class, and one of them a refusal.
        let refusal = format!(
            r#"{{"resultCode":500,"errorCode":1,"message":"no","requestId":"{}"}}"#,
            id(&second.1)
        );
        stream.say("ErrorResponse", &refusal).await;
        let success = format!(r#"{{"resultCode":200,"success":false,"requestId":"{}"}}"#, id(&first.1));
        stream.say("ConfigFuzzyWatchSyncResponse", &success).await;
    };
    let ((first, second), ()) = join(both, answering).await;
    assert!(first.is_ok(), "{first:?}");
    assert!(
        matches!(&second, Err(AskError::Refused(text)) if text == "no"),
        "{second:?}"
    );
}

#[tokio::test]
async fn a_question_without_an_answer_ends_in_time_and_a_late_answer_is_nobodys() {
    let rig = Rig::open().await;
    let (_client, mut stream, info) = rig.java().await;
    let connection = rig.connections.0.get(info.id).unwrap();
    let time = StillTime::begin();
    let asking = connection.ask("FirstRequest", MEMBERS, WITHIN);
    let passing = async {
        let asked = stream.next().await.unwrap();
        time.pass(WITHIN + Duration::from_millis(10)).await;
        asked
    };
    let (answer, asked) = join(asking, passing).await;
    assert!(matches!(answer, Err(AskError::Silent(WITHIN))), "{answer:?}");
    stream.ack(&asked).await;
    drop(time);
    rig.serves().await;
}

#[tokio::test]
async fn who_waits_for_an_answer_is_told_when_the_connection_goes() {
    let rig = Rig::open().await;
    let (client, mut stream, info) = rig.java().await;
    let connection = rig.connections.0.get(info.id).unwrap();
    let asking = connection.ask("FirstRequest", MEMBERS, Duration::from_secs(600));
    let going = async {
        stream.next().await.unwrap();
        drop((client, stream));
    };
    let (answer, ()) = join(asking, going).await;
    assert!(matches!(answer, Err(AskError::Gone)), "{answer:?}");
    let answer = connection.ask("FirstRequest", MEMBERS, WITHIN).await;
    assert!(matches!(answer, Err(AskError::Gone)), "{answer:?}");
}

#[tokio::test]
async fn questions_to_one_client_are_bounded() {
    let rig = Rig::open().await;
    let (_client, _stream, info) = rig.java().await;
    let connection = rig.connections.0.get(info.id).unwrap();
    let many = (0..100).map(|_| connection.ask("FirstRequest", MEMBERS, Duration::from_millis(50)));
    let answers = futures_util::future::join_all(many).await;
    let busy = answers
        .iter()
        .filter(|answer| matches!(answer, Err(AskError::Busy)))
        .count();
    assert!((30..50).contains(&busy), "{busy} of 100 found no room");
}

//! Who subscribes to what, on this node and on the others.
//!
//! A member answers [`Route::Subscribers`] with a [`Head`] and then one [`Record`] per subscriber, each behind its length, so
//! that a reader counts while it decodes.

use super::site::Site;
use crate::metrics::SUBSCRIBERS_MISSED;
use bytes::{Bytes, BytesMut};
use futures_util::future::join_all;
use muster_model::{GroupName, MemberId, NamespaceId, ServiceKey, ServiceName};
use muster_push::{Listed, Push};
use muster_transport::{Boxed, Handler, HandlerError, Route, Transport};
use prost::Message;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// What one member may tell of; of more the rest is left out and counted.
const RECORDS_MAX: usize = 10_000;
/// 10,000 records of 400 bytes; usual ones have 120.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// A namespace, a group and a service name are 1,000 bytes at most.
const QUESTION_BYTES_MAX: usize = 4_096;
/// A person waits for the listing: whoever is slower is left out.
const PEER_WAIT: Duration = Duration::from_secs(1);

/// What identifies a subscriber, in the order that it is listed in.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Identity {
    pub(super) service: ServiceKey,
    /// Where pushes go, or where its connection comes from.
    pub(super) target: SocketAddr,
    pub(super) clusters: Box<str>,
}

/// What it says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Words {
    pub(super) agent: Box<str>,
    pub(super) app: Box<str>,
}

/// Sorted, each once.
pub(super) type Subscribers = BTreeMap<Identity, Words>;

/// Which services are asked for: group and name match by what they contain, as in Nacos.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Question {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    group: String,
    #[prost(string, tag = "3")]
    name: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Head {
    /// There are more than follow.
    #[prost(bool, tag = "1")]
    cut: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Record {
    #[prost(string, tag = "1")]
    group: String,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    target: String,
    #[prost(string, tag = "4")]
    clusters: String,
    #[prost(string, tag = "5")]
    agent: String,
    #[prost(string, tag = "6")]
    app: String,
}

/// Why a member's answer is not believed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("more than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    #[error("more than {RECORDS_MAX} subscribers")]
    TooMany,
    #[error("not decodable: {0}")]
    Undecodable(String),
    #[error("{0} is not usable")]
    Unusable(&'static str),
    #[error("a service that was not asked for")]
    NotAsked,
}

impl Question {
    pub(super) fn of(service: &ServiceKey) -> Self {
        Self {
            namespace: service.namespace().to_string(),
            group: service.group().to_string(),
            name: service.name().to_string(),
        }
    }

    fn matches(&self, service: &ServiceKey) -> bool {
        service.namespace().as_str() == self.namespace
            && service.group().as_str().contains(&self.group)
            && service.name().as_str().contains(&self.name)
    }
}

/// Those of this node.
pub(super) fn here(push: &Push, question: &Question) -> Subscribers {
    let entry = |listed: Listed| {
        let identity = Identity {
            service: listed.key.service.clone(),
            target: listed.key.target.address(),
            clusters: listed.key.clusters.clone(),
        };
        let words = Words {
            agent: listed.info.agent.clone(),
            app: listed.info.app.clone(),
        };
        (identity, words)
    };
    let found = push.subscriptions(&|service| question.matches(service));
    found.into_iter().map(entry).collect()
}

/// Those of all living members. Who does not answer in time, or answers nonsense, is left out and counted.
pub(super) async fn everywhere(site: &Site, push: &Push, peers: &[MemberId], question: &Question) -> Subscribers {
    let mut all = here(push, question);
    let Some(transport) = site.peers() else {
        return all;
    };
    let body = Bytes::from(question.encode_to_vec());
    let asked = peers
        .iter()
        .map(|peer| ask(&**transport, *peer, body.clone(), question));
    for told in join_all(asked).await {
        for (identity, words) in told {
            all.entry(identity).or_insert(words);
        }
    }
    all
}

async fn ask(transport: &dyn Transport, peer: MemberId, body: Bytes, question: &Question) -> Subscribers {
    let missed = |reason: &str| SUBSCRIBERS_MISSED.with_label_values(&[reason]).inc();
    match transport.call(peer, Route::Subscribers, body, PEER_WAIT).await {
        Err(error) => {
            missed("unreachable");
            tracing::debug!(peer = peer.0, %error, "subscribers not told");
            Subscribers::new()
        }
        Ok(answer) => match decode(answer, question) {
            Err(error) => {
                missed("refused");
                tracing::warn!(peer = peer.0, %error, "subscribers refused");
                Subscribers::new()
            }
            Ok((told, cut)) => {
                if cut {
                    missed("cut");
                }
                told
            }
        },
    }
}

fn encode(subscribers: &Subscribers) -> Bytes {
    let mut records = BytesMut::new();
    let mut told = 0;
    for (identity, words) in subscribers.iter().take(RECORDS_MAX) {
        let record = Record {
            group: identity.service.group().to_string(),
            name: identity.service.name().to_string(),
            target: identity.target.to_string(),
            clusters: identity.clusters.to_string(),
            agent: words.agent.to_string(),
            app: words.app.to_string(),
        }
        .encode_length_delimited_to_vec();
        // Some bytes are kept for the head.
        if records.len() + record.len() > ANSWER_BYTES_MAX - 16 {
            break;
        }
        records.extend_from_slice(&record);
        told += 1;
    }
    let head = Head {
        cut: told < subscribers.len(),
    };
    let mut answer = BytesMut::from(&*head.encode_length_delimited_to_vec());
    answer.extend_from_slice(&records);
    answer.freeze()
}

fn decode(mut answer: Bytes, question: &Question) -> Result<(Subscribers, bool), Malformed> {
    if answer.len() > ANSWER_BYTES_MAX {
        return Err(Malformed::TooLong);
    }
    let undecodable = |error: prost::DecodeError| Malformed::Undecodable(error.to_string());
    let namespace = NamespaceId::parse(&question.namespace).map_err(|_| Malformed::Unusable("namespace"))?;
    let head = Head::decode_length_delimited(&mut answer).map_err(undecodable)?;
    let mut subscribers = Subscribers::new();
    let mut told = 0;
    while !answer.is_empty() {
        told += 1;
        if told > RECORDS_MAX {
            return Err(Malformed::TooMany);
        }
        let record = Record::decode_length_delimited(&mut answer).map_err(undecodable)?;
        let (identity, words) = record.checked(&namespace)?;
        if !question.matches(&identity.service) {
            return Err(Malformed::NotAsked);
        }
        subscribers.insert(identity, words);
    }
    Ok((subscribers, head.cut))
}

impl Record {
    fn checked(self, namespace: &NamespaceId) -> Result<(Identity, Words), Malformed> {
        let group = GroupName::parse(&self.group).map_err(|_| Malformed::Unusable("group"))?;
        let name = ServiceName::parse(&self.name).map_err(|_| Malformed::Unusable("name"))?;
        let identity = Identity {
            service: ServiceKey::new(namespace.clone(), group, name),
            target: self.target.parse().map_err(|_| Malformed::Unusable("address"))?,
            clusters: self.clusters.into(),
        };
        let words = Words {
            agent: self.agent.into(),
            app: self.app.into(),
        };
        Ok((identity, words))
    }
}

/// Answers the other members. Weak, because the site holds the transport that holds this.
pub(super) struct Teller(pub(super) Weak<Site>);

impl Teller {
    fn tell(&self, body: &Bytes) -> Result<Bytes, HandlerError> {
        if body.len() > QUESTION_BYTES_MAX {
            return Err(HandlerError::Failed("the question is too long".to_owned()));
        }
        let question = Question::decode(&**body).map_err(|error| HandlerError::Failed(error.to_string()))?;
        let site: Arc<Site> = self.0.upgrade().ok_or(HandlerError::NotReady)?;
        let naming = site.naming().ok_or(HandlerError::NotReady)?;
        Ok(encode(&here(naming.push(), &question)))
    }
}

impl Handler for Teller {
    fn handle(&self, _from: MemberId, body: Bytes) -> Boxed<Result<Bytes, HandlerError>> {
        let told = self.tell(&body);
        Box::pin(async { told })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::ConnectionId;
    use muster_naming::testing::{Parts, Testbed};
    use muster_push::{SubscriptionInfo, SubscriptionKey, Target};

    fn service(name: &str) -> ServiceKey {
        muster_naming::testing::service(name)
    }

    fn subscribers(count: usize) -> Subscribers {
        let entry = |place: usize| {
            let identity = Identity {
                service: service("svc"),
                target: format!("10.0.{}.{}:80", place / 256, place % 256).parse().unwrap(),
                clusters: "".into(),
            };
            let words = Words {
                agent: "a".into(),
                app: "b".into(),
            };
            (identity, words)
        };
        (0..count).map(entry).collect()
    }

    fn record(change: impl FnOnce(&mut Record)) -> Bytes {
        let mut record = Record {
            group: "DEFAULT_GROUP".to_owned(),
            name: "svc".to_owned(),
            target: "10.0.0.1:80".to_owned(),
            ..Record::default()
        };
        change(&mut record);
        let mut answer = Head::default().encode_length_delimited_to_vec();
        answer.extend(record.encode_length_delimited_to_vec());
        answer.into()
    }

    struct Nowhere;

    impl muster_push::Sink for Nowhere {
        fn deliver(&self, _: &muster_push::Delivery) -> muster_push::Handed {
            muster_push::Handed::Sent
        }
    }

    #[tokio::test]
    async fn who_subscribes_on_a_connection_is_told_of_by_the_address_it_comes_from() {
        let clock = muster_runtime::Clock::system();
        let bed = Testbed::start_with(Parts {
            clock: clock.clone(),
            push: Some(Box::new(move |changes, tasks| {
                let config = muster_push::Config::default();
                Push::start(config, Arc::new(changes), Arc::new(Nowhere), clock, tasks)
            })),
            ..Parts::default()
        });
        let peers = ["10.0.0.1:50001", "10.0.0.1:50002"];
        for (number, peer) in (1..).zip(peers) {
            let key = SubscriptionKey {
                service: service("svc"),
                clusters: "east".into(),
                target: Target::Connection {
                    id: ConnectionId(number),
                    peer: peer.parse().unwrap(),
                },
            };
            let info = SubscriptionInfo {
                agent: "Nacos-Rust-Client:0.5.1".into(),
                app: "shop".into(),
                datagram_bytes_max: 0,
            };
            bed.naming.subscribe(&bed.context(), key, info);
        }
        let question = Question::of(&service("svc"));
        let (told, cut) = decode(encode(&here(bed.naming.push(), &question)), &question).unwrap();
        let targets: Vec<_> = told.keys().map(|identity| identity.target.to_string()).collect();
        assert_eq!((targets, cut), (peers.map(str::to_owned).to_vec(), false));
        assert!(told.values().all(|words| &*words.agent == "Nacos-Rust-Client:0.5.1"));
        assert!(told.keys().all(|identity| &*identity.clusters == "east"));
        bed.naming.push().end(ConnectionId(1));
        assert_eq!(here(bed.naming.push(), &question).len(), 1);
    }

    #[test]
    fn what_is_told_is_understood_and_what_is_too_much_is_cut_and_said() {
        let question = Question::of(&service("svc"));
        let few = subscribers(3);
        assert_eq!(decode(encode(&few), &question), Ok((few, false)));
        let (told, cut) = decode(encode(&subscribers(RECORDS_MAX + 1)), &question).unwrap();
        assert_eq!((told.len(), cut), (RECORDS_MAX, true));
    }

    #[test]
    fn hostile_answers_are_refused() {
        let question = Question::of(&service("svc"));
        let refused = |answer: Bytes| decode(answer, &question).unwrap_err();
        assert_eq!(refused(vec![0; ANSWER_BYTES_MAX + 1].into()), Malformed::TooLong);
        // Empty records of one byte each: counted before they are kept.
        let unusable = refused(vec![0; ANSWER_BYTES_MAX].into());
        assert_eq!(unusable, Malformed::Unusable("group"));
        let mut many = Head::default().encode_length_delimited_to_vec();
        let one = record(|_| {}).slice(1..);
        many.extend(one.repeat(RECORDS_MAX + 1));
        assert_eq!(refused(many.into()), Malformed::TooMany);
        assert!(matches!(
            refused(Bytes::from_static(&[0xff; 20])),
            Malformed::Undecodable(_)
        ));
        assert!(matches!(refused(Bytes::new()), Malformed::Undecodable(_)));
        assert_eq!(
            refused(record(|r| r.target = "host:80".to_owned())),
            Malformed::Unusable("address")
        );
        assert_eq!(
            refused(record(|r| r.name = "a@@b".to_owned())),
            Malformed::Unusable("name")
        );
        assert_eq!(refused(record(|r| r.name = "other".to_owned())), Malformed::NotAsked);
        assert!(decode(record(|_| {}), &question).is_ok());
    }

    #[test]
    fn hostile_questions_are_refused() {
        let teller = Teller(Weak::new());
        for body in [vec![0; QUESTION_BYTES_MAX + 1], vec![0xff; 9]] {
            assert!(matches!(teller.tell(&body.into()), Err(HandlerError::Failed(_))));
        }
    }
}

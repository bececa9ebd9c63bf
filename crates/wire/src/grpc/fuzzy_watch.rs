//! Watches of service names by pattern: what a client asks, and what it is told.

use super::Unreadable;
use super::naming_request::RequestError;
use super::response::{Codes, NoMembers, Response, json};
use super::scalar::Scalar;
use crate::Refusal;
use crate::loose::LooseText;
use bytes::Bytes;
use muster_model::{GroupName, NamespaceId, ServiceKey};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;

pub const NAMING_FUZZY_WATCH_RESPONSE: &str = "NamingFuzzyWatchResponse";
pub const NAMING_FUZZY_WATCH_SYNC_REQUEST: &str = "NamingFuzzyWatchSyncRequest";
pub const NAMING_FUZZY_WATCH_CHANGE_NOTIFY_REQUEST: &str = "NamingFuzzyWatchChangeNotifyRequest";

/// A namespace, a group and a name are 704 characters at most.
const PATTERN_BYTES_MAX: usize = 1_024;
/// Keys that are read of what a client has already: twice what a watch is told.
const RECEIVED_MAX: usize = 1_000;

/// Matches groups or names of services.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Text {
    Any,
    Is(Box<str>),
    Begins(Box<str>),
    Ends(Box<str>),
    Contains(Box<str>),
}

impl Text {
    fn parse(text: &str) -> Self {
        match text {
            // Java's watch of a whole group sends `.*`, a regular expression in a place for wildcards: by Nacos's own rule
            // a prefix of which no name begins. We take it for what its caller means.
            "*" | ".*" => Text::Any,
            _ => match (text.strip_prefix('*'), text.strip_suffix('*')) {
                (Some(rest), Some(_)) => Text::Contains(rest[..rest.len() - 1].into()),
                (Some(rest), None) => Text::Ends(rest.into()),
                (None, Some(rest)) => Text::Begins(rest.into()),
                (None, None) => Text::Is(text.into()),
            },
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Text::Any => true,
            Text::Is(whole) => text == &**whole,
            Text::Begins(part) => text.starts_with(&**part),
            Text::Ends(part) => text.ends_with(&**part),
            Text::Contains(part) => text.contains(&**part),
        }
    }
}

/// `namespace>>group>>name`, where the last two may begin or end with `*`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FuzzyPattern {
    /// Verbatim: the client tells its watches apart by it.
    text: Box<str>,
    namespace: NamespaceId,
    group: Text,
    name: Text,
}

impl FuzzyPattern {
    /// # Errors
    /// [`Refusal`]: too long, not three parts, or a part that is empty or no namespace.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let wrong = || Refusal::IllegalCharacters("groupKeyPattern");
        if text.len() > PATTERN_BYTES_MAX {
            return Err(Refusal::TooLong {
                name: "groupKeyPattern",
                chars_max: PATTERN_BYTES_MAX,
            });
        }
        let parts: Vec<&str> = text.split(">>").collect();
        let &[namespace, group, name] = parts.as_slice() else {
            return Err(wrong());
        };
        if group.is_empty() || name.is_empty() {
            return Err(wrong());
        }
        let namespace = match namespace.trim() {
            "" => NamespaceId::public(),
            id => NamespaceId::parse(id)?,
        };
        Ok(Self {
            text: text.into(),
            namespace,
            group: Text::parse(group),
            name: Text::parse(name),
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn namespace(&self) -> &NamespaceId {
        &self.namespace
    }

    /// The one group that matches, if the pattern names one.
    pub fn group(&self) -> Option<GroupName> {
        match &self.group {
            Text::Is(name) => GroupName::parse(name).ok(),
            _ => None,
        }
    }

    pub fn matches(&self, service: &ServiceKey) -> bool {
        *service.namespace() == self.namespace
            && self.group.matches(service.group().as_str())
            && self.name.matches(service.name().as_str())
    }
}

/// `NamingFuzzyWatchRequest`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FuzzyWatchRequest {
    pub pattern: FuzzyPattern,
    pub act: FuzzyAct,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FuzzyAct {
    Watch {
        /// Keys that the client has already; of very many the first.
        received: HashSet<String>,
        /// It waits to be told that it has all.
        initializing: bool,
    },
    Cancel,
}

impl FuzzyWatchRequest {
    /// # Errors
    /// [`RequestError`].
    pub fn decode(body: &[u8]) -> Result<Self, RequestError> {
        #[derive(serde::Deserialize, Default)]
        #[serde(rename_all = "camelCase", default, bound(deserialize = "'de: 'a"))]
        struct Json<'a> {
            group_key_pattern: Scalar<'a>,
            received_group_keys: Received,
            watch_type: Scalar<'a>,
            initializing: Scalar<'a>,
        }
        let json: Json<'_> = Unreadable::parse(body)?;
        let pattern = json.group_key_pattern.nonblank();
        let pattern = FuzzyPattern::parse(&pattern.ok_or(Refusal::Required("groupKeyPattern"))?)?;
        let act = match json.watch_type.text().as_deref() {
            Some("WATCH") => FuzzyAct::Watch {
                received: json.received_group_keys.0,
                initializing: json.initializing.flag()?.unwrap_or(false),
            },
            Some("CANCEL_WATCH") => FuzzyAct::Cancel,
            other => {
                let other = other.unwrap_or("null").chars().take(64).collect();
                return Err(RequestError::UnsupportedType(other));
            }
        };
        Ok(Self { pattern, act })
    }
}

#[derive(Default)]
struct Received(HashSet<String>);

impl<'de> Deserialize<'de> for Received {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Received;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of keys")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Received, A::Error> {
                let mut keys = HashSet::new();
                while let Some(LooseText(key)) = items.next_element()? {
                    if let Some(key) = key.filter(|_| keys.len() < RECEIVED_MAX) {
                        keys.insert(key);
                    }
                }
                Ok(Received(keys))
            }

            fn visit_unit<E: Error>(self) -> Result<Received, E> {
                Ok(Received::default())
            }
        }
        deserializer.deserialize_any(Keys)
    }
}

/// The form of a service's key in these messages.
pub fn fuzzy_key(service: &ServiceKey) -> String {
    format!("{}@@{}@@{}", service.namespace(), service.group(), service.name())
}

/// `NamingFuzzyWatchResponse` to a watch or its end.
pub fn fuzzy_watch_response() -> Bytes {
    Response::of(Codes::OK, None, NoMembers {})
}

/// What became of a service.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FuzzyChange {
    AddService,
    DeleteService,
}

/// One service in a batch.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FuzzyContext {
    pub service_key: String,
    pub changed_type: FuzzyChange,
}

/// Why a batch is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub enum FuzzySync {
    #[serde(rename = "FUZZY_WATCH_INIT_NOTIFY")]
    Init,
    #[serde(rename = "FUZZY_WATCH_DIFF_SYNC_NOTIFY")]
    Diff,
    /// Nothing follows; the client's future completes.
    #[serde(rename = "FINISH_FUZZY_WATCH_INIT_NOTIFY")]
    Finish,
}

/// The members of a `NamingFuzzyWatchSyncRequest` after `headers` and `requestId`, without the braces. `batch` counts from
/// one; both numbers are 0 where there is nothing in it.
pub fn fuzzy_sync_members(
    pattern: &FuzzyPattern,
    sync: FuzzySync,
    contexts: &[FuzzyContext],
    batch: (usize, usize),
) -> Bytes {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Json<'a> {
        sync_type: FuzzySync,
        group_key_pattern: &'a str,
        contexts: &'a [FuzzyContext],
        total_batch: usize,
        current_batch: usize,
        module: &'static str,
    }
    members(json(&Json {
        sync_type: sync,
        group_key_pattern: pattern.as_str(),
        contexts,
        total_batch: batch.1,
        current_batch: batch.0,
        module: "naming",
    }))
}

/// The members of a `NamingFuzzyWatchChangeNotifyRequest`, likewise.
pub fn fuzzy_change_members(service: &ServiceKey, change: FuzzyChange) -> Bytes {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Json {
        sync_type: &'static str,
        service_key: String,
        changed_type: FuzzyChange,
        module: &'static str,
    }
    members(json(&Json {
        sync_type: "FUZZY_WATCH_RESOURCE_CHANGED",
        service_key: fuzzy_key(service),
        changed_type: change,
        module: "naming",
    }))
}

/// An object without its braces.
fn members(object: Bytes) -> Bytes {
    object.slice(1..object.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::ServiceName;
    use proptest::prelude::*;

    fn service(namespace: &str, group: &str, name: &str) -> ServiceKey {
        ServiceKey::new(
            NamespaceId::parse(namespace).unwrap(),
            GroupName::parse(group).unwrap(),
            ServiceName::parse(name).unwrap(),
        )
    }

    fn pattern(text: &str) -> FuzzyPattern {
        FuzzyPattern::parse(text).unwrap()
    }

    #[test]
    fn patterns_match_as_nacos_matches() {
        for (text, name, matched) in [
            ("*", "orders", true),
            (".*", "orders", true),
            ("orders", "orders", true),
            ("orders", "orders-2", false),
            ("ord*", "orders", true),
            ("ord*", "border", false),
            ("*ers", "orders", true),
            ("*ers", "ers-1", false),
            ("*der*", "orders", true),
            ("*x*", "orders", false),
            ("**", "orders", true),
            ("o*s", "orders", false),
        ] {
            let by_name = pattern(&format!("public>>g>>{text}"));
            assert_eq!(by_name.matches(&service("public", "g", name)), matched, "{text} {name}");
            let by_group = pattern(&format!("public>>{text}>>*"));
            assert_eq!(
                by_group.matches(&service("public", name, "s")),
                matched,
                "{text} {name}"
            );
        }
        assert!(!pattern("dev>>*>>*").matches(&service("public", "g", "s")));
        assert!(pattern(">>*>>*").matches(&service("public", "g", "s")));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let long = format!("public>>g>>{}", "x".repeat(2_000));
        for text in [
            "",
            "a",
            "a>>b",
            "a>>b>>c>>d",
            "public>>>>s",
            "public>>g>>",
            "a b>>g>>s",
            &long,
        ] {
            assert!(FuzzyPattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_watch_is_read_with_what_the_client_has() {
        let read = |text: &str| FuzzyWatchRequest::decode(text.as_bytes()).unwrap();
        let watch = read(
            r#"{"headers":{},"namespace":"public","groupKeyPattern":"public>>g>>*","receivedGroupKeys":["public@@g@@s",null],"watchType":"WATCH","initializing":true,"module":"naming"}"#,
        );
        assert_eq!(watch.pattern.as_str(), "public>>g>>*");
        assert_eq!(
            watch.act,
            FuzzyAct::Watch {
                received: HashSet::from(["public@@g@@s".to_owned()]),
                initializing: true
            }
        );
        let nothing = read(r#"{"groupKeyPattern":"public>>g>>*","receivedGroupKeys":null,"watchType":"WATCH"}"#);
        assert_eq!(
            nothing.act,
            FuzzyAct::Watch {
                received: HashSet::new(),
                initializing: false
            }
        );
        assert_eq!(
            read(r#"{"groupKeyPattern":"public>>g>>*","watchType":"CANCEL_WATCH"}"#).act,
            FuzzyAct::Cancel
        );
        let many: Vec<String> = (0..5_000).map(|n| format!("\"k{n}\"")).collect();
        let many = read(&format!(
            r#"{{"groupKeyPattern":"public>>g>>*","watchType":"WATCH","receivedGroupKeys":[{}]}}"#,
            many.join(",")
        ));
        assert!(matches!(many.act, FuzzyAct::Watch { received, .. } if received.len() == RECEIVED_MAX));
    }

    #[test]
    fn wrong_watches_are_refused() {
        let error = |text: &str| FuzzyWatchRequest::decode(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            error(r#"{"watchType":"WATCH"}"#),
            "Param check invalid:Param 'groupKeyPattern' is required."
        );
        assert_eq!(
            error(r#"{"groupKeyPattern":"public>>g>>*","watchType":"LOOK"}"#),
            "Unsupported request type LOOK"
        );
        assert!(error("[]").starts_with("unreadable"));
    }

    #[test]
    fn what_a_watcher_is_told_is_worded_as_in_the_samples() {
        let text = |members: Bytes| String::from_utf8(members.to_vec()).unwrap();
        let pattern = pattern("public>>g>>*");
        let contexts = [FuzzyContext {
            service_key: fuzzy_key(&service("public", "g", "s")),
            changed_type: FuzzyChange::AddService,
        }];
        assert_eq!(
            text(fuzzy_sync_members(&pattern, FuzzySync::Init, &contexts, (1, 1))),
            r#""syncType":"FUZZY_WATCH_INIT_NOTIFY","groupKeyPattern":"public>>g>>*","contexts":[{"serviceKey":"public@@g@@s","changedType":"ADD_SERVICE"}],"totalBatch":1,"currentBatch":1,"module":"naming""#
        );
        assert_eq!(
            text(fuzzy_sync_members(&pattern, FuzzySync::Finish, &[], (0, 0))),
            r#""syncType":"FINISH_FUZZY_WATCH_INIT_NOTIFY","groupKeyPattern":"public>>g>>*","contexts":[],"totalBatch":0,"currentBatch":0,"module":"naming""#
        );
        assert_eq!(
            text(fuzzy_change_members(
                &service("public", "g", "s"),
                FuzzyChange::DeleteService
            )),
            r#""syncType":"FUZZY_WATCH_RESOURCE_CHANGED","serviceKey":"public@@g@@s","changedType":"DELETE_SERVICE","module":"naming""#
        );
    }

    proptest! {
        #[test]
        fn no_pattern_makes_the_parser_panic(text in ".{0,40}", stars in "[*>.]{0,12}") {
            for text in [text.clone(), stars.clone(), format!("public>>{stars}>>{text}"), format!("a>>{text}>>{stars}")] {
                if let Ok(pattern) = FuzzyPattern::parse(&text) {
                    pattern.matches(&service("public", "g", "s"));
                }
            }
        }
    }
}

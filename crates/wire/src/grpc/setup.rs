//! The first message on a client's stream.

use super::Unreadable;
use crate::loose::{Gather, LooseText, gathered};
use serde::de::{Deserialize, Deserializer, IgnoredAny};
use std::collections::BTreeMap;

/// Labels kept of a client; SDKs send five, and users add `app_…` of their own.
pub const LABELS_MAX: usize = 64;
/// What is kept of each text, in bytes.
const TEXT_BYTES_MAX: usize = 256;

/// Who is there, in its own words. Every text is cut to 256 bytes, and labels beyond [`LABELS_MAX`] are left out, as all
/// of it is kept while the connection lives.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConnectionSetup {
    /// `Nacos-Java-Client:v2.4.3`.
    pub client_version: String,
    /// Not to be relied on: Java sets none, and each request names its own.
    pub tenant: String,
    /// `source`, `module`, `AppName`, …, each name once. Without spare room, for there is one of these per connection.
    pub labels: Box<[(Box<str>, Box<str>)]>,
    /// The client waits for a `SetupAckRequest`; an empty table counts.
    pub has_ability_table: bool,
}

impl ConnectionSetup {
    /// # Errors
    /// [`Unreadable`]: not a JSON object of this shape.
    pub fn decode(body: &[u8]) -> Result<Self, Unreadable> {
        #[derive(serde::Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Json {
            client_version: LooseText,
            tenant: LooseText,
            labels: Labels,
            ability_table: Option<IgnoredAny>,
        }
        let json: Json = Unreadable::parse(body)?;
        Ok(Self {
            client_version: start_of(json.client_version.0),
            tenant: start_of(json.tenant.0),
            labels: json
                .labels
                .0
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            has_ability_table: json.ability_table.is_some(),
        })
    }

    /// What the client is for: `naming`, `config`, `lock`, `ai`; empty if it does not say.
    pub fn module(&self) -> &str {
        self.label("module")
    }

    pub fn is_naming(&self) -> bool {
        self.module() == "naming"
    }

    /// The application that the client belongs to; empty if it does not say.
    pub fn app(&self) -> &str {
        self.label("AppName")
    }

    fn label(&self, name: &str) -> &str {
        let label = self.labels.iter().find(|(held, _)| &**held == name);
        label.map_or("", |(_, value)| value)
    }
}

fn start_of(text: Option<String>) -> String {
    let mut text = text.unwrap_or_default();
    if text.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.shrink_to_fit();
    }
    text
}

#[derive(Default)]
struct Labels(BTreeMap<String, String>);

impl Gather for Labels {
    fn gather(&mut self, name: String, value: Option<String>) {
        if self.0.len() < LABELS_MAX {
            self.0.insert(start_of(Some(name)), start_of(value));
        }
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        gathered(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> ConnectionSetup {
        ConnectionSetup::decode(text.as_bytes()).unwrap()
    }

    #[test]
    fn setups_of_every_sdk_are_read() {
        let java = read(
            r#"{"headers":{},"clientVersion":"Nacos-Java-Client:v2.4.3","labels":{"source":"sdk","module":"naming","AppName":"app"},"abilityTable":{},"module":"internal"}"#,
        );
        assert_eq!(java.client_version, "Nacos-Java-Client:v2.4.3");
        assert!(java.is_naming() && java.has_ability_table);
        assert_eq!(java.app(), "app");
        let rust = read(
            r#"{"clientVersion":"Nacos-Rust-Client:0.8.3","abilities":{"remoteAbility":{"supportRemoteConnection":true},"configAbility":{"supportRemoteMetrics":true},"namingAbility":{"supportDeltaPush":false,"supportRemoteMetric":false}},"tenant":"public","labels":{"source":"sdk","AppName":"a","module":"naming"},"headers":{},"requestId":null}"#,
        );
        assert!(rust.is_naming() && !rust.has_ability_table);
        assert_eq!(rust.tenant, "public");
        let python = read(
            r#"{"clientVersion":"Nacos-Python-Client:v3.2.0","labels":{"source":"sdk","module":"naming"},"abilityTable":{"mcp":true,"agent":true}}"#,
        );
        assert!(python.has_ability_table);
        let go = read(r#"{"clientVersion":"Nacos-Go-Client:v2.3.5","tenant":"","labels":null,"clientAbilities":{}}"#);
        assert_eq!((go.module(), go.has_ability_table), ("", false));
        assert!(!read(r#"{"abilityTable":null}"#).has_ability_table);
    }

    #[test]
    fn what_is_kept_of_a_client_is_bounded() {
        let labels: Vec<String> = (0..1_000)
            .map(|n| format!(r#""label-{n}":"{}""#, "é".repeat(1_000)))
            .collect();
        let setup = read(&format!(
            r#"{{"clientVersion":"{}","labels":{{{}}}}}"#,
            "v".repeat(10_000),
            labels.join(",")
        ));
        assert_eq!(setup.client_version.len(), TEXT_BYTES_MAX);
        assert_eq!(setup.labels.len(), LABELS_MAX);
        assert!(setup.labels.iter().all(|(_, label)| label.len() <= TEXT_BYTES_MAX));
    }

    #[test]
    fn what_is_no_setup_is_refused() {
        let deep = format!(r#"{{"x":{}"#, "[".repeat(10_000));
        for text in [
            "",
            "null",
            "[]",
            "{",
            r#"{"labels":7}"#,
            r#"{"labels":{"a":{}}}"#,
            &deep,
        ] {
            assert!(ConnectionSetup::decode(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ConnectionSetup::decode(&bytes);
        }
    }
}

//! What is said about the connection itself: check, health, setup, detection, reset.

use super::response::{Codes, NoMembers, Response, json};
use bytes::Bytes;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use std::sync::LazyLock;

/// The answer to a `ServerCheckRequest`, the first call of most clients.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerCheckResponse<'a> {
    pub connection_id: &'a str,
    /// True promises a [`SetupAckRequest`]: Java and Python 3 drop the connection if none comes within 5 s.
    pub support_ability_negotiation: bool,
}

impl ServerCheckResponse<'_> {
    pub const TYPE: &'static str = "ServerCheckResponse";

    pub fn encode(&self) -> Bytes {
        Response::of(Codes::OK, None, self)
    }
}

/// The answer to a `HealthCheckRequest` of a registered connection.
#[derive(Clone, Copy, Debug)]
pub struct HealthCheckResponse;

impl HealthCheckResponse {
    pub const TYPE: &'static str = "HealthCheckResponse";

    pub fn encode(&self) -> Bytes {
        /// Worded once: every client asks every five seconds.
        static WORDED: LazyLock<Bytes> = LazyLock::new(|| Response::of(Codes::OK, None, NoMembers {}));
        WORDED.clone()
    }
}

/// What this server can do, for a client whose setup had an ability table; to no other. No ack comes back.
#[derive(Clone, Copy, Debug)]
pub struct SetupAckRequest<'a> {
    pub abilities: &'a [(&'a str, bool)],
}

impl SetupAckRequest<'static> {
    /// This server's abilities. What is false, clients refuse themselves. `fuzzyWatch` is of naming and configuration
    /// alike; of the latter it is accepted and finds nothing.
    pub const OURS: Self = Self {
        abilities: &[
            ("supportPersistentInstanceByGrpc", true),
            ("fuzzyWatch", true),
            ("lock", false),
            ("mcp", false),
            ("agent", false),
        ],
    };
}

impl SetupAckRequest<'_> {
    pub const TYPE: &'static str = "SetupAckRequest";

    pub fn encode(&self) -> Bytes {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Json<'a> {
            headers: Empty,
            ability_table: Table<'a>,
            module: &'static str,
        }
        struct Table<'a>(&'a [(&'a str, bool)]);
        impl Serialize for Table<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(Some(self.0.len()))?;
                for (name, can) in self.0 {
                    map.serialize_entry(name, can)?;
                }
                map.end()
            }
        }
        json(&Json {
            headers: Empty {},
            ability_table: Table(self.abilities),
            module: INTERNAL,
        })
    }
}

/// Asks a silent client whether it is there.
#[derive(Clone, Copy, Debug)]
pub struct ClientDetectionRequest<'a> {
    pub request_id: &'a str,
}

impl ClientDetectionRequest<'_> {
    pub const TYPE: &'static str = "ClientDetectionRequest";

    pub fn encode(&self) -> Bytes {
        reset_or_detection(self.request_id, None, None)
    }
}

/// Asks a client to go elsewhere. Python and Rust ignore it and never ack it; Go heeds it with an address only.
#[derive(Clone, Copy, Debug)]
pub struct ConnectResetRequest<'a> {
    pub request_id: &'a str,
    /// IP and main (HTTP) port of where to go.
    pub server: Option<(&'a str, u16)>,
    pub connection_id: Option<&'a str>,
}

impl ConnectResetRequest<'_> {
    pub const TYPE: &'static str = "ConnectResetRequest";

    pub fn encode(&self) -> Bytes {
        reset_or_detection(self.request_id, self.server, self.connection_id)
    }
}

const INTERNAL: &str = "internal";

/// `{}`.
#[derive(Serialize)]
pub(super) struct Empty {}

fn reset_or_detection(request_id: &str, server: Option<(&str, u16)>, connection_id: Option<&str>) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Json<'a> {
        headers: Empty,
        request_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        server_ip: Option<&'a str>,
        /// A string in Nacos's class.
        #[serde(skip_serializing_if = "Option::is_none")]
        server_port: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        connection_id: Option<&'a str>,
        module: &'static str,
    }
    json(&Json {
        headers: Empty {},
        request_id,
        server_ip: server.map(|(ip, _)| ip),
        server_port: server.map(|(_, port)| port.to_string()),
        connection_id,
        module: INTERNAL,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: Bytes) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn the_life_of_a_connection_is_worded_as_in_the_samples() {
        let check = ServerCheckResponse {
            connection_id: "1732_10.0.0.5_51234",
            support_ability_negotiation: true,
        };
        assert_eq!(
            text(check.encode()),
            r#"{"resultCode":200,"errorCode":0,"connectionId":"1732_10.0.0.5_51234","supportAbilityNegotiation":true,"success":true}"#
        );
        assert_eq!(
            text(HealthCheckResponse.encode()),
            r#"{"resultCode":200,"errorCode":0,"success":true}"#
        );
        assert_eq!(
            text(SetupAckRequest::OURS.encode()),
            r#"{"headers":{},"abilityTable":{"supportPersistentInstanceByGrpc":true,"fuzzyWatch":true,"lock":false,"mcp":false,"agent":false},"module":"internal"}"#
        );
        assert_eq!(
            text(SetupAckRequest { abilities: &[] }.encode()),
            r#"{"headers":{},"abilityTable":{},"module":"internal"}"#
        );
        assert_eq!(
            text(ClientDetectionRequest { request_id: "11" }.encode()),
            r#"{"headers":{},"requestId":"11","module":"internal"}"#
        );
        let reset = ConnectResetRequest {
            request_id: "9",
            server: Some(("10.0.0.2", 8848)),
            connection_id: Some("c"),
        };
        assert_eq!(
            text(reset.encode()),
            r#"{"headers":{},"requestId":"9","serverIp":"10.0.0.2","serverPort":"8848","connectionId":"c","module":"internal"}"#
        );
    }
}

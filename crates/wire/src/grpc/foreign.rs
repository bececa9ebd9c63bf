//! Answers to what other parts of Nacos are asked over the same port: configuration and locks. This server has neither; each
//! is answered so that the client lives on, and never as if something had been done.

use super::response::{Codes, NoMembers, Response};
use bytes::Bytes;
use serde::Serialize;

/// Nacos's code for what it does not have.
const NOT_IMPLEMENTED: i32 = 501;
/// `ConfigQueryResponse.CONFIG_NOT_FOUND`, which every SDK reads as "there is no such configuration".
const CONFIG_NOT_FOUND: i32 = 300;

const NO_CONFIG: &str = "this server keeps no configuration";
const NO_LOCKS: &str = "this server keeps no locks";

/// The answer to a request that is not naming's, as type and JSON; `None` for one that is not known either.
///
/// In the types that were asked for: an `ErrorResponse` makes Java repeat the request four times and doubt the
/// connection.
pub fn foreign_response(request: &str) -> Option<(&'static str, Bytes)> {
    let no_config = || Response::of(Codes::failed(NOT_IMPLEMENTED), Some(NO_CONFIG), NoMembers {});
    Some(match request {
        "ConfigQueryRequest" => ("ConfigQueryResponse", no_such_config()),
        "ConfigBatchListenRequest" => ("ConfigChangeBatchListenResponse", nothing_changed()),
        "ConfigPublishRequest" => ("ConfigPublishResponse", no_config()),
        "ConfigRemoveRequest" => ("ConfigRemoveResponse", no_config()),
        // The ability is naming's as well, so clients do ask. A refusal would be repeated each second; there is nothing
        // that such a watch could ever tell of.
        "ConfigFuzzyWatchRequest" => ("ConfigFuzzyWatchResponse", Response::of(Codes::OK, None, NoMembers {})),
        "LockOperationRequest" => ("LockOperationResponse", no_lock()),
        _ => return None,
    })
}

/// No `tag`: Go and Python want a flag there, Rust a text.
fn no_such_config() -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Config {
        last_modified: u64,
        beta: bool,
    }
    let none = Config {
        last_modified: 0,
        beta: false,
    };
    Response::of(Codes::failed(CONFIG_NOT_FOUND), Some("config data not exist"), none)
}

fn nothing_changed() -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Changes {
        changed_configs: [(); 0],
    }
    Response::of(Codes::OK, None, Changes { changed_configs: [] })
}

fn no_lock() -> Bytes {
    #[derive(Serialize)]
    struct Lock {
        result: bool,
    }
    Response::of(Codes::failed(NOT_IMPLEMENTED), Some(NO_LOCKS), Lock { result: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(request: &str) -> (&'static str, String) {
        let (name, body) = foreign_response(request).unwrap();
        (name, String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn other_parts_requests_are_answered_in_their_own_types() {
        let refused =
            r#"{"resultCode":500,"errorCode":501,"message":"this server keeps no configuration","success":false}"#;
        for (request, response, body) in [
            (
                "ConfigQueryRequest",
                "ConfigQueryResponse",
                r#"{"resultCode":500,"errorCode":300,"message":"config data not exist","lastModified":0,"beta":false,"success":false}"#,
            ),
            (
                "ConfigBatchListenRequest",
                "ConfigChangeBatchListenResponse",
                r#"{"resultCode":200,"errorCode":0,"changedConfigs":[],"success":true}"#,
            ),
            ("ConfigPublishRequest", "ConfigPublishResponse", refused),
            ("ConfigRemoveRequest", "ConfigRemoveResponse", refused),
            (
                "ConfigFuzzyWatchRequest",
                "ConfigFuzzyWatchResponse",
                r#"{"resultCode":200,"errorCode":0,"success":true}"#,
            ),
            (
                "LockOperationRequest",
                "LockOperationResponse",
                r#"{"resultCode":500,"errorCode":501,"message":"this server keeps no locks","result":false,"success":false}"#,
            ),
        ] {
            assert_eq!(answered(request), (response, body.to_owned()));
        }
    }

    #[test]
    fn what_nobody_knows_has_no_answer() {
        for request in [
            "QueryMcpServerRequest",
            "NotifySubscriberRequest",
            "",
            "configqueryrequest",
        ] {
            assert_eq!(foreign_response(request), None, "{request}");
        }
    }
}

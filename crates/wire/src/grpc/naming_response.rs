//! Answers to what clients ask of naming, but for lists of instances.

use super::naming_request::{BATCH_REGISTER, REGISTER};
use super::response::{Codes, NoMembers, Response};
use bytes::Bytes;
use serde::Serialize;
use std::sync::LazyLock;

pub const INSTANCE_RESPONSE: &str = "InstanceResponse";
pub const BATCH_INSTANCE_RESPONSE: &str = "BatchInstanceResponse";
pub const QUERY_SERVICE_RESPONSE: &str = "QueryServiceResponse";
pub const SERVICE_LIST_RESPONSE: &str = "ServiceListResponse";
pub const SUBSCRIBE_SERVICE_RESPONSE: &str = "SubscribeServiceResponse";

#[derive(Serialize)]
struct Typed<'a> {
    r#type: &'a str,
}

/// `InstanceResponse`; `type_name` echoes what was done.
pub fn instance_response(type_name: &str) -> Bytes {
    /// The answer to the busiest request, worded once.
    static REGISTERED: LazyLock<Bytes> = LazyLock::new(|| done(REGISTER));
    match type_name {
        REGISTER => REGISTERED.clone(),
        _ => done(type_name),
    }
}

fn done(type_name: &str) -> Bytes {
    Response::of(Codes::OK, None, Typed { r#type: type_name })
}

/// `BatchInstanceResponse`.
pub fn batch_instance_response() -> Bytes {
    instance_response(BATCH_REGISTER)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Names<'a> {
    count: usize,
    service_names: &'a [&'a str],
}

/// `ServiceListResponse`: a page of bare names, and how many there are in all.
pub fn service_list_response(count: usize, names: &[&str]) -> Bytes {
    let names = Names {
        count,
        service_names: names,
    };
    Response::of(Codes::OK, None, names)
}

/// A refusal in the type that was asked for, which clients tell their caller at once and do not repeat. An error code of
/// 0 would be success to Python.
pub fn failed_response(type_name: &str, code: i32, message: &str) -> Bytes {
    let codes = Codes::failed(code);
    if type_name == SERVICE_LIST_RESPONSE {
        // Python and Rust require both.
        let none = Names {
            count: 0,
            service_names: &[],
        };
        return Response::of(codes, Some(message), none);
    }
    Response::of(codes, Some(message), NoMembers {})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &Bytes) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn answers_are_byte_for_byte_the_samples() {
        assert_eq!(
            text(&instance_response("registerInstance")),
            r#"{"resultCode":200,"errorCode":0,"type":"registerInstance","success":true}"#
        );
        assert_eq!(
            text(&batch_instance_response()),
            r#"{"resultCode":200,"errorCode":0,"type":"batchRegisterInstance","success":true}"#
        );
        assert_eq!(
            text(&service_list_response(1, &["s"])),
            r#"{"resultCode":200,"errorCode":0,"count":1,"serviceNames":["s"],"success":true}"#
        );
        assert_eq!(
            text(&failed_response(INSTANCE_RESPONSE, 403, "...")),
            r#"{"resultCode":500,"errorCode":403,"message":"...","success":false}"#
        );
        assert_eq!(
            text(&failed_response(SERVICE_LIST_RESPONSE, 0, "x")),
            r#"{"resultCode":500,"errorCode":500,"message":"x","count":0,"serviceNames":[],"success":false}"#
        );
    }
}

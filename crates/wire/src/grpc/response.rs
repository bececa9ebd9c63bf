//! What every response begins with, and those that say that something failed.

use bytes::Bytes;
use serde::Serialize;

/// The type of an answer to a request that has no answer of its own type.
pub const ERROR_RESPONSE: &str = "ErrorResponse";

const OK: i32 = 200;
/// `resultCode` of what failed; the reason is in `errorCode`.
const FAILED: i32 = 500;

/// JSON of a message. Not for maps whose keys are not text.
pub(super) fn json(message: &impl Serialize) -> Bytes {
    Bytes::from(serde_json::to_vec(message).expect("a message has only text for keys, and Vec takes all"))
}

/// The two codes of a response; other than 200 and 0 only together, as Python looks at one alone and Rust at the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codes {
    pub(super) result: i32,
    pub(super) error: i32,
}

impl Codes {
    pub(super) const OK: Self = Self { result: OK, error: 0 };

    /// As Nacos answers with a code.
    pub(super) fn failed(code: i32) -> Self {
        let error = if code == 0 { FAILED } else { code };
        Self { result: FAILED, error }
    }

    /// As Nacos answers an exception: both codes are the exception's.
    pub(super) fn raised(code: i32) -> Self {
        if code == OK || code == 0 {
            return Self::failed(code);
        }
        Self {
            result: code,
            error: code,
        }
    }

    pub(super) fn success(self) -> bool {
        self.result == OK
    }
}

/// A response: codes, message, the members of its type, and `success`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response<'a, T> {
    result_code: i32,
    error_code: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(flatten)]
    members: T,
    success: bool,
}

/// The members of a response that has none of its own.
#[derive(Serialize)]
pub(super) struct NoMembers {}

impl<'a, T: Serialize> Response<'a, T> {
    pub(super) fn of(codes: Codes, message: Option<&'a str>, members: T) -> Bytes {
        json(&Response {
            result_code: codes.result,
            error_code: codes.error,
            message,
            members,
            success: codes.success(),
        })
    }
}

/// `ErrorResponse` from a code: `resultCode` is 500 and `errorCode` the code.
///
/// To Java, Go and Python this is a failed attempt: they try again, then check the connection. Hence for faults of the
/// connection or the server alone; a refusal goes out in the type that was asked for.
pub fn error_response(code: i32, message: &str) -> Bytes {
    Response::of(Codes::failed(code), Some(message), NoMembers {})
}

/// `ErrorResponse` as from an exception of a handler: `resultCode` and `errorCode` are both the code.
pub fn coded_error_response(code: i32, message: &str) -> Bytes {
    Response::of(Codes::raised(code), Some(message), NoMembers {})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &Bytes) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn errors_are_those_of_the_samples() {
        assert_eq!(
            text(&error_response(301, "Connection is unregistered.")),
            r#"{"resultCode":500,"errorCode":301,"message":"Connection is unregistered.","success":false}"#
        );
        assert_eq!(
            text(&coded_error_response(-401, "no")),
            r#"{"resultCode":-401,"errorCode":-401,"message":"no","success":false}"#
        );
    }

    #[test]
    fn no_code_makes_a_failure_look_like_a_success() {
        for code in [0, 200] {
            for body in [error_response(code, "x"), coded_error_response(code, "x")] {
                let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
                assert_ne!(read["resultCode"], 200);
                assert_ne!(read["errorCode"], 0);
                assert_eq!(read["success"], false);
            }
        }
    }
}

//! `Result`, in which v2 and v3 answer: `{"code":…,"message":…,"data":…}`.
//!
//! A refusal has the detail code's own words as `message` and what was wrong this time as `data` (reference nacos-http
//! 1.7).

use super::reply::{Reply, start_of};
use bytes::Bytes;
use hyper::StatusCode;
use serde::Serialize;

/// The longest `data` that echoes what a caller sent.
const ECHO_BYTES_MAX: usize = 4_096;

macro_rules! codes {
    ($($name:ident = $number:literal $text:literal),* $(,)?) => {
        /// Nacos's detail codes, those that are answered here.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(super) enum Code { $($name = $number),* }

        impl Code {
            fn text(self) -> &'static str {
                match self { $(Code::$name => $text),* }
            }
        }
    };
}

codes! {
    ParameterMissing = 10_000 "parameter missing",
    ParameterIllegal = 20_002 "parameter validate error",
    ResourceNotFound = 20_004 "resource not found",
    Weight = 21_001 "weight error",
    InstanceMetadata = 21_002 "instance metadata error",
    InstanceNotFound = 21_003 "instance not found",
    Instance = 21_004 "instance error",
    Selector = 21_006 "selector error",
    ServiceExists = 21_007 "service already exist",
    ServiceNotFound = 21_008 "service not exist",
    ServiceNotDeleted = 21_009 "service delete failure",
    NamespaceNotFound = 22_001 "namespace not exist",
    IllegalState = 23_000 "illegal state",
    Server = 30_000 "server error",
    Disabled = 40_001 "API function disabled.",
}

#[derive(Serialize)]
struct Wrapped<T> {
    code: u32,
    message: &'static str,
    data: T,
}

/// Success.
pub(super) fn well(data: &impl Serialize) -> Reply {
    Reply::json(&Wrapped {
        code: 0,
        message: "success",
        data,
    })
}

/// Success with nothing else to say.
pub(super) fn ok() -> Reply {
    well(&"ok")
}

/// Success with JSON that is rendered already.
pub(super) fn well_rendered(data: &[u8]) -> Reply {
    const HEAD: &[u8] = br#"{"code":0,"message":"success","data":"#;
    let mut body = Vec::with_capacity(HEAD.len() + data.len() + 1);
    body.extend_from_slice(HEAD);
    body.extend_from_slice(data);
    body.push(b'}');
    Reply::rendered_json(Bytes::from(body))
}

/// A refusal: what was wrong this time is `detail`.
pub(super) fn refused(status: StatusCode, code: Code, detail: &str) -> Reply {
    let body = Wrapped {
        code: code as u32,
        message: code.text(),
        data: start_of(detail, ECHO_BYTES_MAX),
    };
    Reply::json_with(status, &body)
}

/// A light beat of an instance that nobody knows. Inside a 200: the client is to register again, not to ask elsewhere.
pub(super) fn instance_not_found() -> Reply {
    let code = Code::InstanceNotFound;
    Reply::json(&Wrapped {
        code: code as u32,
        message: code.text(),
        data: (),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(reply: &Reply) -> &str {
        std::str::from_utf8(&reply.body).unwrap()
    }

    #[test]
    fn members_stand_in_nacoss_order() {
        assert_eq!(text(&ok()), r#"{"code":0,"message":"success","data":"ok"}"#);
        assert_eq!(
            text(&well_rendered(b"[1]")),
            r#"{"code":0,"message":"success","data":[1]}"#
        );
        let refusal = refused(StatusCode::BAD_REQUEST, Code::Weight, "too heavy");
        assert_eq!(
            text(&refusal),
            r#"{"code":21001,"message":"weight error","data":"too heavy"}"#
        );
    }

    #[test]
    fn long_echoes_are_cut() {
        let refusal = refused(StatusCode::BAD_REQUEST, Code::ParameterIllegal, &"é".repeat(10_000));
        assert!(refusal.body.len() < ECHO_BYTES_MAX + 100);
    }
}

//! What a client sends back to a request of the server's.

use super::Unreadable;
use super::scalar::Scalar;
use serde::Deserialize;

/// Any response of a client. Its type does not matter: Java answers a fuzzy watch's sync with another class's response.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ack {
    /// Which question it answers; the only thing that does.
    pub request_id: String,
    /// 200 for what went well; absent from hand-made clients, which counts as 200 where `error_code` is 0.
    pub result_code: i32,
    pub error_code: i32,
    pub message: String,
}

impl Ack {
    /// # Errors
    /// [`Unreadable`]: not a JSON object, or codes that are no numbers.
    pub fn decode(body: &[u8]) -> Result<Self, Unreadable> {
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default, bound(deserialize = "'de: 'a"))]
        struct Json<'a> {
            request_id: Scalar<'a>,
            result_code: Scalar<'a>,
            error_code: Scalar<'a>,
            message: Scalar<'a>,
        }
        let json: Json<'_> = Unreadable::parse(body)?;
        let code = |text: &Scalar<'_>| match text.nonblank() {
            None => Ok(None),
            Some(text) => text
                .parse::<i32>()
                .map(Some)
                .map_err(|_| Unreadable(format!("not a code: {text}"))),
        };
        let error_code = code(&json.error_code)?.unwrap_or(0);
        Ok(Self {
            request_id: json.request_id.text().unwrap_or_default().into_owned(),
            result_code: code(&json.result_code)?.unwrap_or(if error_code == 0 { 200 } else { 500 }),
            error_code,
            message: json.message.text().unwrap_or_default().into_owned(),
        })
    }

    /// Judged by the code: Go writes `success:false` beside 200, Python and Rust write no `success` at all.
    pub fn is_success(&self) -> bool {
        self.result_code == 200
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn acks_of_every_sdk_are_read() {
        for (text, id) in [
            (
                r#"{"resultCode":200,"errorCode":0,"message":"Response ok","requestId":"1"}"#,
                "1",
            ),
            (
                r#"{"resultCode":200,"errorCode":0,"message":"","requestId":"11"}"#,
                "11",
            ),
            (
                r#"{"resultCode":200,"errorCode":0,"success":false,"message":"","requestId":"7"}"#,
                "7",
            ),
            (
                r#"{"resultCode":"200","requestId":7,"message":null,"unknown":[{}]}"#,
                "7",
            ),
            (r#"{"requestId":"7"}"#, "7"),
        ] {
            let ack = Ack::decode(text.as_bytes()).unwrap();
            assert_eq!((ack.request_id.as_str(), ack.is_success()), (id, true), "{text}");
        }
    }

    #[test]
    fn a_refusal_is_one_and_keeps_its_words() {
        let ack = Ack::decode(br#"{"resultCode":-500,"errorCode":-500,"message":"no","requestId":"3"}"#).unwrap();
        assert!(!ack.is_success());
        assert_eq!((ack.request_id.as_str(), ack.message.as_str()), ("3", "no"));
        assert!(!Ack::decode(br#"{"errorCode":1,"requestId":"3"}"#).unwrap().is_success());
    }

    #[test]
    fn what_is_no_ack_is_refused() {
        for text in ["", "null", "[]", "7", r#"{"resultCode":"x"}"#, r#"{"requestId":{}}"#] {
            assert!(Ack::decode(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Ack::decode(&bytes);
        }
    }
}

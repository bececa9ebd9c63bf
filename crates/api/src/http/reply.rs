//! Answers, before they are HTTP.

use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::metrics::Outcome;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain;charset=UTF-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
/// Nacos sends it with every answer; it keeps a browser from running what an answer may echo.
pub(super) const CONTENT_SECURITY: HeaderValue = HeaderValue::from_static("script-src 'self'");

/// The longest text that echoes what a caller sent.
const ECHO_BYTES_MAX: usize = 4_096;

/// The longest start of `text` of at most `bytes_max` bytes that ends between characters.
pub(super) fn start_of(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    content_type: HeaderValue,
    pub(super) body: Bytes,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Reply {
    fn new(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Self {
        Self {
            status,
            content_type,
            body,
            headers: Vec::new(),
        }
    }

    /// `ok`, which clients compare byte for byte (T-47).
    pub(super) fn ok() -> Self {
        Self::new(StatusCode::OK, TEXT, Bytes::from_static(b"ok"))
    }

    /// Plain text. Always `text/plain`, also to browsers: an error text may echo what a caller sent.
    pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        let mut text: String = text.into();
        if text.len() > ECHO_BYTES_MAX {
            text.truncate(start_of(&text, ECHO_BYTES_MAX).len());
        }
        Self::new(status, TEXT, Bytes::from(text))
    }

    pub(super) fn json(value: &impl Serialize) -> Self {
        Self::json_with(StatusCode::OK, value)
    }

    pub(super) fn json_with(status: StatusCode, value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value).expect("answers have text keys and finite shapes");
        Self::new(status, JSON, Bytes::from(body))
    }

    /// JSON that is rendered already.
    pub(super) fn rendered_json(body: Bytes) -> Self {
        Self::new(StatusCode::OK, JSON, body)
    }

    pub(super) fn prometheus(body: String) -> Self {
        Self::new(StatusCode::OK, PROMETHEUS, Bytes::from(body))
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// What Nacos's parameter filter adds to its refusals.
    pub(super) fn not_cached(self) -> Self {
        self.with_header(header::PRAGMA, HeaderValue::from_static("no-cache"))
            .with_header(header::CACHE_CONTROL, HeaderValue::from_static("no-cache,no-store"))
            .with_header(header::EXPIRES, HeaderValue::from_static("0"))
    }

    pub(super) fn into_http(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, self.content_type);
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        response
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response<Body> {
        self.into_http().map(Body::new)
    }
}

pub(super) fn outcome_of(status: StatusCode) -> Outcome {
    match status.as_u16() {
        501 | 400..500 => Outcome::Refused,
        500.. => Outcome::Failed,
        _ => Outcome::Ok,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_echoes_are_cut_between_characters() {
        let reply = Reply::text(StatusCode::BAD_REQUEST, "é".repeat(10_000));
        assert!(reply.body.len() <= ECHO_BYTES_MAX);
        assert!(std::str::from_utf8(&reply.body).is_ok());
    }
}

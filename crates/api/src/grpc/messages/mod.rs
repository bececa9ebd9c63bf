//! What registered connections may ask: each request's handler.

mod watches;

pub(super) use watches::Watches;

use super::call::{Answer, Call};

/// Answers a request by its `metadata.type`; `None` for one that has no handler.
pub(super) async fn answer(call: &Call<'_>, name: &str) -> Option<Answer> {
    let _ = (call, name);
    todo!("skeleton")
}

//! Namespaces: those that hold services, and `public`.

use crate::http::console::{row, rows, services_of};
use crate::http::door::Call;
use crate::http::failure::Failure;
use crate::http::parameters::NAMESPACE_ASKED;
use crate::http::reply::Reply;
use crate::http::result::{self, Code};
use hyper::StatusCode;

/// `public_id` is what the generation calls `public`.
pub(in crate::http) fn list(call: &Call<'_>, public_id: &str) -> Reply {
    result::well(&rows(call, public_id))
}

pub(in crate::http) fn one(call: &Call<'_>, public_id: &str) -> Result<Reply, Failure> {
    let id = NAMESPACE_ASKED.value(&call.form)?;
    match services_of(call, id) {
        Some(services) => Ok(result::well(&row(id, public_id, services))),
        None => Err(Failure::detailed(
            StatusCode::NOT_FOUND,
            Code::NamespaceNotFound,
            format!("namespaceId [ {id} ] not exist"),
        )),
    }
}

/// How many namespaces go by an id: 0 or 1.
pub(in crate::http) fn count(call: &Call<'_>) -> Result<Reply, Failure> {
    let known = services_of(call, NAMESPACE_ASKED.value(&call.form)?).is_some();
    Ok(result::well(&u8::from(known)))
}

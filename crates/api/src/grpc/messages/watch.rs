//! `NamingFuzzyWatchRequest`: watching the names of services by pattern.

use super::Outcome;
use super::failure::{Failure, require_naming};
use super::watches::Refused;
use super::watching::WATCHED_MAX;
use crate::grpc::call::Call;
use muster_model::ServiceKey;
use muster_naming::{Naming, ServiceFilter};
use muster_wire::grpc::{FuzzyAct, FuzzyPattern, FuzzyWatchRequest, fuzzy_watch_response};

/// `FUZZY_WATCH_PATTERN_OVER_LIMIT`: Java stops asking for this pattern.
const TOO_MANY_PATTERNS: i32 = 50_310;
/// `FUZZY_WATCH_PATTERN_MATCH_COUNT_OVER_LIMIT`: the watch stands, and what is told is cut short.
const TOO_MANY_MATCHES: i32 = 50_311;

/// Begins, renews or ends a watch. What is to be told goes out on the stream, behind this answer.
pub(super) fn watch(call: &Call<'_>) -> Outcome {
    let request = FuzzyWatchRequest::decode(call.body)?;
    let pattern = request.pattern;
    match request.act {
        FuzzyAct::Cancel => call.watches.cancel(call.connection.id, pattern),
        FuzzyAct::Watch { received, initializing } => {
            require_naming(call)?;
            let many = matching(call.naming, &pattern).nth(WATCHED_MAX).is_some();
            let begun = call
                .watches
                .watch(call.naming, call.connection, pattern, received, initializing);
            begun.map_err(Failure::from)?;
            if many {
                return Err(Failure::Typed {
                    code: TOO_MANY_MATCHES,
                    message: format!("more than {WATCHED_MAX} services match; the first are told"),
                });
            }
        }
    }
    Ok(fuzzy_watch_response())
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Patterns => Failure::Typed {
                code: TOO_MANY_PATTERNS,
                message: refused.to_string(),
            },
            Refused::Busy => Failure::full(&refused.to_string()),
        }
    }
}

/// The services that match, in the order of listings. Walks a whole namespace, or group where the pattern names one.
pub(super) fn matching(naming: &Naming, pattern: &FuzzyPattern) -> impl Iterator<Item = ServiceKey> {
    let filter = ServiceFilter {
        namespace: pattern.namespace().clone(),
        group: pattern.group(),
    };
    let services = naming.services(&filter, 0, usize::MAX).services;
    services.into_iter().filter(|service| pattern.matches(service))
}

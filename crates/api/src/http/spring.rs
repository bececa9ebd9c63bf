//! The error JSON of Nacos's web framework.

use super::reply::Reply;
use hyper::{Method, StatusCode};
use serde::Serialize;

#[derive(Serialize)]
struct SpringError<'a> {
    timestamp: String,
    status: u16,
    error: &'a str,
    message: &'a str,
    path: &'a str,
}

/// `{"timestamp":…,"status":…,"error":…,"message":…,"path":…}`.
pub(super) fn error(status: StatusCode, message: &str, path: &str, wall_ms: u64) -> Reply {
    Reply::json_with(
        status,
        &SpringError {
            timestamp: timestamp(wall_ms),
            status: status.as_u16(),
            error: status.canonical_reason().unwrap_or("Error"),
            message,
            path,
        },
    )
}

/// A path that nobody answers, or one that `method` does not fit.
pub(super) fn no_call(method: &Method, path: &str, path_exists: bool, wall_ms: u64) -> Reply {
    if path_exists {
        let message = format!("Request method '{method}' not supported");
        error(StatusCode::METHOD_NOT_ALLOWED, &message, path, wall_ms)
    } else {
        error(StatusCode::NOT_FOUND, "No message available", path, wall_ms)
    }
}

/// `2026-01-01T00:00:00.000+00:00`.
fn timestamp(wall_ms: u64) -> String {
    let (days, ms) = ((wall_ms / 86_400_000) as i64, wall_ms % 86_400_000);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}+00:00",
        ms / 3_600_000,
        ms / 60_000 % 60,
        ms / 1_000 % 60,
        ms % 1_000
    )
}

/// Year, month and day of a day since 1970-01-01, counted in eras of 400 years that begin on the first of March.
fn civil(days: i64) -> (i64, i64, i64) {
    const ERA_DAYS: i64 = 146_097;
    let since_era_zero = days + 719_468;
    let era = since_era_zero.div_euclid(ERA_DAYS);
    let day_of_era = since_era_zero.rem_euclid(ERA_DAYS);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_name_the_day_in_leap_years_and_others() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000+00:00"),
            (951_782_400_123, "2000-02-29T00:00:00.123+00:00"),
            (1_700_000_000_000, "2023-11-14T22:13:20.000+00:00"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000+00:00"),
        ] {
            assert_eq!(timestamp(ms), text);
        }
    }
}

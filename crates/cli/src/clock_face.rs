//! The time of day for people.

/// `12:34:56.789Z` of milliseconds since the epoch; in UTC, as the servers' logs are.
pub fn time_of_day(wall_ms: u64) -> String {
    let (seconds, ms) = (wall_ms / 1000, wall_ms % 1000);
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{ms:03}Z", seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_day_is_utc() {
        // 2023-11-14 22:13:20 UTC
        assert_eq!(time_of_day(1_700_000_000_123), "22:13:20.123Z");
    }
}

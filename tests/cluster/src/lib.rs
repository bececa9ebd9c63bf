//! Suites over real processes: kills, cuts, restarts.

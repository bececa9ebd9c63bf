//! Suites over real processes: kills, cuts, restarts, members coming and going, bad input. Run with `cargo test -p
//! muster-cluster`; each file in `tests` is a suite. What clusters and clients are made of is in `muster_testkit`.
//!
//! Figures, such as the time without a leader, are printed (`--nocapture` shows them) and not asserted: they belong to the
//! machine. What is asserted is that nothing is lost.

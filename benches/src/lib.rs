//! Benchmarks against running servers.

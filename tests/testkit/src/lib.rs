//! Clusters of real processes, fixtures and waiting for tests.

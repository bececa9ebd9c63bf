//! Clusters of real processes, clients that behave as real ones do, and waiting for tests.
//!
//! - [`cluster`] starts `muster server` processes on free ports with folders of their own; [`Cluster`] kills, pauses, stops
//!   and restarts them, and prints their logs when a test fails.
//! - [`Http`] asks, [`V1`] speaks the calls of 1.x clients, [`Subscriber`] receives and acknowledges pushes over UDP.
//! - [`GrpcClient`] is the connection of a 2.x or 3.x client, frame by frame, so that it can also misbehave.
//! - [`Publisher`] and [`Writer`] are load: instances that beat and move to another node when theirs is gone, and
//!   persistent registrations of which each acknowledgement is remembered.
//! - [`Hosts`] puts the nodes into network namespaces of their own and cuts the links between them; needs root.
//! - [`eventually`] waits for what should come true, with a deadline.
//!
//! One cluster runs at a time in a process, because the machine is small.

mod binary;
mod cluster;
mod grpc;
mod http;
mod netns;
mod node;
mod ports;
mod publisher;
mod subscriber;
mod v1;
mod wait;
mod writer;

pub use binary::muster;
pub use cluster::{Cluster, cluster, cluster_at, cluster_prepared, cluster_staggered};
pub use grpc::{Frames, GrpcClient, Heard, encode, list_of, naming_setup};
pub use http::{Answer, Http};
pub use netns::{Hosts, namespaces_missing};
pub use node::{Node, Place, Signal};
pub use ports::{PEER_OFFSET, SDK_OFFSET, free_port};
pub use publisher::Publisher;
pub use subscriber::{Push, Subscriber};
pub use v1::{Listed, Spec, V1};
pub use wait::{always, eventually};
pub use writer::Writer;
